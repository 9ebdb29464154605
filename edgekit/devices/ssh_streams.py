"""The streams of a program on an SSH channel: threads move its bytes, because paramiko can only
wait for one stream at a time. Owns neither deadlines nor the connection."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator

import paramiko

from edgekit.devices.pump import Capped, Sink
from edgekit.errors import TransportError

CHUNK_BYTES = 128 << 10
GONE = "check the network and the board's power, then run again"
LEFTOVER_S = 0.3
"""Output that comes so long after the program's end comes from something it left running."""
POLL_S = 0.05
STATUS_S = 0.5
"""How long the exit status may come after the end of the output."""
STARTED = 17
"""Where among the fields of /proc/PID/stat, counted from the process group, the start time of the
process is."""


class MarkedOutput:
    """Standard output behind the wrapper's marker line. What comes before that line is the login
    shell's and is dropped, and is `prelude` until then; what comes after goes on to `sink`.

    The line says which process group the program is (`group`), and when its first process was
    started (`started`, in ticks since boot)."""

    def __init__(self, marker: str, sink: Capped) -> None:
        self.sink = sink
        self.group: int | None = None
        self.started = ""
        self._marker: bytes | None = marker.encode() + b" "
        self._prelude = bytearray()

    @property
    def started_program(self) -> bool:
        return self._marker is None

    @property
    def prelude(self) -> bytes:
        return bytes(self._prelude)

    def add(self, chunk: bytes) -> None:
        if self._marker is not None:
            chunk = self._after(self._marker, chunk)
        if chunk:
            self.sink.add(chunk)

    def _after(self, marker: bytes, chunk: bytes) -> bytes:
        self._prelude += chunk
        start = self._prelude.find(marker)
        end = self._prelude.find(b"\n", start)
        if start < 0 or end < 0:
            del self._prelude[: -(1 << 16)]
            return b""
        fields = self._prelude[start + len(marker) : end].decode("ascii", "replace").split()
        if len(fields) > STARTED and fields[0].isdigit():
            self.group, self.started = int(fields[0]), fields[STARTED]
        rest = bytes(self._prelude[end + 1 :])
        self._marker, self._prelude = None, bytearray()
        return rest


class Streams:
    """A program on a channel, for `pump`: three threads move its bytes, and `move` waits for them.

    `require_link` is called now and then and raises TransportError when the connection is dead."""

    def __init__(
        self,
        channel: paramiko.Channel,
        command: str,
        stdin: Iterator[bytes],
        stdout: Sink,
        stderr: Sink,
        require_link: Callable[[], None],
    ) -> None:
        self.leftover = False
        """Whether the program has ended but something it left behind still holds its output
        open."""
        self._channel = channel
        self._require_link = require_link
        self._moved_at = time.monotonic()
        self._failure: BaseException | None = None
        self._changed = threading.Event()
        self._readers = [
            threading.Thread(target=self._read, args=stream, daemon=True)
            for stream in ((channel.recv, stdout), (channel.recv_stderr, stderr))
        ]
        writer = threading.Thread(target=self._write, args=(command, stdin), daemon=True)
        for thread in (*self._readers, writer):
            thread.start()

    @property
    def moved_at(self) -> float:
        """What the board takes from the buffers on the way counts too: see Transport."""
        return max(self._moved_at, getattr(self._channel, "taken_at", 0.0))

    def move(self, longest_s: float) -> bool:
        if self._failure is None and not self._ended():
            self._require_link()
            self._changed.wait(min(longest_s, POLL_S))
            self._changed.clear()
            return True
        if self._failure is not None:
            raise self._failure
        return False

    def await_group(self, output: MarkedOutput, longest_s: float) -> None:
        """Go on reading until the process group is known. A wait that ends early (Ctrl-C, a
        deadline) may end before it is, and a program whose group is not known cannot be killed."""
        until = time.monotonic() + longest_s
        while output.group is None and time.monotonic() < until and self._readers[0].is_alive():
            time.sleep(POLL_S / 10)

    def _ended(self) -> bool:
        if any(thread.is_alive() for thread in self._readers):
            ended = self._channel.status_event.is_set()
            self.leftover = ended and time.monotonic() - self._moved_at > LEFTOVER_S
            return self.leftover
        return self._channel.status_event.wait(STATUS_S) or self._channel.closed

    def _read(self, receive: Callable[[int], bytes], sink: Sink) -> None:
        try:
            while chunk := receive(CHUNK_BYTES):
                self._moved_at = time.monotonic()
                sink.add(chunk)
        except (OSError, EOFError):
            return
        except BaseException as error:  # a callback's; `move` raises it
            self._fail(error)
        finally:
            self._changed.set()

    def _write(self, command: str, chunks: Iterator[bytes]) -> None:
        try:
            self._channel.exec_command(command)
        except Exception as error:
            reason = str(error) or type(error).__name__
            self._fail(TransportError(f"lost the connection: {reason}", hint=GONE))
            return
        try:
            for chunk in chunks:
                if not self._send(chunk):
                    return
                self._moved_at = time.monotonic()
        except BaseException as error:  # of the file that is sent, or a callback's
            self._fail(error)
            return
        with contextlib.suppress(Exception):
            self._channel.shutdown_write()

    def _send(self, chunk: bytes) -> bool:
        """False when the program closed its input or the session ended: its status tells."""
        try:
            self._channel.sendall(chunk)
        except Exception:
            return False
        return True

    def _fail(self, error: BaseException) -> None:
        self._failure = error
        self._changed.set()
