"""The process that exports are forked from: `python -m edgekit.export.fork_server FILENO`.

Importing torch, executorch and litert-torch takes ten seconds and more of a processor, forking a
few milliseconds, and every child starts from the same state. The fork server of `multiprocessing`
runs the caller's `__main__` once more and keeps the caller's hash seed and threads, so this one is
a program of its own. Below it everything is `multiprocessing`.

Over the connection FILENO it receives (job, threads, log) for each export, and sends (key, message)
with what the child sends (worker.py) and, when that has ended, its exit code. It dies with its
parent, which kills it at the end (processes.py). Before a fork it must have no second thread:
with OMP_NUM_THREADS=1 the libraries start none on import."""

from __future__ import annotations

import contextlib
import gc
import importlib
import multiprocessing
import os
import signal
import sys
import traceback
import warnings
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkProcess
from pathlib import Path

from edgekit.backends.lookup import load_backend
from edgekit.export import worker
from edgekit.export.processes import ExportJob

FORK = multiprocessing.get_context("fork")


def main(fileno: int) -> None:
    worker.die_with_parent()
    children: dict[Connection, ForkProcess] = {}
    with Connection(fileno) as caller:
        while True:
            ready = wait([caller, *children])
            for messages, child in list(children.items()):
                if messages in ready:
                    try:
                        message = messages.recv()
                    except EOFError:  # the child alone had the other end: it has ended
                        del children[messages]
                        child.join()
                        message = child.exitcode
                    caller.send((child.name, message))
            if caller in ready:
                messages, child = _start(*caller.recv())
                children[messages] = child


def _start(job: ExportJob, threads: int, log: Path) -> tuple[Connection, ForkProcess]:
    """Fork the child of an export. Gives the connection to read its messages from. What this
    process prints goes to the log of the export that was ordered last, the child's to its own."""
    with log.open("wb") as stream:
        os.dup2(stream.fileno(), 1)
        os.dup2(stream.fileno(), 2)
    _import_libraries(job)
    messages, sender = FORK.Pipe(duplex=False)
    process = FORK.Process(target=worker.main, args=(job, threads, sender), name=job.key)
    process.start()
    sender.close()
    return messages, process


def _import_libraries(job: ExportJob) -> None:
    """Import the libraries of a job's backend; the second time costs nothing. What fails is left
    to the child, which will say why."""
    with contextlib.suppress(Exception):
        for name in load_backend(job.backend, job.base).libraries:
            importlib.import_module(name)
    gc.freeze()  # what is shared stays shared: the collector does not write to it


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    try:
        main(int(sys.argv[1]))
    except Exception:
        traceback.print_exc()
    os.killpg(0, signal.SIGKILL)  # the children as well: a usual end would wait for them
