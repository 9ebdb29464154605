"""A device over adb, by the real `adb` program and the shell protocol that keeps streams apart and
brings the exit code (`shell_v2`).

Every program runs below a small shell script on the device, because adb alone reports too little.
The script prints the process group, which is killed on a deadline (a program outlives its adb
client), and whether a signal ended the program, which the protocol folds into the exit code. Both
go to standard error, in lines with a nonce. Shells do not report SIGINT and SIGPIPE: these two
arrive as exit codes 130 and 141.

Files are sent the same way; large ones by the sync service behind `adb push` (adb_sync.py), which
is faster. The service deletes what arrived when it is cut off, so a script beside it renames the
file as soon as it exists. All commands exist in toybox and mksh, which Android has."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO

from edgekit.cancel import Cancel
from edgekit.devices import CompletedProgram, Progress, adb_client, adb_server, adb_sync
from edgekit.devices.adb_client import WRAPPER, Client, WrapperOutput, await_group
from edgekit.devices.local import host_file
from edgekit.devices.pipes import Pipes
from edgekit.devices.pump import Capped, Limits, file_chunks, pump, slices
from edgekit.devices.shell import KILL, PULL, PUSH, absolute, last_line
from edgekit.devices.target import AdbTarget, is_network
from edgekit.devices.target_sections import Timeouts
from edgekit.errors import DeadlinePassed, DeviceError, ResultError, TransportError
from edgekit.sanitize import printable

CHUNK_BYTES = 256 << 10
KILL_S = 5.0
SYNCED_BYTES = 1 << 20
"""Below it, starting a second program on the device costs more than the sync service saves."""
UNWRITABLE = "check free space and permissions on the device"
GONE = "check the cable or the network and the device's power, then run again"

NAME = r"""
[ ! -d "$2" ] || { rm -f "$1"; echo "Is a directory" >&2; exit 1; }
i=0
until [ -f "$1" ] && mv -f "$1" "$2"; do
  [ $i -lt 40 ] || { echo "nothing arrived" >&2; exit 1; }
  i=$((i+1))
  sleep 0.05
done
chmod "$3" "$2"
"""
"""ARRIVING PATH MODE. Renames a file as soon as it is there, which may be while it is written;
waits two seconds for it."""

_warned: set[str] = set()


def connect(target: AdbTarget, cancel: Cancel | None = None) -> AdbDevice:
    """The device of a target of kind adb.

    Raises TransportError (no adb, no such device, offline, several), IdentityError (unauthorized),
    DeviceError (Android older than 7)."""
    cancel = cancel or Cancel()
    server = adb_server.AdbServer(cancel)
    serial = server.connect(target.name, target.serial, target.timeouts.connect_seconds)
    if is_network(serial):
        if not target.allow_network:
            hint = (
                "prefer USB, as anyone on its network can reach it too; or set `allow_network:"
                " true` in the target"
            )
            raise TransportError(
                f"{target.name} ({serial}): a device on the network, which is not allowed by"
                " default",
                hint=hint,
            )
        if serial not in _warned:
            _warned.add(serial)
            logging.getLogger(__name__).warning(
                "warning: %s is debugged over the network: anyone who reaches its port can"
                " try to as well",
                serial,
            )
    if "shell_v2" not in server.ask("-s", serial, "features").split():
        raise DeviceError(
            f"{target.name} ({serial}): its adb has no shell_v2",
            hint="edgekit needs Android 7 or newer",
        )
    return AdbDevice(target.name, serial, target.timeouts, cancel)


class AdbDevice:
    """A device that adb's server is connected to. Holds no connection of its own."""

    def __init__(self, name: str, serial: str, timeouts: Timeouts, cancel: Cancel) -> None:
        self.name = name
        self.serial = serial
        self.cancel = cancel
        self._server = adb_server.AdbServer(cancel)
        self._timeouts = timeouts

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
            lambda: slices(stdin, CHUNK_BYTES),
            Capped(max_stdout_bytes, on_stdout),
            Capped(max_stderr_bytes),
            timeout_s=timeout_s,
            no_progress_s=no_progress_s,
        )

    def push(
        self, local: Path, remote: str, *, mode: int = 0o644, progress: Progress | None = None
    ) -> None:
        with host_file(local, "rb") as stream:
            server = adb_sync.server_address()
            if (
                server
                and os.fstat(stream.fileno()).st_size >= SYNCED_BYTES
                and remote.startswith("/")
            ):
                done = self._sync(server, stream, remote, mode, progress)
            else:
                done = self._write(stream, remote, mode, progress)
        if not done.ok:
            raise DeviceError(
                f"{self.name}: cannot write {remote}: {last_line(done.stderr)}", hint=UNWRITABLE
            )

    def _write(
        self, stream: IO[bytes], remote: str, mode: int, progress: Progress | None
    ) -> CompletedProgram:
        def chunks() -> Iterator[bytes]:
            stream.seek(0)
            return file_chunks(stream, CHUNK_BYTES, progress)

        return self._transfer(
            ["sh", "-c", PUSH, "edgekit", absolute(remote), f"{mode:o}"], chunks, Capped(1 << 16)
        )

    def _sync(
        self,
        server: tuple[str, int],
        stream: IO[bytes],
        remote: str,
        mode: int,
        progress: Progress | None,
    ) -> CompletedProgram:
        arriving = f"{remote}.{secrets.token_hex(4)}"
        naming = ["sh", "-c", NAME, "edgekit", arriving, remote, f"{mode:o}"]
        # Not cancelled itself: the sending is, and then this ends within two seconds.
        beside = AdbDevice(self.name, self.serial, self._timeouts, Cancel())
        no_progress_s = self._timeouts.no_progress_seconds
        with ThreadPoolExecutor(1) as executor:
            named = executor.submit(beside.run, naming, timeout_s=no_progress_s)
            self._send(server, stream, remote, arriving, progress)
        return named.result() if named.result().ok else self.run(naming, timeout_s=no_progress_s)

    def _send(
        self,
        server: tuple[str, int],
        stream: IO[bytes],
        remote: str,
        arriving: str,
        progress: Progress | None,
    ) -> None:
        """Send a file by the sync service, under the name `arriving`; when its server has just
        gone, once more."""
        waits = adb_sync.Waits(
            deadline=time.monotonic() + self._timeouts.transfer_seconds,
            no_progress_s=self._timeouts.no_progress_seconds,
            cancel=self.cancel,
        )
        for retry in (True, False):
            try:
                adb_sync.send(server, self.serial, stream, arriving, waits, progress)
                return
            except adb_sync.NotReached as error:
                self._explain(error.message.encode(), retry)
            except DeviceError as error:
                raise DeviceError(
                    f"{self.name}: cannot write {remote}: {error.message}", hint=UNWRITABLE
                ) from None
            except TransportError as error:
                raise type(error)(f"{self.name}: {error.message}", hint=GONE) from None

    def pull(
        self, remote: str, local: Path, *, max_bytes: int, progress: Progress | None = None
    ) -> None:
        try:
            with host_file(local, "wb") as stream:
                self._pull(remote, stream, max_bytes, progress)
        except BaseException:
            local.unlink(missing_ok=True)
            raise

    def _pull(
        self, remote: str, stream: IO[bytes], max_bytes: int, progress: Progress | None
    ) -> None:
        def keep(chunk: bytes) -> None:
            stream.write(chunk)
            if progress is not None:
                progress(len(chunk))

        sink = Capped(max_bytes, keep, collect=False)
        argv = ["sh", "-c", PULL, "edgekit", absolute(remote)]
        done = self._transfer(argv, lambda: iter(()), sink)
        if sink.truncated:
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
        pass

    def _transfer(
        self, argv: Sequence[str], chunks: Callable[[], Iterator[bytes]], stdout: Capped
    ) -> CompletedProgram:
        return self._execute(
            argv,
            chunks,
            stdout,
            Capped(1 << 16),
            timeout_s=self._timeouts.transfer_seconds,
            no_progress_s=self._timeouts.no_progress_seconds,
        )

    def _execute(
        self,
        argv: Sequence[str],
        chunks: Callable[[], Iterator[bytes]],
        stdout: Capped,
        stderr: Capped,
        *,
        timeout_s: float,
        no_progress_s: float | None,
    ) -> CompletedProgram:
        """Run a program; a device that turned out to be offline before it started is connected
        anew, once, if it is on the network."""
        limits = Limits(time.monotonic(), timeout_s, no_progress_s)
        for retry in (True, False):
            nonce = secrets.token_hex(8)
            wrapper = WrapperOutput(nonce, stderr)
            code = self._attempt(argv, nonce, chunks(), stdout, wrapper, limits)
            if wrapper.group is not None:
                break
            self._explain(wrapper.prelude, retry)
        if wrapper.ended_by is None:
            raise TransportError(
                f"{self.name}: the connection broke while {argv[0]} ran", hint=GONE
            )
        self._require_started(argv, code, nonce, bytes(stderr.data))
        by_signal = wrapper.ended_by == "signal" and code > 128
        return CompletedProgram(
            argv=tuple(argv),
            exit_code=None if by_signal else code,
            signal=code - 128 if by_signal else None,
            stdout=bytes(stdout.data),
            stderr=bytes(stderr.data),
            seconds=time.monotonic() - limits.started,
            stdout_truncated=stdout.truncated,
            stderr_truncated=stderr.truncated,
        )

    def _require_started(self, argv: Sequence[str], code: int, nonce: str, stderr: bytes) -> None:
        """Raise DeviceError when the wrapper's shell complains, in a line that starts with the
        nonce, that it cannot start the program."""
        if code == 0 or nonce.encode() not in stderr.partition(b"\n")[0]:
            return
        reason = printable(last_line(stderr).partition(nonce + ":")[2].strip())
        raise DeviceError(
            f"{self.name}: cannot start {argv[0]}: {reason}",
            hint="is the program installed and executable?",
        )

    def _attempt(
        self,
        argv: Sequence[str],
        nonce: str,
        chunks: Iterator[bytes],
        stdout: Capped,
        stderr: WrapperOutput,
        limits: Limits,
    ) -> int:
        """The exit code adb brings back. Whatever ends the wait, the program's process group is not
        alive after it."""
        with adb_client.running(self.serial, ["sh", "-c", WRAPPER, nonce, *argv]) as client:
            try:
                self._pump(client, f"{self.name}: {argv[0]}", chunks, stdout, stderr, limits)
            except BaseException as error:
                self._kill(stderr.group)
                if isinstance(error, DeadlinePassed):
                    error.details = {"argv": list(argv), "stderr": last_line(stderr.sink.data)}
                raise
            return client.wait()

    def _pump(
        self,
        client: subprocess.Popen[bytes],
        name: str,
        chunks: Iterator[bytes],
        stdout: Capped,
        stderr: WrapperOutput,
        limits: Limits,
    ) -> None:
        with Pipes(client, chunks, stdout, stderr) as pipes:
            program = Client(
                pipes,
                stderr,
                silence_s=self._timeouts.no_progress_seconds,
                on_silence=self._require_answer,
                on_leftover=lambda: self._kill(stderr.group),
            )
            try:
                pump(program, name, limits, self.cancel)
            except BaseException:
                await_group(client, stderr, KILL_S)
                raise

    def _explain(self, prelude: bytes, retry: bool) -> None:
        """Why a program did not start: raises, or returns when it is worth another attempt."""
        states = self._server.devices(self.serial)
        state = states.get(self.serial)
        if retry and state == "device":
            return
        if retry and state in (None, "offline") and is_network(self.serial):
            state = self._server.reconnect(self.serial, self._timeouts.connect_seconds)
            if state == "device":
                return
        if state != "device":
            raise adb_server.not_ready(self.name, self.serial, state, states)
        raise TransportError(
            f"{self.name}: adb cannot start a program: {printable(last_line(prelude))}", hint=GONE
        )

    def _require_answer(self) -> None:
        """Raise TransportError unless the device is still there: adb itself waits for ever on a
        link that carries nothing and does not end."""
        with contextlib.suppress(TransportError, OSError, subprocess.SubprocessError):
            if self._aside(["true"], self._timeouts.no_progress_seconds).returncode == 0:
                return
        raise TransportError(f"{self.name}: the device does not answer any more", hint=GONE)

    def _kill(self, group: int | None) -> None:
        """End a process group on the device, if one was started. Best effort: the device may be
        gone."""
        if group is None:
            return
        with contextlib.suppress(TransportError, OSError, subprocess.SubprocessError):
            self._aside(["sh", "-c", KILL, "edgekit", str(group), ""], KILL_S)

    def _aside(self, argv: Sequence[str], timeout_s: float) -> subprocess.CompletedProcess[bytes]:
        command = adb_client.command(self.serial, argv)
        return subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout_s,
            start_new_session=True,
            check=False,
        )
