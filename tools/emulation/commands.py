"""What tools/emulated_pi does: one image and one running board below the user's cache. Tests run
boards of their own from the same image."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import time
from pathlib import Path

from edgekit import runners
from edgekit.cache import cache_root
from edgekit.progress import Progress, silent
from edgekit.runners.native import wanted_version
from edgekit.whole_file import write_whole
from tools.emulation import image, machine
from tools.emulation.programs import ADMIN_PATH

PORT = 2922
TARGET = Path(__file__).parents[2] / "targets" / "emulated-pi.yaml"
NOT_OF_THE_IMAGE = ("__main__.py", "__pycache__", "commands.py")
"""What lies beside the sources of the image and does not change it."""
PROGRAMS = {
    "mmdebstrap": "mmdebstrap",
    "mke2fs": "e2fsprogs",
    "sfdisk": "fdisk",
    "mkfs.vfat": "dosfstools",
    "mcopy": "mtools",
    "cpio": "cpio",
    "ssh": "openssh-client",
    "qemu-img": "qemu-utils",
    machine.QEMU: "qemu-system-arm",
}
"""Programs and their Debian packages."""


def home() -> Path:
    return cache_root() / "emulated-pi"


def missing() -> str:
    """The command that installs what is missing; empty when nothing is."""
    packages = [
        package
        for program, package in PROGRAMS.items()
        if not (shutil.which(program) or shutil.which(program, path=ADMIN_PATH))
    ]
    return f"apt-get install {' '.join(packages)}" if packages else ""


def is_built() -> bool:
    return (home() / "image" / "memory").is_file() and (
        home() / "image" / "key"
    ).read_text() == _key()


def build(progress: Progress = silent) -> str:
    """Make the image unless there is one made by this code. Raises RuntimeError, and what making
    runtimes raises."""
    if is_built():
        return f"{home() / 'image'}: is there"
    if command := missing():
        raise RuntimeError(f"some programs are missing: {command}")
    image.sources()
    home().mkdir(parents=True, exist_ok=True, mode=0o700)
    started = time.monotonic()
    with (home() / "build.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not is_built():
            _build(home() / "image.part", progress)
    return f"{home() / 'image'}: built in {time.monotonic() - started:.0f} s"


def start(port: int = PORT, progress: Progress = silent) -> str:
    """Start the board, with its image if that is missing, and put its host key where its target
    looks. Raises RuntimeError."""
    build(progress)
    if (up := machine.running(home(), home() / "image")) is not None:
        return f"it runs already: ssh port {up.port}, pid {up.pid}; target: {_target(up.port)}"
    started = time.monotonic()
    up = machine.start(home() / "image", home(), port)
    shutil.copyfile(home() / "image" / "user_key", home() / "user_key")
    (home() / "user_key").chmod(0o600)
    return (
        f"started in {time.monotonic() - started:.1f} s: ssh port {up.port}, pid {up.pid}; target:"
        f" {_target(up.port)}. Its timings mean nothing."
    )


def _target(port: int) -> Path:
    """The target file, written beside the board's keys: --target takes it from anywhere, also with
    another cache and another port than those in targets/."""
    text = TARGET.read_text(encoding="utf-8").replace("$schema=", f"$schema={TARGET.parent}/")
    text = text.replace(f"port: {PORT}", f"port: {port}")
    file = home() / TARGET.name
    write_whole(file, text.replace("~/.cache/edgekit/emulated-pi/", ""))
    return file


def stop() -> str:
    """Switch the board off, if it runs."""
    up = machine.running(home(), home() / "image")
    if up is None:
        return "it does not run"
    machine.stop(up)
    return "stopped"


def status() -> tuple[str, bool]:
    """What to tell the user, and whether the board runs."""
    up = machine.running(home(), home() / "image")
    built = (
        "built"
        if is_built()
        else (
            "made by other code: it will be rebuilt" if (home() / "image").is_dir() else "not built"
        )
    )
    return (
        f"image: {built} ({home() / 'image'})\nboard: "
        + (f"runs, ssh port {up.port}, pid {up.pid}" if up else "does not run"),
        up is not None,
    )


def _build(part: Path, progress: Progress) -> None:
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(mode=0o700)
    image.build(part, progress)
    machine.save(part, progress)
    (part / "key").write_text(_key())
    stop()
    shutil.rmtree(home() / "image", ignore_errors=True)
    part.rename(home() / "image")


def _key() -> str:
    """A hash of what makes the image, the runtimes in it included."""
    parts = [path for path in image.HERE.iterdir() if path.name not in NOT_OF_THE_IMAGE]
    parts.append(Path(runners.__file__).parent)
    digest = hashlib.sha256(wanted_version().encode())
    for part in sorted(parts):
        files = [part] if part.is_file() else sorted(part.rglob("*"))
        for file in files:
            if file.is_file() and file.suffix != ".pyc":
                digest.update(file.name.encode() + file.read_bytes())
    return digest.hexdigest()
