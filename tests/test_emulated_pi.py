"""tools/emulated_pi without a board: what it says, and that it only ever ends what it started. The
board itself: tests/devices/test_emulated_pi.py."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from edgekit.devices.target import SshTarget
from edgekit.devices.target_files import load_target
from tools.emulation import commands, machine

TOOL = Path(__file__).parents[1] / "tools" / "emulated_pi"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path))
    (tmp_path / "emulated-pi").mkdir()
    return tmp_path / "emulated-pi"


def test_nothing_is_there(home: Path) -> None:
    done = subprocess.run([TOOL, "status"], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stdout == f"image: not built ({home / 'image'})\nboard: does not run\n"
    assert (
        subprocess.run([TOOL, "stop"], capture_output=True, text=True).stdout == "it does not run\n"
    )


def test_programs_that_are_missing(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(commands, "ADMIN_PATH", "/nowhere")
    with pytest.raises(
        RuntimeError,
        match=(
            "apt-get install mmdebstrap e2fsprogs fdisk dosfstools mtools cpio openssh-client"
            " qemu-utils qemu-system-arm"
        ),
    ):
        commands.build()


def test_a_process_id_of_somebody_else(home: Path) -> None:
    """Process ids are given again: a file that names one proves nothing."""
    other = subprocess.Popen(["sleep", "60"])
    try:
        (home / "pid").write_text(f"{other.pid} 2922\n")
        assert commands.stop() == "it does not run"
        machine.stop(machine.Machine(other.pid, 2922, home, home / "image"))
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


@pytest.mark.parametrize("content", ["", "12", "x y", "-1 5"])
def test_a_damaged_process_file(home: Path, content: str) -> None:
    (home / "pid").write_text(content)
    assert commands.stop() == "it does not run"


def test_its_target_is_found_from_anywhere(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also with another cache, and on another port than the target in the checkout has."""
    file = commands._target(2950)
    monkeypatch.chdir(tmp_path)
    target = load_target(str(file))
    assert isinstance(target, SshTarget)
    assert (target.port, target.identity_file) == (2950, str(home / "user_key"))
    assert target.known_hosts == str(home / "known_hosts")
    schema = file.read_text().splitlines()[0].partition("$schema=")[2]
    assert Path(schema).is_file()
