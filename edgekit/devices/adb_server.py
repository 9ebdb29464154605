"""The `adb` program on this machine and the server it talks to: which devices there are, in what
state, and what to do about it.

Owns the translation of adb's states into errors. Runs nothing on a device.
"""

from __future__ import annotations

import os
import re
import shutil
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from edgekit.cancel import Cancel
from edgekit.devices.local import LocalDevice
from edgekit.devices.target import is_network
from edgekit.errors import DeviceError, EdgekitError, IdentityError, TransportError
from edgekit.sanitize import printable

ANSWER_S = 20.0
SETTLE_S = 5.0
"""How long a server that was just started may take to find the devices that are plugged in."""
POLL_S = 0.1
SHARED = "shared"
"""In place of a state: several devices have this serial."""
NAMELESS = "(no serial number)"
"""What adb prints for the serial of a device that has none."""
_reconnecting = threading.Lock()
BY_PORT = "name it by its USB port: `serial: usb:1-2`; `adb devices -l` shows which it is"


def find_adb() -> str:
    """The adb program: on the path, or where Android's SDK has it. Raises TransportError."""
    folders = [os.environ.get(key) for key in ("ANDROID_HOME", "ANDROID_SDK_ROOT")]
    places = [
        "adb",
        *(str(Path(folder) / "platform-tools" / "adb") for folder in folders if folder),
    ]
    for place in places:
        if program := shutil.which(place):
            return program
    raise TransportError(
        "the program adb is not installed",
        hint="apt-get install adb, or Android's platform-tools with `adb` on the PATH",
    )


class AdbServer:
    """adb's server on this machine. What is waited for ends when `cancel` is requested."""

    def __init__(self, cancel: Cancel) -> None:
        self._cancel = cancel

    def ask(self, *arguments: str, timeout_s: float = ANSWER_S) -> str:
        """What adb prints for a question that goes to no device. Errors are in that text too, often
        with exit code 0.

        Raises TransportError when it cannot be run or does not answer.
        """
        try:
            done = LocalDevice("adb", self._cancel).run(
                [find_adb(), *arguments], timeout_s=timeout_s, max_stdout_bytes=1 << 20
            )
        except (TransportError, DeviceError) as error:
            hint = "`adb kill-server`, then again; is something else on its port?"
            raise TransportError(f"adb {arguments[0]}: {error.message}", hint=hint) from None
        return (done.stdout + done.stderr).decode("utf-8", "replace")

    def devices(self, serial: str | None = None) -> dict[str, str]:
        """Serial to state of what is connected; where `serial` is a USB port, that of the ports
        too. Starts adb's server when there is none, and then waits a little for devices to turn
        up."""
        fresh = "started" in self.ask("start-server")
        until = time.monotonic() + (SETTLE_S if fresh else 0)
        while True:
            states = parse_devices(self.ask("devices"))
            if serial and serial.startswith("usb:"):
                states |= parse_ports(self.ask("devices", "-l"))
            ready = bool(states) and all(state == "device" for state in states.values())
            if ready or time.monotonic() >= until:
                return states
            self._cancel.sleep(POLL_S)

    def connect(self, name: str, serial: str | None, timeout_s: float) -> str:
        """The serial of a device that is ready; one that is offline or missing and on the network
        is connected again, once. Without a serial it is that in ANDROID_SERIAL, as for adb itself,
        else the only device.

        Raises TransportError (none, several, missing, offline), IdentityError (unauthorized),
        DeviceError (not in Android)."""
        serial = serial or os.environ.get("ANDROID_SERIAL")
        states = self.devices(serial)
        serial = serial or only_serial(states)
        state = states.get(serial)
        if state in ("authorizing", "connecting"):
            state = self._settled(serial, timeout_s)
        if state in ("offline", None) and is_network(serial):
            state = self.reconnect(serial, timeout_s)
        if state != "device":
            raise not_ready(name, serial, state, states)
        return serial

    def reconnect(self, serial: str, timeout_s: float) -> str | None:
        """Connect a device on the network again, and return its state. One at a time, as the one
        would cut what the other has just connected."""
        with _reconnecting:
            if self.devices().get(serial) == "device":
                return "device"
            self.ask("disconnect", serial)
            self.ask("connect", serial, timeout_s=timeout_s + ANSWER_S)
            return self._settled(serial, timeout_s)

    def _settled(self, serial: str, timeout_s: float) -> str | None:
        """The state of a device when it stops changing, at the latest after `timeout_s`; None when
        adb does not list it."""
        until = time.monotonic() + timeout_s
        while True:
            state = self.devices(serial).get(serial)
            changing = state in ("authorizing", "connecting", "offline")
            if not changing or time.monotonic() >= until:
                return state
            self._cancel.sleep(POLL_S)


def parse_devices(text: str) -> dict[str, str]:
    """Serial to state from what `adb devices` prints.

    States are those of adb: `device` is ready, then `offline`, `unauthorized`, `authorizing`,
    `connecting`, `recovery`, `sideload`, `bootloader`, and `no permissions` with a remark."""
    states: dict[str, str] = {}
    for line in text.splitlines():
        serial, _, state = line.partition("\t")
        if serial and state.strip():
            shared = serial in states and not state.startswith("no permissions")
            states[serial] = SHARED if shared else state.strip()
    return states


def parse_ports(text: str) -> dict[str, str]:
    """USB port (`usb:1-2`) to state from what `adb devices -l` prints."""
    lines = (
        re.search(r"\s(no permissions.*|\S+)\s+(usb:\S+)(?:\s|$)", line)
        for line in text.splitlines()
    )
    return {match[2]: match[1] for match in lines if match}


def only_serial(states: Mapping[str, str]) -> str:
    """The serial of the only device. Raises TransportError: none, or several."""
    if not states:
        raise TransportError(
            "adb sees no device",
            hint="plug it in and switch on USB debugging; `adb devices` must list it",
        )
    if len(states) > 1:
        names = ", ".join(
            f"{printable(serial)} ({printable(state)})" for serial, state in sorted(states.items())
        )
        raise TransportError(
            f"adb sees several devices: {names}", hint="set `serial` in the target to one of them"
        )
    if NAMELESS in states:
        raise TransportError("adb sees one device, and it has no serial number", hint=BY_PORT)
    return next(iter(states))


def not_ready(name: str, serial: str, state: str | None, states: Mapping[str, str]) -> EdgekitError:
    """The error for a device in a state other than `device`."""
    where = f"{name} ({printable(serial)})"
    if state is None:
        others = ", ".join(printable(other) for other in sorted(states))
        hint = "is it on, connected, and in USB debugging?" + (
            f" adb sees: {others}" if others else " adb sees no device"
        )
        return TransportError(f"{where}: adb does not see it", hint=hint)
    if state == SHARED:
        return TransportError(f"{where}: several devices have this serial", hint=BY_PORT)
    if state in ("unauthorized", "authorizing"):
        hint = (
            "unlock it and accept the question `Allow USB debugging?`; if none comes, plug it in"
            " again, or `adb kill-server`"
        )
        return IdentityError(
            f"{where}: the device does not trust this machine's adb key (unauthorized)", hint=hint
        )
    if state in ("offline", "connecting"):
        return TransportError(
            f"{where}: adb reports it as {state}",
            hint="plug it in again or restart it; if that does not help, `adb kill-server`",
        )
    if state.startswith("no permissions"):
        hint = (
            "allow your user the USB device: install the udev rules (Debian:"
            " android-sdk-platform-tools-common) and join their group"
        )
        return TransportError(f"{where}: adb may not use the USB device", hint=hint)
    return DeviceError(
        f"{where}: it is in the state `{printable(state)}`",
        hint="start it into Android: `adb reboot`",
    )
