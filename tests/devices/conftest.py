"""The device the contract is tested on. A transport joins with one line in OPENERS."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing
from pathlib import Path

import pytest

from edgekit.devices import Device, adb
from edgekit.devices.local import LocalDevice
from edgekit.devices.ssh_login import connect, resolve, trust
from edgekit.devices.target import AdbTarget
from tests.support.tiers import cannot_run
from tools.emulation import commands, image
from tools.testbed import adbd, sshd


def open_local(request: pytest.FixtureRequest) -> AbstractContextManager[Device]:
    return closing(LocalDevice())


def open_ssh(request: pytest.FixtureRequest) -> AbstractContextManager[Device]:
    server: sshd.Server = request.getfixturevalue("ssh_server")
    request.getfixturevalue("trusting")
    login = resolve(
        "127.0.0.1",
        port=server.port,
        user=server.user,
        identity_file=str(server.directory / "user_key"),
    )
    trust("board", login)
    return closing(connect("board", login))


def open_adb(request: pytest.FixtureRequest) -> AbstractContextManager[Device]:
    daemon: adbd.Daemon = request.getfixturevalue("adb_daemon")
    request.getfixturevalue("own_adb_server")
    target = AdbTarget(
        edgekit=1, name="phone", kind="adb", serial=daemon.serial, allow_network=True
    )
    return closing(adb.connect(target))


OPENERS: dict[str, Callable[[pytest.FixtureRequest], AbstractContextManager[Device]]] = {
    "local": open_local,
    "ssh": open_ssh,
    "adb": open_adb,
}


@pytest.fixture(
    params=[
        pytest.param(name, marks=[] if name == "local" else [pytest.mark.device])
        for name in OPENERS
    ]
)
def device(request: pytest.FixtureRequest) -> Iterator[Device]:
    with OPENERS[request.param](request) as opened:
        yield opened


@pytest.fixture(scope="session")
def emulated_image() -> Path:
    """The directory with the image of the emulated board, and with that of a card. Made once, in
    half a minute to two, and kept in the user's cache."""
    if command := commands.missing():
        cannot_run(f"needs programs for an emulated board: {command}")
    if image.codename() is None:
        cannot_run(
            "needs Debian's packages for the image of the emulated board: run it on Debian, or in a"
            " container of it"
        )
    commands.build()
    return commands.home() / "image"


@pytest.fixture
def store() -> Iterator[Path]:
    """A place on this machine for the store of a board that is this machine."""
    place = Path("/tmp") / f"edgekit-store-{secrets.token_hex(6)}"
    yield place
    shutil.rmtree(place, ignore_errors=True)


@pytest.fixture
def remote(device: Device) -> Iterator[str]:
    """An empty directory on the device."""
    made = device.run(["mktemp", "-d"], timeout_s=20)
    path = made.stdout.decode().strip()
    assert made.ok
    assert path.startswith("/")
    yield path
    device.run(["rm", "-rf", path], timeout_s=20)
