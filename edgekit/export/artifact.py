"""One artifact from a model: lower, prove, verify, and only then publish. Names the steps; lowering
and proving are the backend's.

Files of an artifact in its output directory (`result.json` comes last, so a directory that has it
is complete):

    int8.tflite …                          the artifact
    reference/ARTIFACT.{input,output}.bin  the first test samples and what the artifact returns for
                                           them, raw bytes
    outputs.npz                            real outputs on the test set by name, (N, …)
    result.json                            a `bundle.Artifact`
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from edgekit.backends.backend import ALL_FIXED, Backend, Dynamic, Lowered, require_dynamic
from edgekit.backends.host_model import Arrays, HostModel, length
from edgekit.bundle.directory import describe_file
from edgekit.bundle.manifest import Artifact, Delegation, TensorSpec, Verification
from edgekit.compress.scheme import FLOAT, Scheme
from edgekit.data.dataset import Split, example_call, series_steps
from edgekit.errors import ExportError
from edgekit.export.arrays_file import write_arrays
from edgekit.export.publish import publish, staging, write
from edgekit.export.sizes import sized, verified_host
from edgekit.export.verify import (
    Thresholds,
    compare,
    eager_outputs,
    evaluate,
    reference_bytes,
    reference_calls,
    require,
)
from edgekit.metrics import MetricValue
from edgekit.states import States
from edgekit.tasks.task import Task

MOST_IN_MANIFEST = 1 << 16
"""Characters of a metric's samples: those of 390,000 samples that are right or wrong, or of 12,000
with a number each."""


@dataclass(frozen=True)
class Purpose:
    """What an artifact is called: the variant it is of, its backend as the recipe names it, and its
    file name."""

    variant: str
    backend: str
    file_name: str


def export_artifact(
    model: nn.Module,
    backend: Backend,
    *,
    purpose: Purpose,
    scheme: Scheme = FLOAT,
    keep_float: Sequence[str] = (),
    task: Task,
    test: Split,
    thresholds: Thresholds,
    output: Path,
    dynamic: Dynamic = ALL_FIXED,
    threads: int = 1,
    step: Callable[[str], None] = lambda name: None,
) -> Artifact:
    """Export an eager model (or a prepared graph where `scheme` is in the graph) and publish it in
    `output` if it proves to be the model.

    Where sizes are `dynamic`, it is compared in the smallest and the largest too, and its reference
    has the largest. `step` is told what is being done. Nothing appears in `output` unless
    everything succeeded, and what was there before stays until then.

    Raises ExportError: cannot be traced, lowered, loaded or written; does not hold the model's
    weights; differs from eager PyTorch beyond `thresholds`. Raises ModelError: a `keep_float`
    pattern that means no layer."""
    samples = _samples(test, thresholds.samples)
    example = example_call(test, 1)
    step("lower")
    lowered = _lower(backend, model, example, dynamic, scheme, keep_float)
    name = purpose.file_name
    try:
        with staging(output) as staged:
            write(staged / name, lowered.data)
            step("verify")
            host = backend.open(
                staged / name, inputs=list(example), outputs=lowered.outputs, threads=threads
            )
            verification, outputs, dtypes = _verify(lowered, host, samples, test, task, thresholds)
            if dynamic:
                host = verified_host(lowered, host, samples, dynamic, thresholds)
            step("write")
            calls = reference_calls(
                host, sized(samples, dynamic, "max"), test.states, thresholds.samples
            )
            files = _write_reference(staged, name, host, calls)
            artifact = Artifact(
                variant=purpose.variant,
                backend=purpose.backend,
                runtime=backend.runtime,
                file=describe_file(staged / name, name),
                inputs=_with_states(_with_model_dtypes(host.inputs, _dtypes(example)), test.states),
                outputs=_with_model_dtypes(host.outputs, dtypes),
                arena_bytes=lowered.arena_bytes,
                reference_inputs=describe_file(staged / files[0], files[0]),
                reference_outputs=describe_file(staged / files[1], files[1]),
                reference_samples=length(calls),
                delegation=_delegation(lowered, host),
                verification=verification,
            )
            write_arrays(staged / "outputs.npz", outputs)
            write(staged / "result.json", artifact.model_dump_json(indent=1).encode())
            publish(staged, output, [name, *files, "outputs.npz", "result.json"])
    except OSError as error:
        raise ExportError(
            f"cannot write to {output}: {error.strerror or error}",
            hint="free disk space there and run again",
        ) from None
    return artifact


def _lower(
    backend: Backend,
    model: nn.Module,
    example: Mapping[str, Tensor],
    dynamic: Dynamic,
    scheme: Scheme,
    keep_float: Sequence[str],
) -> Lowered:
    if not dynamic:
        return backend.lower(model, example, scheme=scheme, keep_float=keep_float)
    return require_dynamic(backend).lower_dynamic(
        model, example, dynamic, scheme=scheme, keep_float=keep_float
    )


def _verify(
    lowered: Lowered,
    host: HostModel,
    samples: Mapping[str, Tensor],
    test: Split,
    task: Task,
    thresholds: Thresholds,
) -> tuple[Verification, Arrays, dict[str, str]]:
    """Compare on the samples, then run the whole test set. Gives the outputs on it too, and the
    types of the reference's outputs."""
    reference = eager_outputs(lowered.reference, samples, test.states)
    arrays = {name: values.numpy() for name, values in samples.items()}
    agreement = compare(reference, host(arrays, test.states), task)
    require(agreement, thresholds)
    evaluated = evaluate(host, test, task)
    verification = Verification(
        samples=agreement.samples,
        max_abs_error=agreement.max_abs_error,
        snr_db=agreement.snr_db,
        cosine=agreement.cosine,
        agreement_percent=agreement.answers_percent,
        metrics=tuple(map(_for_manifest, evaluated.metrics)),
        data_sha256=evaluated.data_sha256,
        proof=lowered.proof,
    )
    dtypes = {name: str(each.dtype) for name, each in reference.items()}
    return verification, evaluated.outputs, dtypes


def _for_manifest(metric: MetricValue) -> MetricValue:
    """A metric with the material of its samples where that is small: manifests are read often."""
    too_large = len(metric.per_sample) > MOST_IN_MANIFEST
    return metric.without_samples() if too_large else metric


def _samples(test: Split, count: int) -> dict[str, Tensor]:
    """Test samples to compare on: so many, or series that have as many steps together."""
    return test.at(slice(0, math.ceil(count / series_steps(test))))


def _dtypes(tensors: Mapping[str, Tensor]) -> dict[str, str]:
    return {name: str(values.dtype).removeprefix("torch.") for name, values in tensors.items()}


def _with_model_dtypes(
    specs: Sequence[TensorSpec], dtypes: Mapping[str, str]
) -> tuple[TensorSpec, ...]:
    """Specs that say where a file has another integer type than the model."""
    return tuple(
        spec
        if spec.scale is not None or spec.dtype == dtypes[spec.name] or "float" in spec.dtype
        else spec.model_copy(update={"model_dtype": dtypes[spec.name]})
        for spec in specs
    )


def _with_states(specs: Sequence[TensorSpec], states: States) -> tuple[TensorSpec, ...]:
    """Specs that say which output a state is fed from."""
    fed = {name: state.from_output for name, state in states.by_input.items()}
    return tuple(
        spec.model_copy(update={"from_output": fed[spec.name]}) if spec.name in fed else spec
        for spec in specs
    )


def _delegation(lowered: Lowered, host: HostModel) -> Delegation:
    """What one of the two knows: the partitioner, or the interpreter."""
    delegation = lowered.delegation or host.delegation
    if delegation is None:
        return Delegation(delegate="unknown", delegated={}, fallback={})
    return delegation


def _write_reference(staged: Path, name: str, host: HostModel, calls: Arrays) -> tuple[str, str]:
    names = (f"reference/{name}.input.bin", f"reference/{name}.output.bin")
    for reference_name, data in zip(names, reference_bytes(host, calls), strict=True):
        write(staged / reference_name, data)
    return names
