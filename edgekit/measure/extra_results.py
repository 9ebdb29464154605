"""What a session may find out about an artifact beside its latency, as frozen values that survive
JSON: operators, endurance, the task's metrics, energy.

Each comes from processes of its own, so that its numbers never mix with the latency samples. How
they are gathered is in extra_runs.py and energy.py."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from edgekit.measure.protocol_lines import WindowValues
from edgekit.metrics import MetricValue

Share = Annotated[float, Field(ge=0, le=1)]


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class OperatorTime(Part):
    """An operator with its mean time an inference (XNNPACK and LiteRT count whole µs and drop the
    rest).

    `layer` is the module of the PyTorch model it came from, empty where that is not known. `share`
    is its part of all operators' time. What the runtime does beside them, such as handing over
    tensors, is no operator."""

    name: str
    layer: str = ""
    delegated: bool
    mean_ns: float
    share: Share


class Profile(Part):
    """Time by operator, in the order they run. `median_ns` is a whole inference with the profiler
    listening, which slows it. `dropped_ns` is the most that was dropped of an inference because
    whole µs are counted.

    `unavailable` says why there is none.
    """

    inferences: int = 0
    median_ns: float | None = None
    operators: tuple[OperatorTime, ...] = ()
    dropped_ns: float = 0.0
    unavailable: str = ""

    @property
    def below_resolution(self) -> str:
        """Why the operators' shares say little; empty where most of the time was counted."""
        known_ns = sum(operator.mean_ns for operator in self.operators)
        if known_ns > self.dropped_ns or not self.operators:
            return ""
        return (
            f"below the profiler's resolution: whole µs are counted, {known_ns / 1e3:.3g} of them"
            f" in all, and up to {self.dropped_ns / 1e3:.0f} were dropped"
        )


class Sustained(Part):
    """Inference after inference for `seconds`. `burst_ns` is the median of the first window with
    any, `sustained_ns` that of the last quarter.

    `windows` are the curve: see edgekit.measure.protocol_lines.WindowValues. Their probes are those
    of the measurement."""

    seconds: float
    windows: tuple[WindowValues, ...]
    throttled: str = ""

    @property
    def curve(self) -> list[tuple[float, float, float]]:
        """Of each window: its end in seconds, the median of its kept times in ns, and the
        inferences a second."""
        pairs = zip(self.windows[:-1], self.windows[1:], strict=True)
        start = self.windows[0].at_ns if self.windows else 0
        return [
            (
                (now.at_ns - start) / 1e9,
                float(np.median(now.ns)),
                (now.iterations - was.iterations) * 1e9 / (now.at_ns - was.at_ns),
            )
            for was, now in pairs
            if now.ns and now.at_ns > was.at_ns
        ]

    @property
    def burst_ns(self) -> float | None:
        return self.curve[0][1] if self.curve else None

    @property
    def sustained_ns(self) -> float | None:
        last = [median for _, median, _ in self.curve[-max(1, len(self.curve) // 4) :]]
        return float(np.median(last)) if last else None


class DeviceEvaluation(Part):
    """The task's metrics of the artifact on the device over `samples` samples of the evaluation
    set; none without targets.

    `agreement_percent` is how far its answers are those of the same artifact on the build host,
    None where the task does not say. `max_abs_error` and `snr_db` (None: equal) compare all real
    outputs with the build host's. `data_sha256` says which samples and targets they are, empty
    without targets."""

    samples: Annotated[int, Field(ge=1)]
    metrics: tuple[MetricValue, ...]
    agreement_percent: float | None
    max_abs_error: float
    snr_db: float | None
    data_sha256: str = ""


class SampleSteps(Part):
    """What edgekit does to a sample beside the inference, medians of one sample: `pre_ns` from raw
    values to what the model takes, `post_ns` from its outputs to the task's answer.

    `where` both were timed: on the measured device, or on the host, the machine that measures;
    `host_because` says why there, and is empty in older results. `without_post` says why there is
    no `post_ns`."""

    where: Literal["device", "host"]
    host_because: str = ""
    pre_ns: Annotated[float, Field(ge=0)]
    post_ns: Annotated[float, Field(ge=0)] | None = None
    without_post: str = ""


class Energy(Part):
    """Energy of one inference by a power sensor: `joules` with the idle device's power taken off,
    `gross_joules` without. None: not available."""

    sensor: str = ""
    joules: float | None = None
    gross_joules: float | None = None
    idle_watts: float | None = None
    inferences: int = 0
    unavailable: str = ""
