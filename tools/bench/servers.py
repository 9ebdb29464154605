"""What the benches of deployment share: a real sshd on loopback with a target for it, bundles of
any size, and a proxy that delays or throttles.

The servers are in tools/testbed, where the tests have them from; nothing here is timed.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from edgekit.bundle.directory import Bundle
from edgekit.devices.ssh_login import resolve, trust
from edgekit.devices.target import SshTarget

sys.path.insert(0, str(Path(__file__).parents[2]))  # a script finds only what lies beside it
from tools.testbed import sshd
from tools.testbed.opaque_bundle import opaque_bundle

Server = sshd.Server
PLACE = "edgekit-bench"
"""In the home directory of the server's user; removed at the end."""
FILE_SYSTEM_BYTES = 8 << 30
PROXY = str(Path(__file__).with_name("proxy.py"))


@contextlib.contextmanager
def board() -> Iterator[Server]:
    """A real sshd on loopback that lets an unprivileged user in; a home directory of one's own,
    with nothing of the user's SSH configuration."""
    if reason := sshd.why_not():
        raise SystemExit(reason)
    with (
        tempfile.TemporaryDirectory(prefix="edgekit-bench-") as home,
        sshd.running(Path(home), "Subsystem sftp internal-sftp") as server,
    ):
        Path(home, ".ssh").mkdir()  # else `ssh` is asked, which reads the user's
        os.environ.update(HOME=home, XDG_CONFIG_HOME=f"{home}/.config")
        os.environ.pop("SSH_AUTH_SOCK", None)
        place = Path(f"~{server.user}").expanduser() / PLACE
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        try:
            with _file_system(place, Path(home) / "disk"):
                shutil.chown(place, server.user)
                yield server
        finally:
            shutil.rmtree(place, ignore_errors=True)


@contextlib.contextmanager
def _file_system(place: Path, image: Path) -> Iterator[None]:
    """ext4 with a journal, as boards have; without one, as in some virtual machines, it searches
    long for an inode that was not deleted lately."""
    with image.open("wb") as stream:
        stream.truncate(FILE_SYSTEM_BYTES)
    made = subprocess.run(["mkfs.ext4", "-q", "-F", image]).returncode == 0
    if not made or subprocess.run(["mount", "-o", "loop", image, place]).returncode != 0:
        print("no file system of its own (that takes root): this machine's counts", file=sys.stderr)
        yield
        return
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", place], check=True)


def target(server: Server, name: str = "board", *, port: int = 0) -> SshTarget:
    """The server as a target whose store is its own, with its host key trusted; through a proxy
    when its port is given."""
    key = str(server.directory / "user_key")
    login = resolve("127.0.0.1", port=port or server.port, user=server.user, identity_file=key)
    trust(name, login)
    values = {
        "edgekit": 1,
        "name": name,
        "kind": "ssh",
        "host": "127.0.0.1",
        "port": port or server.port,
        "user": server.user,
        "identity_file": key,
    }
    return SshTarget.model_validate({**values, "workdir": f"~/{PLACE}/{name}"})


@contextlib.contextmanager
def proxy(port: int, *, delay_ms: float = 0, bytes_per_s: float = 0) -> Iterator[int]:
    """The port of a proxy to a port of this machine, in a process of its own: each direction
    delayed, and limited in rate."""
    argv = [sys.executable, PROXY, str(port), str(delay_ms), str(bytes_per_s)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            yield int(process.stdout.readline())
        finally:
            process.kill()


def bundle(directory: Path, sizes: list[int]) -> Bundle:
    """A bundle with an artifact of random bytes of each size; its reference files are random
    too."""
    artifacts = []
    for number, size in enumerate(sizes):
        reference_bytes = min(size, 4096)
        inputs, outputs = os.urandom(reference_bytes), os.urandom(reference_bytes)
        artifacts.append((f"a{number}", os.urandom(size), inputs, outputs))
    made = opaque_bundle(directory, "bench", artifacts)
    # else a deployment, which brings its own files to the disk, waits for these, and for what was
    # sent before it
    os.sync()
    return made
