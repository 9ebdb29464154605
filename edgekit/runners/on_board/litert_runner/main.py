"""One run from the command line to the exit code."""

from __future__ import annotations

import gc
import os
import sys
import time
from typing import Any

from .failure import EXIT_EXECUTION, EXIT_LOAD, EXIT_USAGE, Failure
from .measuring import measure, write_outputs
from .model import Model
from .options import USAGE, Options
from .process import (
    bind_to,
    device_ticks,
    now_ns,
    reset_peak_rss,
    send_memory,
    since_process_start_ns,
)
from .protocol import Protocol
from .runtime import import_runtime
from .samples import Samples
from .times import Times


def run(options: Options, protocol: Protocol, runtime: Any, start_ns: int | None) -> None:
    cpu_ns, ticks = time.process_time_ns(), device_ticks()
    reset_peak_rss()
    send_memory(protocol, "baseline")
    if not os.path.isfile(options.model):
        raise Failure(EXIT_LOAD, options.model + ": no such file")
    start = now_ns()
    model = Model(runtime, options)
    load_ns = now_ns() - start
    protocol.send(
        "load",
        ns=load_ns,
        start_ns=start_ns,
        arena_bytes=None,
        model_bytes=os.path.getsize(options.model),
    )
    send_memory(protocol, "loaded")
    protocol.send("tensors", **model.describe())
    samples = Samples(options, model)
    gc.collect()
    gc.disable()  # a collection in a timed region would be the runner's time, not the model's
    try:
        if options.mode == "evaluate":
            iterations = write_outputs(options, protocol, model, samples, Times(protocol, "steady"))
        else:
            iterations = measure(options, protocol, model, samples)
    except (RuntimeError, ValueError) as error:
        raise Failure(EXIT_EXECUTION, f"inference failed: {error}") from None
    send_memory(protocol, "end")
    spent = [now - ticks[i] for i, now in enumerate(device_ticks())] if ticks else []
    protocol.send(
        "end", iterations=iterations, cpu_ns=time.process_time_ns() - cpu_ns, ticks=spent, ok=True
    )


def main(argv: list[str]) -> int:
    protocol: Protocol | None = None
    try:
        options = Options(argv)
        bind_to(options.cpus)
        package, version, runtime = import_runtime()
        start_ns = since_process_start_ns()
        protocol = Protocol(options.nonce)
        protocol.send(
            "hello",
            runtime="litert",
            runtime_version=str(version),
            runner=package,
            arch=os.uname().machine,
            pid=os.getpid(),
            threads=options.threads,
            clock="CLOCK_MONOTONIC",
            at_ns=now_ns(),
            cpus=sorted(os.sched_getaffinity(0)),
        )
        run(options, protocol, runtime, start_ns)
        return 0
    except Failure as failure:
        sys.stderr.write(f"litert_runner: {failure}\n{USAGE if failure.code == EXIT_USAGE else ''}")
        if protocol:
            protocol.send("error", code=failure.code, message=str(failure))
        return failure.code
