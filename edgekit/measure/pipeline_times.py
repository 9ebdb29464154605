"""What a sample costs beside the inference: from raw values to the bytes that the model takes
(pre), and from its bytes to the task's answer (post).

Owns where both are timed: on the device where it can run them, else on the machine that measures.
Reading and decoding a file, and resizing, are no part of them; what is timed is
edgekit.sample_steps's."""

from __future__ import annotations

from typing import Literal

import numpy as np

from edgekit.bundle.directory import Bundle
from edgekit.bundle.manifest import Artifact
from edgekit.measure.evaluation import task_of
from edgekit.measure.extra_results import SampleSteps
from edgekit.measure.extra_runs import Bench
from edgekit.measure.pipeline_program import Step, StepsProgram, described, time_on_device
from edgekit.measure.runner_process import Placed
from edgekit.sample_steps.preparing import raw_samples, whole_input
from edgekit.sample_steps.tensors import real_values, samples_in
from edgekit.sample_steps.timing import times_ns
from edgekit.tasks.decoding import Decode, board_decoding_of, decoding_of

UNDECODED = "the task does not say how its outputs become answers"
OWN_CODE = "the task's code is your own, and is not sent to a device"


def pipeline_times(
    bench: Bench, placed: Placed, bundle: Bundle, *, program: StepsProgram
) -> SampleSteps:
    """Time both steps of an artifact on the bundle's reference samples.

    Raises UsageError: the task is not on this machine. Raises ModelError: its code fails. Raises
    what `time_on_device` raises."""
    task = None if bundle.manifest.task is None else task_of(bundle)
    decode = decoding_of(task) if task and placed.artifact.reference_outputs else None
    decoding = board_decoding_of(task) if task and decode else None
    reason = program.unavailable or (OWN_CODE if decode and not decoding else "")
    if reason:
        times = time_on_host(placed.artifact, bundle, decode)
    else:
        times = time_on_device(bench, placed, program, bundle.manifest, decoding)
    where: Literal["device", "host"] = "host"
    if not reason or bench.target.kind == "local":
        where, reason = "device", ""
    return SampleSteps(
        where=where,
        host_because=reason,
        pre_ns=float(np.median(times["pre"])),
        post_ns=float(np.median(times["post"])) if decode else None,
        without_post="" if decode else UNDECODED,
    )


def time_on_host(
    artifact: Artifact, bundle: Bundle, decode: Decode | None
) -> dict[Step, list[int]]:
    """The times of both steps in this process, in ns; without a decoding those of the first."""
    inputs, outputs = artifact.inputs, artifact.outputs
    descriptions = [described(spec, bundle.manifest) for spec in inputs]
    raw = raw_samples(bundle.file(artifact.reference_inputs).read_bytes(), inputs, descriptions)
    times: dict[Step, list[int]] = {
        "pre": times_ns(lambda sample: whole_input(sample, inputs, descriptions), raw)
    }
    if decode and artifact.reference_outputs:
        data = bundle.file(artifact.reference_outputs).read_bytes()
        stored = list(samples_in(data, outputs))
        times["post"] = times_ns(lambda sample: decode(real_values(sample, outputs)), stored)
    return times
