"""One run of the adb client: what it is to start on a device, feeding and draining it, and what is
said there between the lines. Decides nothing."""

from __future__ import annotations

import contextlib
import os
import re
import selectors
import shlex
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from edgekit.devices import SLICE_S
from edgekit.devices.adb_server import find_adb
from edgekit.devices.local import Capped

PIPE_BYTES = 1 << 20
"""To and from the adb client: fewer turns between it and this process, which a large file feels."""
LEFTOVER_S = 0.3
"""Output that comes so long after the program's end is not its own."""
Met = Literal["deadline", "no progress", "silence", "leftover"]
"""It takes too long; nothing moved for `no_progress_s`; nothing moved for `silence_s`, said each
time; the program has ended, but something it left behind holds its output open, said once."""

WRAPPER = r"""
echo "$0 group $$" >&2
exec 8>&1 9>&2
said=$( { ( exec 1>&8 2>&9 8>&- 9>&-; exec "$@" ); code=$?; exit $code; } 2>&1 )
code=$?
trap "" TERM
kill -TERM 0
if [ -n "$said" ]; then echo "$0 signal" >&9; else echo "$0 end" >&9; fi
cat >/dev/null
exit $code
"""
"""ARGV, with the nonce as the script's name, so that the shell's own complaints start with it. Ends
what the program left in its group. Reads what input is left, since adbd drops the output of a
program that does not read its own."""


@dataclass(frozen=True)
class Limits:
    """How long a run may take, in seconds; `started` is in those of `time.monotonic`."""

    started: float
    timeout_s: float
    no_progress_s: float | None
    silence_s: float


def command(serial: str, argv: Sequence[str]) -> list[str]:
    """The adb client's own argv. What it hands to the device's shell is quoted here and nowhere
    else."""
    return [find_adb(), "-s", serial, "shell", "-T", "exec " + shlex.join(argv)]


@contextlib.contextmanager
def running(serial: str, argv: Sequence[str]) -> Iterator[subprocess.Popen[bytes]]:
    """An adb client that starts `argv` on a device. In a session of its own, so that Ctrl-C meets
    edgekit first."""
    client = subprocess.Popen(
        command(serial, argv),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        bufsize=0,
        pipesize=PIPE_BYTES,
    )
    try:
        yield client
    finally:
        client.kill()
        client.wait()
        for stream in (client.stdin, client.stdout, client.stderr):
            if stream:
                stream.close()


class Said:
    """Standard error of the wrapper: what the program wrote goes on to `sink`, the wrapper's own
    lines are taken out.

    `group` is the process group, None as long as the wrapper does not run; `last` is how the
    program ended, once it has."""

    def __init__(self, nonce: str, sink: Capped) -> None:
        self.sink = sink
        self.group: int | None = None
        self.last: str | None = None
        self.last_at = 0.0
        self._opening = re.compile(rb"%s group (\d{1,10})\n" % nonce.encode())
        self._ending = re.compile(rb"%s (end|signal)\n" % nonce.encode())
        self._longest = len(nonce) + len(" signal\n")
        self._held = bytearray()

    @property
    def prelude(self) -> bytes:
        """What adb itself said when the wrapper did not start."""
        return bytes(self._held)

    def add(self, chunk: bytes) -> None:
        self._held += chunk
        if self.group is None:
            opening = self._opening.search(self._held)
            if opening is None:
                del self._held[: -(1 << 14)]
                return
            self.group = int(opening[1])
            del self._held[: opening.end()]
        if ending := self._ending.search(self._held):
            self.last, self.last_at = ending[1].decode(), time.monotonic()
            del self._held[ending.start() : ending.end()]
        keep = 0 if self.last else self._longest
        ready = len(self._held) - keep
        if ready > 0:
            self.sink.add(bytes(self._held[:ready]))
            del self._held[:ready]


def pump(
    client: subprocess.Popen[bytes],
    chunks: Iterator[bytes],
    stdout: Capped,
    stderr: Said,
    limits: Limits,
) -> Iterator[Met]:
    """Feed and drain an adb client until its streams end, or it takes too long. Yields what was met
    on the way."""
    assert client.stdin
    assert client.stdout
    assert client.stderr
    sinks: dict[int, Capped | Said] = {
        client.stdout.fileno(): stdout,
        client.stderr.fileno(): stderr,
    }
    unsent = memoryview(b"")
    deadline, no_progress_s = limits.started + limits.timeout_s, limits.no_progress_s
    progressed_at, leftover = time.monotonic(), False
    silent_at = progressed_at
    with selectors.DefaultSelector() as selector:
        for pipe in (client.stdin, client.stdout, client.stderr):
            os.set_blocking(pipe.fileno(), False)
            selector.register(
                pipe, selectors.EVENT_WRITE if pipe is client.stdin else selectors.EVENT_READ
            )
        while any(key.fd in sinks for key in selector.get_map().values()):
            now = time.monotonic()
            until = min(
                deadline, deadline if no_progress_s is None else progressed_at + no_progress_s
            )
            if now >= until:
                yield "deadline" if now >= deadline else "no progress"
                return
            if now - max(progressed_at, silent_at) >= limits.silence_s:
                yield "silence"
                silent_at = time.monotonic()
            if stderr.last and not leftover:
                if (
                    now - max(stderr.last_at, progressed_at) > LEFTOVER_S
                    or now - stderr.last_at > 5 * LEFTOVER_S
                ):
                    leftover = True
                    yield "leftover"
                until = min(until, now + LEFTOVER_S / 2)
            for key, _ in selector.select(min(SLICE_S, max(0.0, until - now))):
                if key.fd in sinks:
                    if chunk := os.read(key.fd, 1 << 20):
                        sinks[key.fd].add(chunk)
                        progressed_at = time.monotonic()
                    else:
                        selector.unregister(key.fileobj)
                    continue
                if not unsent and not stderr.last:
                    unsent = memoryview(next(chunks, b""))
                if unsent and not stderr.last:
                    unsent = _feed(key.fd, unsent)
                    progressed_at = time.monotonic()
                else:
                    selector.unregister(key.fileobj)
                    client.stdin.close()


def _feed(fd: int, unsent: memoryview) -> memoryview:
    """Write what fits now. What a client that has ended does not take is dropped."""
    try:
        return unsent[os.write(fd, unsent) :]
    except BlockingIOError:
        return unsent
    except BrokenPipeError:
        return unsent[:0]
