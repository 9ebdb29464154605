"""Waiting for a program that runs on a device: one loop with all deadlines, for every transport.

Owns when a program is given up, and how much of its output is kept. Knows no transport: how bytes
move, and how a program is killed, is in local.py, adb_client.py and ssh_streams.py."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO, Protocol

from edgekit.cancel import Cancel
from edgekit.devices import SLICE_S, Progress
from edgekit.errors import DeadlinePassed


@dataclass(frozen=True)
class Limits:
    """How long a program may take. `started` is a reading of `time.monotonic`; `no_progress_s` is
    how long no byte may move either way (None: for ever)."""

    started: float
    timeout_s: float
    no_progress_s: float | None = None


class Running(Protocol):
    """A program that runs, as far as its bytes are concerned."""

    @property
    def moved_at(self) -> float:
        """When a byte moved last, by `time.monotonic`."""
        ...

    def move(self, longest_s: float) -> bool:
        """Move the bytes that can be moved, and wait for them for at most `longest_s`. False once
        the program has ended and its output was read.

        Raises what a transport finds wrong on the way, and what a callback raised."""
        ...


def pump(program: Running, name: str, limits: Limits, cancel: Cancel) -> None:
    """Move a program's bytes until it has ended. `name` is what messages call it.

    Raises DeadlinePassed when a limit is reached, and KeyboardInterrupt when `cancel` is requested.
    The caller kills what still runs then."""
    deadline = limits.started + limits.timeout_s
    while True:
        cancel.check()
        until = deadline
        if limits.no_progress_s is not None:
            until = min(deadline, program.moved_at + limits.no_progress_s)
        if not program.move(min(SLICE_S, max(0.0, until - time.monotonic()))):
            return
        _require_time(name, limits, program.moved_at)


def _require_time(name: str, limits: Limits, moved_at: float) -> None:
    now = time.monotonic()
    if now >= limits.started + limits.timeout_s:
        raise DeadlinePassed(
            f"{name} was killed: it did not end within {limits.timeout_s:g} s",
            hint="give it more time, or see why it hangs",
        )
    if limits.no_progress_s is not None and now >= moved_at + limits.no_progress_s:
        raise DeadlinePassed(
            f"{name} was killed: nothing for {limits.no_progress_s:g} s",
            hint="see whether the program, the device or the network hangs, then run again",
        )


class Capped:
    """Output up to a number of bytes; what comes after is dropped and counted as truncated. Without
    `collect` only the observer gets it."""

    def __init__(
        self,
        max_bytes: int,
        observer: Callable[[bytes], None] | None = None,
        *,
        collect: bool = True,
    ) -> None:
        self.data = bytearray()
        self.truncated = False
        self._left = max_bytes
        self._observer = observer
        self._collect = collect

    def add(self, chunk: bytes) -> None:
        fitting = chunk[: self._left]
        self._left -= len(fitting)
        self.truncated = self.truncated or len(fitting) < len(chunk)
        if self._collect:
            self.data += fitting
        if fitting and self._observer is not None:
            self._observer(fitting)


class Sink(Protocol):
    """Where a stream of a program goes."""

    def add(self, chunk: bytes) -> None: ...


def slices(data: bytes, chunk_bytes: int) -> Iterator[bytes]:
    """Input for a program, in pieces."""
    for start in range(0, len(data), chunk_bytes):
        yield data[start : start + chunk_bytes]


def file_chunks(stream: IO[bytes], chunk_bytes: int, progress: Progress | None) -> Iterator[bytes]:
    """A file as input for a program. `progress` is told of a piece when the next one is asked for:
    the transport has taken it then."""
    while chunk := stream.read(chunk_bytes):
        yield chunk
        if progress is not None:
            progress(len(chunk))
