"""Many small things in one stream: tar archives from the host to a device, which unpacks them with
one program. Never the other way.

One program for each of 2,000 files costs a device seconds; one for all of them a tenth of one.
GNU's format, because busybox and toybox read its long names too."""

from __future__ import annotations

import tarfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from edgekit.deployment.content import Content
from edgekit.errors import UsageError

PACKED_BYTES = 256 << 10
"""Content up to this size is packed."""
PACK_BYTES = 4 << 20
END = bytes(2 * tarfile.BLOCKSIZE)
PACK_S = 1200.0
"""For a pack over a link of 4 kB/s."""


@dataclass(frozen=True)
class Pack:
    """An archive that holds each content under its hash."""

    content: tuple[Content, ...]
    archive: bytes


def packs(content: Iterable[Content]) -> Iterator[Pack]:
    """Archives of about PACK_BYTES, in order. Raises UsageError: a file of the host is not what it
    was."""
    for group in _groups(content):
        entries = []
        for item in group:
            header = tarfile.TarInfo(item.sha256)
            header.size, header.mode = item.bytes, item.mode
            entries += [
                header.tobuf(tarfile.GNU_FORMAT),
                _read(item),
                bytes(-item.bytes % tarfile.BLOCKSIZE),
            ]
        yield Pack(tuple(group), b"".join([*entries, END]))


def links(targets: dict[str, str]) -> bytes:
    """An archive of symbolic links, by name."""
    entries = []
    for name, target in targets.items():
        header = tarfile.TarInfo(name)
        header.type, header.linkname = tarfile.SYMTYPE, target
        entries.append(header.tobuf(tarfile.GNU_FORMAT))
    return b"".join([*entries, END])


def _read(item: Content) -> bytes:
    try:
        data = item.path.read_bytes()
    except OSError as error:
        raise UsageError(f"{item.path}: cannot be read: {error.strerror}") from None
    if len(data) != item.bytes:
        raise UsageError(f"{item.path}: it changed while it was deployed", hint="run it again")
    return data


def _groups(content: Iterable[Content]) -> Iterator[Sequence[Content]]:
    group: list[Content] = []
    size = 0
    for item in content:
        if group and size + item.bytes > PACK_BYTES:
            yield group
            group, size = [], 0
        group.append(item)
        size += item.bytes + tarfile.BLOCKSIZE
    if group:
        yield group
