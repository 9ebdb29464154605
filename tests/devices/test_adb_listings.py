"""Devices as `adb` lists them: names with spaces, the same serial twice, none at all. No such
device can be had here, so that a small program stands in for adb and prints what adb prints."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import ValidationError

from edgekit.boards.advice import install, on
from edgekit.devices import adb, adb_server
from edgekit.devices.adb_client import command
from edgekit.devices.target import AdbTarget, is_network
from edgekit.errors import EdgekitError

MDNS = "adb-R58M12ABCDE-xYz123 (2)._adb-tls-connect._tcp"
CLONES = {
    "devices": "List of devices attached\n0123456789ABCDEF\tdevice\n0123456789ABCDEF\tdevice\n\n",
    "devices -l": """List of devices attached
0123456789ABCDEF       device usb:1-2 product:rk3399 model:BOX device:rk3399 transport_id:4
0123456789ABCDEF       device usb:1-4.1 product:rk3399 model:BOX device:rk3399 transport_id:7
""",
}
MIXED = {
    "devices": f"""* daemon not running; starting now at tcp:5037
* daemon started successfully
adb server version (41) doesn't match this client (39); killing...
List of devices attached
{MDNS}\tdevice
(no serial number)\tdevice
????????????\tno permissions (user in plugdev group; are your udev rules wrong?); see [a page]
????????????\tno permissions (user in plugdev group; are your udev rules wrong?); see [a page]

""",
    "devices -l": f"""List of devices attached
{MDNS} device product:a model:b device:c transport_id:1
(no serial number)     device usb:3-1 product:a model:b device:c transport_id:2
????????????           no permissions (user in plugdev group); see [a page] usb:3-2 transport_id:3
????????????           unauthorized usb:3-3 transport_id:5
""",
}
Listed = Callable[[dict[str, str]], None]


@pytest.fixture
def listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Listed:
    """An adb that prints these listings, and knows features of any device."""
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.delenv("ANDROID_SERIAL", raising=False)

    def write(listings: dict[str, str]) -> None:
        cases = [
            f"{shlex.quote(asked)}) printf '%s' {shlex.quote(text)};;"
            for asked, text in listings.items()
        ]
        script = "\n".join(["#!/bin/sh", 'case "$*" in', *cases, "*features) echo shell_v2;;"])
        (tmp_path / "adb").write_text(script + "\nesac\n")
        (tmp_path / "adb").chmod(0o755)

    return write


def target(serial: str | None, *, allow_network: bool = False) -> AdbTarget:
    return AdbTarget(
        edgekit=1, name="phone", kind="adb", serial=serial, allow_network=allow_network
    )


def refused(phone: AdbTarget) -> EdgekitError:
    with pytest.raises(EdgekitError) as raised:
        adb.connect(phone)
    assert raised.value.hint
    return raised.value


def test_a_serial_with_spaces(listed: Listed) -> None:
    listed(MIXED)
    device = adb.connect(target(MDNS, allow_network=True))
    assert device.serial == MDNS
    assert command(device.serial, ["true"])[1:3] == ["-s", MDNS]
    assert shlex.quote(MDNS) in on(target(MDNS, allow_network=True), "true")
    assert install(target(MDNS, allow_network=True), "x") == ""
    assert f"{MDNS} (device)" in refused(target(None)).message


def test_a_serial_of_several_devices(listed: Listed) -> None:
    listed(CLONES)
    for serial in ("0123456789ABCDEF", None):
        error = refused(target(serial))
        assert "several devices have this serial" in error.message
        assert "usb:1-2" in error.hint
    for port in ("usb:1-2", "usb:1-4.1"):
        assert adb.connect(target(port)).serial == port
    error = refused(target("usb:1-4"))
    assert "does not see it" in error.message
    assert "usb:1-4.1" in error.hint


def test_a_device_without_a_serial(listed: Listed) -> None:
    listed(MIXED)
    assert adb.connect(target("usb:3-1")).serial == "usb:3-1"
    assert "may not use the USB device" in refused(target("usb:3-2")).message
    assert "does not trust this machine's adb key" in refused(target("usb:3-3")).message
    listed({"devices": "List of devices attached\n(no serial number)\tdevice\n"})
    error = refused(target(None))
    assert "no serial number" in error.message
    assert "usb:1-2" in error.hint


def test_devices_that_nobody_may_use_are_not_one_device_twice(listed: Listed) -> None:
    state = adb_server.parse_devices(MIXED["devices"])["????????????"]
    assert state.startswith("no permissions")


def test_the_serial_that_adb_itself_would_take(
    listed: Listed, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed({"devices": "List of devices attached\nA1\tdevice\nB2\tdevice\n"})
    assert "several devices" in refused(target(None)).message
    monkeypatch.setenv("ANDROID_SERIAL", "B2")
    assert adb.connect(target(None)).serial == "B2"
    assert adb.connect(target("A1")).serial == "A1"
    monkeypatch.setenv("ANDROID_SERIAL", "C3")
    assert "phone (C3): adb does not see it" in refused(target(None)).message
    listed({"devices": "List of devices attached\n10.0.0.1:5555\tdevice\n"})
    monkeypatch.setenv("ANDROID_SERIAL", "10.0.0.1:5555")
    assert "a device on the network" in refused(target(None)).message


def test_what_is_on_the_network() -> None:
    assert not any(is_network(serial) for serial in ("usb:1-2", "R58M", "emulator-5554"))
    assert all(is_network(serial) for serial in (MDNS, "10.0.0.1:5555", "[::1]:5555"))
    with pytest.raises(ValidationError, match="on the network"):
        target(MDNS)
    assert target("usb:1-2").serial == "usb:1-2"


@pytest.mark.parametrize("serial", ["", "-s", " A", "A ", "A\tB", "A\nB", "é", "a" * 129])
def test_no_serials(serial: str) -> None:
    with pytest.raises(ValidationError, match="expected a serial"):
        target(serial)
