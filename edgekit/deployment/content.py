"""A file of this host that a device needs, known by its hash."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Content:
    """A file of this host that a device needs."""

    path: Path
    sha256: str
    bytes: int
    mode: int = 0o644

    def starts_with(self, size: int, digest: str | None) -> bool:
        """Whether the first `size` bytes have this hash."""
        if digest is None or not 0 < size <= self.bytes:
            return False
        if size == self.bytes:
            return digest == self.sha256
        hasher = hashlib.sha256()
        with self.path.open("rb") as stream:
            while size and (chunk := stream.read(min(size, 1 << 20))):
                hasher.update(chunk)
                size -= len(chunk)
        return size == 0 and hasher.hexdigest() == digest
