"""A first recipe: commented, complete, and running as it is. Owns its text and the choice of input,
arguments and stages that fit a model and data; asks nobody and writes nothing. Imports no torch, so
that what a user's own factory takes is the user's to fill in."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from edgekit.backends import DEFAULT_BACKENDS
from edgekit.data import FOLDERS, SOURCES
from edgekit.data.outline import outline_of
from edgekit.data.source import Outline
from edgekit.errors import UsageError
from edgekit.models import MODELS
from edgekit.models.traits import TRAITS, Traits
from edgekit.recipe.starters import STARTERS, default_starter, variant_of
from edgekit.yaml_documents.problems import quoted
from edgekit.yaml_documents.validation import closest

TORCHVISION = "torchvision.models:"
OWN_ARGUMENTS = "  # args: {num_classes: 10}      # what your callable takes\n"
DEFAULT_TASK = Outline.task
EVALUATION_BYTES = 20_000_000
SMALLEST_EVALUATION = 20
FLOAT_BYTES = 4
OTHER = Traits(channels=3, smallest_image=32)
"""What is taken for granted of networks that are not built in."""

TEMPLATE = """\
# yaml-language-server: $schema=recipe.schema.json
# edgekit run {file} --target local
#
# {method}: {does}.
# `edgekit recipe lint {file}` looks for what will not work,
# `edgekit recipe explain {file}` shows what it comes to.
edgekit: 2
name: {name}
{task}model:
  name: {model}   # {model_note}
{arguments}inputs:                           # what the model's forward takes, in this order
  input:
    shape: {shape}              # one sample, without the batch
data:
  name: {data}
{data_arguments}stages:                           # run in this order; `export` publishes a variant
{first}{stages}
export:
  backends: [{backends}]
  evaluation_set: {evaluated} # test samples, by which `edgekit gate` compares two builds
budget:                           # the verdict of a run; exit code 1 when it is not met
  baseline: fp32
  variants:
{budget}
bench:
  runs: 10                        # fresh processes for each artifact; fewer judge nothing
"""
TRAIN = """\
  - stage: train
    export: fp32
    epochs: {epochs}
    lr: 0.003
    weight_decay: 0.01"""
IMPORT = """\
  - stage: import                 # the weights as they are
    export: fp32"""


def new_recipe(
    file: str,
    *,
    model: str = "small_cnn",
    data: str = "digits",
    method: str | None = None,
    weights: str | None = None,
    shape: Sequence[int] = (),
    backends: Sequence[str] = DEFAULT_BACKENDS,
    epochs: int = 10,
    classes: int | None = None,
) -> str:
    """The text of a recipe, ready to run.

    Args:
        file: Where the recipe will be, for its name and its commands. Nothing is written.
        model: A built-in model, or `package.module:function`.
        data: A source of data, a folder of images such as `photos/`, or `package.module:factory`.
        method: One of `STARTERS`. Default: `dynamic` for LSTMs, else `ptq`.
        weights: A checkpoint, relative to `file`. With it nothing is trained first.
        shape: One sample without its batch, such as `(3, 32, 32)`. Needed for models and data that
            are not built in.
        backends: The backends to export for.
        epochs: How long to train, in passes over the training set.
        classes: How many classes a folder of images has.

    Returns:
        The recipe as YAML, with comments.

    Raises:
        UsageError: A name that is not known, or a combination that cannot run.

    Example:
        >>> text = edgekit.new_recipe("digits.yaml", method="ptq", epochs=3)
        >>> "name: digits" in text, "epochs: 3" in text
        (True, True)
    """
    chosen = method or default_method(model)
    if reason := unknown_method(chosen):
        raise UsageError(reason, hint=f"one of {', '.join(STARTERS)}")
    choices = data_choices()
    if reason := unknown_data(data):
        raise UsageError(
            reason, hint=f"{', '.join(choices)}, a folder (photos/), or package.module:factory"
        )
    known = choices.get(data)
    sample = tuple(shape) or (_fitting(model, known) if known else (3, 32, 32))
    _require_match(model, data, sample)
    starter = STARTERS[chosen]
    variant = variant_of(starter)
    budget = ["    fp32: {}"]
    if variant:
        such = f"{variant}: {{size_min_shrink_ratio: {starter.shrink_ratio}}}"
        budget.append(f"    # {such}   # limits are yours to set; small nets shrink less")
    labelled = known is None or known.labelled
    arguments = _arguments(model, sample, known.classes if known else classes)
    written_arguments = ""
    if arguments:
        written_arguments = f"  args: {_flow(arguments)}\n"
    elif ":" in model:
        written_arguments = OWN_ARGUMENTS
    return TEMPLATE.format(
        file=file,
        name=_name(file),
        task=f"task: {known.task}\n" if known and known.task != DEFAULT_TASK else "",
        method=chosen,
        does=starter.does,
        model=json.dumps(model) if ":" in model else model,
        model_note=_note(model),
        arguments=written_arguments + (f"  weights: {_text(weights)}\n" if weights else ""),
        shape=_flow(list(sample)),
        data=_source(data),
        data_arguments=(
            f"  args: {{path: {_text(data)}}}   # a folder for each class\n" if "/" in data else ""
        ),
        first=IMPORT if weights or not labelled else TRAIN.format(epochs=epochs),
        stages=starter.stages.format(fewer=max(1, epochs // 3)),
        backends=", ".join(backends),
        evaluated=f"{_evaluated(sample)}".ljust(15),
        budget="\n".join(budget),
    )


def _evaluated(sample: Sequence[int]) -> int:
    """How many test samples to put into the bundle: 1,000, or what 20 MB hold."""
    most = EVALUATION_BYTES // (FLOAT_BYTES * math.prod(sample))
    return max(SMALLEST_EVALUATION, min(1000, most))


def default_method(model: str) -> str:
    """The method to start with."""
    return default_starter(series=_kind_for(model) == "series")


def default_data(model: str) -> str:
    """The first source that a model can be trained on."""
    return _data_for(model)[0]


def unknown_method(method: str) -> str:
    """Why a method cannot be taken; empty when it can."""
    return (
        ""
        if method in STARTERS
        else f"no method is called {quoted(method)}{closest(method, STARTERS)}"
    )


def unknown_data(data: str) -> str:
    """Why data cannot be taken; empty when it can: a built-in, a folder or a factory."""
    choices = data_choices()
    if data in choices or ":" in data or "/" in data:
        return ""
    if data in SOURCES:
        return f"{quoted(data)} needs arguments: begin with other data, then write data.args"
    return f"no data is called {quoted(data)}{closest(data, choices)}"


def data_choices() -> dict[str, Outline]:
    """The built-in sources that need no arguments, each with what its samples are like; without
    those that need an extra which is not installed."""
    outlines: dict[str, Outline] = {}
    for name in SOURCES:
        with suppress(ModuleNotFoundError):
            outline = outline_of(name, {}, Path.cwd())
            if outline is not None:
                outlines[name] = outline
    return outlines


def _note(model: str) -> str:
    if model in MODELS:
        return "a built-in; also any torchvision classifier, or package.module:factory"
    return (
        "a callable that returns an nn.Module"
        if ":" in model and not model.startswith(TORCHVISION)
        else "torchvision's"
    )


def _source(data: str) -> str:
    """The name of the source as it is written: of a directory, the source that reads folders."""
    if "/" in data:
        return FOLDERS
    return json.dumps(data) if ":" in data else data


def _name(file: str) -> str:
    stem = file.replace("\\", "/").rpartition("/")[2].rpartition(".")[0] or "mine"
    cleaned = re.sub(r"[^A-Za-z0-9._-]", "-", stem)
    return cleaned[:64].lstrip("._-") or "mine"


def _fitting(model: str, data: Outline) -> tuple[int, ...]:
    """The data's own shape, or the padded one that a larger model needs."""
    if len(data.shape) != 3:
        return data.shape
    traits = TRAITS.get(model, OTHER)
    channels = traits.channels or data.shape[0]
    return channels, *(max(traits.smallest_image, side) for side in data.shape[1:])


def _require_match(model: str, data: str, sample: tuple[int, ...]) -> None:
    kind = _kind_for(model)
    if model not in MODELS or kind == _kind(sample):
        return
    raise UsageError(
        f"model {model} and data {data} do not fit: one is for {kind}, the other for"
        f" {_kind(sample)}",
        hint=f"{model} goes with {', '.join(_data_for(model))}",
    )


def _data_for(model: str) -> list[str]:
    """The sources of the kind that a model takes, with as many classes as it has."""
    kind, classes = _kind_for(model), TRAITS.get(model, OTHER).classes
    return [
        name
        for name, outline in data_choices().items()
        if _kind(outline.shape) == kind and classes in (None, outline.classes)
    ]


def _kind_for(model: str) -> str:
    """What the samples that a model takes are called."""
    traits = TRAITS.get(model, OTHER)
    return _kind((1,) * traits.dimensions if traits.recordings else (2,) * traits.dimensions)


def _kind(sample: Sequence[int]) -> str:
    """What samples of a shape are called."""
    if len(sample) == 2 and sample[0] == 1:
        return "recordings"
    names = {1: "rows of numbers", 2: "series", 3: "images"}
    return names.get(len(sample), f"samples of {len(sample)} dimensions")


def _arguments(model: str, sample: tuple[int, ...], classes: int | None) -> dict[str, Any]:
    """What built-in and torchvision models take; of the user's own factory nothing is known."""
    if ":" in model and not model.startswith(TORCHVISION):
        return {}
    traits = TRAITS.get(model, OTHER)
    arguments: dict[str, Any] = {}
    if classes and traits.classes is None:
        arguments["num_classes"] = classes
    if traits.channels is None:
        key, place = ("features", -1) if traits.dimensions < 3 else ("in_channels", 0)
        arguments[key] = sample[place]
    return arguments


def _text(text: str) -> str:
    """A text in double quotes. JSON's escapes of signs beyond 16 bits are none of YAML's."""
    return json.dumps(text, ensure_ascii=False)


def _flow(value: Any) -> str:
    """A short value as one line of YAML."""
    return (
        "{" + ", ".join(f"{k}: {v}" for k, v in value.items()) + "}"
        if isinstance(value, dict)
        else json.dumps(value)
    )
