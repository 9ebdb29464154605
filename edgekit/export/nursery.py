"""A process that has the exporters' libraries imported and forks a child for each export: `python
-m edgekit.export.nursery SOCKET`.

Importing torch, executorch and litert-torch takes ten seconds and more of a processor, forking a
few milliseconds, and every child starts from the same state. Over a socket of packets it is given
{"key", "libraries", "job"} with two descriptors, the child's stdout and stderr, and answers {"key",
"pid"} when the child runs and {"key", "status"} when it has ended, a status as
`os.waitstatus_to_exitcode` gives. It ends when the socket is closed, and dies with its parent.
Before a fork it must have no second thread: with OMP_NUM_THREADS=1 the libraries start none on
import."""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import selectors
import socket
import sys
import traceback
import warnings
from collections.abc import Sequence

from edgekit.export import worker

PACKET_BYTES = 1 << 16


def main(descriptor: int) -> None:
    worker.die_with_parent()
    running: dict[int, tuple[int, str]] = {}
    with socket.socket(fileno=descriptor) as parent, selectors.DefaultSelector() as selector:
        selector.register(parent, selectors.EVENT_READ)
        while True:
            for event, _ in selector.select():
                if event.fileobj is parent:
                    packet, descriptors, _, _ = socket.recv_fds(parent, PACKET_BYTES, 2)
                    if not packet:
                        return
                    order = json.loads(packet)
                    _import(order["libraries"])
                    pid = _fork(order["job"], *descriptors)
                    process = os.pidfd_open(pid)
                    running[process] = (pid, order["key"])
                    selector.register(process, selectors.EVENT_READ)
                    parent.send(json.dumps({"key": order["key"], "pid": pid}).encode())
                else:
                    selector.unregister(event.fd)
                    os.close(event.fd)
                    pid, key = running.pop(event.fd)
                    _, status = os.waitpid(pid, 0)
                    parent.send(
                        json.dumps(
                            {"key": key, "status": os.waitstatus_to_exitcode(status)}
                        ).encode()
                    )


def _import(libraries: Sequence[str]) -> None:
    """Import the libraries of a backend; the second time costs nothing. One that fails is left to
    the child, which will say why."""
    for name in libraries:
        with contextlib.suppress(Exception):
            importlib.import_module(name)
    gc.freeze()  # what is shared stays shared: the collector does not write to it


def _fork(job: str, stdout: int, stderr: int) -> int:
    """Start the export that is described in the file `job`, in a process group of its own."""
    pid = os.fork()
    if pid:
        os.close(stdout)
        os.close(stderr)
        with contextlib.suppress(
            PermissionError, ProcessLookupError
        ):  # both sides do it, so that it is done before either goes on
            os.setpgid(pid, pid)
        return pid
    code = 1
    try:
        os.setpgid(0, 0)
        os.dup2(stdout, 1)
        os.dup2(stderr, 2)
        code = worker.main([job])
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)  # nothing of the nursery's own is to be cleaned up here


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main(int(sys.argv[1]))
