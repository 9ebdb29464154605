"""A power meter that sends lines of text to a serial port of this host: watts, or volts and
amperes, as `settings.pattern` says.

Owns the reading of the port. Lines that do not match are skipped. A line counts at the time it
arrives, so a meter's own delay is not corrected."""

from __future__ import annotations

import math
import os
import re
import termios
import threading
import time
import tty
from collections import deque

from edgekit.devices import Device
from edgekit.devices.target_sections import PowerSensor
from edgekit.errors import DeviceError
from edgekit.power import Trace

MOST_POINTS = 1_000_000
MOST_LINE_BYTES = 1024


class SerialMeter:
    """An open port and the thread that reads it."""

    def __init__(self, name: str, fd: int, pattern: re.Pattern[str]) -> None:
        self.name, self._fd, self._pattern = name, fd, pattern
        self._points: deque[tuple[float, float]] = deque(maxlen=MOST_POINTS)
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True, name="power meter")
        self._thread.start()

    def trace(self) -> Trace:
        return list(self._points)

    def close(self) -> None:
        self._closed.set()
        self._thread.join(timeout=2)
        os.close(self._fd)

    def _read(self) -> None:
        pending = b""
        while not self._closed.is_set():
            try:
                chunk = os.read(self._fd, 4096)  # returns after at most 0.2 s, see `open_port`
            except OSError:
                return  # unplugged: what came so far is kept
            *lines, pending = (pending + chunk).split(b"\n")
            pending = pending[-MOST_LINE_BYTES:]
            now = time.monotonic()
            for line in lines:
                watts = watts_of(line.decode("ascii", "replace"), self._pattern)
                if watts is not None:
                    self._points.append((now, watts))


def watts_of(line: str, pattern: re.Pattern[str]) -> float | None:
    """Power in a line: the group `watts`, or `volts` times `amperes`. None for a line that does not
    match or holds no finite number."""
    match = pattern.search(line[:MOST_LINE_BYTES])
    if not match:
        return None
    groups = match.groupdict()
    factors = ("watts",) if "watts" in groups else ("volts", "amperes")
    try:
        watts = math.prod(float(groups[name]) for name in factors)
    except ValueError:
        return None
    return watts if math.isfinite(watts) and 0 <= watts < 1e5 else None


def open_sensor(settings: PowerSensor, device: Device) -> SerialMeter:
    """Raises DeviceError: the port cannot be opened, or is not a serial port."""
    if settings.port is None or settings.pattern is None:
        raise DeviceError(
            "a serial power meter needs a port and a pattern",
            hint="set power.port and power.pattern in the target",
        )
    return SerialMeter(
        f"serial {settings.port}",
        open_port(settings.port, settings.baud),
        re.compile(settings.pattern),
    )


def open_port(port: str, baud: int) -> int:
    """A serial port in raw mode whose reads return after 0.2 s at the latest."""
    try:
        fd = os.open(port, os.O_RDONLY | os.O_NOCTTY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise DeviceError(
            f"the power meter's port {port} cannot be opened: {error.strerror}",
            hint="is it plugged in, and are you in group dialout?",
        ) from None
    try:
        tty.setraw(fd)
        attributes = termios.tcgetattr(fd)
        attributes[2] |= termios.CLOCAL  # no modem, so nothing to wait for
        attributes[4] = attributes[5] = getattr(termios, f"B{baud}")
        attributes[6][termios.VMIN], attributes[6][termios.VTIME] = 0, 2
        termios.tcsetattr(fd, termios.TCSANOW, attributes)
        os.set_blocking(fd, True)
    except termios.error:
        os.close(fd)
        raise DeviceError(
            f"the power meter's port {port} is not a serial port",
            hint="for example /dev/ttyUSB0 or /dev/ttyACM0",
        ) from None
    return fd
