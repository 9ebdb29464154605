"""Exports in child processes: start them, watch them, and turn whatever becomes of them into
artifacts or one ExportError. Imports no torch.

Each child exports one artifact (worker.py), forked from one process that has imported the libraries
(fork_server.py). A child that is killed, runs out of memory or hangs does not take the caller down.
The children and all that they start are in the process group of the fork server, which is killed at
the end: when a child fails, or on Ctrl-C, nothing of theirs stays."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import pairwise
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from edgekit.backends.backend import Dynamic
from edgekit.bundle.manifest import Artifact
from edgekit.errors import EdgekitError, ExportError
from edgekit.export.publish import clear_staging
from edgekit.machine_limits import usable_cores
from edgekit.progress import Progress, silent
from edgekit.tasks.task import NamedTask

STEPS = ("load", "lower", "verify", "write")
END = "end"
"""What a child says after its last step."""
TAIL_LINES = 8


@dataclass(frozen=True)
class ExportJob:
    """One artifact to be made: from a checkpoint directory, verified on the test split that is
    saved in `test` (edgekit.data.saved), into `output`.

    `base` is the recipe's directory; `backend` is a name as in the recipe; `key` is the artifact's
    file name; `verify` are the fields of `verify.Thresholds`; `dynamic` are sizes that may change,
    by the name of the input, whose axes count the batch.
    """

    checkpoint: Path
    base: Path
    test: Path
    task: str | NamedTask
    variant: str
    backend: str
    key: str
    verify: Mapping[str, Any]
    output: Path
    dynamic: Dynamic = field(default_factory=dict)


@dataclass(frozen=True)
class Export:
    """A finished export: its artifact, and the seconds that each step took, in their order."""

    artifact: Artifact
    seconds: Mapping[str, float]


@dataclass
class _Child:
    """An export that was ordered. `log` is what it printed, `begun` when it began its steps; it is
    to end before `deadline`. Times are of the monotonic clock."""

    job: ExportJob
    log: Path
    deadline: float
    begun: dict[str, float] = field(default_factory=dict)

    @property
    def step(self) -> str:
        """What it does."""
        return next(reversed(self.begun), "start")


class SharedServer:
    """A fork server for several calls of `export_artifacts`: started by the first, ended by `close`
    or by an export that fails, after which the next call starts another. A context manager."""

    def __init__(self) -> None:
        self._open = ExitStack()
        self._connection: Connection | None = None

    def __enter__(self) -> SharedServer:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        self._connection = None
        self._open.close()

    @contextmanager
    def lent(self) -> Iterator[Connection]:
        """The server's connection, for one call."""
        if self._connection is None:
            self._connection = self._open.enter_context(_fork_server())
        try:
            yield self._connection
        except BaseException:
            self.close()  # what else it runs is of no use to anybody
            raise


def export_artifacts(
    jobs: Sequence[ExportJob],
    *,
    parallel: int = 2,
    timeout_s: float = 3600,
    server: SharedServer | None = None,
    progress: Progress = silent,
) -> list[Export]:
    """Run all exports, `parallel` at a time, and give what they made in the jobs' order. Without a
    `server` they have one of their own.

    Raises ExportError (exit 4) naming variant, backend and step, for a child that refuses, crashes,
    is killed, or takes longer than `timeout_s`; with the last lines it printed in `details`. Raises
    what the child raised when that is an error of edgekit's own, such as ModelError."""
    if not jobs:
        return []
    parallel = max(1, min(parallel, len(jobs)))
    with ExitStack() as stack:
        for job in jobs:
            stack.callback(clear_staging, job.output)
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="edgekit-export-")))
        connection = stack.enter_context(_fork_server() if server is None else server.lent())
        waiting, running = list(reversed(jobs)), dict[str, _Child]()
        seconds: dict[str, Mapping[str, float]] = {}
        while waiting or running:
            while waiting and len(running) < parallel:
                child = _order(connection, waiting.pop(), scratch, parallel, timeout_s)
                running[child.job.key] = child
            child, message = _receive(connection, running, timeout_s)
            if isinstance(message, tuple):
                step, at = message
                child.begun[step] = at
                if step != END:
                    progress(child.job.key, STEPS.index(step), len(STEPS), step)
            else:
                _raise_for(child, message)
                del running[child.job.key]
                seconds[child.job.key] = _seconds(child.begun)
                progress(child.job.key, len(STEPS), len(STEPS), "done")
    return [Export(artifact_of(job.output), seconds[job.key]) for job in jobs]


def _seconds(begun: Mapping[str, float]) -> dict[str, float]:
    """How long each step took, now that the last one has ended."""
    return {
        step: round(following - at, 3) for (step, at), (_, following) in pairwise(begun.items())
    }


def artifact_of(directory: Path) -> Artifact:
    """What an export left in its output directory."""
    return Artifact.model_validate_json((directory / "result.json").read_bytes())


@contextmanager
def _fork_server() -> Iterator[Connection]:
    """The process that forks the children, for as long as the context is open. At the end it is
    killed with all that is in its process group."""
    here, there = Pipe()
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",  # one thread until the fork; each child then sets its own number
        # The order of sets is then the same from run to run, and so are the artifact's bytes.
        "PYTHONHASHSEED": "0",
        "LITERT_TORCH_SHOW_PROGRESS": "n",
        "TF_CPP_MIN_LOG_LEVEL": "2",
    }
    with here, there:
        process = subprocess.Popen(
            [sys.executable, "-u", "-m", "edgekit.export.fork_server", str(there.fileno())],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,  # until the first export, which has a log
            stderr=subprocess.DEVNULL,
            env=environment,
            pass_fds=[there.fileno()],
            start_new_session=True,
        )
        there.close()
        try:
            yield here
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _order(
    server: Connection, job: ExportJob, scratch: Path, parallel: int, timeout_s: float
) -> _Child:
    """Have a child forked, which may use its part of the processors."""
    child = _Child(job, scratch / f"{job.key}.log", time.monotonic() + timeout_s)
    threads = max(1, usable_cores() // parallel)
    with suppress(ConnectionError):  # the server is gone, as `_receive` will say
        server.send((job, threads, child.log))
    return child


def _receive(
    server: Connection, running: Mapping[str, _Child], timeout_s: float
) -> tuple[_Child, tuple[str, float] | int | EdgekitError]:
    """The next message and the child that it is about: a step that it began and when, its exit
    code, or the error that edgekit refuses with. Raises ExportError when a child is late."""
    child = min(running.values(), key=lambda child: child.deadline)
    if not server.poll(max(0.0, child.deadline - time.monotonic())):
        raise _failure(
            child,
            f"took longer than {timeout_s:g} s",
            "is the model very large? try fewer exports at a time",
        )
    try:
        key, message = server.recv()
    except (EOFError, ConnectionError):
        raise _failure(
            child,
            "lost the process that it is forked from, probably out of memory",
            "export fewer at a time, or close other programs",
        ) from None
    return running[key], message


def _raise_for(child: _Child, end: int | EdgekitError) -> None:
    """Raise what a child ended with, unless that is an artifact."""
    if isinstance(end, EdgekitError):
        message = f"{child.job.key}: {end.message}"
        raise type(end)(message, hint=end.hint, details={**end.details, **_details(child)})
    if end == -signal.SIGKILL:
        raise _failure(
            child,
            "was killed, probably out of memory",
            "export fewer at a time, or close other programs",
        )
    if end < 0:
        raise _failure(
            child,
            f"crashed with {signal.Signals(-end).name}",
            "this is a fault of the converter or of the model's own code",
        )
    if end != 0 or not (child.job.output / "result.json").is_file():
        raise _failure(
            child,
            f"failed: {_tail(child.log)[-1]}",
            "the lines above it are in the details (--json or --debug)",
        )


def _failure(child: _Child, what: str, hint: str) -> ExportError:
    return ExportError(
        f"{child.job.key}: the exporter {what} (step: {child.step})",
        hint=hint,
        details=_details(child),
    )


def _details(child: _Child) -> dict[str, object]:
    job = child.job
    return {
        "variant": job.variant,
        "backend": job.backend,
        "step": child.step,
        "stderr": _tail(child.log),
    }


def _tail(log: Path) -> list[str]:
    """The last lines a child printed."""
    if not log.exists():
        return ["it printed nothing"]
    with log.open(encoding="utf-8", errors="replace") as stream:
        lines = deque((line.rstrip() for line in stream if line.strip()), maxlen=TAIL_LINES)
    return list(lines) or ["it printed nothing"]
