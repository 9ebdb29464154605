"""A device over SSH: programs and files through exec channels only, so that a board needs nothing
but sshd, a POSIX shell and `cat`.

Every program runs as `exec sh -c 'say where you are; exec "$@"' edgekit ARGV…`: the login shell may
print what it likes before the marker line, the line carries the process group that is killed on a
deadline, and `exec` keeps the exit status or signal the program's own. ARGV is quoted in one place.

A program may be silent for as long as it likes, a link may not: the server is asked for a sign of
life now and then, and a connection over which none comes is closed, so that nothing waits for it.
What runs when a connection is lost has failed; the next program finds a new connection, so that
what was left running can be ended, the lock released, and a reboot told from a broken cable.

Host keys are always verified; an unknown or changed key is an IdentityError and nothing is sent.
Knows no SFTP: `cat` is as fast, reports a full disk truthfully, and is there where the SFTP
subsystem is not."""

from __future__ import annotations

import contextlib
import secrets
import shlex
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, cast

import paramiko

from edgekit.devices import Completed, Progress
from edgekit.devices.shell import KILL, PULL, PUSH, absolute, last_line
from edgekit.devices.ssh_transport import Transport
from edgekit.devices.target import Timeouts
from edgekit.errors import DeadlinePassed, DeviceError, ResultError, TransportError

CHUNK_BYTES = 128 << 10
GONE = "check the network and the board's power, then run again"
LEFTOVER_S = 0.3
"""Output that comes so long after the program's end is not its own."""
ASK_EVERY_S = 10.0
"""How often a server is asked for a sign of life; more often where a target's `no_progress_seconds`
are few."""
LAST_WORDS_S = 5.0
"""How long a connection gets to end a program, or to close a channel, before it is given up
itself."""
WRAPPER = (
    'read -r a b c d group rest <"/proc/$$/stat"; printf "%s %s\\n" "$1" "$group $rest"; shift;'
    ' exec "$@"'
)
STARTED = 17
"""Where among the fields of /proc/PID/stat, from the group on, a process says when it was
started."""


Reach = Callable[[bool], Sequence[paramiko.SSHClient]]
"""Makes an authenticated client, and those it is tunnelled through after it; whether the user may
be asked for anything."""


class SshDevice:
    """A board over an authenticated connection, which `close` closes. One that was lost is made
    anew once it is needed, as long as that works."""

    def __init__(self, name: str, reach: Reach, timeouts: Timeouts) -> None:
        self.name = name
        self._timeouts = timeouts
        self._clients: Sequence[paramiko.SSHClient] = ()
        self._connect(reach, ask=True)
        self._reach: Reach | None = reach

    def run(
        self,
        argv: Sequence[str],
        *,
        timeout_s: float,
        no_progress_s: float | None = None,
        stdin: bytes = b"",
        max_stdout_bytes: int = 64 << 20,
        max_stderr_bytes: int = 1 << 20,
        on_stdout: Callable[[bytes], None] | None = None,
    ) -> Completed:
        stdout, stderr = Capped(max_stdout_bytes, on_stdout), Capped(max_stderr_bytes)
        chunks = (stdin[start : start + CHUNK_BYTES] for start in range(0, len(stdin), CHUNK_BYTES))
        return self._execute(
            argv, chunks, stdout, stderr, timeout_s=timeout_s, no_progress_s=no_progress_s
        )

    def push(
        self, local: Path, remote: str, *, mode: int = 0o644, progress: Progress | None = None
    ) -> None:
        with local.open("rb") as stream:
            argv = ["sh", "-c", PUSH, "edgekit", absolute(remote), f"{mode:o}"]
            done = self._transfer(argv, _chunks(stream, progress), Capped(1 << 16))
        if not done.ok:
            raise DeviceError(
                f"{self.name}: cannot write {remote}: {last_line(done.stderr)}",
                hint="check free space and permissions on the device",
            )

    def pull(
        self, remote: str, local: Path, *, max_bytes: int, progress: Progress | None = None
    ) -> None:
        try:
            with local.open("wb") as stream:
                self._pull(remote, stream, max_bytes, progress)
        except BaseException:
            local.unlink(missing_ok=True)
            raise

    def _pull(
        self, remote: str, stream: BinaryIO, max_bytes: int, progress: Progress | None
    ) -> None:
        def keep(chunk: bytes) -> None:
            stream.write(chunk)
            if progress is not None:
                progress(len(chunk))

        argv = ["sh", "-c", PULL, "edgekit", absolute(remote)]
        done = self._transfer(argv, iter(()), Capped(max_bytes, keep, collect=False))
        if done.stdout_truncated:
            raise ResultError(
                f"{self.name}: {remote} is larger than {max_bytes} bytes",
                hint="the device sent more than was expected",
            )
        if not done.ok:
            raise DeviceError(
                f"{self.name}: cannot read {remote}: {last_line(done.stderr)}",
                hint="check that the file is there and readable",
            )

    def close(self) -> None:
        self._reach = None
        self._drop()

    def _drop(self) -> None:
        for client in reversed(
            self._clients
        ):  # the way there first: what runs inside would say goodbye, and wait where nothing moves
            client.close()

    def _connect(self, reach: Reach, *, ask: bool) -> Transport:
        self._clients = reach(ask)
        transport = self._transport()
        if transport is None:
            raise TransportError(f"{self.name}: the connection broke at once", hint=GONE)
        transport.keep_asking(min(ASK_EVERY_S, self._timeouts.no_progress_seconds / 3))
        return transport

    def _transport(self) -> Transport | None:
        """The connection, if there is one."""
        transport = cast(Transport | None, self._clients[0].get_transport())
        return transport if transport is not None and transport.is_active() else None

    def _transfer(self, argv: Sequence[str], chunks: Iterator[bytes], stdout: Capped) -> Completed:
        total_s, no_progress_s = self._timeouts.transfer_seconds, self._timeouts.no_progress_seconds
        return self._execute(
            argv, chunks, stdout, Capped(1 << 16), timeout_s=total_s, no_progress_s=no_progress_s
        )

    def _execute(
        self,
        argv: Sequence[str],
        stdin: Iterator[bytes],
        stdout: Capped,
        stderr: Capped,
        *,
        timeout_s: float,
        no_progress_s: float | None,
    ) -> Completed:
        started = time.monotonic()
        marker = secrets.token_hex(8)
        command = "exec " + shlex.join(["sh", "-c", WRAPPER, "edgekit", marker, *argv])
        channel = self._open(timeout_s)
        stdout.wait_for(marker)
        pumps = Pumps(channel, command, stdin, stdout, stderr)
        try:
            pumps.wait(timeout_s, no_progress_s, self._require_link)
            if channel.exit_status == -1 and not hasattr(channel, "exit_signal"):
                raise TransportError("the connection broke", hint=GONE)
            if pumps.leftover:
                self._kill(stdout)
        except TransportError as error:
            self._kill(stdout)
            raise type(error)(f"{self.name}: {argv[0]}: {error.message}", hint=error.hint) from None
        except BaseException:
            if self._transport():
                self._kill(stdout)
            raise
        finally:
            self._hang_up(channel)
        if stdout.group is None and channel.exit_status == 0:
            raise TransportError(
                f"{self.name}: the login shell did not run the program",
                hint="the device's login shell must run `exec sh -c …`",
            )
        return self._completed(argv, channel, stdout, stderr, time.monotonic() - started)

    def _completed(
        self,
        argv: Sequence[str],
        channel: paramiko.Channel,
        stdout: Capped,
        stderr: Capped,
        seconds: float,
    ) -> Completed:
        name = getattr(channel, "exit_signal", None)
        number = getattr(signal, f"SIG{name}", signal.SIGTERM).value if name else None
        missing = channel.exit_status in (126, 127) and b"exec:" in stderr.content
        if missing or (
            channel.exit_status in (126, 127) and stderr.content.startswith(b"edgekit:")
        ):
            raise DeviceError(
                f"{self.name}: cannot start {argv[0]}: {last_line(stderr.content)}",
                hint="is the program installed and executable?",
            )
        exit_code = None if name else channel.exit_status
        return Completed(
            tuple(argv),
            exit_code,
            number,
            bytes(stdout.content),
            bytes(stderr.content),
            seconds,
            stdout.truncated,
            stderr.truncated,
        )

    def _open(self, timeout_s: float) -> paramiko.Channel:
        try:
            transport = self._transport() or self._connected_again()
            return transport.open_session(
                timeout=min(timeout_s, self._timeouts.no_progress_seconds)
            )
        except (
            Exception
        ) as error:  # whatever ended paramiko's thread, of the cryptography library's too
            raise TransportError(
                f"{self.name}: lost the connection: {str(error) or type(error).__name__}", hint=GONE
            ) from None

    def _connected_again(self) -> Transport:
        """A new connection, once the last is lost. What could not be reached again is not tried a
        second time."""
        reach, self._reach = self._reach, None
        if reach is None:
            raise EOFError("not connected")
        self._drop()
        transport = self._connect(reach, ask=False)
        self._reach = reach
        return transport

    def _require_link(self) -> None:
        """Give up a connection over which nothing comes any more, and raise TransportError."""
        transport, longest_s = self._transport(), self._timeouts.no_progress_seconds
        if transport is not None and transport.unanswered_s() > longest_s:
            self._drop()
            raise TransportError(f"no sign of life for {longest_s:g} s", hint=GONE)

    def _kill(self, stdout: Capped) -> None:
        """End a program's process group on the board: politely, then for good. Best effort: the
        board may be gone, and then the connection is given up."""
        if stdout.group is None:
            return
        started = (
            "" if self._transport() else stdout.started
        )  # over another connection it may be another group
        try:
            channel = self._open(LAST_WORDS_S)
            command = "exec " + shlex.join(
                ["sh", "-c", KILL, "edgekit", str(stdout.group), started]
            )
            Pumps(channel, command, iter(()), Capped(0), Capped(0)).wait(
                LAST_WORDS_S, None, self._require_link
            )
            self._hang_up(channel)
        except TransportError:
            self._drop()

    def _hang_up(self, channel: paramiko.Channel) -> None:
        """Close a channel. That sends a message, which waits for ever on a link that takes none."""

        def close() -> None:
            with contextlib.suppress(Exception):  # the link broke just now
                channel.close()

        closing = threading.Thread(target=close, daemon=True)
        closing.start()
        closing.join(LAST_WORDS_S)
        if closing.is_alive():
            self._drop()


class Capped:
    """Collects a stream up to a cap, hands each kept chunk on, and counts the rest as dropped.

    With `wait_for`, everything before the wrapper's marker line is the login shell's and is
    dropped; the line says which process group it is, and when its first process was started."""

    def __init__(
        self, cap: int, on_chunk: Callable[[bytes], None] | None = None, *, collect: bool = True
    ) -> None:
        self.content = bytearray()
        self.truncated = False
        self.group: int | None = None
        self.started = ""
        self._left = cap
        self._on_chunk = on_chunk
        self._collect = collect
        self._marker: bytes | None = None
        self._prelude = bytearray()

    def wait_for(self, marker: str) -> None:
        self._marker = marker.encode() + b" "

    def feed(self, chunk: bytes) -> None:
        if self._marker is not None:
            chunk = self._after_marker(chunk)
        kept = chunk[: self._left]
        self._left -= len(kept)
        self.truncated |= len(kept) < len(chunk)
        if kept and self._collect:
            self.content += kept
        if kept and self._on_chunk is not None:
            self._on_chunk(kept)

    def _after_marker(self, chunk: bytes) -> bytes:
        assert self._marker is not None
        self._prelude += chunk
        start = self._prelude.find(self._marker)
        end = self._prelude.find(b"\n", start)
        if start < 0 or end < 0:
            del self._prelude[: -(1 << 16)]
            return b""
        fields = self._prelude[start + len(self._marker) : end].decode("ascii", "replace").split()
        if len(fields) > STARTED and fields[0].isdigit():
            self.group, self.started = int(fields[0]), fields[STARTED]
        rest = bytes(self._prelude[end + 1 :])
        self._marker, self._prelude = None, bytearray()
        return rest


class Pumps:
    """Three threads that move a channel's streams, and the clock that watches them."""

    def __init__(
        self,
        channel: paramiko.Channel,
        command: str,
        stdin: Iterator[bytes],
        stdout: Capped,
        stderr: Capped,
    ) -> None:
        self._channel = channel
        self._last = time.monotonic()
        self._failure: BaseException | None = None
        self.leftover = False
        """Whether the program has ended but something it left behind still holds its output
        open."""
        self._changed = threading.Event()
        streams = ((channel.recv, stdout), (channel.recv_stderr, stderr))
        self._readers = [
            threading.Thread(target=self._read, args=stream, daemon=True) for stream in streams
        ]
        for thread in (
            *self._readers,
            threading.Thread(target=self._write, args=(command, stdin), daemon=True),
        ):
            thread.start()

    def wait(
        self, timeout_s: float, no_progress_s: float | None, require_link: Callable[[], None]
    ) -> None:
        """Until the program has ended and its output is read. Raises TransportError on a deadline,
        or what a callback raised."""
        deadline = time.monotonic() + timeout_s
        while not self._over():
            now = time.monotonic()
            if now > deadline:
                raise DeadlinePassed(
                    f"the program did not end within {timeout_s:g} s",
                    hint="give it more time, or see what it waits for",
                )
            if (
                no_progress_s is not None
                and now - max(self._last, getattr(self._channel, "taken_at", 0.0)) > no_progress_s
            ):
                raise DeadlinePassed(
                    f"nothing for {no_progress_s:g} s",
                    hint="the device or the network is stuck; check both, then run again",
                )
            require_link()
            self._changed.wait(0.05)
            self._changed.clear()
        if self._failure is not None:
            raise self._failure

    def _over(self) -> bool:
        if self._failure is not None:
            return True
        if any(thread.is_alive() for thread in self._readers):
            ended = self._channel.status_event.is_set()
            self.leftover = ended and time.monotonic() - self._last > LEFTOVER_S
            return self.leftover
        return self._channel.status_event.wait(0.5) or self._channel.closed

    def _read(self, receive: Callable[[int], bytes], sink: Capped) -> None:
        try:
            while chunk := receive(CHUNK_BYTES):
                self._last = time.monotonic()
                sink.feed(chunk)
        except (OSError, EOFError):
            return
        except BaseException as error:  # a callback's; re-raised by wait
            self._fail(error)
        finally:
            self._changed.set()

    def _write(self, command: str, chunks: Iterator[bytes]) -> None:
        try:
            self._channel.exec_command(command)
        except Exception as error:
            self._fail(
                TransportError(
                    f"lost the connection: {str(error) or type(error).__name__}", hint=GONE
                )
            )
            return
        try:
            for chunk in chunks:
                if not self._sent(chunk):
                    return
                self._last = time.monotonic()
        except (
            BaseException
        ) as error:  # of the file that is sent, or a callback's; re-raised by wait
            self._fail(error)
            return
        with contextlib.suppress(Exception):
            self._channel.shutdown_write()

    def _sent(self, chunk: bytes) -> bool:
        """False when the program closed its input or the session ended: its status tells."""
        try:
            self._channel.sendall(chunk)
        except Exception:
            return False
        return True

    def _fail(self, error: BaseException) -> None:
        self._failure = error
        self._changed.set()


def _chunks(stream: BinaryIO, progress: Progress | None) -> Iterator[bytes]:
    while chunk := stream.read(CHUNK_BYTES):
        yield chunk
        if progress is not None:
            progress(len(chunk))
