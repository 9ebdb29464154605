"""The bundle: a directory with everything a device needs to run a recipe's result and to prove it
runs right.

Owns what the manifest says; opening, checking and writing a bundle is directory.py's.

    NAME-ID12/
      manifest.json              what this file describes
      manifest.json.sig          of a signed bundle: the signature of the manifest
      fp32.pte  int8.tflite …    the artifacts, one per variant and backend
      reference/*.bin            inputs and expected outputs, raw little-endian bytes in the
                                 artifact's own types
      evaluation/*.bin           where the recipe asks for it: test samples, targets and outputs for
                                 metrics on a device; stays on the host
      pictures.json              where the task can draw: test samples and what the artifacts
                                 answer; stays on the host

`id` is a hash over everything that determines behaviour (recipe hash, artifact and reference
hashes), not over seconds or dates, so that the same recipe built twice has the same id."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from edgekit.metrics import MetricValue

FORMAT: Literal[2] = 2
"""Bundles of format 1 are read too (format1.py)."""
RuntimeName = Literal["executorch", "litert"]

FileName = Annotated[
    str, Field(pattern=r"^((reference|evaluation)/)?[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")
]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Bytes = Annotated[int, Field(ge=0, le=1 << 40)]


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


Dtype = Literal["float32", "float16", "int8", "uint8", "int16", "int32", "int64", "bool"]


class DynamicSize(Part):
    """A size that may be another one at each inference, by the axis that it is of."""

    axis: Annotated[int, Field(ge=0, le=31)]
    min: Annotated[int, Field(ge=1)] = 1
    max: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="null: the file sets no limit."
    )
    multiple_of: Annotated[int, Field(ge=1)] = 1


class TensorSpec(Part):
    """One input or output of an artifact. A quantized tensor holds round(real / scale) +
    zero_point."""

    name: str = Field(description="As the model calls it, which may differ from the file's own.")
    dtype: Dtype
    shape: tuple[int, ...] = Field(
        description="Where sizes are dynamic, those that are measured; of an output the largest."
    )
    dynamic: tuple[DynamicSize, ...] = ()
    scale: float | None = None
    zero_point: int | None = None
    file_name: str | None = Field(
        default=None,
        description="What the file calls it; null where the file has no names, as a `.pte`.",
    )
    model_dtype: Dtype | None = Field(
        default=None,
        description=(
            "The type in the model, where the file has another integer type: a `.tflite` has int32"
            " for int64."
        ),
    )
    from_output: str | None = Field(
        default=None,
        description=(
            "Of an input that is a state: the output of the inference before, which it is fed from."
        ),
    )

    @model_validator(mode="after")
    def _axes_are_there(self) -> Self:
        if any(size.axis >= len(self.shape) for size in self.dynamic):
            raise ValueError("a dynamic size of an axis that the tensor does not have")
        return self

    @property
    def is_resized(self) -> bool:
        """Whether a runner has to be told the shape: of itself it takes the largest, or 1 where
        there is no limit."""
        return any(self.shape[size.axis] != (size.max or 1) for size in self.dynamic)


class BundleFile(Part):
    """A file of a bundle: its name, its hash, and its size as it is and compressed."""

    name: FileName
    sha256: Sha256
    bytes: Bytes
    deflated_bytes: Bytes


class Operation(Part):
    """An operator of the lowered graph, the module of the PyTorch model it came from, and which
    delegate call it is inside (None: of none)."""

    operator: str
    layer: str = ""
    delegate: int | None = None


class Delegation(Part):
    """Where the operators of an artifact run: counts by operator name, and why the rest fell back.

    `sequence` is what runs in its order, for profiles to name modules; empty where the exporter
    does not know it."""

    delegate: str
    delegated: dict[str, int]
    fallback: dict[str, int]
    reasons: dict[str, str] = {}
    sequence: tuple[Operation, ...] = ()


class Verification(Part):
    """The artifact against eager PyTorch on real test samples (SNR in dB, infinite noise-free SNR
    stored as null).

    `samples` 0: nothing to compare with, for a model that edgekit did not export; all else is then
    null."""

    samples: int
    max_abs_error: float | None
    snr_db: float | None
    cosine: float | None
    agreement_percent: float | None = Field(
        description="How far its answers are those of the eager model, where the task says."
    )
    metrics: tuple[MetricValue, ...] = Field(
        default=(),
        description="Of the exported artifact on the test set; none without targets.",
    )
    data_sha256: Sha256 | Literal[""] = Field(
        default="",
        description=(
            "Of the targets of the test set and of one input in each batch: artifacts with the same"
            " one are compared sample by sample. Empty: not known."
        ),
    )
    proof: dict[str, Any] = Field(
        default={},
        description=(
            "What re-reading the artifact showed: dtypes, scales, channel counts, zero fraction."
        ),
    )


class Artifact(Part):
    """A model file: one variant, made by one backend for one runtime."""

    variant: str
    backend: str = Field(description="As the recipe names it, e.g. `xnnpack`.")
    runtime: RuntimeName = Field(description="The runtime that a board needs for it.")
    file: BundleFile
    signature: Annotated[str, Field(min_length=1, max_length=200)] | None = Field(
        default=None,
        description=(
            "Which of several signatures of a `.tflite`, or methods of a `.pte`, is run; null:"
            " there is no choice."
        ),
    )
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    arena_bytes: int | None = Field(
        default=None, description="Memory the runtime plans for activations, if the format says."
    )
    reference_inputs: BundleFile = Field(
        description=(
            "`reference_samples` samples; each is the concatenation of the input tensors' bytes."
        )
    )
    reference_outputs: BundleFile | None = Field(
        default=None,
        description=(
            "What this artifact returned for them on the build host; null for a model that edgekit"
            " did not export."
        ),
    )
    reference_samples: int
    delegation: Delegation
    verification: Verification

    @property
    def key(self) -> str:
        """How the artifact is called everywhere: its file name, e.g. `int8.tflite`."""
        return self.file.name


class ArtifactAgreement(Part):
    """Two artifacts on the same samples: how far their answers agree, where the task says, and how
    far the outputs of `b` are from those of `a` (SNR in dB; null when equal).

    `agreement_label` is the task's word for it, such as `same top-1`."""

    a: str
    b: str
    samples: int
    agreement_percent: float | None
    agreement_label: Annotated[str, Field(max_length=40)] = "same answers"
    snr_db: float | None


class TraceRow(Part):
    """What one stage gave and cost.

    For float stages `bytes` are those of the weights, and the metrics those of eager PyTorch. For a
    quantize stage both are those of its exported artifact (named in `notes`), because that is where
    its integers are. There are no metrics for data without targets; `reused` says the stage came
    from the cache. `trained_on` is the device of a training, such as `cuda: NVIDIA A100`."""

    stage: str
    kind: str
    parent: str | None
    parameters: int
    nonzero_fraction: float
    macs: int
    bytes: int | None
    deflated_bytes: int | None
    metrics: tuple[MetricValue, ...]
    seconds: float
    reused: bool = False
    notes: tuple[str, ...] = ()
    trained_on: str | None = None


class EvaluationTensor(Part):
    """One tensor of all samples: raw little-endian values of shape (samples, *shape)."""

    name: Annotated[str, Field(min_length=1, max_length=200)]
    dtype: Literal["float32", "int32", "int64", "uint8", "bool"]
    shape: tuple[Annotated[int, Field(ge=0, le=1 << 30)], ...]
    file: BundleFile


class Evaluation(Part):
    """Samples of the test set, for the task's metrics on a device: inputs and targets in real
    numbers, and for each artifact by key its real outputs on the build host."""

    samples: Annotated[int, Field(ge=1, le=1 << 24)]
    steps: Annotated[int, Field(ge=1, le=1 << 24)] = Field(
        default=1,
        description=(
            "Of a model with states: how many samples one after the other are a series, at whose"
            " start the states, which are no tensors of the set, are zeros."
        ),
    )
    inputs: tuple[EvaluationTensor, ...]
    targets: EvaluationTensor | None = None
    outputs: dict[str, tuple[EvaluationTensor, ...]]

    def files(self) -> Iterator[BundleFile]:
        """All files of the set."""
        tensors = [*self.inputs, *([self.targets] if self.targets else [])]
        for of_artifact in self.outputs.values():
            tensors += of_artifact
        yield from (tensor.file for tensor in tensors)


class ModelInput(Part):
    """One input of the model for one sample, without the batch, and how raw values become what the
    model takes: (value - mean) / std for each channel. A state is fed from an output instead.
    `shape` is that of the data, where sizes are dynamic."""

    shape: tuple[int, ...]
    dynamic: tuple[DynamicSize, ...] = ()
    dtype: Dtype = "float32"
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    from_output: str | None = None


class NamedTask(Part):
    """A task and its arguments."""

    name: Annotated[str, Field(min_length=1, max_length=200)]
    args: dict[str, Any] = {}


class Manifest(Part):
    """What `manifest.json` of a bundle holds: what was built, from what, and what was found of
    it."""

    format: Literal[2] = FORMAT
    id: Sha256
    name: str
    created: str = Field(description="UTC, ISO 8601.")
    recipe: dict[str, Any] = Field(description="The resolved recipe.")
    recipe_sha256: Sha256
    versions: dict[str, str]
    seed: int
    git_revision: str | None
    task: str | NamedTask | None = Field(
        default=None,
        description="The task of the recipe; null for a model that edgekit did not build.",
    )
    inputs: dict[str, ModelInput] = Field(
        default={}, description="In the order in which the model takes them."
    )
    classes: tuple[str, ...] = ()
    trace: tuple[TraceRow, ...]
    artifacts: tuple[Artifact, ...]
    comparisons: tuple[ArtifactAgreement, ...] = ()
    evaluation: Evaluation | None = None
    pictures: BundleFile | None = Field(
        default=None, description="What a report shows of its answers (edgekit.bundle.pictures)."
    )

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        """Two artifacts of one key, or one name for two contents: which of them would be checked,
        and which deployed?"""
        keys = [artifact.key for artifact in self.artifacts]
        if len(keys) != len(set(keys)):
            raise ValueError("an artifact is listed twice")
        contents: dict[str, BundleFile] = {}
        for file in _files(self):
            if contents.setdefault(file.name, file) != file:
                raise ValueError(f"{file.name} is listed twice, with different contents")
        return self


def _files(manifest: Manifest) -> Iterator[BundleFile]:
    """All that a manifest names, as often as it does."""
    for artifact in manifest.artifacts:
        yield from filter(
            None, (artifact.file, artifact.reference_inputs, artifact.reference_outputs)
        )
    if manifest.evaluation:
        yield from manifest.evaluation.files()
    if manifest.pictures:
        yield manifest.pictures
