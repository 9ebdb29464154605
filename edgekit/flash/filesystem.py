"""Files inside the partitions of a disk, without mounting them: FAT by mtools, ext2 to ext4 by
debugfs. Works on image files without root.

Paths are absolute, of letters, digits and `._+@=-`, because both tools take commands as text.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from edgekit.errors import DeviceError, UsageError
from edgekit.flash.disk import Disk, call, tool

SAFE_PATH = re.compile(r"(/[A-Za-z0-9._+@=-]{1,100})+")
FAT_TYPES = {
    "b",
    "c",
    "e",
    "C12A7328-F81F-11D2-BA4B-00A0C93EC93B",
    "EBD0A0A2-B9E5-4433-87C0-68B6B72699C7",
}
EXT_MAGIC = (1080, b"\x53\xef")
"""Of the super block: 1024 + 56 bytes from the start of the file system (ext4 disk layout, kernel
documentation)."""


@dataclass(frozen=True)
class Partition:
    """A partition: `offset` and `bytes` on the disk."""

    offset: int
    bytes: int
    type: str


@dataclass(frozen=True)
class Entry:
    """Something to be written: a file with `content`, a symbolic link to `target`, or a directory
    with neither."""

    path: str
    content: Path | bytes | None = None
    target: str | None = None
    mode: int = 0o644
    owner: int = 0


def partitions(disk: Disk) -> list[Partition]:
    """The partition table. Raises DeviceError: there is none."""
    done = call([tool("sfdisk", "fdisk"), "--json", str(disk.path)])
    if done.returncode:
        raise DeviceError(
            f"{disk.path}: its partition table cannot be read:"
            f" {done.stderr.decode(errors='replace').strip()}"
        )
    table = json.loads(done.stdout)["partitiontable"]
    sector = int(table.get("sectorsize", 512))
    return [
        Partition(int(part["start"]) * sector, int(part["size"]) * sector, str(part["type"]))
        for part in table.get("partitions", [])
    ]


class Fat:
    """The FAT file system of a partition."""

    def __init__(self, disk: Disk, partition: Partition) -> None:
        self.disk = disk
        self.place = f"{disk.path}@@{partition.offset}"

    def exists(self, path: str) -> bool:
        return (
            call([tool("mdir", "mtools"), "-b", "-i", self.place, f"::{_safe(path)}"]).returncode
            == 0
        )

    def read(self, path: str) -> bytes:
        """Raises DeviceError: not there."""
        return self._run("mtype", f"::{_safe(path)}")

    def write(self, path: str, content: bytes) -> None:
        """Write a file in place of the one that is there. Raises DeviceError: full, damaged."""
        with tempfile.NamedTemporaryFile() as file:
            file.write(content)
            file.flush()
            self._run("mcopy", "-o", file.name, f"::{_safe(path)}")
        if self.read(path) != content:
            raise DeviceError(
                f"{self.disk.path}: {path} on the boot partition is not what was written"
            )

    def _run(self, program: str, *arguments: str) -> bytes:
        done = call([tool(program, "mtools"), "-i", self.place, *arguments])
        if done.returncode:
            reason = done.stderr.decode(errors="replace").strip().splitlines() or [
                f"exit code {done.returncode}"
            ]
            raise DeviceError(
                f"{self.disk.path}: the boot partition: {reason[-1]}", hint="write the image again"
            )
        return done.stdout


class Ext4:
    """The ext2, ext3 or ext4 file system of a partition."""

    def __init__(self, disk: Disk, partition: Partition) -> None:
        self.disk = disk
        self.place = f"{disk.path}?offset={partition.offset}"
        header = self._dump_header()
        if "needs_recovery" in header.get("Filesystem features", ""):
            raise DeviceError(
                f"{disk.path}: the root file system was not unmounted cleanly",
                hint="write the image again",
            )
        self.free_bytes = int(header["Free blocks"]) * int(header["Block size"])

    def exists(self, path: str) -> bool:
        return "Inode:" in self._debugfs([f"stat {_safe(path)}"], tolerant=True)

    def read(self, path: str) -> bytes:
        """Raises DeviceError: not there."""
        with tempfile.TemporaryDirectory() as directory:
            copy = Path(directory) / "file"
            self._debugfs([f"dump {_safe(path)} {copy}"])
            return copy.read_bytes()

    def write(self, entries: Sequence[Entry]) -> None:
        """Write directories, files and links in order, in place of what is there; missing parents
        are made, owned by root.

        Raises DeviceError: no room (nothing is written), damaged, or what was written does not read
        back."""
        needed = sum(_length(entry) for entry in entries)
        if needed > self.free_bytes:
            hint = "flash an image with more room in its root file system, or a smaller bundle"
            raise DeviceError(
                f"{self.disk.path}: {needed / 1e6:.1f} MB are to be placed, the root file system"
                f" has {self.free_bytes / 1e6:.1f} MB",
                hint=hint,
            )
        with _files(entries) as sources:
            existing = self._existing(
                sorted(
                    {_safe(entry.path) for entry in entries}
                    | {p for entry in entries for p in _parents(entry.path)}
                )
            )
            self._debugfs([*_commands(entries, sources, existing)])
            self._check(entries, sources)

    def remove(self, path: str) -> None:
        """Remove a file or a link, if it is there."""
        if self.exists(path):
            self._debugfs([f"rm {_safe(path)}"])

    def _existing(self, paths: Sequence[str]) -> set[str]:
        answers = self._debugfs([f"stat {path}" for path in paths], tolerant=True).split(
            "debugfs: stat "
        )[1:]
        return {path for path, answer in zip(paths, answers, strict=True) if "Inode:" in answer}

    def _check(self, entries: Sequence[Entry], sources: dict[str, Path]) -> None:
        """Read every file back."""
        with tempfile.TemporaryDirectory() as directory:
            copies = {path: Path(directory) / str(index) for index, path in enumerate(sources)}
            self._debugfs([f"dump {path} {copy}" for path, copy in copies.items()])
            for path, source in sources.items():
                if copies[path].read_bytes() != source.read_bytes():
                    raise DeviceError(
                        f"{self.disk.path}: {path} on the root partition is not what was written"
                    )

    def _debugfs(self, commands: Sequence[str], *, tolerant: bool = False) -> str:
        with tempfile.NamedTemporaryFile("w") as script:
            script.write("\n".join(commands) + "\n")
            script.flush()
            done = call([tool("debugfs", "e2fsprogs"), "-w", "-f", script.name, self.place])
        complaints = [
            line
            for line in done.stderr.decode(errors="replace").splitlines()
            if line and not line.startswith("debugfs 1.")
        ]
        if (
            complaints or done.returncode
        ) and not tolerant:  # debugfs goes on after an error, and exits with 0
            raise DeviceError(
                f"{self.disk.path}: the root partition: {(complaints or ['debugfs failed'])[0]}",
                hint="write the image again",
            )
        return done.stdout.decode(errors="replace")

    def _dump_header(self) -> dict[str, str]:
        done = call([tool("dumpe2fs", "e2fsprogs"), "-h", self.place])
        if done.returncode:
            raise DeviceError(
                f"{self.disk.path}: the root partition holds no ext4 file system",
                hint="is it the image of a Linux system?",
            )
        lines = (line.partition(":") for line in done.stdout.decode(errors="replace").splitlines())
        return {key: value.strip() for key, _, value in lines}


def boot_partition(disk: Disk) -> Fat | None:
    """The first FAT partition, if there is one."""
    partition = next((part for part in partitions(disk) if part.type in FAT_TYPES), None)
    return Fat(disk, partition) if partition else None


def root_partition(disk: Disk) -> Ext4:
    """The largest partition with an ext4 file system. Raises DeviceError: there is none."""
    with disk.path.open("rb") as stream:
        candidates = [
            part
            for part in partitions(disk)
            if _at(stream, part.offset + EXT_MAGIC[0], len(EXT_MAGIC[1])) == EXT_MAGIC[1]
        ]
    if not candidates:
        raise DeviceError(
            f"{disk.path}: no partition with an ext4 file system",
            hint="is it the image of a Linux system?",
        )
    return Ext4(disk, max(candidates, key=lambda part: part.bytes))


def _at(stream: object, offset: int, length: int) -> bytes:
    stream.seek(offset)  # type: ignore[attr-defined]
    data: bytes = stream.read(length)  # type: ignore[attr-defined]
    return data


def _safe(path: str) -> str:
    if not SAFE_PATH.fullmatch(path) or {".", ".."} & set(path.split("/")):
        raise UsageError(
            f"{path!r} cannot be the path of a file on a card",
            hint="letters, digits and ._+@=- only",
        )
    return path


def _parents(path: str) -> list[str]:
    """Directories above a path, the highest first, without the root."""
    return [str(parent) for parent in reversed(PurePosixPath(path).parents) if str(parent) != "/"]


def _length(entry: Entry) -> int:
    if isinstance(entry.content, Path):
        return entry.content.stat().st_size
    return len(entry.content or b"")


@contextmanager
def _files(entries: Sequence[Entry]) -> Iterator[dict[str, Path]]:
    """Where the content of each file lies on this machine, in a directory whose path debugfs can
    take."""
    with tempfile.TemporaryDirectory(prefix="edgekit-") as directory:
        sources = {}
        for index, entry in enumerate(entry for entry in entries if entry.content is not None):
            source = Path(directory) / str(index)
            if isinstance(entry.content, Path):
                source.symlink_to(entry.content.absolute())
            else:
                source.write_bytes(entry.content or b"")
            sources[entry.path] = source
        yield sources


def _commands(
    entries: Sequence[Entry], sources: dict[str, Path], existing: set[str]
) -> Iterator[str]:
    paths = set(existing)
    for entry in entries:
        for parent in _parents(entry.path):
            if parent not in paths:
                paths.add(parent)
                yield f"mkdir {parent}"
        is_directory = entry.content is None and entry.target is None
        if entry.path in paths and not is_directory:
            yield f"rm {entry.path}"
        if is_directory:
            if entry.path not in paths:
                yield f"mkdir {entry.path}"
        elif entry.target is not None:
            yield f"symlink {entry.path} {_link(entry.target)}"
        else:
            yield f"write {sources[entry.path]} {entry.path}"
        paths.add(entry.path)
        yield f"sif {entry.path} mode 0{_mode(entry, is_directory=is_directory):o}"
        yield from (f"sif {entry.path} {field} {entry.owner}" for field in ("uid", "gid"))


def _mode(entry: Entry, *, is_directory: bool) -> int:
    """The kind of an inode and its permissions; links have all of them."""
    if entry.target is not None:
        return 0o120000 | 0o777
    return (0o040000 if is_directory else 0o100000) | entry.mode


def _link(target: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._+@=/-]{1,400}", target):
        raise UsageError(f"{target!r} cannot be the target of a link on a card")
    return target
