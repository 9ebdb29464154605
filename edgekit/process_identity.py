"""Which process on which host: what tells a holder of something that is still there from one that
is gone, also where process numbers are used again or mean other processes."""

from __future__ import annotations

import os
import re
import socket
from pathlib import Path


def host_identity() -> str:
    """This host since it was started, and this name space of process numbers; numbers of other
    containers on it mean other processes."""
    try:
        boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot_id}.{os.stat('/proc/self/ns/pid').st_ino}"
    except OSError:
        return "unknown." + re.sub(r"[^A-Za-z0-9._-]", "_", socket.gethostname())[:50]


def process_started(pid: int) -> str:
    """When a process of this host started, in ticks since boot (field 22 of /proc/PID/stat); "0"
    when there is no such process, or no /proc."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return "0"
    return "0" if fields[0] in ("Z", "X") else fields[19]
