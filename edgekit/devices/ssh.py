"""A device over SSH: programs and files through exec channels only, so that a board needs nothing
but sshd, a POSIX shell and `cat`.

Every program runs as `exec sh -c 'print the marker line; exec "$@"'`. The login shell may print
anything before the marker line; when there is no such line, that is shown. The line names the
process group, which is killed on a deadline. `exec` keeps the program's own exit status or signal.
ARGV is quoted in one place (ssh_shell.py).

A program may be silent for any time, a link may not: the server is asked for a sign of life now and
then, and a connection over which none comes is closed. A program that runs when a connection is
lost has failed. The next program gets a new connection, which serves to end what was left running,
to release the lock, and to tell a reboot from a broken cable.

Host keys are always verified; an unknown or changed key is an IdentityError and nothing is sent.
Knows no SFTP: `cat` is as fast, reports a full disk truthfully, and is there where the SFTP
subsystem is not."""

from __future__ import annotations

import contextlib
import secrets
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, cast

import paramiko

from edgekit.cancel import Cancel
from edgekit.devices import CompletedProgram, Progress, ssh_shell
from edgekit.devices.pump import Capped, Limits, file_chunks, pump, slices
from edgekit.devices.shell import KILL, PULL, PUSH, absolute, last_line
from edgekit.devices.ssh_streams import CHUNK_BYTES, GONE, MarkedOutput, Streams
from edgekit.devices.ssh_transport import Transport
from edgekit.devices.target_sections import Timeouts
from edgekit.errors import DeadlinePassed, DeviceError, ResultError, TransportError

ASK_EVERY_S = 10.0
"""How often a server is asked for a sign of life; more often where a target's `no_progress_seconds`
are few."""
LAST_WORDS_S = 5.0
"""How long a connection gets to end a program, or to close a channel, before it is given up
itself."""
Reach = Callable[[bool], Sequence[paramiko.SSHClient]]
"""Makes an authenticated client, and those it is tunnelled through after it; whether the user may
be asked for anything."""


class SshDevice:
    """A board over an authenticated connection, which `close` closes. A lost connection is made
    again when it is needed, as long as that works."""

    def __init__(self, name: str, reach: Reach, timeouts: Timeouts, cancel: Cancel) -> None:
        self.name = name
        self.cancel = cancel
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
    ) -> CompletedProgram:
        return self._execute(
            argv,
            slices(stdin, CHUNK_BYTES),
            Capped(max_stdout_bytes, on_stdout),
            Capped(max_stderr_bytes),
            timeout_s=timeout_s,
            no_progress_s=no_progress_s,
        )

    def push(
        self, local: Path, remote: str, *, mode: int = 0o644, progress: Progress | None = None
    ) -> None:
        with local.open("rb") as stream:
            argv = ["sh", "-c", PUSH, "edgekit", absolute(remote), f"{mode:o}"]
            done = self._transfer(argv, file_chunks(stream, CHUNK_BYTES, progress), Capped(1 << 16))
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
        # The outermost first: an inner connection sends a goodbye, which waits on a dead link.
        for client in reversed(self._clients):
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

    def _transfer(
        self, argv: Sequence[str], chunks: Iterator[bytes], stdout: Capped
    ) -> CompletedProgram:
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
    ) -> CompletedProgram:
        limits = Limits(time.monotonic(), timeout_s, no_progress_s)
        marker = secrets.token_hex(8)
        channel = self._open(timeout_s, self.cancel)
        marked = MarkedOutput(marker, stdout)
        command = ssh_shell.command(marker, argv)
        streams = Streams(channel, command, stdin, marked, stderr, self._require_link)
        try:
            pump(streams, f"{self.name}: {argv[0]}", limits, self.cancel)
            if channel.exit_status == -1 and not hasattr(channel, "exit_signal"):
                raise TransportError("the connection broke", hint=GONE)
            if streams.leftover:
                self._kill(marked)
        except DeadlinePassed as error:
            streams.await_group(marked, LAST_WORDS_S)
            self._kill(marked)
            message = error.message + _instead(marked, stderr)
            details: dict[str, object] = {"argv": list(argv), "stderr": last_line(stderr.data)}
            raise DeadlinePassed(message, hint=error.hint, details=details) from None
        except TransportError as error:
            self._kill(marked)
            message = f"{self.name}: {argv[0]}: {error.message}{_instead(marked, stderr)}"
            raise type(error)(message, hint=error.hint) from None
        except BaseException:
            if self._transport():
                streams.await_group(marked, LAST_WORDS_S)
                self._kill(marked)
            raise
        finally:
            self._hang_up(channel)
        if not marked.started_program:
            raise ssh_shell.not_started(self.name, marked.prelude, bytes(stderr.data))
        return self._completed(argv, channel, stdout, stderr, time.monotonic() - limits.started)

    def _completed(
        self,
        argv: Sequence[str],
        channel: paramiko.Channel,
        stdout: Capped,
        stderr: Capped,
        seconds: float,
    ) -> CompletedProgram:
        self._require_started(argv, channel, bytes(stderr.data))
        name = getattr(channel, "exit_signal", None)
        number = getattr(signal, f"SIG{name}", signal.SIGTERM).value if name else None
        return CompletedProgram(
            argv=tuple(argv),
            exit_code=None if name else channel.exit_status,
            signal=number,
            stdout=bytes(stdout.data),
            stderr=bytes(stderr.data),
            seconds=seconds,
            stdout_truncated=stdout.truncated,
            stderr_truncated=stderr.truncated,
        )

    def _require_started(
        self, argv: Sequence[str], channel: paramiko.Channel, stderr: bytes
    ) -> None:
        """Raise DeviceError when the shell that was to start the program complains: 126 and 127 are
        its exit codes for that, and its message starts with its own name."""
        complains = b"exec:" in stderr or stderr.startswith(b"edgekit:")
        if channel.exit_status in (126, 127) and complains:
            raise DeviceError(
                f"{self.name}: cannot start {argv[0]}: {last_line(stderr)}",
                hint="is the program installed and executable?",
            )

    def _open(self, timeout_s: float, cancel: Cancel) -> paramiko.Channel:
        longest_s = min(timeout_s, self._timeouts.no_progress_seconds)
        try:
            with cancel.ending(self._drop):
                transport = self._transport() or self._connected_again()
                return transport.open_session(timeout=longest_s)
        except Exception as error:  # whatever ended paramiko's thread, of any library
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

    def _kill(self, marked: MarkedOutput) -> None:
        """End a program's process group on the board: politely, then for good. Best effort: the
        board may be gone, and then the connection is given up."""
        if marked.group is None:
            return
        # Over another connection it may be another group: numbers are used again after a reboot.
        started = "" if self._transport() else marked.started
        argv = ["sh", "-c", KILL, "edgekit", str(marked.group), started]
        command = ssh_shell.command("", argv)
        try:
            channel = self._open(LAST_WORDS_S, Cancel())
            ignored = Capped(0)
            streams = Streams(channel, command, iter(()), ignored, ignored, self._require_link)
            pump(streams, self.name, Limits(time.monotonic(), LAST_WORDS_S), Cancel())
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


def _instead(marked: MarkedOutput, stderr: Capped) -> str:
    """What the login printed in place of starting the program, for the end of a message."""
    answer = ssh_shell.answer(marked.prelude, bytes(stderr.data))
    return f"; the login answers: {answer}" if answer and not marked.started_program else ""
