"""The device the contract is tested on. A transport joins with one line in OPENERS."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing
from pathlib import Path

import pytest

from edgekit.device import Device
from edgekit.device.local import LocalDevice


def open_local(tmp_path: Path) -> AbstractContextManager[Device]:
    return closing(LocalDevice())


OPENERS: dict[str, Callable[[Path], AbstractContextManager[Device]]] = {"local": open_local}


@pytest.fixture(params=OPENERS)
def device(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Device]:
    with OPENERS[request.param](tmp_path) as opened:
        yield opened


@pytest.fixture
def remote(device: Device) -> Iterator[str]:
    """An empty directory on the device."""
    made = device.run(["mktemp", "-d"], timeout_s=20)
    path = made.stdout.decode().strip()
    assert made.ok
    assert path.startswith("/")
    yield path
    device.run(["rm", "-rf", path], timeout_s=20)


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MB; needs root and the right to mount."""
    place = tmp_path / "tiny disk"
    place.mkdir()
    mounted = os.geteuid() == 0 and subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", place], capture_output=True).returncode == 0
    if not mounted:
        pytest.skip("needs root with the right to mount a tmpfs")
    yield place
    subprocess.run(["umount", "-l", place], check=True)
