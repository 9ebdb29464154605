"""A host that is killed while it measures: the board itself puts back what was changed on it. Over
real SSH and a real adbd; a copy of sysfs."""

from __future__ import annotations

import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from edgekit.devices import connect
from edgekit.devices.ssh_login import trust_target
from edgekit.devices.target import AdbTarget, SshTarget
from tools.testbed import adbd, sshd

pytestmark = pytest.mark.device

HOST = """
import sys, time
from edgekit.deployment import lock
from edgekit.devices import connect, control
from edgekit.devices.target import AdbTarget, SshTarget

lock.LEASE_S, control.WATCH_EVERY_S = 2, 1
kind = {"ssh": SshTarget, "adb": AdbTarget}[sys.argv[1]]
target = kind.model_validate_json(sys.argv[2])
device = connect(target)
with (
    lock.hold(device, target.workdir) as held,
    control.governors(device, held.root, "performance", cpufreq=sys.argv[3]),
):
    print("changed", flush=True)
    time.sleep(600)
"""


@pytest.fixture(params=["ssh", "adb"])
def board(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SshTarget | AdbTarget]:
    common = {"edgekit": 1, "name": "board", "kind": request.param}
    if request.param == "ssh":
        server: sshd.Server = request.getfixturevalue("ssh_server")
        request.getfixturevalue("trusting")
        way = {
            "host": "127.0.0.1",
            "port": server.port,
            "user": server.user,
            "identity_file": str(server.directory / "user_key"),
        }
        over_ssh = SshTarget.model_validate(
            {
                **common,
                **way,
                "known_hosts": str(tmp_path / "known"),
                "workdir": f"/tmp/edgekit-killed-{secrets.token_hex(6)}",
            }
        )
        trust_target(over_ssh, lambda key: True)
        target: SshTarget | AdbTarget = over_ssh
    else:
        daemon: adbd.Daemon = request.getfixturevalue("adb_daemon")
        request.getfixturevalue("own_adb_server")
        workdir = str(daemon.directory / "tmp" / f"edgekit-killed-{secrets.token_hex(6)}")
        target = AdbTarget.model_validate(
            {**common, "serial": daemon.serial, "allow_network": True, "workdir": workdir}
        )
    yield target
    with closing(connect(target)) as device:
        device.run(["rm", "-rf", target.workdir], timeout_s=20)


@pytest.fixture
def governor() -> Iterator[Path]:
    """The file of a clock's governor, which the board's user may write."""
    with tempfile.TemporaryDirectory(prefix="edgekit-sysfs-") as name:
        directory = Path(name)
        (directory / "policy0").mkdir()
        file = directory / "policy0" / "scaling_governor"
        file.write_text("ondemand\n")
        file.chmod(0o666)
        for place in (directory, directory / "policy0"):
            place.chmod(0o755)
        yield file


def test_the_governor_is_put_back(board: SshTarget | AdbTarget, governor: Path) -> None:
    argv = [
        sys.executable,
        "-c",
        HOST,
        board.kind,
        board.model_dump_json(exclude_unset=True),
        f"{governor.parents[1]}/",
    ]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as host:
        assert host.stdout
        assert host.stdout.readline() == "changed\n"
        assert governor.read_text() == "performance\n"
        host.send_signal(signal.SIGKILL)
    assert governor.read_text() == "performance\n", "nobody was left on the host to put it back"
    until = time.monotonic() + 30
    while governor.read_text() != "ondemand\n" and time.monotonic() < until:
        time.sleep(0.1)
    assert governor.read_text() == "ondemand\n"
