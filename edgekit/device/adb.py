"""A device over adb, by the real `adb` program and the shell protocol that keeps streams apart and brings the exit code (`shell_v2`).

Every program runs below a small shell script on the device, because adb alone leaves too little behind: the script says which process group is to be
killed on a deadline (a program outlives its adb client), and whether the program was ended by a signal, which the protocol folds into the exit
code. Both are said on standard error, in lines with a nonce. Shells keep quiet about SIGINT and SIGPIPE: these two arrive as exit codes 130 and 141.

Files go through the same door; large ones to the device by the sync service of `adb push` (adb_sync.py), which is faster. On its own it deletes what
arrived when it is cut off, so a script beside it gives the file its name as soon as there is one.
Commands are those of toybox and mksh, which is what Android has. ARGV is quoted in one place.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import secrets
import selectors
import shlex
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO

from edgekit.device import SLICE_S, Completed, Progress, adb_server, adb_sync
from edgekit.device.local import Capped, host_file
from edgekit.device.shell import KILL, PULL, PUSH, absolute, last_line
from edgekit.errors import DeadlinePassed, DeviceError, ResultError, TransportError
from edgekit.inert import printable
from edgekit.target import AdbTarget, Timeouts

CHUNK_BYTES = 256 << 10
PIPE_BYTES = 1 << 20
"""To and from the adb client: fewer turns between it and this process, which a large file feels."""
KILL_S = 5.0
LEFTOVER_S = 0.3
"""Output that comes so long after the program's end is not its own."""
SYNCED_BYTES = 1 << 20
"""Below it, starting a second program on the device costs more than the sync service saves."""
UNWRITABLE = "check free space and permissions on the device"
GONE = "check the cable or the network and the device's power, then run again"

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
"""ARGV, with the nonce as the script's name, so that the shell's own complaints start with it. Ends what the program left in its group. Reads what
input is left, since adbd drops the output of a program that does not read its own."""

NAMED_S = 2.0
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
"""ARRIVING PATH MODE. Renames a file as soon as it is there, which may be while it is written; waits for it NAMED_S."""

_warned: set[str] = set()


def connect(target: AdbTarget) -> AdbDevice:
    """The device of a target of kind adb.

    Raises TransportError (no adb, no such device, offline, several), IdentityError (unauthorized), DeviceError (Android older than 7).
    """
    serial = adb_server.connect(target.name, target.serial, target.timeouts.connect_seconds)
    if adb_server.is_network(serial):
        if not target.allow_network:
            hint = "prefer USB, as anyone on its network can reach it too; or set `allow_network: true` in the target"
            raise TransportError(f"{target.name} ({serial}): a device on the network, which is not allowed by default", hint=hint)
        if serial not in _warned:
            _warned.add(serial)
            logging.getLogger(__name__).warning("warning: %s is debugged over the network: whoever reaches its port can try to, too", serial)
    if "shell_v2" not in adb_server.ask("-s", serial, "features").split():
        raise DeviceError(f"{target.name} ({serial}): its adb has no shell_v2", hint="edgekit needs Android 7 or newer")
    return AdbDevice(target.name, serial, target.timeouts)


class AdbDevice:
    """A device that adb's server is connected to. Holds no connection of its own."""

    def __init__(self, name: str, serial: str, timeouts: Timeouts) -> None:
        self.name = name
        self.serial = serial
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
    ) -> Completed:
        def chunks() -> Iterator[bytes]:
            return (stdin[start : start + CHUNK_BYTES] for start in range(0, len(stdin), CHUNK_BYTES))

        return self._execute(argv, chunks, Capped(max_stdout_bytes, on_stdout), max_stderr_bytes, timeout_s, no_progress_s)

    def push(self, local: Path, remote: str, *, mode: int = 0o644, progress: Progress | None = None) -> None:
        with host_file(local, "rb") as stream:
            if os.fstat(stream.fileno()).st_size >= SYNCED_BYTES and remote.startswith("/") and adb_sync.server_address():
                done = self._sync(stream, remote, mode, progress)
            else:
                done = self._write(stream, remote, mode, progress)
        if not done.ok:
            raise DeviceError(f"{self.name}: cannot write {remote}: {last_line(done.stderr)}", hint=UNWRITABLE)

    def _write(self, stream: IO[bytes], remote: str, mode: int, progress: Progress | None) -> Completed:
        def chunks() -> Iterator[bytes]:
            stream.seek(0)
            return _chunks(stream, progress)

        return self._transfer(["sh", "-c", PUSH, "edgekit", absolute(remote), f"{mode:o}"], chunks, Capped(1 << 16))

    def _sync(self, stream: IO[bytes], remote: str, mode: int, progress: Progress | None) -> Completed:
        arriving = f"{remote}.{secrets.token_hex(4)}"
        naming, timeouts = ["sh", "-c", NAME, "edgekit", arriving, remote, f"{mode:o}"], self._timeouts
        with ThreadPoolExecutor(1) as beside:
            named = beside.submit(self.run, naming, timeout_s=timeouts.no_progress_seconds)
            deadline = time.monotonic() + timeouts.transfer_seconds
            for retry in (True, False):
                try:
                    adb_sync.send(
                        self.serial, stream, arriving, deadline=deadline, no_progress_s=timeouts.no_progress_seconds, progress=progress
                    )
                    break
                except adb_sync.NotReached as error:
                    self._explain(error.message.encode(), retry)
                except DeviceError as error:
                    raise DeviceError(f"{self.name}: cannot write {remote}: {error.message}", hint=UNWRITABLE) from None
                except TransportError as error:
                    raise type(error)(f"{self.name}: {error.message}", hint=GONE) from None
        return named.result() if named.result().ok else self.run(naming, timeout_s=timeouts.no_progress_seconds)

    def pull(self, remote: str, local: Path, *, max_bytes: int, progress: Progress | None = None) -> None:
        try:
            with host_file(local, "wb") as stream:
                self._pull(remote, stream, max_bytes, progress)
        except BaseException:
            local.unlink(missing_ok=True)
            raise

    def _pull(self, remote: str, stream: IO[bytes], max_bytes: int, progress: Progress | None) -> None:
        def keep(chunk: bytes) -> None:
            stream.write(chunk)
            if progress is not None:
                progress(len(chunk))

        sink = Capped(max_bytes, keep, collect=False)
        argv = ["sh", "-c", PULL, "edgekit", absolute(remote)]
        done = self._transfer(argv, lambda: iter(()), sink)
        if sink.truncated:
            raise ResultError(f"{self.name}: {remote} is larger than {max_bytes} bytes", hint="the device sent more than was expected")
        if not done.ok:
            raise DeviceError(f"{self.name}: cannot read {remote}: {last_line(done.stderr)}", hint="check that the file is there and readable")

    def close(self) -> None:
        pass

    def _transfer(self, argv: Sequence[str], chunks: Callable[[], Iterator[bytes]], stdout: Capped) -> Completed:
        return self._execute(argv, chunks, stdout, 1 << 16, self._timeouts.transfer_seconds, self._timeouts.no_progress_seconds)

    def _execute(
        self,
        argv: Sequence[str],
        chunks: Callable[[], Iterator[bytes]],
        stdout: Capped,
        max_stderr_bytes: int,
        timeout_s: float,
        no_progress_s: float | None,
    ) -> Completed:
        """Run a program; a device that turned out to be offline before it started is connected anew, once, if it is on the network."""
        started = time.monotonic()
        for retry in (True, False):
            nonce = secrets.token_hex(8)
            stderr = Said(nonce, Capped(max_stderr_bytes))
            code = self._attempt(argv, nonce, chunks(), stdout, stderr, started + timeout_s, timeout_s, no_progress_s)
            if stderr.group is not None:
                break
            self._explain(stderr.prelude, retry)
        if stderr.last is None:
            raise TransportError(f"{self.name}: the connection broke while {argv[0]} ran", hint=GONE)
        content = bytes(stderr.sink.data)
        if code != 0 and nonce.encode() in content.partition(b"\n")[0]:
            reason = printable(last_line(content).partition(nonce + ":")[2].strip())
            raise DeviceError(f"{self.name}: cannot start {argv[0]}: {reason}", hint="is the program installed and executable?")
        by_signal = stderr.last == "signal" and code > 128
        seconds = time.monotonic() - started
        signal = code - 128 if by_signal else None
        exit_code = None if by_signal else code
        return Completed(tuple(argv), exit_code, signal, bytes(stdout.data), content, seconds, stdout.truncated, stderr.sink.truncated)

    def _attempt(
        self,
        argv: Sequence[str],
        nonce: str,
        chunks: Iterator[bytes],
        stdout: Capped,
        stderr: Said,
        deadline: float,
        timeout_s: float,
        no_progress_s: float | None,
    ) -> int:
        """The exit code adb brings back. Whatever ends the wait, the program's process group is not alive after it."""
        command = "exec " + shlex.join(["sh", "-c", WRAPPER, nonce, *argv])
        with self._client(command) as client:
            try:
                for late in _pump(client, chunks, stdout, stderr, deadline, no_progress_s, self._timeouts.no_progress_seconds):
                    if late == "leftover" and stderr.group is not None:
                        self._kill(stderr.group)
                    elif late == "silent" and not self._answers():
                        raise TransportError(f"{self.name}: the device does not answer any more", hint=GONE)
                    elif late in ("deadline", "no progress"):
                        reason = f"{timeout_s:g} s were over" if late == "deadline" else f"nothing for {no_progress_s:g} s"
                        details: dict[str, object] = {"argv": list(argv), "stderr": last_line(stderr.sink.data)}
                        hint = "give it more time, or see why it hangs"
                        raise DeadlinePassed(f"{self.name}: {argv[0]} was killed: {reason}", hint=hint, details=details)
            except BaseException:
                if stderr.group is not None:
                    self._kill(stderr.group)
                raise
            return client.wait()

    @contextlib.contextmanager
    def _client(self, command: str) -> Iterator[subprocess.Popen[bytes]]:
        """An adb client in a session of its own, so that Ctrl-C meets edgekit first."""
        argv = [adb_server.find_adb(), "-s", self.serial, "shell", "-T", command]
        pipe = subprocess.PIPE
        client = subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True, bufsize=0, pipesize=PIPE_BYTES)
        try:
            yield client
        finally:
            client.kill()
            client.wait()
            for stream in (client.stdin, client.stdout, client.stderr):
                if stream:
                    stream.close()

    def _explain(self, prelude: bytes, retry: bool) -> None:
        """Why a program did not start: raises, or returns when it is worth another attempt."""
        found = adb_server.devices()
        state = found.get(self.serial)
        if retry and state == "device":
            return
        if retry and state in (None, "offline") and adb_server.is_network(self.serial):
            state = adb_server.reconnect(self.serial, self._timeouts.connect_seconds)
            if state == "device":
                return
        if state != "device":
            raise adb_server.not_ready(self.name, self.serial, state, found)
        raise TransportError(f"{self.name}: adb cannot start a program: {printable(last_line(prelude))}", hint=GONE)

    def _answers(self) -> bool:
        """Whether the device is still there: adb itself waits for ever on a link that says nothing and does not end."""
        argv = [adb_server.find_adb(), "-s", self.serial, "shell", "-T", ":"]
        try:
            asked = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=self._timeouts.no_progress_seconds, start_new_session=True)
        except (OSError, subprocess.SubprocessError):
            return False
        return asked.returncode == 0

    def _kill(self, group: int) -> None:
        """End a process group on the device. Best effort: the device may be gone."""
        command = "exec " + shlex.join(["sh", "-c", KILL, "edgekit", str(group), ""])
        with contextlib.suppress(TransportError, OSError, subprocess.SubprocessError):
            argv = [adb_server.find_adb(), "-s", self.serial, "shell", "-T", command]
            subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=KILL_S, start_new_session=True, check=False)


class Said:
    """Standard error of the wrapper: what the program wrote goes on to `sink`, the wrapper's own lines are taken out.

    `group` is the process group, None as long as the wrapper does not run; `last` is how the program ended, once it has.
    """

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


def _pump(
    client: subprocess.Popen[bytes],
    chunks: Iterator[bytes],
    stdout: Capped,
    stderr: Said,
    deadline: float,
    no_progress_s: float | None,
    silence_s: float,
) -> Iterator[str]:
    """Feed and drain an adb client until its streams end.

    Yields `deadline` or `no progress` when it takes too long, `silent` each time nothing moved for `silence_s`, and once `leftover` when the program
    has ended but something it left behind holds its output open.
    """
    assert client.stdin
    assert client.stdout
    assert client.stderr
    sinks: dict[int, Capped | Said] = {client.stdout.fileno(): stdout, client.stderr.fileno(): stderr}
    unsent = memoryview(b"")
    progressed_at, leftover = time.monotonic(), False
    silent_at = progressed_at
    with selectors.DefaultSelector() as selector:
        for pipe in (client.stdin, client.stdout, client.stderr):
            os.set_blocking(pipe.fileno(), False)
            selector.register(pipe, selectors.EVENT_WRITE if pipe is client.stdin else selectors.EVENT_READ)
        while any(key.fd in sinks for key in selector.get_map().values()):
            now = time.monotonic()
            until = min(deadline, deadline if no_progress_s is None else progressed_at + no_progress_s)
            if now >= until:
                yield "deadline" if now >= deadline else "no progress"
                return
            if now - max(progressed_at, silent_at) >= silence_s:
                yield "silent"
                silent_at = time.monotonic()
            if stderr.last and not leftover:
                if now - max(stderr.last_at, progressed_at) > LEFTOVER_S or now - stderr.last_at > 5 * LEFTOVER_S:
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


def _chunks(stream: IO[bytes], progress: Progress | None) -> Iterator[bytes]:
    while chunk := stream.read(CHUNK_BYTES):
        yield chunk
        if progress is not None:
            progress(len(chunk))
