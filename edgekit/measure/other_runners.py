"""Runners that are not edgekit's: the user's own `executor_runner` (ExecuTorch) and
`benchmark_model` (TensorFlow Lite) on a device. Owns their command lines and what they print.

They report means, not samples, compare no outputs, and choose their own warm-up: what comes of them
is shown and never passes a gate (edgekit/measure/validity.py). Their output is untrusted like that
of any runner."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from edgekit.devices import Device
from edgekit.devices.fact_scripts import collect_state
from edgekit.devices.facts import DeviceState
from edgekit.errors import DeviceError, ResultError, TransportError
from edgekit.measure.protocol import RunnerRun
from edgekit.measure.protocol_lines import LoadValues
from edgekit.measure.run_failures import failed, given_up
from edgekit.measure.runner_process import Attempt, Placed
from edgekit.measure.settings import Settings

OtherRunner = Literal["executor_runner", "benchmark_model"]

MAX_PRINTED_BYTES = 4 << 20
LONGEST_NS = 3_600 * 10**9
_NUMBER = r"([0-9]{1,15}(?:\.[0-9]{1,15})?(?:e\+?[0-9]{1,2})?)"
_TIMINGS = re.compile(
    rf"Inference timings in us: Init: {_NUMBER}, First inference: {_NUMBER}, Warmup \(avg\):"
    rf" {_NUMBER}, Inference \(avg\): {_NUMBER}"
)
_COUNT = re.compile(rf"count=([0-9]{{1,9}}) (?:first={_NUMBER} )?curr={_NUMBER}")
_EXECUTED = re.compile(rf"Model executed successfully ([0-9]{{1,9}}) time\(s\) in {_NUMBER} ms")
_ITERATION = re.compile(rf"Iteration ([0-9]{{1,9}}) of ([0-9]{{1,9}}): {_NUMBER} ms")
_LOADED = re.compile(rf"Model loaded in {_NUMBER} ms")


@dataclass(frozen=True)
class Reported:
    """What such a runner says of one process. `mean_ns` is over `iterations`; `samples_ns` are the
    times it printed one by one, if it did."""

    iterations: int
    mean_ns: int
    load_ns: int | None = None
    first_ns: int | None = None
    samples_ns: tuple[int, ...] = ()


def executor_runner_argv(placed: Placed, settings: Settings) -> list[str]:
    return [
        *placed.command,
        f"--model_path={placed.model}",
        f"--num_executions={settings.min_iterations}",
    ]


def benchmark_model_argv(placed: Placed, settings: Settings) -> list[str]:
    times = {
        "warmup_min_secs": settings.warmup_min_seconds,
        "min_secs": settings.min_seconds,
        "max_secs": settings.max_seconds,
    }
    counts = {"num_threads": settings.threads, "num_runs": settings.min_iterations}
    return [
        *placed.command,
        f"--graph={placed.model}",
        *(f"--{name}={value:g}" for name, value in {**counts, **times}.items()),
    ]


def parse_executor_runner(text: str) -> Reported:
    """Reads `Model executed successfully N time(s) in T ms.`, and the lines a time that newer
    versions print. Raises ResultError."""
    total = _EXECUTED.search(text)
    if total is None:
        raise ResultError(
            "executor_runner printed no times",
            hint="it must be one that prints `Model executed successfully N time(s) in T ms`",
        )
    count = int(total[1])
    if count < 1:
        raise ResultError("executor_runner claims no execution")
    samples = tuple(_ns(match[3], 1e6) for match in _ITERATION.finditer(text))
    if samples and len(samples) != count:
        raise ResultError(
            f"executor_runner claims {count} executions and printed {len(samples)} times"
        )
    loaded = _LOADED.search(text)
    load_ns = _ns(loaded[1], 1e6) if loaded else None
    return Reported(
        count, _ns(total[2], 1e6 / count), load_ns, samples[0] if samples else None, samples
    )


def parse_benchmark_model(text: str) -> Reported:
    """Reads the last `count=…` line and `Inference timings in us: …`. Raises ResultError."""
    timings, counts = _TIMINGS.search(text), list(_COUNT.finditer(text))
    if timings is None or not counts:
        raise ResultError(
            "benchmark_model printed no `Inference timings`",
            hint="is it TensorFlow Lite's or LiteRT's benchmark_model?",
        )
    load_ns, first_ns, _, mean_ns = (_ns(value, 1e3) for value in timings.groups())
    return Reported(int(counts[-1][1]), mean_ns, load_ns, first_ns)


COMMANDS: dict[
    OtherRunner, tuple[Callable[[Placed, Settings], list[str]], Callable[[str], Reported]]
] = {
    "executor_runner": (executor_runner_argv, parse_executor_runner),
    "benchmark_model": (benchmark_model_argv, parse_benchmark_model),
}


def attempt(
    device: Device,
    kind: OtherRunner,
    placed: Placed,
    settings: Settings,
    before: DeviceState,
    *,
    timeout_s: float,
) -> Attempt:
    """One process. A failure of it is returned, not raised. Raises TransportError when the device
    cannot be reached any more."""
    argv, parse = COMMANDS[kind]
    try:
        done = device.run(
            argv(placed, settings),
            timeout_s=timeout_s,
            max_stdout_bytes=MAX_PRINTED_BYTES,
            max_stderr_bytes=MAX_PRINTED_BYTES,
        )
        if not done.ok:
            return Attempt(_run(placed, None), failed(done, None, before, collect_state(device)))
        reported = parse((done.stdout + b"\n" + done.stderr).decode("utf-8", "replace"))
    except TransportError as error:
        return Attempt(_run(placed, None), given_up(error, before, collect_state(device)))
    except (DeviceError, ResultError) as error:
        return Attempt(_run(placed, None), error)
    return Attempt(_run(placed, reported))


def _run(placed: Placed, reported: Reported | None) -> RunnerRun:
    """As far as it goes, in the terms of edgekit's own runners. The mean stands where there are no
    samples."""
    load = None
    if reported and reported.load_ns is not None:
        load = LoadValues(ns=reported.load_ns, model_bytes=placed.artifact.file.bytes)
    steady = (reported.samples_ns or (reported.mean_ns,)) if reported else ()
    return RunnerRun(
        complete=reported is not None,
        hello=None,
        load=load,
        inputs=(),
        outputs=(),
        memory=(),
        first_ns=reported.first_ns if reported else None,
        warmup_ns=(),
        steady_ns=steady,
        overhead_ns_per_iteration=None,
        output_file=None,
    )


def _ns(number: str, unit_ns: float) -> int:
    value = float(number) * unit_ns
    if not 0 <= value <= LONGEST_NS:
        raise ResultError(f"a time of {value:g} ns is not plausible")
    return round(value)
