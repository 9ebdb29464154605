"""The store's lock: exclusive, and free again however its holder ended."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from edgekit.bundle.directory import Bundle
from edgekit.deployment import deploy, hold
from edgekit.devices.local import LocalDevice
from edgekit.errors import BusyError
from tests.support.deployments import BOOT_ID, UPTIME_S, contents, live

HOLD = """
import sys, time
from edgekit.deployment import hold
from edgekit.devices.local import LocalDevice
with hold(LocalDevice(), sys.argv[1]):
    print("held", flush=True)
    time.sleep(60)
"""


def entry(until_s: int, boot_id: str = BOOT_ID, host: str = "another-host") -> str:
    return f"held {until_s} {boot_id} {host} 1234 5678 alice@laptop 0123456789abcdef"


def put(store: Path, content: str, number: int = 7) -> None:
    store.mkdir(parents=True)
    (store / f"lock.{number}").symlink_to(content)


def newest(store: Path) -> str:
    return os.readlink(max(store.glob("lock.*"), key=lambda path: int(path.suffix[1:])))


def test_second_is_told_who_holds_it(shell: str, store: Path) -> None:
    who = rf"process {os.getpid()}\) is using"
    with (
        hold(LocalDevice(), str(store)),
        pytest.raises(BusyError, match=who) as raised,
        hold(LocalDevice(), str(store)),
    ):
        pass
    assert raised.value.exit_code == 75
    assert raised.value.hint
    with hold(LocalDevice(), str(store)):
        pass
    assert newest(store) == "free"
    assert len(list(store.glob("lock.*"))) == 1


def test_it_is_released_when_the_block_fails(store: Path) -> None:
    with pytest.raises(RuntimeError), hold(LocalDevice(), str(store)):
        raise RuntimeError("anything")
    assert newest(store) == "free"


def test_a_killed_holder_of_this_host_is_noticed_at_once(store: Path) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(store)], stdout=subprocess.PIPE)
    assert holder.stdout
    assert holder.stdout.readline() == b"held\n"
    with pytest.raises(BusyError, match=f"process {holder.pid}"), hold(LocalDevice(), str(store)):
        pass
    holder.send_signal(signal.SIGKILL)
    os.waitid(os.P_PID, holder.pid, os.WEXITED | os.WNOWAIT)
    with hold(LocalDevice(), str(store)):  # not yet waited for: a zombie holds nothing
        pass
    holder.wait()
    holder.stdout.close()


@pytest.mark.parametrize(
    ("content", "void"),
    [
        (entry(UPTIME_S + 100_000), False),
        (entry(UPTIME_S - 1), True),
        (entry(UPTIME_S + 100_000, boot_id="0" * 36), True),
        ("free", True),
        ("rubbish", False),
        ("held 1 x", False),
    ],
    ids=["held", "over", "of another start", "free", "rubbish", "cut"],
)
def test_when_a_lock_is_void(content: str, void: bool, store: Path) -> None:
    put(store, content)
    if void:
        with hold(LocalDevice(), str(store)):
            pass
        assert newest(store) == "free"
    else:
        with pytest.raises(BusyError), hold(LocalDevice(), str(store)):
            pass
        assert newest(store) == content


def test_who_was_declared_dead_notices(shell: str, store: Path) -> None:
    with hold(LocalDevice(), str(store)) as lock:
        (store / f"lock.{lock._number}").unlink()
        (store / f"lock.{lock._number + 1}").symlink_to(entry(UPTIME_S + 100_000))
        lock.renew(1.0)  # the lease it knows of is not over yet
        with pytest.raises(BusyError, match="lock was lost"):
            lock.renew(10_000)
    assert newest(store) == entry(UPTIME_S + 100_000)


def test_a_claim_on_an_outdated_number_fails(store: Path) -> None:
    """Somebody who read number 5 long ago must not succeed because entry 6 has come and gone."""
    with hold(LocalDevice(), str(store)) as first:
        outdated = first._number
    with hold(LocalDevice(), str(store)) as lock:
        lock._number, current = outdated - 1, lock._number
        assert not lock._put("free")
        lock._number = current
        lock.renew(10_000)


def test_never_two_at_once(store: Path) -> None:
    inside = 0
    most = 0
    taken = [0] * 3

    until = time.monotonic() + 120

    def work(worker: int) -> None:
        nonlocal inside, most
        while taken[worker] < 3 and time.monotonic() < until:
            try:
                with hold(LocalDevice(), str(store)):
                    inside += 1
                    most = max(most, inside)
                    time.sleep(0.01)
                    inside -= 1
                taken[worker] += 1
            except BusyError:
                time.sleep(0.02)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(len(taken))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (most, taken) == (1, [3, 3, 3])


def test_two_deployments_at_once(old: Bundle, new: Bundle, store: Path) -> None:
    outcomes: dict[str, str] = {}

    def work(bundle: Bundle) -> None:
        try:
            deploy(bundle, LocalDevice(), str(store))
            outcomes[bundle.manifest.id] = "done"
        except BusyError:
            outcomes[bundle.manifest.id] = "busy"

    threads = [threading.Thread(target=work, args=(bundle,)) for bundle in (old, new)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert "done" in outcomes.values()
    winners = [bundle for bundle in (old, new) if outcomes[bundle.manifest.id] == "done"]
    assert live(store) in [contents(bundle.path) for bundle in winners]


def test_an_entry_that_goes_while_it_is_looked_at_is_not_someone(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when the program of a holder that was killed a moment ago still puts the next entry."""
    put(store, "free")
    readlink = tmp_path / "bin" / "readlink"
    readlink.parent.mkdir()
    readlink.write_text(
        f'#!/bin/sh\n[ ! -L lock.7 ] || mv lock.7 lock.8\nexec {shutil.which("readlink")} "$@"\n'
    )
    readlink.chmod(0o755)
    monkeypatch.setenv("PATH", f"{readlink.parent}:{os.environ['PATH']}")
    with hold(LocalDevice(), str(store)):
        assert newest(store).startswith("held ")
    assert newest(store) == "free"
