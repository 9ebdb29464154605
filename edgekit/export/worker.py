"""One export in a process of its own, forked by nursery.py.

A converter that crashes or eats all memory takes this process with it and nothing else. What the
libraries print goes to stderr; stdout carries one JSON object per line for the parent
(processes.py):
{"step": NAME} as work goes on, {"error": {...}} when edgekit refuses. Exit code 0 means that
`result.json` is in the output directory."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edgekit.errors import EdgekitError

PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> int:
    say = _protocol()
    die_with_parent()
    job = json.loads(Path(arguments[0]).read_text(encoding="utf-8"))
    try:
        run(job, step=lambda name: say({"step": name}))
    except EdgekitError as error:
        say(
            {
                "error": {
                    "class": type(error).__name__,
                    "message": error.message,
                    "hint": error.hint,
                    "details": error.details,
                }
            }
        )
        return error.exit_code
    return 0


def run(job: dict[str, Any], *, step: Callable[[str], None]) -> None:
    """Rebuild the model, open the test samples, export, verify, publish. Raises ExportError and
    ModelError."""
    step("load")
    import torch

    from edgekit.backends.lookup import load_backend
    from edgekit.compress import checkpoint as checkpoints
    from edgekit.compress.scheme import FLOAT
    from edgekit.data.saved import open_split
    from edgekit.export.artifact import Purpose, export_artifact
    from edgekit.export.publish import publish, staging, write
    from edgekit.export.verify import Thresholds
    from edgekit.tasks.task import load_task

    torch.set_num_threads(job["threads"])
    output, base = Path(job["output"]), Path(job["base"])
    test, classes = open_split(Path(job["test"]))
    checkpoint = checkpoints.load(Path(job["checkpoint"]), test.at(slice(0, 2)), base=base)
    quantization = checkpoint.quantization
    with staging(output) as staged:
        write(staged / "classes.json", json.dumps(classes).encode())
        publish(staged, output, ["classes.json"])
    export_artifact(
        checkpoint.model,
        load_backend(job["backend"], base),
        purpose=Purpose(job["variant"], job["backend"], job["key"]),
        scheme=FLOAT if quantization is None else quantization.scheme,
        keep_float=() if quantization is None else quantization.keep_float,
        task=load_task(job["task"], base),
        test=test,
        thresholds=Thresholds(**job["verify"]),
        output=output,
        threads=job["threads"],
        step=step,
    )


def _protocol() -> Callable[[dict[str, Any]], None]:
    """Keep stdout for the parent, and send what anything else prints there to stderr."""
    stream = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def say(message: dict[str, Any]) -> None:
        print(json.dumps(message), file=stream, flush=True)

    return say


def die_with_parent() -> None:
    """Ask Linux to kill this process when the parent dies, however it dies."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
