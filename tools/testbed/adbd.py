"""A real adbd on loopback, as an unprivileged user, with Android's tools (toybox) and shell (mksh),
and an adb server of its own to reach it.

It is Android's own daemon on an Android-like machine, not Android. Built by tools/adbd/build. The
user's adb server is left alone; but a server of the tests also sees what is plugged in, so that a
phone should not be."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.emulation.machine import free_port
from tools.testbed.sshd import USER, user_missing

TOOLS = Path(__file__).parents[1] / "adbd"
BUILD = TOOLS / "build"
NEEDS = ("adb", "toybox", "mksh")
ENVIRONMENT = dict(os.environ)
"""As it was before a test moved the home directory, which the cache of the build is in."""


@dataclass(frozen=True)
class Daemon:
    """An adbd on `port`. `directory` holds its tools (`bin`) and what is /data/local/tmp on a phone
    (`tmp`)."""

    port: int
    directory: Path
    process: subprocess.Popen[bytes]

    @property
    def serial(self) -> str:
        return f"127.0.0.1:{self.port}"

    def stop(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def why_not() -> str:
    """Why no daemon can be started here; empty when one can."""
    if missing := [program for program in NEEDS if shutil.which(program) is None]:
        return f"needs {' '.join(missing)}: apt-get install {' '.join(NEEDS)}"
    if not built():
        return "needs a test adbd, which is built once, in a minute: bash tools/adbd/build"
    return user_missing()


def built() -> str:
    """The program, empty when it was not built."""
    return subprocess.run(
        [str(BUILD), "--cached"], capture_output=True, text=True, env=ENVIRONMENT
    ).stdout.strip()


def why_no_arm64_programs() -> str:
    """Which programs are missing that run arm64 programs here; empty when there are all."""
    needed = ("qemu-aarch64-static", "unshare", "apt-get", "dpkg")
    if missing := [program for program in needed if shutil.which(program) is None]:
        return f"needs {' '.join(missing)}: apt-get install qemu-user-static"
    return ""


def why_no_arm64_kernel() -> str:
    """Why this kernel does not let a user run arm64 programs; empty when it does."""
    mount = ["mount", "-t", "binfmt_misc", "none", "/proc/sys/fs/binfmt_misc"]
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--mount", *mount],
        capture_output=True,
        text=True,
        **_as_user(),
    )
    if done.returncode != 0:
        return f"needs Linux 6.7 and user name spaces: {done.stderr.strip()}"
    return ""


@contextmanager
def running(
    directory: Path,
    *,
    port: int = 0,
    banner: str = "device",
    arm64: bool = False,
    **properties: str,
) -> Iterator[Daemon]:
    """A daemon; `banner` is the state it claims to be in, `properties` are Android's (with `__` for
    a dot), e.g. `ro__adb__secure="1"`.

    With `arm64` its tools are arm64 programs, and it runs such programs, emulated.
    """
    port = port or free_port()
    start = _lay_out_arm64(directory) if arm64 else _lay_out(directory)
    settings = {
        "service.adb.listen_addrs": f"tcp:localhost:{port}",
        **{key.replace("__", "."): value for key, value in properties.items()},
    }
    environment = {
        "ADBD_PROPS": "\n".join(f"{key}={value}" for key, value in settings.items()),
        "PATH": str(directory / "bin"),
        "TMPDIR": str(directory / "tmp"),
    }
    own = shutil.copyfile(built(), directory / "adbd")  # the user cannot read the cache of root
    own.chmod(0o755)
    with (directory / "adbd.log").open("ab") as log:
        process = subprocess.Popen(
            [*start, str(own), f"--device_banner={banner}"],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            **_as_user(),
        )
    daemon = Daemon(port, directory, process)
    try:
        _wait_for_port(port, directory / "adbd.log")
        yield daemon
    finally:
        daemon.stop()


@contextmanager
def server(home: Path) -> Iterator[dict[str, str]]:
    """An adb server with a key of its own, and the environment in which the adb program finds
    it."""
    environment = {"ANDROID_ADB_SERVER_PORT": str(free_port()), "HOME": str(home)}
    everything = {**os.environ, **environment}
    subprocess.run(
        ["adb", "start-server"], env=everything, check=True, capture_output=True, timeout=60
    )
    try:
        yield environment
    finally:
        subprocess.run(["adb", "kill-server"], env=everything, capture_output=True, timeout=60)


def _as_user() -> dict[str, Any]:
    """Options of subprocess that start a program as the unprivileged user, where this one may."""
    return {"user": USER, "group": USER, "extra_groups": ()} if os.geteuid() == 0 else {}


def _lay_out(directory: Path) -> list[str]:
    """Android's tools under their names, and a folder that the shell user may write to."""
    _make_temporary(directory)
    tools = directory / "bin"
    if tools.is_dir():
        return []
    tools.mkdir()
    toybox, shell = shutil.which("toybox"), shutil.which("mksh")
    assert toybox
    assert shell
    for tool in subprocess.run([toybox], capture_output=True, check=True, text=True).stdout.split():
        (tools / tool).symlink_to(toybox)
    (tools / "sh").unlink(missing_ok=True)
    (tools / "sh").symlink_to(shell)
    return []


def _lay_out_arm64(directory: Path) -> list[str]:
    """The same as arm64 programs, and the command that lets a program run among them."""
    _make_temporary(directory)
    made = subprocess.run(
        [TOOLS / "arm64_root"], capture_output=True, text=True, env=ENVIRONMENT, check=True
    ).stdout.strip()
    shutil.copytree(
        made, directory, symlinks=True, dirs_exist_ok=True
    )  # the user cannot read the cache of root, nor perhaps this repository
    for name in ("as_arm64", "cpuinfo.arm64"):
        shutil.copy(TOOLS / name, directory)
    directory.chmod(0o755)
    return [
        "/usr/bin/env",
        f"PATH={os.environ['PATH']}",
        str(directory / "as_arm64"),
        str(directory),
        "env",
        f"PATH={directory / 'bin'}",
    ]


def _make_temporary(directory: Path) -> None:
    directory.chmod(0o755)
    temporary = directory / "tmp"
    temporary.mkdir(exist_ok=True)
    if os.geteuid() == 0:
        shutil.chown(temporary, USER, USER)


def _wait_for_port(port: int, log: Path) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError(f"adbd did not start: {log.read_text()}")
