"""SIGKILL in sweeps, on real processes: of the host's process, of the SSH server's, and of what
runs on the board, at every step and at random moments.

After each kill the live bundle is the old one or the new one, every byte of it, and a plain retry
completes. The counts are printed (pytest -rP)."""

from __future__ import annotations

import os
import random
import shutil
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from edgekit.bundle.directory import Bundle, open_bundle
from edgekit.deployment import deploy, verify
from edgekit.devices import Device
from edgekit.devices.local import LocalDevice
from edgekit.devices.ssh import SshDevice
from edgekit.devices.ssh_config import Login
from edgekit.devices.ssh_login import connect, resolve, trust
from edgekit.errors import DeviceError, TransportError
from tests.support.bundles import write_bundle
from tests.support.deployments import STEPS, Contents, contents, live
from tests.support.kills import Kills, die_later, exit_code, processes
from tests.support.processes import descendants
from tools.testbed.sshd import Server

pytestmark = pytest.mark.device

FILE_BYTES = 600_000
HOST_KILLS = {"local": 100, "ssh": 50}
SERVER_KILLS = 30
CALLS = 11
"""Programs that a deployment starts on the board."""

processes.set_forkserver_preload([__name__])


@pytest.fixture
def login(ssh_server: Server, trusting: None) -> Login:
    resolved = resolve(
        "127.0.0.1",
        port=ssh_server.port,
        user=ssh_server.user,
        identity_file=str(ssh_server.directory / "user_key"),
    )
    trust("board", resolved)
    return resolved


def victim(
    bundle: str, store: str, login: Login | None, home: str, step: str | None, after_s: float
) -> None:
    """The process of a host: deploys, and is killed at a step or after some time."""
    os.environ["HOME"], os.environ["XDG_CONFIG_HOME"] = home, f"{home}/.config"
    os.environ.pop("EDGEKIT_FAILPOINT", None)
    if step is not None:
        os.environ["EDGEKIT_FAILPOINT"] = step
    else:
        die_later(after_s)
    deploy(open_bundle(bundle), LocalDevice() if login is None else connect("board", login), store)


def bundles(directory: Path) -> Iterator[tuple[Bundle, Contents]]:
    """One after the other, each with a file that the one before has too."""
    for number in range(10_000):
        made = write_bundle(
            directory / str(number), str(number), shared=b"same in all", large_bytes=FILE_BYTES
        )
        yield made, contents(made.path)
        shutil.rmtree(directory / str(number))


def which_is_live(store: Path, before: Contents, after: Contents) -> str:
    """What is live: `old` or `new`, and nothing else ever."""
    live_files = live(store)
    assert live_files in (before, after), sorted(
        name
        for name in {*before, *after}
        if (live_files or {}).get(name) not in (before.get(name), after.get(name))
    )
    return "new" if live_files == after else "old"


def swept(
    store: Path,
    tmp_path: Path,
    retry: Device,
    kills: int,
    kill: Callable[[Bundle, int], str | None],
) -> Counter[tuple[str, str]]:
    """Kill until there were `kills`: how often what was live after a kill at which step. `kill`
    says at which, or None when it came too late."""
    counts: Counter[tuple[str, str]] = Counter()
    supply = bundles(tmp_path)
    first, before = next(supply)
    deploy(first, retry, str(store))
    for attempt, (bundle, after) in enumerate(supply):
        step = kill(bundle, attempt)
        if step is not None:
            counts[step, which_is_live(store, before, after)] += 1
        deploy(bundle, retry, str(store))
        assert live(store) == after
        before = after
        if counts.total() == kills:
            break
    assert verify(retry, str(store)).files == 7
    return counts


def report(title: str, counts: Counter[tuple[str, str]]) -> None:
    print(
        f"{title}: {counts.total()} kills,"
        f" {sum(n for (_, state), n in counts.items() if state == 'old')} left the old bundle, the"
        " rest the new one"
    )
    for step in dict.fromkeys(step for step, _ in counts):
        print(f"  {step}: {counts[step, 'old']} old, {counts[step, 'new']} new")


@pytest.mark.nightly
@pytest.mark.parametrize("transport", HOST_KILLS)
def test_the_hosts_process_is_killed(
    transport: str, store: Path, login: Login, tmp_path: Path, kills: Kills
) -> None:
    """Case 34."""
    randomly = random.Random(34)
    over = login if transport == "ssh" else None

    def kill(bundle: Bundle, attempt: int) -> str | None:
        step = STEPS[attempt // 2 % len(STEPS)] if attempt % 2 else None
        arguments = (
            str(bundle.path),
            str(store),
            over,
            os.environ["HOME"],
            step,
            randomly.uniform(0, whole_s),
        )
        code = exit_code(victim, *arguments)
        return {-signal.SIGKILL: step or "at any moment", 0: None}[code]

    whole_s = 0.0
    for name in ("first", "second"):  # the first one starts the server of processes, too
        path = write_bundle(tmp_path / name, name, large_bytes=FILE_BYTES).path
        started = time.monotonic()
        code = exit_code(victim, str(path), str(store), over, os.environ["HOME"], None, 60.0)
        whole_s = time.monotonic() - started
        assert code == 0
    with closing(connect("board", login) if over else LocalDevice()) as retry:
        count = kills(HOST_KILLS[transport])
        counts = swept(store, tmp_path / "bundles", retry, count, kill)
    assert {step for step, _ in counts} == {*STEPS, "at any moment"}
    report(f"host, {transport}", counts)


class Doomed:
    """A device that starts `killer` at its call number `at`."""

    def __init__(self, device: SshDevice, at: int, killer: threading.Thread) -> None:
        self._device, self._left, self.killer = device, at, killer
        self.name = device.name

    def run(self, *arguments: Any, **options: Any) -> Any:
        return self._call(self._device.run, *arguments, **options)

    def push(self, *arguments: Any, **options: Any) -> Any:
        return self._call(self._device.push, *arguments, **options)

    def _call(self, method: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        self._left -= 1
        if self._left == 0:
            self.killer.start()
        return method(*arguments, **options)


@pytest.mark.nightly
@pytest.mark.parametrize("whom", ["sshd", "everything"])
def test_the_server_is_killed(
    whom: str, store: Path, login: Login, ssh_server: Server, tmp_path: Path, kills: Kills
) -> None:
    """Case 35: the processes of the connection, with or without the programs that they run for
    it."""
    randomly = random.Random(35)

    def kill(bundle: Bundle, attempt: int) -> str | None:
        at = 1 + attempt % CALLS

        def killer() -> None:
            time.sleep(randomly.uniform(0, 0.01))
            for pid in descendants(ssh_server.process.pid) - others:
                with suppress(OSError):  # it has ended
                    if whom == "everything" or Path(f"/proc/{pid}/comm").read_text().startswith(
                        "sshd"
                    ):
                        os.kill(pid, signal.SIGKILL)

        with closing(connect("board", login)) as device:
            doomed = Doomed(device, at, threading.Thread(target=killer))
            try:
                deploy(bundle, doomed, str(store))  # type: ignore[arg-type]
            except (
                TransportError,
                DeviceError,
            ):  # the latter when a script was killed before the server
                return f"call {at}"
            finally:
                if doomed.killer.ident is not None:
                    doomed.killer.join()
            return None

    with closing(connect("board", login)) as retry:
        retry.run(["true"], timeout_s=20)  # then all processes of this connection are there
        others = descendants(ssh_server.process.pid)
        counts = swept(store, tmp_path, retry, kills(SERVER_KILLS), kill)
    report(f"server, {whom}", counts)
