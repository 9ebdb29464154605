"""Processes of this machine."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path

from edgekit.devices import Device


def descendants(pid: int) -> set[int]:
    """Processes of the server; what it started is among them as long as its parent lives."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                parents[int(entry.name)] = int(
                    (entry / "stat").read_text().rpartition(")")[2].split()[1]
                )
    pids, new = set[int](), {pid}
    while new:
        new = {child for child, parent in parents.items() if parent in new} - pids
        pids |= new
    return pids


def gone(device: Device, pid: int, within_s: float = 5) -> bool:
    """Whether a process is dead, or a zombie nobody has reaped."""
    until = time.monotonic() + within_s
    while time.monotonic() < until:
        status = device.run(
            ["sh", "-c", 'grep -s "^State:" "/proc/$1/status" || echo State: X', "sh", str(pid)],
            timeout_s=10,
        ).stdout.split()
        if status[1] in (b"X", b"Z"):
            return True
        time.sleep(0.05)
    return False
