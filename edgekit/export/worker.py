"""One export in a process of its own, forked by fork_server.py.

A converter that crashes or eats all memory takes this process with it and nothing else. It sends
the name of each step and when that began, and the EdgekitError that it refuses with. Exit code 0
means that `result.json` is in the output directory."""

from __future__ import annotations

import ctypes
import json
import signal
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import Connection

from edgekit import errors
from edgekit.errors import EdgekitError, ExportError
from edgekit.export.processes import END, ExportJob

PR_SET_PDEATHSIG = 1


def main(job: ExportJob, threads: int, parent: Connection) -> None:
    die_with_parent()

    def step(name: str) -> None:
        parent.send((name, time.monotonic()))  # the same clock in all processes

    try:
        run(job, threads=threads, step=step)
        step(END)
    except EdgekitError as error:
        # the caller may not be able to import a class of the user's own
        kind = type(error) if type(error).__module__ == errors.__name__ else ExportError
        parent.send(kind(error.message, hint=error.hint, details=error.details))
        sys.exit(error.exit_code)


def run(job: ExportJob, *, threads: int, step: Callable[[str], None]) -> None:
    """Rebuild the model, open the test samples, export, verify, publish. Raises ExportError and
    ModelError."""
    step("load")
    import torch

    from edgekit.backends.lookup import load_backend
    from edgekit.compress import checkpoint as checkpoints
    from edgekit.compress.scheme import FLOAT
    from edgekit.data.dataset import example_call
    from edgekit.data.saved import open_split
    from edgekit.export.artifact import Purpose, export_artifact
    from edgekit.export.publish import publish, staging, write
    from edgekit.export.verify import Thresholds
    from edgekit.tasks.task import load_task

    torch.set_num_threads(threads)
    test, classes = open_split(job.test)
    checkpoint = checkpoints.load(job.checkpoint, example_call(test), base=job.base)
    quantization = checkpoint.quantization
    with staging(job.output) as staged:
        write(staged / "classes.json", json.dumps(classes).encode())
        publish(staged, job.output, ["classes.json"])
    export_artifact(
        checkpoint.model,
        load_backend(job.backend, job.base),
        purpose=Purpose(job.variant, job.backend, job.key),
        scheme=FLOAT if quantization is None else quantization.scheme,
        keep_float=() if quantization is None else quantization.keep_float,
        task=load_task(job.task, job.base),
        test=test,
        thresholds=Thresholds(**job.verify),
        dynamic=job.dynamic,
        output=job.output,
        threads=threads,
        step=step,
    )


def die_with_parent() -> None:
    """Ask Linux to kill this process when the parent dies, however it dies."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
