"""What only the local transport has."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgekit.devices import TRANSPORTS, connect
from edgekit.devices.local import LocalDevice
from edgekit.devices.target_files import load_target
from edgekit.errors import TransportError, UsageError


def test_connect_by_target() -> None:
    device = connect(load_target("local"))
    assert isinstance(device, LocalDevice)
    assert device.name == "local"
    assert device.run(["true"], timeout_s=5).ok


def test_every_kind_of_transport_names_a_function() -> None:
    assert "local" in TRANSPORTS
    assert all(
        value.startswith("edgekit.devices.") and value.count(":") == 1
        for value in TRANSPORTS.values()
    )


def test_a_local_file_that_is_missing_is_the_callers_mistake(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="missing"):
        LocalDevice().push(tmp_path / "missing", str(tmp_path / "x"))


def test_a_deadline_tells_what_the_program_said() -> None:
    with pytest.raises(TransportError) as raised:
        LocalDevice().run(["sh", "-c", "echo waiting for the moon >&2; sleep 30"], timeout_s=0.5)
    assert "waiting for the moon" in str(raised.value.details["stderr"])


def test_an_escaped_writer_does_not_hold_up_the_end() -> None:
    done = LocalDevice().run(
        ["sh", "-c", "setsid sh -c 'timeout 3 yes' & sleep 0.2"], timeout_s=20, max_stdout_bytes=100
    )
    assert done.ok
    assert done.seconds < 2


def test_without_home_in_the_environment_programs_have_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The default workdir begins with `~/`, and must not land in the root directory."""
    monkeypatch.delenv("HOME")
    done = LocalDevice().run(["sh", "-c", 'echo "$HOME"'], timeout_s=10)
    assert done.stdout.decode().strip() == str(Path.home())
