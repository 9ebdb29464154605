"""A real OpenSSH server on loopback, with its own keys, that lets one unprivileged user in."""

from __future__ import annotations

import fcntl
import getpass
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tools.emulation.machine import free_port

USER = "edgekit-test"


@dataclass(frozen=True)
class Server:
    """Where it listens and how to get in. `directory` holds its keys: `host_key`, `user_key`,
    `authorized_keys`."""

    port: int
    user: str
    directory: Path
    process: subprocess.Popen[bytes]


def why_not() -> str:
    """Why no server can be started here; empty when one can."""
    if shutil.which("sshd", path="/usr/sbin:/usr/bin:/sbin") is None:
        return "needs sshd: apt-get install openssh-server"
    return user_missing()


def user_missing() -> str:
    """Make the unprivileged user that servers let in, when that is root's job; empty when it is
    there or not needed."""
    if os.geteuid() == 0 and not _user_exists():
        made = subprocess.run(
            ["useradd", "--create-home", "--shell", "/bin/bash", "--password", "*", USER],
            capture_output=True,
        )
        if made.returncode:
            return f"cannot make the user {USER}: {made.stderr.decode().strip()}"
    return ""


@contextmanager
def running(directory: Path, *options: str, within: Sequence[str] = ()) -> Iterator[Server]:
    """A server below `directory`; `options` are further lines of its configuration. `within` is a
    program that starts it, in its own place."""
    directory.chmod(0o755)  # the user must reach authorized_keys
    for key in ("host_key", "user_key"):
        if not (directory / key).exists():
            subprocess.run(
                ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(directory / key)],
                check=True,
            )
    shutil.copyfile(directory / "user_key.pub", directory / "authorized_keys")
    (directory / "authorized_keys").chmod(0o644)
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    port = free_port()
    lines = [
        *options,  # sshd takes the first of two values
        f"Port {port}",
        "ListenAddress 127.0.0.1",
        f"HostKey {directory / 'host_key'}",
        f"AuthorizedKeysFile {directory / 'authorized_keys'}",
        "PasswordAuthentication no",
        "UsePAM no",
        "StrictModes no",
        "MaxStartups 100",
        "MaxSessions 100",
        "PidFile none",
    ]
    (directory / "sshd_config").write_text("\n".join(lines) + "\n")
    log = (directory / "sshd.log").open("wb")
    program = shutil.which("sshd", path="/usr/sbin:/usr/bin:/sbin")
    assert program is not None
    process = subprocess.Popen(
        [*within, program, "-D", "-e", "-f", str(directory / "sshd_config")],
        stderr=log,
        start_new_session=True,
    )
    try:
        _wait_for_banner(port, directory / "sshd.log")
        yield Server(port, USER if os.geteuid() == 0 else getpass.getuser(), directory, process)
    finally:
        with_group = os.getpgid(process.pid)
        os.killpg(with_group, signal.SIGKILL)
        process.wait()
        log.close()


@contextmanager
def with_password(password: str) -> Iterator[Server]:
    """A server that lets the user in by this password only. Needs root; one such server at a time
    on this machine, as there is one such user."""
    hashed = subprocess.run(
        ["openssl", "passwd", "-6", "-stdin"],
        input=password.encode(),
        capture_output=True,
        check=True,
    ).stdout.strip()
    with (
        open("/run/lock/edgekit-test-password", "w") as alone,
        tempfile.TemporaryDirectory(prefix="edgekit-password-") as directory,
    ):
        fcntl.flock(alone, fcntl.LOCK_EX)
        with running(
            Path(directory), "PasswordAuthentication yes", "AuthenticationMethods password"
        ) as server:
            subprocess.run(["usermod", "-p", hashed.decode(), USER], check=True)
            try:
                yield server
            finally:
                subprocess.run(["usermod", "-p", "*", USER], check=True)


def _user_exists() -> bool:
    try:
        pwd.getpwnam(USER)
    except KeyError:
        return False
    return True


def _wait_for_banner(port: int, log: Path) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1) as probe:
                if probe.recv(4) == b"SSH-":
                    return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"sshd did not start: {log.read_text()}")
