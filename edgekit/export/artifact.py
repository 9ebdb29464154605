"""One artifact from a model: lower, prove, verify, and only then publish. Names the steps; each is
done elsewhere in this package.

Files of an artifact in its output directory (`result.json` comes last, so a directory that has it
is complete):

    VARIANT.pte or VARIANT.tflite              the artifact
    reference/ARTIFACT.{input,output}.bin      the first test samples and what the artifact returns for them, raw bytes
    outputs.npy                                real outputs on the test set, float32 (N, …)
    result.json                                a `bundle.Artifact`
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from torch import Tensor, nn

from edgekit.bundle.manifest import SUFFIX, Artifact, Delegation, Verification, describe_file
from edgekit.errors import ExportError
from edgekit.export.host_runtime import HostModel, open_pte, open_tflite
from edgekit.export.proof import prove
from edgekit.export.publish import publish, staging, write
from edgekit.export.verify import (
    EvaluationSet,
    Outputs,
    Thresholds,
    compare,
    eager_outputs,
    evaluate,
    reference_bytes,
    require,
)
from edgekit.tasks.task import Task

REFERENCE_SAMPLES = 8

Format = Literal["executorch", "litert"]


@dataclass(frozen=True)
class Lowered:
    """An artifact's bytes, what re-reading them showed, and the eager model it must agree with.
    `delegation` is None where only the runtime knows."""

    data: bytes
    reference: nn.Module
    proof: dict[str, Any]
    arena_bytes: int | None
    delegation: Delegation | None


def export_artifact(
    model: nn.Module,
    *,
    variant: str,
    format: Format,
    method: str | None,
    keep_float: Sequence[str] = (),
    backend: str = "xnnpack",
    task: Task,
    test: EvaluationSet,
    thresholds: Thresholds,
    output: Path,
    threads: int = 1,
    step: Callable[[str], None] = lambda name: None,
) -> Artifact:
    """Export an eager model (or a prepared graph when `method` is ptq or qat) and publish it in
    `output` if it proves to be the model.

    `step` is told what is being done. Nothing appears in `output` unless everything succeeded, and
    what was there before stays until then.

    Raises ExportError: cannot be traced, lowered, loaded or written; does not hold the model's
    weights; differs from eager PyTorch beyond `thresholds`. Raises ModelError: a `keep_float`
    pattern that means no layer."""
    [samples] = test.at(slice(0, min(thresholds.samples, len(test)))).values()
    name = f"{variant}.{SUFFIX[format]}"
    step("lower")
    lowered = _lower(
        model, samples[:1], format=format, method=method, keep_float=keep_float, backend=backend
    )
    try:
        with staging(output) as staged:
            write(staged / name, lowered.data)
            step("verify")
            host, delegation = _open(staged / name, format, threads)
            ran = lowered.delegation or delegation
            assert ran is not None, "one of the two knows: the partitioner, or the interpreter"
            verification, outputs = _verify(lowered, host, samples, test, task, thresholds)
            step("write")
            files = _write_reference(staged, name, host, samples[:REFERENCE_SAMPLES].numpy())
            artifact = Artifact(
                variant=variant,
                format=format,
                file=describe_file(staged / name, name),
                inputs=(host.input,),
                outputs=(host.output,),
                arena_bytes=lowered.arena_bytes,
                reference_inputs=describe_file(staged / files[0], files[0]),
                reference_outputs=describe_file(staged / files[1], files[1]),
                reference_samples=min(REFERENCE_SAMPLES, len(samples)),
                delegation=ran,
                verification=verification,
            )
            np.save(staged / "outputs.npy", outputs)
            write(staged / "result.json", artifact.model_dump_json(indent=1).encode())
            publish(staged, output, [name, *files, "outputs.npy", "result.json"])
    except OSError as error:
        raise ExportError(
            f"cannot write to {output}: {error.strerror or error}",
            hint="free disk space there and run again",
        ) from None
    return artifact


def _lower(
    model: nn.Module,
    example: Tensor,
    *,
    format: Format,
    method: str | None,
    keep_float: Sequence[str],
    backend: str,
) -> Lowered:
    """The bytes of the artifact, proved to hold the model's weights."""
    if format == "executorch":
        from edgekit.export.executorch import to_pte
        from edgekit.export.inspect_pte import read_pte

        pte = to_pte(model, example, method=method, keep_float=keep_float, backend=backend)
        contents = read_pte(pte.data)
        return Lowered(
            pte.data,
            pte.reference,
            prove(pte.weights, contents.constants, pte.dtypes),
            contents.arena_bytes,
            pte.delegation,
        )
    from edgekit.export.inspect_tflite import read_tflite
    from edgekit.export.litert import to_tflite

    tflite = to_tflite(model, example, method=method, keep_float=keep_float)
    proof = prove(tflite.weights, [*read_tflite(tflite.data).constants.values()], tflite.dtypes)
    return Lowered(tflite.data, tflite.reference, proof, None, None)


def _open(path: Path, format: Format, threads: int) -> tuple[HostModel, Delegation | None]:
    return (
        (open_pte(path, threads=threads), None)
        if format == "executorch"
        else open_tflite(path, threads=threads)
    )


def _verify(
    lowered: Lowered,
    host: HostModel,
    samples: Tensor,
    test: EvaluationSet,
    task: Task,
    thresholds: Thresholds,
) -> tuple[Verification, Outputs]:
    """Compare on the samples, then run the whole test set. Gives the outputs on it too."""
    agreement = compare(eager_outputs(lowered.reference, samples), host(samples.numpy()), task)
    require(agreement, thresholds)
    outputs, metrics = evaluate(host, test, task)
    verification = Verification(
        samples=agreement.samples,
        max_abs_error=agreement.outputs.max_abs_error,
        snr_db=agreement.outputs.snr_db,
        cosine=agreement.outputs.cosine,
        agreement_percent=agreement.answers_percent,
        metrics=metrics,
        proof=lowered.proof,
    )
    return verification, outputs


def _write_reference(staged: Path, name: str, host: HostModel, samples: Outputs) -> tuple[str, str]:
    names = (f"reference/{name}.input.bin", f"reference/{name}.output.bin")
    for reference_name, data in zip(names, reference_bytes(host, samples), strict=True):
        write(staged / reference_name, data)
    return names
