"""Work that another thread cancels: wherever it waits for a board, it stops at once, nothing is
left running, and the device still does what cleaning up needs. On every transport."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from edgekit.cancel import Cancel
from edgekit.deployment import hold
from edgekit.devices import Device, adb, adb_client, control
from edgekit.devices.facts import DeviceState
from edgekit.devices.ssh_login import connect, resolve, trust
from edgekit.devices.target_sections import Timeouts
from tests.support.processes import gone
from tools.testbed import proxy
from tools.testbed.sshd import Server

LARGE_BYTES = 64 << 20
PATIENT = Timeouts(connect_seconds=600, no_progress_seconds=600)
"""So long that no deadline can be what ends a wait."""


@contextmanager
def cancelled(cancel: Cancel, after_s: float = 0.5) -> Iterator[None]:
    """The block is cancelled after a while, and must raise KeyboardInterrupt."""
    timer = threading.Timer(after_s, cancel.request)
    timer.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            yield
    finally:
        timer.join()


def cancelled_by_its_output(device: Device) -> int:
    """The pid of a program that was cancelled when its first output came."""
    pids: list[int] = []

    def on_stdout(chunk: bytes) -> None:
        pids.extend(map(int, chunk.split()))
        device.cancel.request()

    with pytest.raises(KeyboardInterrupt):
        device.run(["sh", "-c", "echo $$; sleep 600"], timeout_s=300, on_stdout=on_stdout)
    (pid,) = pids
    return pid


def test_during_a_run(device: Device) -> None:
    pid = cancelled_by_its_output(device)
    assert gone(device, pid), "and what comes after is not interrupted again"


def test_before_the_device_has_told_which_process_it_is(
    device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over adb two streams bring the program's output and its process group, in any order."""
    group = 'echo "$0 group $$" >&2'
    late = adb_client.WRAPPER.replace(group, f"{{ sleep 0.5; {group}; }} &")
    assert late != adb_client.WRAPPER
    with monkeypatch.context() as patched:
        patched.setattr(adb, "WRAPPER", late)
        pid = cancelled_by_its_output(device)
    assert gone(device, pid)


def test_during_a_silent_run(device: Device) -> None:
    with cancelled(device.cancel):
        device.run(["sleep", "600"], timeout_s=300)


def test_during_a_push(device: Device, remote: str, tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(bytes(LARGE_BYTES))
    sent: list[int] = []

    def progress(count: int) -> None:
        sent.append(count)
        device.cancel.request()

    with pytest.raises(KeyboardInterrupt):
        device.push(tmp_path / "large", f"{remote}/large", progress=progress)
    assert 0 < sum(sent) < LARGE_BYTES
    assert device.run(["rm", "-f", f"{remote}/large"], timeout_s=20).ok


def test_during_a_cool_down(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "POLL_S", 3600.0)
    hot = DeviceState(temperatures_c={"cpu 0": 90.0})
    with cancelled(device.cancel):
        control.cool_down(device, [hot], below_c=-40.0, timeout_s=3600.0)


def test_waits_as_usual_once_it_was_noticed() -> None:
    cancel = Cancel()
    cancel.request()
    with pytest.raises(KeyboardInterrupt):
        cancel.sleep(3600)
    started = time.monotonic()
    cancel.sleep(0.1)
    assert time.monotonic() - started >= 0.1


def test_the_lock_is_released(device: Device, remote: str) -> None:
    with cancelled(device.cancel), hold(device, f"{remote}/store"):
        device.run(["sleep", "600"], timeout_s=300)
    with hold(device, f"{remote}/store"):
        pass


def test_a_request_before_the_wait(device: Device) -> None:
    device.cancel.request()
    with pytest.raises(KeyboardInterrupt):
        device.run(["true"], timeout_s=20)
    assert device.run(["true"], timeout_s=20).ok


@pytest.mark.device
def test_while_connecting_to_what_does_not_answer(trusting: None) -> None:
    """The port takes connections, and no SSH server is behind it."""
    cancel = Cancel()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        login = resolve("127.0.0.1", port=silent.getsockname()[1], user="somebody")
        with cancelled(cancel):
            connect("board", login, timeouts=PATIENT, cancel=cancel)


@pytest.mark.device
@pytest.mark.parametrize("way", ["up", "down"])
def test_on_a_link_that_carries_nothing(way: proxy.Way, ssh_server: Server, trusting: None) -> None:
    """Also where the SSH library waits for the server: a program that cannot even be started."""
    cancel = Cancel()
    with proxy.running(ssh_server.port) as link:
        login = resolve(
            "127.0.0.1",
            port=link.port,
            user=ssh_server.user,
            identity_file=str(ssh_server.directory / "user_key"),
        )
        trust("board", login)
        with closing(connect("board", login, timeouts=PATIENT, cancel=cancel)) as device:
            link.arm("stall", way, 0)
            with cancelled(cancel):
                device.run(["sleep", "600"], timeout_s=300)
