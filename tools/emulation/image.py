"""The disk, kernel and initial ramdisk of the emulated board, and the image of a card, made from
Debian's arm64 packages without running any of them.

What decides the image is in this directory and in edgekit's runtimes; the board's key and the
user's are made for each build. Needs Debian's apt sources on this machine, mmdebstrap, mke2fs,
cpio, and root or fakeroot. Nothing is installed outside the build directory."""

from __future__ import annotations

import lzma
import os
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from edgekit.deployment import provision
from edgekit.devices.local import LocalDevice
from edgekit.flash.platform import EMULATED
from edgekit.progress import Progress
from edgekit.runners.runtime import Platform, prepare
from tools.emulation import card
from tools.emulation.programs import run

HERE = Path(__file__).parent
USER, USER_ID = "pi", 1000
STORE = "home/pi/edgekit"
DISK_MB = 700
PACKAGES = (
    "base-files,base-passwd,bash,dash,coreutils,libc-bin,grep,sed,findutils,tar,gzip,util-linux,"
    "mount,procps,hostname,login,passwd,"
    "python3-minimal,python3,libpython3-stdlib,libstdc++6,openssh-server,openssh-sftp-server,"
    "iproute2,busybox-static,"
    "cloud-init,cloud-guest-utils,e2fsprogs,ifupdown,debianutils,bsdutils"
)
UNWANTED = ("man", "doc", "locale", "i18n", "info")
KERNEL = "linux-image-cloud-arm64"
MODULES = ("virtio_mmio", "virtio_blk", "ext4", "virtio_net", "virtio_rng", "af_packet")
AFTER_UNPACKING = f"""
export APT_CONFIG="$MMDEBSTRAP_APT_CONFIG"
package=$(apt-cache depends {KERNEL} |
    sed -n 's/.*Depends: \\(linux-image-[^ ]*\\)/\\1/p' | head -n 1)
(cd "$KERNEL_INTO" && apt-get -o APT::Sandbox::User=root download "$package")
for archive in "$1"/var/cache/apt/archives/*.deb; do
    dpkg-deb --field "$archive" | sed 's/^Package: .*/&\\nStatus: install ok installed/'
    echo
done >"$1/var/lib/dpkg/status"
"""
"""Run by mmdebstrap when all is unpacked: the kernel, and dpkg's list of what is installed, which
it does not write where nothing is configured."""


def build(into: Path, progress: Progress) -> None:
    """Fill an empty directory with disk.raw, kernel, initrd, user_key, host_key.pub, card.img.
    Raises RuntimeError with what the tool that failed said."""
    root = into / "root"
    steps: tuple[tuple[str, Callable[[], None]], ...] = (
        ("fetch and unpack Debian arm64", lambda: _unpack(root, into)),
        ("configure", lambda: _configure(root)),
        ("make the initial ramdisk", lambda: _initrd(root, into)),
        ("make the image of a card", lambda: _card(root, into)),
        ("make the board's keys", lambda: _personalize(root, into)),
        ("provide the runtimes", lambda: _provide(root, progress)),
        ("make the disk", lambda: _disk(root, into)),
    )
    for number, (name, step) in enumerate(steps):
        progress("build the emulated board", number, len(steps), name)
        step()
    progress("build the emulated board", len(steps), len(steps))
    shutil.rmtree(root)


def sources() -> Path:
    """The apt sources of this machine. Raises RuntimeError: not a Debian."""
    path = next(
        (
            path
            for path in map(
                Path, ("/etc/apt/sources.list.d/debian.sources", "/etc/apt/sources.list")
            )
            if path.is_file()
        ),
        None,
    )
    if path is None or codename() is None:
        raise RuntimeError(
            "the image is made from Debian's packages: build it on Debian, or in a container of it"
        )
    return path


def codename() -> str | None:
    about = Path("/etc/os-release").read_text()
    name = re.search(r"^VERSION_CODENAME=(\w+)$", about, re.MULTILINE)
    return name[1] if name and re.search(r"^ID=debian$", about, re.MULTILINE) else None


def _unpack(root: Path, into: Path) -> None:
    options = [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in UNWANTED]
    run(
        *(
            "mmdebstrap",
            "--architectures=arm64",
            "--variant=extract",
            "--mode=root",
            "--format=directory",
            "--quiet",
        ),
        *(
            '--aptopt=APT::Install-Recommends "false"',
            '--aptopt=Acquire::Languages "none"',
            *options,
        ),
        *(
            "--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr",
            f"--include={PACKAGES}",
            f"--extract-hook={AFTER_UNPACKING}",
        ),
        *(str(codename()), str(root), str(sources())),
        KERNEL_INTO=str(into),
    )
    (package,) = into.glob("linux-image-*.deb")
    run("dpkg-deb", "--extract", str(package), str(into / "kernel-package"))
    package.unlink()
    (kernel,) = (into / "kernel-package" / "boot").glob("vmlinuz-*")
    kernel.rename(into / "kernel")


def _configure(root: Path) -> None:
    """What the packages' own installation scripts would have done, as far as it is needed."""
    for name in ("passwd", "group"):
        shutil.copyfile(root / f"usr/share/base-passwd/{name}.master", root / "etc" / name)
    _append(root / "etc/passwd", "sshd:x:105:65534::/run/sshd:/usr/sbin/nologin\n")
    (root / "etc/shadow").write_text(
        "".join(f"{name}:*:19000:0:99999:7:::\n" for name in ("root", "sshd"))
    )
    (root / "etc/shadow").chmod(0o640)
    shutil.copyfile(root / "usr/share/openssh/sshd_config", root / "etc/ssh/sshd_config")
    for kind in ("auth", "account", "password", "session"):
        (root / f"etc/pam.d/common-{kind}").write_text(f"{kind} required pam_unix.so\n")
    (root / "usr/bin/awk").symlink_to("mawk")
    (root / "etc/network/interfaces").write_text("source /etc/network/interfaces.d/*\n")
    if board(root).python_version == f"{sys.version_info.major}.{sys.version_info.minor}":
        modules = [str(path) for path in (root / "usr/lib").glob("python3*")]
        run(sys.executable, "-m", "compileall", "-q", "-j", "0", "-s", str(root), *modules)
    (root / EMULATED.lstrip("/")).write_text("the board is emulated by qemu\n")
    for name in ("proc", "sys", "dev", "run", "tmp"):
        (root / name).mkdir(exist_ok=True)
    shutil.rmtree(root / "boot", ignore_errors=True)


def _card(root: Path, into: Path) -> None:
    _put_init(root, "card.sh")
    card.make(root, [into / "kernel", into / "initrd"], into / "card.img")


def _personalize(root: Path, into: Path) -> None:
    """User, keys and network of the emulated board, and access for this machine's user only."""
    _append(root / "etc/passwd", f"{USER}:x:{USER_ID}:{USER_ID}:Pi:/home/{USER}:/bin/bash\n")
    _append(root / "etc/group", f"{USER}:x:{USER_ID}:\n")
    _append(root / "etc/shadow", f"{USER}:*:19000:0:99999:7:::\n")
    (root / "etc/hostname").write_text("emulated-pi\n")
    for key in ("user_key", "host_key"):
        run(
            "ssh-keygen",
            "-q",
            "-t",
            "ed25519",
            "-N",
            "",
            "-C",
            "emulated-pi",
            "-f",
            str(into / key),
        )
    shutil.copyfile(into / "host_key", root / "etc/ssh/ssh_host_ed25519_key")
    (root / "etc/ssh/ssh_host_ed25519_key").chmod(0o600)
    (into / "host_key").unlink()
    for home in ("root", f"home/{USER}"):
        (root / home / ".ssh").mkdir(parents=True, mode=0o700)
        shutil.copyfile(into / "user_key.pub", root / home / ".ssh/authorized_keys")
    shutil.copyfile(HERE / "sshd_config", root / "etc/ssh/sshd_config")
    _put_init(root, "board.sh")


def _put_init(root: Path, script: str) -> None:
    """Process 1: `init.sh`, which starts what `script` says."""
    (root / "sbin/init-emulated").write_text(
        (HERE / "init.sh").read_text().replace("@START@\n", (HERE / script).read_text())
    )
    (root / "sbin/init-emulated").chmod(0o755)


def board(root: Path) -> Platform:
    """What the board in a root directory can run, as its files say."""
    python = os.readlink(root / "usr/bin/python3").removeprefix("python")
    libc = (root / "usr/lib/aarch64-linux-gnu/libc.so.6").read_bytes()
    glibc = re.search(rb"stable release version (\d+\.\d+)", libc)
    if glibc is None:
        raise RuntimeError("the image has no glibc")
    return Platform("aarch64", python="python3", glibc=glibc[1].decode(), python_version=python)


def _provide(root: Path, progress: Progress) -> None:
    """The store is relocatable: filled here, it is found by the first deployment to the board,
    which then need not send runtimes."""
    for runtime in prepare(board(root), progress=progress):
        provision(LocalDevice(), str(root / STORE), runtime)
    for path in (root / "home" / USER, *(root / "home" / USER).rglob("*")):
        os.lchown(path, USER_ID, USER_ID)


def _initrd(root: Path, into: Path) -> None:
    files = into / "initrd-files"
    for name in ("bin", "dev", "proc", "new", "modules"):
        (files / name).mkdir(parents=True)
    shutil.copy(root / "bin/busybox", files / "bin/busybox")
    loaded = []
    for path in _with_dependencies(into / "kernel-package"):
        name = path.name.partition(".")[0]
        content = path.read_bytes()
        (files / "modules" / f"{name}.ko").write_bytes(
            lzma.decompress(content) if path.suffix == ".xz" else content
        )
        loaded.append(f"$B insmod /modules/{name}.ko\n")
    (files / "init").write_text(
        (HERE / "initrd.sh").read_text().replace("@MODULES@\n", "".join(loaded))
    )
    (files / "init").chmod(0o755)
    run(
        "sh",
        "-c",
        'cd "$1" && find . | cpio --quiet -o -H newc | gzip >"$2"',
        "edgekit",
        str(files),
        str(into / "initrd"),
    )
    shutil.rmtree(files)
    shutil.rmtree(into / "kernel-package")


def _with_dependencies(package: Path) -> list[Path]:
    """The modules to load, in an order in which each finds what it needs. What is built into the
    kernel is no file."""
    files = {
        re.sub(r"\.ko.*", "", path.name).replace("-", "_"): path for path in package.rglob("*.ko*")
    }
    order: list[Path] = []

    def add(name: str) -> None:
        if name not in files or files[name] in order:
            return
        content = files[name].read_bytes()
        info = lzma.decompress(content) if files[name].suffix == ".xz" else content
        needed = re.search(rb"(?:^|\0)depends=([^\0]*)\0", info)
        hints = re.findall(rb"(?:^|\0)softdep=pre: ([^\0]*)\0", info)
        for other in [
            *(needed[1].split(b",") if needed else []),
            *(part for hint in hints for part in hint.split()),
        ]:
            add(other.decode().replace("-", "_"))
        order.append(files[name])

    for module in MODULES:
        add(module)
    return order


def _disk(root: Path, into: Path) -> None:
    run(
        "mke2fs",
        "-q",
        "-t",
        "ext4",
        "-O",
        "^has_journal",
        "-m",
        "0",
        "-d",
        str(root),
        str(into / "disk.raw"),
        f"{DISK_MB}M",
    )


def _append(path: Path, text: str) -> None:
    path.write_text(path.read_text() + text)
