"""The lock of a device's store: one deployment or measurement at a time, also when holders are
killed. Owns the content of a lock entry, and when it is void.

Entries are symbolic links `lock.N` whose target is their content, because making one is a single
step that fails if it exists. The newest counts. Taking, renewing and releasing all mean: put the
entry N+1, provided that N is still the newest. So of two
that find the same void lock one succeeds, and a holder that was wrongly declared dead notices it at
its next renewal.

A held entry is void when its lease is over (by the device's uptime: clocks are set while a board
runs), when the device was started again since, or when its holder was a process of this very host
that is gone. An entry of this very process is void when nothing in the process holds it any more:
the connection was lost before it could be released."""

from __future__ import annotations

import os
import re
import secrets
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from edgekit.deployment.calling import TAKEN, attempt, call
from edgekit.deployment.lock_scripts import PREPARE, SWAP_LOCK
from edgekit.devices import Device
from edgekit.errors import BusyError, DeviceError, EdgekitError
from edgekit.process_identity import host_identity, process_started
from edgekit.sanitize import printable

LEASE_S = 600
"""How long a holder may go without renewing. Another host waits at most RENEWED_AHEAD times this
for one that died."""
RENEWED_AHEAD = 1.5
"""How many times as long as asked for a lease is made, so that not every renewal needs the
device."""
RELEASED = "free"
ATTEMPTS = 3
_held_here: set[str] = set()
"""The entries that locks of this process hold, or are about to put."""


@dataclass(frozen=True)
class _Entry:
    """A held lock. `until_s` counts the device's uptime; `host` and `started` say which process
    `pid` is."""

    until_s: int
    boot_id: str
    host: str
    pid: int
    started: str
    owner: str

    def __str__(self) -> str:
        return (
            f"held {self.until_s} {self.boot_id} {self.host} {self.pid} {self.started} {self.owner}"
            f" {secrets.token_hex(8)}"
        )


@dataclass(frozen=True)
class _State:
    """The newest entry, and the device's uptime when it was read."""

    root: str
    uptime_s: int
    boot_id: str
    number: int
    content: str


class Lock:
    """The lock while it is held. `root` is the store's absolute path on the device."""

    def __init__(self, device: Device, state: _State, read_at_s: float) -> None:
        self.device, self.root = device, state.root
        self._number, self._boot_id = state.number, state.boot_id
        self._device_ahead_s = state.uptime_s - read_at_s
        self._until_s = 0.0
        self._content = ""

    def renew(self, lease_s: float = LEASE_S) -> None:
        """Hold on for at least `lease_s` more seconds. Raises BusyError when somebody else has
        taken over."""
        if self._until_s - _now_s() >= lease_s:
            return
        if not self._extend(RENEWED_AHEAD * lease_s):
            reason = "the device was started again, or this process was silent for too long"
            raise BusyError(f"{self.device.name}: the lock was lost: {reason}", hint="run it again")

    def release(self) -> None:
        _held_here.discard(self._content)
        self._put(RELEASED)

    def _extend(self, lease_s: float) -> bool:
        """Put an own entry; False when the newest is not the one this lock knows."""
        until_s = _now_s() + lease_s
        pid = os.getpid()
        content = str(
            _Entry(
                int(until_s + self._device_ahead_s) + 1,
                self._boot_id,
                host_identity(),
                pid,
                process_started(pid),
                _owner(),
            )
        )
        _held_here.add(content)
        put = False
        try:
            put = self._put(content)
        finally:
            _held_here.discard(self._content if put else content)
        if put:
            self._content, self._until_s = content, until_s
        return put

    def _put(self, content: str) -> bool:
        code, output = attempt(
            self.device, SWAP_LOCK, self.root, str(self._number), content, self._boot_id
        )
        if code not in (0, TAKEN):
            raise DeviceError(
                f"{self.device.name}:"
                f" {printable(output[-1]) if output else 'the lock cannot be written'}",
                hint="is the disk full?",
            )
        self._number += code == 0
        return code == 0


@contextmanager
def hold(device: Device, workdir: str) -> Iterator[Lock]:
    """Make the store at `workdir` if there is none, and hold its lock while the block runs.

    Raises BusyError: somebody else holds it. DeviceError: no place for a store there.
    """
    lock = _take(device, workdir)
    try:
        yield lock
    finally:
        with suppress(
            EdgekitError
        ):  # a lock that cannot be released is void when its lease is over
            lock.release()


def _take(device: Device, workdir: str) -> Lock:
    for _ in range(ATTEMPTS):
        read_at_s = _now_s()
        state = _read(device, workdir)
        if state.number and not state.content:
            continue  # it was released, or taken, between finding the newest entry and reading it
        if not _is_void(state):
            break
        lock = Lock(device, state, read_at_s)
        if lock._extend(RENEWED_AHEAD * LEASE_S):
            return lock
    holder = _parse(state.content)
    if holder is None:
        raise BusyError(
            f"{device.name}: someone is using the device",
            hint=f"if no one is: remove {state.root}/lock.* on it",
        )
    left = (
        f"until it is done, or has been silent for {max(0, holder.until_s - state.uptime_s)} s more"
    )
    raise BusyError(
        f"{device.name}: {holder.owner} (process {holder.pid}) is using the device, {left}",
        hint="try again later",
    )


def _read(device: Device, workdir: str) -> _State:
    lines = call(device, PREPARE, workdir)
    match = (
        re.fullmatch(r"([0-9]{1,12}) ([0-9a-f-]{36}) ([0-9]{1,9}) ?(.{0,500})", lines[1])
        if len(lines) == 2
        else None
    )
    if not match or not lines[0].startswith("/"):
        raise DeviceError(
            f"{device.name}: {workdir}: the device's answer is not understood",
            hint="edgekit needs Linux with /proc on it",
        )
    return _State(lines[0], int(match[1]), match[2], int(match[3]), match[4])


def _parse(content: str) -> _Entry | None:
    pattern = (
        r"held ([0-9]{1,12}) ([0-9a-f-]{36}) ([A-Za-z0-9._-]{1,64}) ([0-9]{1,10}) ([0-9]{1,20})"
        r" ([A-Za-z0-9._@-]{1,128}) [0-9a-f]{16}"
    )
    match = re.fullmatch(pattern, content)
    return (
        _Entry(int(match[1]), match[2], match[3], int(match[4]), match[5], match[6])
        if match
        else None
    )


def _is_void(state: _State) -> bool:
    if state.number == 0 or state.content == RELEASED:
        return True
    entry = _parse(state.content)
    if entry is None:
        return False
    return (
        entry.boot_id != state.boot_id
        or entry.until_s <= state.uptime_s
        or _is_dead_here(entry, state.content)
    )


def _is_dead_here(entry: _Entry, content: str) -> bool:
    if entry.host != host_identity():
        return False
    return (
        content not in _held_here
        if entry.pid == os.getpid()
        else process_started(entry.pid) != entry.started
    )


def _now_s() -> float:
    """A clock that goes on while this host sleeps, as the device's uptime does."""
    return (
        time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.time()
    )


def _owner() -> str:
    user = os.environ.get("USER") or os.environ.get("LOGNAME") or str(os.getuid())
    return re.sub(r"[^A-Za-z0-9._@-]", "_", f"{user}@{socket.gethostname()}")[:128]
