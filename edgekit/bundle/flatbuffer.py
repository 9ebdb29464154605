"""Reading a flatbuffer that somebody else wrote, field by field. Owns the walk through tables and
lists; what the fields of a format mean is model_file.py's."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

from flatbuffers.table import Table

MAX_VECTOR = 1 << 20


@dataclass(frozen=True)
class Reader:
    """A table of a flatbuffer at a place in the file. Fields that are not there have their default.

    Raises ValueError, IndexError, TypeError, OverflowError and struct.error for what is damaged."""

    data: bytes
    at: int

    @classmethod
    def of_file(cls, data: bytes) -> Reader:
        """The root table."""
        return cls(data, struct.unpack_from("<I", data)[0])

    def number(self, field: int, kind: Any) -> int:
        offset = self._offset(field)
        return self._table.Get(kind, self.at + offset) if offset else 0

    def table(self, field: int) -> Reader | None:
        offset = self._offset(field)
        return Reader(self.data, self._table.Indirect(self.at + offset)) if offset else None

    def tables(self, field: int) -> list[Reader]:
        return [Reader(self.data, self._table.Indirect(place)) for place in self._places(field, 4)]

    def numbers(self, field: int, kind: Any) -> list[Any]:
        return [self._table.Get(kind, place) for place in self._places(field, kind.bytewidth)]

    def text(self, field: int) -> str:
        offset = self._offset(field)
        return self._table.String(self.at + offset).decode("utf-8", "replace") if offset else ""

    @property
    def _table(self) -> Any:
        if not 0 < self.at < len(self.data):
            raise ValueError("a place outside the file")
        return Table(self.data, self.at)

    def _offset(self, field: int) -> int:
        return int(self._table.Offset(4 + 2 * field))

    def _places(self, field: int, width: int) -> list[int]:
        offset = self._offset(field)
        if not offset:
            return []
        count = self._table.VectorLen(offset)
        start = self._table.Vector(offset)
        if count > MAX_VECTOR or start + count * width > len(self.data):
            raise ValueError("a list longer than the file")
        return [start + index * width for index in range(count)]
