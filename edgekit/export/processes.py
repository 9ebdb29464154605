"""Exports in child processes: start them, watch them, and turn whatever becomes of them into
artifacts or one ExportError. Imports no torch.

Each child exports one artifact (worker.py) in its own process group, forked from one process that
has imported the libraries (nursery.py). A child that is killed, runs out of memory or hangs does
not take the caller down; when one fails, or on Ctrl-C, the others are killed and nothing of theirs
stays."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from edgekit import errors
from edgekit.backends.lookup import load_backend
from edgekit.bundle.manifest import Artifact
from edgekit.errors import EdgekitError, ExportError
from edgekit.export.publish import clear_staging
from edgekit.progress import Progress, silent

STEPS = ("load", "lower", "verify", "write")
TAIL_LINES = 8
TAIL_BYTES = 64 << 10
PACKET_BYTES = 1 << 16


@dataclass(frozen=True)
class ExportJob:
    """One artifact to be made: from a checkpoint directory, verified on the test split that is
    saved in `test` (edgekit.data.saved), into `output`.

    `base` is the recipe's directory; `backend` is a name as in the recipe; `key` is the artifact's
    file name; `verify` are the fields of `verify.Thresholds`.
    """

    checkpoint: Path
    base: Path
    test: Path
    task: str
    variant: str
    backend: str
    key: str
    verify: Mapping[str, Any]
    output: Path


@dataclass
class _Child:
    """An export that was ordered. It runs when `pid` is known; `step` is what it last said it does,
    `error` what it refused with, `status` how it ended; it is over when that is known and it is
    `silent`, having closed its stdout."""

    job: ExportJob
    stdout: IO[bytes]
    log: IO[bytes]
    deadline: float
    pid: int | None = None
    status: int | None = None
    pending: bytes = b""
    step: str = "start"
    silent: bool = False
    error: dict[str, Any] | None = field(default=None)


def export_artifacts(
    jobs: Sequence[ExportJob],
    *,
    parallel: int = 2,
    timeout_s: float = 3600,
    progress: Progress = silent,
) -> list[Artifact]:
    """Run all exports, `parallel` at a time, and give their artifacts in the jobs' order.

    Raises ExportError (exit 4) naming variant, backend and step, for a child that refuses, crashes,
    is killed, or takes longer than `timeout_s`; with the last lines it printed in `details`. Raises
    what the child raised when that is an error of edgekit's own, such as ModelError."""
    parallel = max(1, min(parallel, len(jobs)))
    waiting, running = list(reversed(jobs)), list[_Child]()
    with ExitStack() as stack:
        for job in jobs:
            stack.callback(clear_staging, job.output)
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="edgekit-export-")))
        selector = stack.enter_context(selectors.DefaultSelector())
        stack.callback(_kill, running)
        nursery = stack.enter_context(_nursery(scratch))
        selector.register(nursery, selectors.EVENT_READ)
        while waiting or running:
            while waiting and len(running) < parallel:
                threads = max(1, (os.cpu_count() or 1) // parallel)
                running.append(
                    _order(nursery, waiting.pop(), scratch, threads=threads, timeout_s=timeout_s)
                )
                selector.register(running[-1].stdout, selectors.EVENT_READ, running[-1])
            for key, _ in selector.select(
                timeout=max(0.0, min(child.deadline for child in running) - time.monotonic())
            ):
                if key.fileobj is nursery:
                    _hear(nursery, running)
                elif not _listen(key.data, progress):
                    selector.unregister(key.fileobj)
                    key.data.silent = True
            for child in [child for child in running if child.silent and child.status is not None]:
                running.remove(child)
                _finish(child, progress)
            for child in running:
                if time.monotonic() > child.deadline:
                    raise _failure(
                        child,
                        f"took longer than {timeout_s:g} s",
                        "is the model very large? try fewer exports at a time",
                    )
    return [Artifact.model_validate_json((job.output / "result.json").read_bytes()) for job in jobs]


@contextmanager
def _nursery(scratch: Path) -> Iterator[socket.socket]:
    """The process that forks the children, for as long as the context is open."""
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",  # one thread until the fork; each child then sets its own number
        "PYTHONHASHSEED": (
            "0"
        ),  # the order of sets is then the same from run to run, and so are the artifact's bytes
        "LITERT_TORCH_SHOW_PROGRESS": "n",
        "TF_CPP_MIN_LOG_LEVEL": "2",
    }
    with here, (scratch / "nursery.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "edgekit.export.nursery", str(there.fileno())],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment,
            pass_fds=[there.fileno()],
            start_new_session=True,
        )
        there.close()
        try:
            yield here
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _order(
    nursery: socket.socket, job: ExportJob, scratch: Path, *, threads: int, timeout_s: float
) -> _Child:
    description = scratch / f"{job.key}.json"
    description.write_text(
        json.dumps({**dataclasses.asdict(job), "threads": threads}, default=str), encoding="utf-8"
    )
    log = (scratch / f"{job.key}.log").open("w+b")
    read, write = os.pipe()
    libraries = load_backend(job.backend, job.base).libraries
    order = {"key": job.key, "libraries": list(libraries), "job": str(description)}
    child = _Child(job, os.fdopen(read, "rb", buffering=0), log, time.monotonic() + timeout_s)
    try:
        socket.send_fds(nursery, [json.dumps(order).encode()], [write, log.fileno()])
    except OSError:
        raise _failure(child, "could not be started", "is there memory enough?") from None
    finally:
        os.close(write)
    return child


def _hear(nursery: socket.socket, running: Sequence[_Child]) -> None:
    """Take what the nursery says of a child. Raises ExportError when the nursery is gone."""
    packet = nursery.recv(PACKET_BYTES)
    if not packet:
        raise _failure(
            running[0], "was killed before it began, probably out of memory", "close other programs"
        )
    message = json.loads(packet)
    child = next(child for child in running if child.job.key == message["key"])
    child.pid = message.get("pid", child.pid)
    child.status = message.get("status", child.status)


def _listen(child: _Child, progress: Progress) -> bool:
    """Take what a child says. False when it has said its last."""
    data = os.read(child.stdout.fileno(), 1 << 16)
    *lines, child.pending = (child.pending + data).split(b"\n")
    for line in lines:
        message = json.loads(line)
        child.error = message.get("error", child.error)
        child.step = message.get("step", child.step)
        if child.step in STEPS:
            progress(child.job.key, STEPS.index(child.step), len(STEPS), child.step)
    return bool(data)


def _finish(child: _Child, progress: Progress) -> None:
    """Raise what a child that ended died of, if anything."""
    with child.log, child.stdout:
        assert child.status is not None
        _raise_for(child, child.status)
        progress(child.job.key, len(STEPS), len(STEPS), "done")


def _raise_for(child: _Child, code: int) -> None:
    if child.error is not None:
        kind = getattr(errors, child.error["class"], ExportError)
        assert issubclass(kind, EdgekitError)
        message = f"{child.job.key}: {child.error['message']}"
        raise kind(
            message, hint=child.error["hint"], details={**child.error["details"], **_details(child)}
        )
    if code == -signal.SIGKILL:
        raise _failure(
            child,
            "was killed, probably out of memory",
            "export fewer at a time, or close other programs",
        )
    if code < 0:
        raise _failure(
            child,
            f"crashed with {signal.Signals(-code).name}",
            "this is a fault of the converter or of the model's own code",
        )
    if code != 0 or not (child.job.output / "result.json").is_file():
        raise _failure(
            child,
            f"failed: {_tail(child)[-1]}",
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
        "stderr": _tail(child),
    }


def _tail(child: _Child) -> list[str]:
    """The last lines a child printed."""
    child.log.seek(0, os.SEEK_END)
    child.log.seek(max(0, child.log.tell() - TAIL_BYTES))
    lines = [
        line.rstrip()
        for line in child.log.read().decode(errors="replace").splitlines()
        if line.strip()
    ]
    return lines[-TAIL_LINES:] or ["it printed nothing"]


def _kill(running: Sequence[_Child]) -> None:
    """End children and everything they started. One that is being forked is still in the nursery's
    process group, which is killed first."""
    for child in running:
        if child.pid is not None and child.status is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
        child.log.close()
        child.stdout.close()
