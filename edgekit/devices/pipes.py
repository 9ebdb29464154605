"""The pipes of a child process on this machine, fed and drained without blocking. Owns neither the
process nor its deadlines."""

from __future__ import annotations

import os
import selectors
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import IO

from edgekit.devices.pump import Sink

CHUNK_BYTES = 1 << 20


class Pipes:
    """Standard input, output and error of a process. Use as a context; the pipes themselves are
    closed by whoever opened them."""

    def __init__(
        self, process: subprocess.Popen[bytes], stdin: Iterator[bytes], stdout: Sink, stderr: Sink
    ) -> None:
        assert process.stdin
        assert process.stdout
        assert process.stderr
        self.moved_at = time.monotonic()
        self.reading = 2
        """How many of the two output streams have not ended yet."""
        self._stdin = process.stdin
        self._chunks = stdin
        self._unsent = memoryview(b"")
        self._drains = ((process.stdout, stdout), (process.stderr, stderr))
        self._selector = selectors.DefaultSelector()
        os.set_blocking(process.stdin.fileno(), False)
        self._selector.register(process.stdin, selectors.EVENT_WRITE, self._feed)
        for pipe, sink in self._drains:
            os.set_blocking(pipe.fileno(), False)
            self.on_readable(pipe, partial(self._drain, pipe, sink))

    def __enter__(self) -> Pipes:
        return self

    def __exit__(self, *_: object) -> None:
        self._selector.close()

    def on_readable(self, file: IO[bytes] | int, call: Callable[[], None]) -> None:
        """Call something in `move` whenever a file can be read."""
        self._selector.register(file, selectors.EVENT_READ, call)

    def move(self, longest_s: float) -> None:
        """Move what can be moved, once; wait for it for at most `longest_s`."""
        for key, _ in self._selector.select(longest_s):
            key.data()

    def end_input(self) -> None:
        """Give the process no more input; what was not taken yet is dropped."""
        self._unsent = memoryview(b"")
        self._chunks = iter(())

    def read_rest(self, longest_s: float) -> None:
        """Read what is in the pipes already, without waiting for more."""
        until = time.monotonic() + longest_s
        for pipe, sink in self._drains:
            with suppress(BlockingIOError):
                while time.monotonic() < until and (chunk := os.read(pipe.fileno(), CHUNK_BYTES)):
                    sink.add(chunk)

    def _drain(self, pipe: IO[bytes], sink: Sink) -> None:
        if chunk := os.read(pipe.fileno(), CHUNK_BYTES):
            sink.add(chunk)
            self.moved_at = time.monotonic()
        else:
            self._selector.unregister(pipe)
            self.reading -= 1

    def _feed(self) -> None:
        if not self._unsent:
            self._unsent = memoryview(next(self._chunks, b""))
        if not self._unsent:
            self._selector.unregister(self._stdin)
            self._stdin.close()
            return
        with suppress(BlockingIOError):
            try:
                written = os.write(self._stdin.fileno(), self._unsent[:CHUNK_BYTES])
            except BrokenPipeError:  # a program that does not read its input is no error
                self.end_input()
                return
            self._unsent = self._unsent[written:]
            self.moved_at = time.monotonic()
