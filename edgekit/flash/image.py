"""Writing an image onto a disk, and reading it back. The first megabytes, with the partition table,
are written last: a card whose writing was interrupted does not look like one that can boot, and
writing again completes it."""

from __future__ import annotations

import errno
import fcntl
import gzip
import hashlib
import io
import lzma
import os
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from edgekit.errors import DeviceError, UsageError
from edgekit.flash.disk import GB, Disk
from edgekit.installing import install_command
from edgekit.progress import Progress, silent

CHUNK_BYTES = 4 << 20
MB = 10**6
Piece = tuple[int, bytes]
BLKFLSBUF = 0x1261
"""Linux: forget what is cached of a block device, so that reading back reads the card."""
BOOT_SIGNATURE = (510, b"\x55\xaa")
"""Of a master boot record, which a GUID partition table has too (UEFI specification, 5.2.3)."""


@dataclass(frozen=True)
class Written:
    """An image on a disk, every byte of which was read back. `sha256` is of the image,
    decompressed."""

    bytes: int
    sha256: str
    seconds: float


def write_image(image: Path, disk: Disk, *, progress: Progress = silent) -> Written:
    """Write an image (plain, .gz, .xz or .zst, told by its first bytes) and read it back.

    Raises UsageError: not an image of a disk, damaged, unreadable. Raises DeviceError: too small,
    write-protected, full, failing, or what is read back is not what was written (with the place).
    """
    started = time.monotonic()
    with _source(image) as source, _writable(disk) as target:
        digests, whole = _write(image, source, disk, target, progress)
        _forget_cache(disk, target)
        _read_back(disk, target, digests, progress)
    return Written(whole.bytes, whole.sha256, time.monotonic() - started)


@dataclass(frozen=True)
class _Source:
    """A decompressed stream; `raw` is the file below it, whose position tells how far it is."""

    stream: IO[bytes]
    raw: IO[bytes]
    raw_bytes: int


@dataclass(frozen=True)
class _Whole:
    bytes: int
    sha256: str


@contextmanager
def _source(image: Path) -> Iterator[_Source]:
    try:
        raw = image.open("rb")
    except OSError as error:
        raise UsageError(f"{image}: {error.strerror}") from None
    with ExitStack() as stack:
        stack.enter_context(raw)
        if not os.fstat(raw.fileno()).st_mode & 0o100000:
            raise UsageError(f"{image} is not a file")
        start = raw.read(6)
        raw.seek(0)
        stream: Any = raw
        if start.startswith(b"\x1f\x8b"):
            stream = stack.enter_context(gzip.GzipFile(fileobj=raw))
        elif start.startswith(b"\xfd7zXZ\0"):
            stream = stack.enter_context(lzma.LZMAFile(raw))
        elif start.startswith(b"\x28\xb5\x2f\xfd"):
            stream = _zstandard(raw)
        elif start.startswith(b"PK\x03\x04"):
            raise UsageError(
                f"{image} is a zip archive",
                hint=f"unzip {image.name}, and give the image that was in it",
            )
        yield _Source(
            io.BufferedReader(stream, CHUNK_BYTES) if stream is not raw else raw,
            raw,
            os.fstat(raw.fileno()).st_size,
        )


def _zstandard(raw: IO[bytes]) -> Any:
    try:
        import zstandard
    except ImportError:
        raise UsageError(
            "the image is compressed by zstd",
            hint=f"{install_command('flash')}, or decompress it: unzstd IMAGE",
        ) from None
    return _Zstandard(raw, zstandard.ZstdDecompressor().decompressobj, zstandard.ZstdError)


class _Zstandard(io.RawIOBase):
    """Decompressed frames. The package's own reader takes a truncated file for one that ends."""

    def __init__(
        self, raw: IO[bytes], new_frame: Callable[[], Any], failure: type[Exception]
    ) -> None:
        self.raw = raw
        self.new_frame = new_frame
        self.failure = failure
        self.frame = new_frame()
        self.ready = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self.ready:
            packed = self.frame.unused_data if self.frame.eof else b""
            packed = packed or self.raw.read(CHUNK_BYTES)
            if not packed:
                if not self.frame.eof:
                    raise EOFError("it ends too early")
                return 0
            if self.frame.eof:
                self.frame = self.new_frame()
            try:
                self.ready = memoryview(self.frame.decompress(packed))
            except self.failure as error:
                raise ValueError(str(error)) from None
        count = min(len(buffer), len(self.ready))
        buffer[:count], self.ready = self.ready[:count], self.ready[count:]
        return count


@contextmanager
def _writable(disk: Disk) -> Iterator[int]:
    flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW
    try:  # O_EXCL on a block device makes the kernel refuse one that is in use
        descriptor = os.open(disk.path, flags | (os.O_CREAT if disk.is_file else os.O_EXCL), 0o644)
    except OSError as error:
        raise _failed(disk, error) from None
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _chunks(image: Path, source: _Source) -> Iterator[bytes]:
    try:
        while chunk := source.stream.read(CHUNK_BYTES):
            yield chunk
    except (OSError, EOFError, lzma.LZMAError, zlib.error, ValueError) as error:
        raise UsageError(
            f"{image} is damaged: {error}", hint="download it again and compare its checksum"
        ) from None


def _write(
    image: Path, source: _Source, disk: Disk, target: int, progress: Progress
) -> tuple[list[Piece], _Whole]:
    """Write all; gives length and digest of each chunk."""
    digests = list[Piece]()
    whole = hashlib.sha256()
    offset = 0
    head = b""
    for chunk in _chunks(image, source):
        if not offset:
            if chunk[BOOT_SIGNATURE[0] :][: len(BOOT_SIGNATURE[1])] != BOOT_SIGNATURE[1]:
                raise UsageError(
                    f"{image} is not the image of a disk: it has no partition table",
                    hint="give the image of a whole card",
                )
            head = chunk
        if disk.bytes is not None and offset + len(chunk) > disk.bytes:
            raise DeviceError(
                f"{disk.path} is too small: {disk.bytes / GB:.2f} GB, and the image is larger",
                hint="use a larger card",
            )
        try:
            _write_at(target, chunk if offset else bytes(len(chunk)), offset)
        except OSError as error:
            raise _failed(disk, error) from None
        digests.append((len(chunk), _digest(chunk)))
        whole.update(chunk)
        offset += len(chunk)
        progress(
            f"write {image.name}", source.raw.tell(), source.raw_bytes, f"{offset / GB:.2f} GB"
        )
    if not offset:
        raise UsageError(f"{image} is empty")
    try:
        os.fsync(target)
        _write_at(target, head, 0)
        os.fsync(target)
    except OSError as error:
        raise _failed(disk, error) from None
    progress(f"write {image.name}", source.raw_bytes, source.raw_bytes, f"{offset / GB:.2f} GB")
    return digests, _Whole(offset, whole.hexdigest())


def _write_at(target: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        count = os.pwrite(target, view, offset)
        view = view[count:]
        offset += count


def _forget_cache(disk: Disk, target: int) -> None:
    if disk.is_file:
        os.posix_fadvise(target, 0, 0, os.POSIX_FADV_DONTNEED)
    else:
        fcntl.ioctl(target, BLKFLSBUF)


def _read_back(disk: Disk, target: int, pieces: list[Piece], progress: Progress) -> None:
    offset = 0
    for index, (length, digest) in enumerate(pieces):
        try:
            chunk = os.pread(target, length, offset)
        except OSError as error:
            raise _failed(disk, error) from None
        if _digest(chunk) != digest:
            hint = (
                "write it again; if it happens again, the card is broken, or not as large as it"
                " says"
            )
            raise DeviceError(
                f"{disk.path}: what was read back is not what was written, after"
                f" {offset / MB:.0f} MB",
                hint=hint,
            )
        offset += length
        progress("read back", index + 1, len(pieces))


def _digest(chunk: bytes) -> bytes:
    return hashlib.blake2b(chunk, digest_size=16).digest()


def _failed(disk: Disk, error: OSError) -> DeviceError:
    match error.errno:
        case errno.ENOSPC | errno.EFBIG | errno.EDQUOT:
            return DeviceError(
                f"{disk.path} is full", hint="use a larger card, or free space where the file lies"
            )
        case errno.EROFS:
            return DeviceError(
                f"{disk.path} is write-protected",
                hint="move the lock slider of the card, or of its adapter",
            )
        case errno.EACCES | errno.EPERM:
            return DeviceError(
                f"{disk.path}: no permission to write",
                hint="run with sudo, or join the group that may write disks",
            )
        case errno.EBUSY:
            return DeviceError(
                f"{disk.path} is in use", hint="unmount it, and close what has it open"
            )
        case errno.EIO | errno.ENXIO | errno.ENODEV | errno.ENOMEDIUM:
            return DeviceError(
                f"{disk.path} fails: {error.strerror}",
                hint="was it pulled out? try another card or reader, then write again",
            )
    return DeviceError(f"{disk.path}: {error.strerror}")
