"""The lines of runner protocol 1, each as a strict and bounded value: what a line may hold. How
lines are read, and what they must tell together, is wire.py's."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from edgekit.sanitize import printable

PROTOCOL = 1
MAX_VALUES_PER_LINE = 4096
PROBES = 32


def _no_control_characters(text: str) -> str:
    if printable(text, limit=len(text)) != text:
        raise ValueError("contains control characters")
    return text


Nanoseconds = Annotated[int, Field(ge=0, le=3_600 * 10**9)]
Bytes = Annotated[int, Field(ge=0, le=1 << 48)]
Count = Annotated[int, Field(ge=0, le=1 << 31)]
Instant = Annotated[int, Field(ge=0, le=1 << 62)]
"""A reading of CLOCK_MONOTONIC in ns."""
Label = Annotated[str, Field(max_length=256), AfterValidator(_no_control_characters)]
Message = Annotated[
    str, Field(max_length=16 << 10), AfterValidator(lambda text: printable(text, limit=1000))
]


class Line(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    edgekit: Annotated[int, Field(ge=PROTOCOL, le=PROTOCOL)]
    nonce: Annotated[str, Field(max_length=128)]


class Said(BaseModel):
    """Base of the values that are kept: strict, frozen, and closed."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class HelloValues(Said):
    """The program that ran. `threads` are those of the runtime, `cpus` the processors it may use,
    `at_ns` is when it said so, by its clock."""

    runtime: Literal["executorch", "litert"]
    runtime_version: Label
    runner: Literal["native", "ai_edge_litert", "tflite_runtime"]
    arch: Label
    pid: Annotated[int, Field(ge=1, le=1 << 31)]
    threads: Annotated[int, Field(ge=1, le=4096)]
    clock: Literal["CLOCK_MONOTONIC"]
    at_ns: Instant | None = None
    cpus: Annotated[
        tuple[Annotated[int, Field(ge=0, le=4095)], ...], Field(max_length=4096, strict=False)
    ] = ()


class MemoryMark(Said):
    """Resident memory of the runner process at one moment, by kind; `peak_rss_bytes` is VmHWM since
    the runner last reset it."""

    mark: Literal["baseline", "loaded", "first", "steady", "end"]
    rss_anon_bytes: Bytes
    rss_file_bytes: Bytes
    rss_shmem_bytes: Bytes
    pss_bytes: Bytes | None = None
    peak_rss_bytes: Bytes | None = None

    @property
    def rss_bytes(self) -> int:
        return self.rss_anon_bytes + self.rss_file_bytes + self.rss_shmem_bytes


class LoadValues(Said):
    """Loading the model. `start_ns` is from process start to main, `arena_bytes` what the runtime
    plans for activations; null where not known."""

    ns: Nanoseconds
    start_ns: Nanoseconds | None = None
    arena_bytes: Bytes | None = None
    model_bytes: Bytes


class TensorInfo(Said):
    """An input or output as the runtime on the device sees it, before the first inference: a size
    that is known after it only is 0."""

    name: Label
    dtype: Label
    shape: Annotated[tuple[Count, ...], Field(max_length=8)]
    scale: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    zero_point: Annotated[int, Field(ge=-(1 << 31), le=1 << 31)] | None = None


class OutputsValues(Said):
    """The file of outputs the runner wrote: concatenated raw bytes of `samples` samples."""

    samples: Count
    bytes: Bytes
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None


class WindowValues(Said):
    """A moment of the steady phase: when, the inferences until then, some of the times since the
    last (only in mode `sustain`), and the probes."""

    at_ns: Instant
    iterations: Count
    ns: Annotated[tuple[Nanoseconds, ...], Field(max_length=64, strict=False)] = ()
    values: Annotated[
        tuple[Annotated[int, Field(ge=-(1 << 62), le=1 << 62)] | None, ...],
        Field(max_length=PROBES, strict=False),
    ] = ()


class OperatorValues(Said):
    """An operator's times, one an inference, with the runtime's own name for it.

    `instruction` is the place in the method's list of instructions, −1 for the method as a whole.
    What is `delegated` ran inside that instruction. In LiteRT it is the place in the graph, and of
    what is delegated the number of the delegate's partition."""

    name: Label
    instruction: Annotated[int, Field(ge=-1, le=1 << 31)]
    delegate_id: Annotated[int, Field(ge=-1, le=1 << 32)] = -1
    delegated: bool
    ns: Annotated[tuple[Nanoseconds, ...], Field(max_length=MAX_VALUES_PER_LINE, strict=False)]


class HelloLine(HelloValues, Line):
    type: Literal["hello"]


class MemoryLine(MemoryMark, Line):
    type: Literal["memory"]


class LoadLine(LoadValues, Line):
    type: Literal["load"]


class TensorsLine(Line):
    type: Literal["tensors"]
    inputs: Annotated[tuple[TensorInfo, ...], Field(max_length=64)]
    outputs: Annotated[tuple[TensorInfo, ...], Field(max_length=64)]


class FirstLine(Line):
    type: Literal["first"]
    ns: Nanoseconds


class SamplesLine(Line):
    type: Literal["samples"]
    phase: Literal["warmup", "steady"]
    offset: Count
    ns: Annotated[tuple[Nanoseconds, ...], Field(max_length=MAX_VALUES_PER_LINE)]


class WindowLine(WindowValues, Line):
    type: Literal["window"]


class OperatorLine(OperatorValues, Line):
    type: Literal["operator"]


class OverheadLine(Line):
    type: Literal["overhead"]
    ns_per_iteration: Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)]


class OutputsLine(OutputsValues, Line):
    type: Literal["outputs"]


class EndLine(Line):
    type: Literal["end"]
    iterations: Count
    cpu_ns: Annotated[int, Field(ge=0, le=1 << 62)] | None = None
    ticks: Annotated[tuple[Annotated[int, Field(le=1 << 62)], ...], Field(max_length=8)] = ()
    ok: Literal[True]


class ErrorLine(Line):
    type: Literal["error"]
    code: Label | int
    message: Message


AnyLine = Annotated[
    HelloLine
    | MemoryLine
    | LoadLine
    | TensorsLine
    | FirstLine
    | SamplesLine
    | WindowLine
    | OperatorLine
    | OverheadLine
    | OutputsLine
    | EndLine
    | ErrorLine,
    Field(discriminator="type"),
]
