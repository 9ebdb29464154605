"""Logins that do not start programs, and login shells that are no POSIX shells: on real OpenSSH
servers, which run what they are told to in place of the user's shell."""

from __future__ import annotations

import contextlib
import fcntl
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from edgekit.devices.fact_scripts import collect
from edgekit.devices.ssh import SshDevice
from edgekit.devices.ssh_login import connect, resolve, trust
from edgekit.errors import DeadlinePassed, DeviceError, IdentityError
from tests.support.tiers import cannot_run, require_root
from tools.testbed import sshd

pytestmark = [pytest.mark.device, pytest.mark.usefixtures("trusting")]


@contextlib.contextmanager
def board(*options: str) -> Iterator[SshDevice]:
    """A device behind a server with further lines of configuration."""
    with (
        tempfile.TemporaryDirectory(prefix="edgekit-sshd-") as directory,
        sshd.running(Path(directory), *options) as server,
    ):
        key = f"{directory}/user_key"
        login = resolve("127.0.0.1", port=server.port, user=server.user, identity_file=key)
        trust("board", login)
        with closing(connect("board", login)) as device:
            yield device


FORCED = {
    'echo "Please login as the user ubuntu rather than root."; echo; echo; exit 142': (
        "board: the login starts no programs; it answers: Please login as the user ubuntu rather"
        " than root."
    ),
    "exec /usr/sbin/nologin": "it answers: This account is currently not available",
    "internal-sftp": "it answers: This service allows sftp connections only",
    "echo only on standard error >&2; exit 1": "it answers: only on standard error",
    'printf "\\033[31mred\\n\\n2\\n3\\n4\\n"': r"it answers: .\[31mred / 2 / 3$",
    "exec /no/such/shell": "it answers: .*/no/such/shell",
    "exec cat": "it answers: nothing",
}


@pytest.mark.parametrize("command", FORCED)
def test_what_a_login_answers_is_shown(command: str) -> None:
    with board(f"ForceCommand {command}") as device:
        for ask in (lambda: device.run(["true"], timeout_s=20), lambda: collect(device)):
            with pytest.raises(DeviceError, match=FORCED[command]) as raised:
                ask()
            assert "authorized_keys" in raised.value.hint


def test_so_is_what_it_answers_before_it_waits() -> None:
    with (
        board('ForceCommand echo "1) update 2) shell"; exec sleep 60') as device,
        pytest.raises(DeadlinePassed, match=r"the login answers: 1\) update 2\) shell"),
    ):
        device.run(["true"], timeout_s=1)


@contextlib.contextmanager
def expired() -> Iterator[None]:
    """The user of the tests must choose a password. Only servers that ask PAM care for it."""
    require_root("lets a password expire")
    before = subprocess.run(["getent", "shadow", sshd.USER], capture_output=True, text=True)
    days = before.stdout.split(":")[2]
    with open("/run/lock/edgekit-test-password", "w") as alone:
        fcntl.flock(alone, fcntl.LOCK_EX)
        subprocess.run(["chage", "-d", "0", sshd.USER], check=True)
        try:
            yield
        finally:
            subprocess.run(["chage", "-d", days, sshd.USER], check=True)


def test_an_expired_password_is_named() -> None:
    with (
        expired(),
        board("UsePAM yes") as device,
        pytest.raises(
            IdentityError, match="the password has expired: the login answers: "
        ) as raised,
    ):
        device.run(["true"], timeout_s=20)
    assert "log in once by hand" in raised.value.hint


ARGUMENTS = [
    "",
    "a b",
    "two\nlines\n",
    "'",
    '"',
    "!",
    "!!",
    "it's!",
    "\\",
    "\\'",
    "\\n\\0101",
    "%s",
]
ARGUMENTS += ["$HOME", "`id`", "~", "*", "é📶", "-n", "--", ";", "#", "tab\there", "\r", "^a^b"]
SHELLS = {
    "tcsh": "tcsh",
    "mksh": "mksh",
    "busybox sh": "busybox",
    "bash": "bash",
    "bash --posix": "bash",
    "dash": "dash",
}


@pytest.mark.parametrize("shell", SHELLS)
def test_any_login_shell_will_do(shell: str, tmp_path: Path) -> None:
    """sshd gives the command to the login shell's `-c`, as is done here."""
    if shutil.which(SHELLS[shell]) is None:
        cannot_run(f"needs {SHELLS[shell]}: apt-get install {SHELLS[shell]}")
    with board(f'ForceCommand exec {shell} -c "$SSH_ORIGINAL_COMMAND"') as device:
        done = device.run(["printf", "%s\\0", *ARGUMENTS], timeout_s=20)
        assert done.stdout.decode().split("\0")[:-1] == ARGUMENTS
        assert device.run(["sh", "-c", "exit 7"], timeout_s=20).exit_code == 7
        assert device.run(["sh", "-c", "kill -9 $$"], timeout_s=20).signal == 9
        with pytest.raises(DeviceError, match="cannot start no-such-program"):
            device.run(["no-such-program"], timeout_s=20)
        assert collect(device).arch
        (tmp_path / "file").write_bytes(bytes(range(256)) * 4096)
        remote = f"/tmp/{tmp_path.parent.name}-{tmp_path.name}!'"
        device.push(tmp_path / "file", remote)
        device.pull(remote, tmp_path / "back", max_bytes=1 << 21)
        assert device.run(["rm", remote], timeout_s=20).ok
        assert (tmp_path / "back").read_bytes() == (tmp_path / "file").read_bytes()
        pids: list[bytes] = []
        with pytest.raises(DeadlinePassed):
            device.run(["sh", "-c", "echo $$; exec sleep 30"], timeout_s=1, on_stdout=pids.append)
        assert not device.run(["kill", "-0", pids[0].decode().strip()], timeout_s=20).ok
