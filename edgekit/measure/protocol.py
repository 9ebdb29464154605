"""What a runner on a device says, read as untrusted input. Owns what the lines of runner protocol 1
tell together (a line: protocol_lines.py, its reading: protocol_text.py); starts no runner and
judges no number.

A runner prints one JSON object a line: `{"edgekit":1,"nonce":HEX,"type":…}`. Sizes are capped
before anything is parsed; every line must follow its model exactly and carry the nonce of this run;
the lines together must tell one consistent story. Whatever does not is a ResultError naming the
line. Integers are whole nanoseconds or bytes; a float where an integer belongs is refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

from pydantic import TypeAdapter

from edgekit.errors import ResultError, RunnerError
from edgekit.measure.protocol_lines import (
    AnyLine,
    EndLine,
    ErrorLine,
    FirstLine,
    HelloValues,
    LoadValues,
    MemoryLine,
    MemoryMark,
    OperatorLine,
    OperatorValues,
    OutputsValues,
    OverheadLine,
    Said,
    SamplesLine,
    TensorInfo,
    TensorsLine,
    WindowLine,
    WindowValues,
)
from edgekit.measure.protocol_text import bad_line, parsed_lines

MAX_SAMPLES = 5_000_000

MAX_WINDOWS = 15_000
MAX_OPERATORS = 4096

Mode = Literal["measure", "evaluate", "profile", "sustain"]
Value = TypeVar("Value", bound="Said")
_LINE: TypeAdapter[AnyLine] = TypeAdapter(AnyLine)

REQUIRED: dict[Mode, tuple[str, ...]] = {
    "measure": (
        *("hello", "load", "tensors", "first", "samples steady", "overhead", "end"),
        *("memory baseline", "memory loaded", "memory first", "memory steady"),
    ),
    "evaluate": ("hello", "load", "tensors", "outputs", "end"),
    "profile": ("hello", "load", "tensors", "first", "samples steady", "operator", "end"),
    "sustain": ("hello", "load", "tensors", "first", "window", "end"),
}


@dataclass(frozen=True)
class RunnerRun:
    """One run of a runner. When `complete`, every line its mode requires was there and consistent;
    otherwise it holds what came before the end.

    `warmup_ns` and `steady_ns` are the raw samples in order; `cpu_ns` is the processor time of the
    process since hello, `ticks` are those of the whole device in the same time (user, nice, system,
    idle, iowait, irq, softirq, steal; empty when unknown); `error` is what the runner itself
    reported as its failure."""

    complete: bool
    hello: HelloValues | None
    load: LoadValues | None
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    memory: tuple[MemoryMark, ...]
    first_ns: int | None
    warmup_ns: tuple[int, ...]
    steady_ns: tuple[int, ...]
    overhead_ns_per_iteration: float | None
    output_file: OutputsValues | None
    error: str | None = None
    cpu_ns: int | None = None
    ticks: tuple[int, ...] = ()
    windows: tuple[WindowValues, ...] = ()
    operators: tuple[OperatorValues, ...] = ()


def parse_runner_output(
    stdout: bytes,
    *,
    nonce: str,
    mode: Mode = "measure",
    model_bytes: int | None = None,
    outputs_wanted: bool = False,
    truncated: bool = False,
    allow_incomplete: bool = False,
) -> RunnerRun:
    """Read everything a runner printed.

    `nonce` is the one given to this run, `model_bytes` the size of the artifact it was given,
    `outputs_wanted` says that it was told to write outputs, and `truncated` that the transport
    dropped output. With `allow_incomplete`, output that only stops too early gives what came,
    `complete=False`.

    Raises ResultError (output that does not follow the protocol, or stops early), RunnerError (the
    runner reported a failure of its own)."""
    lines = parsed_lines(stdout, nonce, _LINE)
    _check_order(lines)
    run = _assemble(lines)
    if run.load and model_bytes is not None and run.load.model_bytes != model_bytes:
        raise ResultError(
            f"the runner loaded {run.load.model_bytes} bytes, the artifact has {model_bytes}",
            hint="deploy the bundle again",
        )
    gap = _gap(lines, (*REQUIRED[mode], *(("outputs",) if outputs_wanted else ())), truncated)
    if allow_incomplete and (gap or run.error):
        return run
    if run.error:
        raise RunnerError(f"the runner reported: {run.error}")
    if gap:
        raise ResultError(
            gap, hint="see the runner's messages on stderr; run the measurement again"
        )
    _check_counts(lines, run, mode)
    return replace(run, complete=True)


def _kind(line: AnyLine) -> str:
    """What may occur once, except samples."""
    if isinstance(line, MemoryLine):
        return f"memory {line.mark}"
    return f"samples {line.phase}" if isinstance(line, SamplesLine) else line.type


def _check_order(lines: Sequence[tuple[int, AnyLine]]) -> None:
    """hello first, nothing twice, nothing after end or error, samples without a gap, windows in the
    order of time and not too many."""
    seen: set[str] = set()
    last = (0, 0)
    listed = {"window": 0, "operator": 0}
    counted = {"warmup": 0, "steady": 0}
    for number, line in lines:
        kind = _kind(line)
        if number == 1 and kind != "hello":
            raise bad_line(number, f"{kind} before hello")
        if seen & {"end", "error"}:
            raise bad_line(number, f"{kind} after the end")
        if kind in seen and not isinstance(line, SamplesLine | WindowLine | OperatorLine):
            raise bad_line(number, f"{kind} a second time")
        if kind in listed:
            listed[kind] += 1
            if listed[kind] > {"window": MAX_WINDOWS, "operator": MAX_OPERATORS}[kind]:
                raise bad_line(number, f"too many lines of this type: {kind}")
        if isinstance(line, WindowLine):
            if line.at_ns < last[0] or line.iterations < last[1]:
                raise bad_line(number, "windows out of order")
            if len(line.ns) > line.iterations - last[1]:
                raise bad_line(number, "a window with more times than inferences")
            last = (line.at_ns, line.iterations)
        if isinstance(line, SamplesLine):
            if line.offset != counted[line.phase]:
                raise bad_line(
                    number,
                    f"{line.phase} samples start at {line.offset}, expected {counted[line.phase]}",
                )
            counted[line.phase] += len(line.ns)
            if counted[line.phase] > MAX_SAMPLES:
                raise bad_line(number, f"more than {MAX_SAMPLES} samples")
        seen.add(kind)


def _gap(lines: Sequence[tuple[int, AnyLine]], required: Sequence[str], truncated: bool) -> str:
    """What is missing, in words; empty when everything is there."""
    if truncated:
        return (
            f"the runner's output was cut after {len(lines)} lines: it is longer than the transport"
            " keeps"
        )
    seen = {_kind(line) for _, line in lines}
    missing = [kind for kind in required if kind not in seen]
    return f"the runner's output stops after line {len(lines)}: no {missing[0]}" if missing else ""


def _check_counts(lines: Sequence[tuple[int, AnyLine]], run: RunnerRun, mode: Mode) -> None:
    number, end = lines[-1]
    if not isinstance(end, EndLine):
        raise bad_line(number, f"{_kind(end)} where end was expected")
    counted = run.windows[-1].iterations if mode == "sustain" else len(run.steady_ns)
    if any(len(operator.ns) > counted for operator in run.operators):
        raise bad_line(number, "an operator with more times than inferences")
    if mode == "evaluate" and run.output_file:
        counted = run.output_file.samples
    if end.iterations != counted or counted == 0:
        raise bad_line(number, f"claims {end.iterations} iterations, {counted} were reported")


def _assemble(lines: Sequence[tuple[int, AnyLine]]) -> RunnerRun:
    by_kind = {_kind(line): line for _, line in lines}
    tensors, first, overhead, error, end = (
        by_kind.get(kind) for kind in ("tensors", "first", "overhead", "error", "end")
    )
    samples = [line for _, line in lines if isinstance(line, SamplesLine)]
    return RunnerRun(
        complete=False,
        hello=_values(HelloValues, by_kind.get("hello")),
        load=_values(LoadValues, by_kind.get("load")),
        inputs=tensors.inputs if isinstance(tensors, TensorsLine) else (),
        outputs=tensors.outputs if isinstance(tensors, TensorsLine) else (),
        memory=tuple(mark for _, line in lines if (mark := _values(MemoryMark, line))),
        first_ns=first.ns if isinstance(first, FirstLine) else None,
        warmup_ns=tuple(ns for line in samples if line.phase == "warmup" for ns in line.ns),
        steady_ns=tuple(ns for line in samples if line.phase == "steady" for ns in line.ns),
        overhead_ns_per_iteration=(
            overhead.ns_per_iteration if isinstance(overhead, OverheadLine) else None
        ),
        output_file=_values(OutputsValues, by_kind.get("outputs")),
        error=f"{error.code}: {error.message}" if isinstance(error, ErrorLine) else None,
        cpu_ns=end.cpu_ns if isinstance(end, EndLine) else None,
        ticks=end.ticks if isinstance(end, EndLine) else (),
        windows=tuple(window for _, line in lines if (window := _values(WindowValues, line))),
        operators=tuple(
            operator for _, line in lines if (operator := _values(OperatorValues, line))
        ),
    )


def _values(kind: type[Value], line: AnyLine | None) -> Value | None:
    """The part of a line that is kept, without version, nonce and type."""
    return (
        kind.model_construct(**{name: getattr(line, name) for name in kind.model_fields})
        if isinstance(line, kind)
        else None
    )
