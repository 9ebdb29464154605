"""One run of the adb client: what it starts on a device, and what the wrapper there reports about
the program. Decides nothing."""

from __future__ import annotations

import contextlib
import os
import re
import select
import shlex
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence

from edgekit.devices.adb_server import find_adb
from edgekit.devices.pipes import Pipes
from edgekit.devices.pump import Capped

PIPE_BYTES = 1 << 20
"""To and from the adb client: fewer turns between it and this process, which a large file feels."""
LEFTOVER_S = 0.3
"""Output that comes so long after the program's end comes from something it left running."""

WRAPPER = r"""
echo "$0 group $$" >&2
exec 8>&1 9>&2
shell_says=$( { ( exec 1>&8 2>&9 8>&- 9>&-; exec "$@" ); code=$?; exit $code; } 2>&1 )
code=$?
trap "" TERM
kill -TERM 0
if [ -n "$shell_says" ]; then echo "$0 signal" >&9; else echo "$0 end" >&9; fi
cat >/dev/null
exit $code
"""
"""ARGV, with the nonce as the script's name, so that the shell's own complaints start with it. Ends
what the program left in its group. Reads what input is left, since adbd drops the output of a
program that does not read its own."""


def command(serial: str, argv: Sequence[str]) -> list[str]:
    """The adb client's own argv. What it hands to the device's shell is quoted here and nowhere
    else."""
    return [find_adb(), "-s", serial, "shell", "-T", "exec " + shlex.join(argv)]


@contextlib.contextmanager
def running(serial: str, argv: Sequence[str]) -> Iterator[subprocess.Popen[bytes]]:
    """An adb client that starts `argv` on a device. It has its own session, so that Ctrl-C
    reaches edgekit only."""
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


class WrapperOutput:
    """Standard error of the wrapper: what the program wrote goes on to `sink`, the wrapper's own
    lines are taken out.

    `group` is the process group, None as long as the wrapper does not run; `ended_by` is how the
    program ended ("end" or "signal"), once it has."""

    def __init__(self, nonce: str, sink: Capped) -> None:
        self.sink = sink
        self.group: int | None = None
        self.ended_by: str | None = None
        self.ended_at = 0.0
        self._opening = re.compile(rb"%s group (\d{1,10})\n" % nonce.encode())
        self._ending = re.compile(rb"%s (end|signal)\n" % nonce.encode())
        self._longest = len(nonce) + len(" signal\n")
        self._pending = bytearray()

    @property
    def prelude(self) -> bytes:
        """What adb itself printed when the wrapper did not start."""
        return bytes(self._pending)

    def add(self, chunk: bytes) -> None:
        self._pending += chunk
        if self.group is None:
            opening = self._opening.search(self._pending)
            if opening is None:
                del self._pending[: -(1 << 14)]
                return
            self.group = int(opening[1])
            del self._pending[: opening.end()]
        if ending := self._ending.search(self._pending):
            self.ended_by, self.ended_at = ending[1].decode(), time.monotonic()
            del self._pending[ending.start() : ending.end()]
        held_back = 0 if self.ended_by else self._longest  # the start of a line of the wrapper
        ready = len(self._pending) - held_back
        if ready > 0:
            self.sink.add(bytes(self._pending[:ready]))
            del self._pending[:ready]


def await_group(client: subprocess.Popen[bytes], output: WrapperOutput, longest_s: float) -> None:
    """Read standard error until the process group is known. A wait that ends early (Ctrl-C, a
    deadline) may end before it is, and a program whose group is not known cannot be killed."""
    assert client.stderr
    until = time.monotonic() + longest_s
    while output.group is None and (left_s := until - time.monotonic()) > 0:
        if not select.select([client.stderr], [], [], left_s)[0]:
            return
        chunk = os.read(client.stderr.fileno(), PIPE_BYTES)
        if not chunk:
            return
        output.add(chunk)


class Client:
    """A program behind a running adb client, for `pump`.

    `on_silence` is called when nothing moved for `silence_s`, and again each time that is over; it
    raises when the device is gone. `on_leftover` is called once, when the program has ended but
    something it left behind still holds its output open."""

    def __init__(
        self,
        pipes: Pipes,
        stderr: WrapperOutput,
        silence_s: float,
        on_silence: Callable[[], None],
        on_leftover: Callable[[], None],
    ) -> None:
        self._pipes = pipes
        self._stderr = stderr
        self._silence_s = silence_s
        self._on_silence = on_silence
        self._on_leftover = on_leftover
        self._silent_at = time.monotonic()
        self._leftover_ended = False

    @property
    def moved_at(self) -> float:
        return self._pipes.moved_at

    def move(self, longest_s: float) -> bool:
        if time.monotonic() - max(self.moved_at, self._silent_at) >= self._silence_s:
            self._on_silence()
            self._silent_at = time.monotonic()
        if self._stderr.ended_by:
            self._pipes.end_input()
            self._end_leftover()
            longest_s = min(longest_s, LEFTOVER_S / 2)
        self._pipes.move(longest_s)
        return self._pipes.reading > 0

    def _end_leftover(self) -> None:
        now, ended_at = time.monotonic(), self._stderr.ended_at
        quiet = now - max(ended_at, self.moved_at) > LEFTOVER_S
        if not self._leftover_ended and (quiet or now - ended_at > 5 * LEFTOVER_S):
            self._leftover_ended = True
            self._on_leftover()
