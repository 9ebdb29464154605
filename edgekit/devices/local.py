"""The transport to this very machine: programs run as child processes, files are copied. Owns
process groups, deadlines and output caps."""

from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

from edgekit.cancel import Cancel
from edgekit.devices import CompletedProgram, Progress
from edgekit.devices.pipes import CHUNK_BYTES, Pipes
from edgekit.devices.pump import Capped, Limits, pump, slices
from edgekit.errors import DeadlinePassed, DeviceError, ResultError, UsageError
from edgekit.places import home
from edgekit.sanitize import SECRET_VARIABLE

if TYPE_CHECKING:
    from edgekit.devices.target import Target

STDERR_TAIL_BYTES = 2000
LAST_WORDS_S = 1.0
"""How long to go on reading after a program has exited, if something that left its process group
keeps writing."""
DISK_FULL = (errno.ENOSPC, errno.EDQUOT)


def connect(target: Target, cancel: Cancel) -> LocalDevice:
    return LocalDevice(target.name, cancel)


class LocalDevice:
    """This machine as a `Device`. Each program runs in its own session, in the home directory, with
    the environment of this process except what looks like a secret: a program's output is stored
    with its errors, and must not reveal one.

    Relative paths start at the home directory, as they do over SSH. Needs Linux (pidfd).
    """

    def __init__(self, name: str = "local", cancel: Cancel | None = None) -> None:
        self.name = name
        self.cancel = cancel or Cancel()

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
        started = time.monotonic()
        stdout, stderr = Capped(max_stdout_bytes, on_stdout), Capped(max_stderr_bytes)
        limits = Limits(started, timeout_s, no_progress_s)
        with _process_group(self.name, argv) as process:
            try:
                self._pump(process, argv, stdin, stdout, stderr, limits)
            except DeadlinePassed as error:
                tail = bytes(stderr.data[-STDERR_TAIL_BYTES:]).decode(errors="replace")
                error.details = {"argv": list(argv), "stderr": tail}
                raise
        code = process.returncode
        return CompletedProgram(
            argv=tuple(argv),
            exit_code=code if code >= 0 else None,
            signal=-code if code < 0 else None,
            stdout=bytes(stdout.data),
            stderr=bytes(stderr.data),
            seconds=time.monotonic() - started,
            stdout_truncated=stdout.truncated,
            stderr_truncated=stderr.truncated,
        )

    def _pump(
        self,
        process: subprocess.Popen[bytes],
        argv: Sequence[str],
        stdin: bytes,
        stdout: Capped,
        stderr: Capped,
        limits: Limits,
    ) -> None:
        chunks = slices(stdin, CHUNK_BYTES)
        with Pipes(process, chunks, stdout, stderr) as pipes, _pidfd(process.pid) as exit_fd:
            pump(_Child(process, pipes, exit_fd), f"{self.name}: {argv[0]}", limits, self.cancel)

    def push(
        self, local: Path, remote: str, *, mode: int = 0o644, progress: Progress | None = None
    ) -> None:
        with host_file(local, "rb") as source, self._translated(remote, "write"):
            flags = os.O_WRONLY | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC
            with open(os.open(_home() / remote, flags, mode), "wb") as sink:
                _require_plain_file(sink)
                sink.truncate(0)
                os.fchmod(sink.fileno(), mode)
                self._copy(source, sink, progress)

    def pull(
        self, remote: str, local: Path, *, max_bytes: int, progress: Progress | None = None
    ) -> None:
        with (
            self._translated(remote, "read"),
            open(
                os.open(_home() / remote, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb"
            ) as source,
        ):
            _require_plain_file(source)
            with host_file(local, "wb") as sink:
                whole = self._copy(source, sink, progress, max_bytes)
        if not whole:
            local.unlink()
            raise ResultError(f"{self.name}: {remote} is larger than {max_bytes} bytes")

    def close(self) -> None:
        pass

    def _copy(
        self,
        source: IO[bytes],
        sink: IO[bytes],
        progress: Progress | None,
        max_bytes: int | None = None,
    ) -> bool:
        """Copy in chunks; False when there was more than `max_bytes`."""
        copied = 0
        while chunk := source.read(CHUNK_BYTES):
            self.cancel.check()
            copied += len(chunk)
            if max_bytes is not None and copied > max_bytes:
                return False
            sink.write(chunk)
            if progress:
                progress(len(chunk))
        return True

    @contextmanager
    def _translated(self, remote: str, verb: str) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError) as error:
            reason = error.strerror or str(error) if isinstance(error, OSError) else str(error)
            hint = (
                "free some space" if isinstance(error, OSError) and error.errno in DISK_FULL else ""
            )
            raise DeviceError(
                f"{self.name}: cannot {verb} {remote!r}: {reason}", hint=hint
            ) from None


def _home() -> Path:
    """Where relative paths begin, as after a login: the root where there is no home."""
    place = home()
    return place if place and place.is_dir() else Path("/")


@contextmanager
def _process_group(device: str, argv: Sequence[str]) -> Iterator[subprocess.Popen[bytes]]:
    """A started program in its own session. However the block is left, no process of its group is
    alive after it."""
    try:
        environment = {
            name: value for name, value in os.environ.items() if not SECRET_VARIABLE.search(name)
        }
        environment.setdefault("HOME", str(_home()))
        pipe = subprocess.PIPE
        process = subprocess.Popen(
            argv,
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
            start_new_session=True,
            cwd=_home(),
            bufsize=0,
            env=environment,
        )
    except (OSError, ValueError) as error:
        error_number = error.errno if isinstance(error, OSError) else None
        known = {
            errno.ENOENT: "no such program",
            errno.EACCES: "not executable",
            errno.ENOEXEC: "not a program for this machine",
        }
        reason = (
            known.get(error.errno or 0)
            if isinstance(error, OSError) and error.filename == argv[0]
            else None
        )
        hint = "is it on a noexec mount? then set `workdir` in the target to another one"
        raise DeviceError(
            f"{device}: cannot start {argv[0]!r}: {reason or error}",
            hint=hint if error_number == errno.EACCES else "",
        ) from None
    try:
        yield process
    finally:
        _kill_group(process)
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream:
                stream.close()


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    """Kill all of the group. Only for a process that was not waited for: it is at least a zombie,
    so no other process can have its number."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


class _Child:
    """A child process, for `pump`. What it leaves running in its group is killed when it exits, so
    that a forgotten background process neither holds up the end nor survives it."""

    def __init__(self, process: subprocess.Popen[bytes], pipes: Pipes, exit_fd: int) -> None:
        self._process = process
        self._pipes = pipes
        self._exited = False
        pipes.on_readable(exit_fd, self._exit)

    @property
    def moved_at(self) -> float:
        return self._pipes.moved_at

    def move(self, longest_s: float) -> bool:
        self._pipes.move(longest_s)
        if not self._exited:
            return True
        _kill_group(self._process)
        self._pipes.read_rest(LAST_WORDS_S)
        return False

    def _exit(self) -> None:
        self._exited = True


@contextmanager
def _pidfd(pid: int) -> Iterator[int]:
    fd = os.pidfd_open(pid)
    try:
        yield fd
    finally:
        os.close(fd)


@contextmanager
def host_file(path: Path, mode: str) -> Iterator[IO[bytes]]:
    """A file of this machine. Raises UsageError when it cannot be opened."""
    try:
        stream = cast(IO[bytes], open(path, mode))  # noqa: SIM115
    except OSError as error:
        raise UsageError(f"{path}: cannot be opened: {error.strerror}") from None
    with stream:
        yield stream


def _require_plain_file(stream: IO[bytes]) -> None:
    if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
        raise ValueError("not a plain file")
