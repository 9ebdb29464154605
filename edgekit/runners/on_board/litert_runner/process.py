"""What the kernel says of this process and of the device: clock, memory, processors."""

from __future__ import annotations

import os
import re
import time

from .failure import EXIT_USAGE, Failure
from .protocol import Protocol

now_ns = time.monotonic_ns  # CLOCK_MONOTONIC on Linux


def read_proc(path: str) -> str:
    try:
        with open(path, encoding="ascii", errors="replace") as stream:
            return stream.read()
    except OSError:
        return ""


def field_bytes(text: str, name: str) -> int | None:
    """`Name:   123 kB` at the start of a line of /proc/self/status or smaps_rollup, in bytes; None
    when it is not there."""
    match = re.search(rf"^{name}:\s+([0-9]+) kB", text, re.MULTILINE)
    return int(match.group(1)) * 1024 if match else None


def read_number(path: str) -> int | None:
    """The whole number a small file starts with, as those of /sys do."""
    match = re.match(r"\s*(-?[0-9]{1,18})\b", read_proc(path))
    return int(match.group(1)) if match else None


def device_ticks() -> list[int]:
    """Processor time of all processes in ticks since boot, by kind: user nice system idle iowait
    irq softirq steal, see proc(5)."""
    match = re.match(r"cpu((?: +[0-9]{1,18}){8})", read_proc("/proc/stat"))
    return [int(ticks) for ticks in match.group(1).split()] if match else []


def bind_to(cpus: list[int]) -> None:
    """Some processors for this thread and those it starts from now on."""
    try:
        if cpus:
            os.sched_setaffinity(0, cpus)
    except OSError as error:
        raise Failure(EXIT_USAGE, f"--cpus: {error.strerror}") from None


def since_process_start_ns() -> int | None:
    """From the start of the process to now, in the kernel's ticks (usually 10 ms); None when not
    known. `starttime` is field 22, see proc(5)."""
    fields = read_proc("/proc/self/stat").rpartition(")")[2].split()
    if len(fields) < 20:
        return None
    start_ns = int(fields[19]) * (1_000_000_000 // os.sysconf("SC_CLK_TCK"))
    return max(0, time.clock_gettime_ns(time.CLOCK_BOOTTIME) - start_ns)


def reset_peak_rss() -> None:
    """Make VmHWM start again at the present size. Not every kernel and user may; then the peak
    counts from the start of the process."""
    try:
        with open("/proc/self/clear_refs", "w", encoding="ascii") as stream:
            stream.write("5")
    except OSError:
        pass


def send_memory(protocol: Protocol, mark: str) -> None:
    status = read_proc("/proc/self/status")
    protocol.send(
        "memory",
        mark=mark,
        rss_anon_bytes=field_bytes(status, "RssAnon") or 0,
        rss_file_bytes=field_bytes(status, "RssFile") or 0,
        rss_shmem_bytes=field_bytes(status, "RssShmem") or 0,
        pss_bytes=field_bytes(read_proc("/proc/self/smaps_rollup"), "Pss"),
        peak_rss_bytes=field_bytes(status, "VmHWM"),
    )
