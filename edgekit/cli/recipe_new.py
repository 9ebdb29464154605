"""`edgekit recipe new`: a first recipe, from options or from answers. Owns the questions; the text
is recipe/scaffold.py's."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer

from edgekit.cli.console import stdout
from edgekit.cli.options import Json, write_schema
from edgekit.errors import UsageError
from edgekit.whole_file import write_whole

CHECKPOINTS = (".safetensors", ".pt", ".pth", ".ckpt", ".bin", ".tar")
"""What is in them is found out when they are read: state dicts of torch, Lightning and others."""
ARTIFACTS = (".tflite", ".pte")
MODEL_EXAMPLES = ("small_cnn", "resnet8", "mobilenet_v2", "lstm", "my_nets:build")
"""The first is the default."""


def new(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="The recipe to write, a YAML file.", show_default=False
        ),
    ],
    source: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="SOURCE",
            help=(
                "A model's name (built-in, torchvision's, package.module:factory); a checkpoint"
                " (.safetensors, .pt, .pth, .ckpt); or a .tflite or .pte."
            ),
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(help="The model that a checkpoint belongs to, or the same as --from."),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            help=(
                "A built-in source that needs no arguments, a folder of images, or"
                " package.module:object."
            )
        ),
    ] = None,
    method: Annotated[
        str | None, typer.Option(help="none, ptq, qat, pruned-qat, sparse-ptq, fp16 or dynamic.")
    ] = None,
    shape: Annotated[
        str | None,
        typer.Option(metavar="C,H,W", help="One sample. Default: what fits model and data."),
    ] = None,
    epochs: Annotated[int, typer.Option(min=1, help="Passes of the first training.")] = 10,
    replace: Annotated[
        bool, typer.Option("--replace", help="Overwrite the file if it is there.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Write a commented recipe that runs as it is. On a terminal it asks for what no option says.

    A .tflite or .pte needs no recipe: the command that measures it is printed.

    Example: edgekit recipe new mine.yaml --from resnet8 --data fashion_mnist --method pruned-qat
    """
    if source and _is_artifact(source):
        _measured_only(source, as_json)
        return
    from edgekit.recipe.load import load_recipe  # here, so that --help does not wait for the schema
    from edgekit.recipe.scaffold import new_recipe

    if file.exists() and not replace:
        raise UsageError(
            f"{file} is there already", hint="choose another name, or overwrite it with --replace"
        )
    weights = source if source and _is_checkpoint(source) else None
    if weights and not model:
        raise UsageError(
            "a checkpoint is weights without a model",
            hint="name it, e.g. --model mobilenet_v2 or --model my_nets:build",
        )
    asking = sys.stdin.isatty() and not as_json
    choices = _choices(model or source, data, method, asking)
    text = new_recipe(
        str(file),
        model=choices.model,
        data=_relative(choices.data, file) if _is_folder(choices.data) else choices.data,
        method=choices.method,
        weights=_relative(weights, file) if weights else None,
        shape=_numbers(shape) if shape else (),
        epochs=epochs,
        classes=_class_folders(choices.data),
    )
    _write(file, text)
    load_recipe(file)
    if as_json:
        print(json.dumps({"file": str(file)} | asdict(choices)))
    else:
        stdout(highlight=False, soft_wrap=True, markup=False).print(
            f"{file}\nnext: edgekit recipe lint {file}, then edgekit run {file} --target local"
        )


@dataclass(frozen=True)
class Choices:
    """What the recipe is about, as options or answers say."""

    model: str
    data: str
    method: str


def _choices(model: str | None, data: str | None, method: str | None, asking: bool) -> Choices:
    """What options leave open is asked for, or else what fits the model."""
    from edgekit.recipe.scaffold import (
        data_choices,
        default_data,
        default_method,
        unknown_data,
        unknown_method,
    )
    from edgekit.recipe.starters import STARTERS

    model = model or _asked("Model", MODEL_EXAMPLES[0], MODEL_EXAMPLES, asking)
    sources = (*data_choices(), "photos/")
    data = data or _asked("Data", default_data(model), sources, asking, refused=unknown_data)
    method = method or _asked(
        "Method", default_method(model), STARTERS, asking, refused=unknown_method
    )
    return Choices(model, data, method)


def _asked(
    what: str,
    default: str,
    choices: Iterable[str],
    asking: bool,
    *,
    refused: Callable[[str], str] = lambda answer: "",
) -> str:
    """The answer; asked again while `refused` has something against it."""
    if not asking:
        return default

    def accept(answer: str) -> str:
        if reason := refused(answer):
            raise typer.BadParameter(reason)
        return answer

    return str(
        typer.prompt(f"{what} ({', '.join(choices)})", default=default, err=True, value_proc=accept)
    )


def _suffix(source: str) -> str:
    """The ending of a file's name; empty for `module:factory`."""
    return "" if ":" in source else Path(source).suffix.lower()


def _is_checkpoint(source: str) -> bool:
    """Whether a source is a file of weights, and no model's name. Raises UsageError for a file of
    another kind, which would be left out."""
    suffix = _suffix(source)
    if suffix in CHECKPOINTS:
        return True
    if suffix or "/" in source or Path(source).is_file():
        raise UsageError(
            f"--from {source}: neither a model's name nor a checkpoint",
            hint=f"weights are in files of {', '.join(CHECKPOINTS)}; name the model with --model",
        )
    return False


def _is_artifact(source: str) -> bool:
    return _suffix(source) in ARTIFACTS


def _is_folder(data: str) -> bool:
    return "/" in data and ":" not in data


def _class_folders(data: str) -> int | None:
    """How many classes a folder of images has, when it is there. Raises ModelError for one that
    cannot be used."""
    from edgekit.data import FOLDERS
    from edgekit.data.outline import outline_of

    if not _is_folder(data) or not Path(os.path.expanduser(data)).is_dir():
        return None  # the folder may come later; the recipe is checked before it runs
    outline = outline_of(FOLDERS, {"path": data}, Path())
    return outline.classes if outline else None


def _measured_only(source: str, as_json: bool) -> None:
    if not Path(source).is_file():
        raise UsageError(f"{source}: no such file", hint="give a .tflite or .pte that is there")
    command = f"edgekit bench {source} --target local"
    print(
        json.dumps({"command": command})
        if as_json
        else f"a finished model needs no recipe; measure it with:\n{command}"
    )


def _relative(path: str, file: Path) -> str:
    """A path from the working directory, as the recipe beside `file` must call it; one that is
    elsewhere is made absolute."""
    if path.startswith("~/"):
        return path
    relative = os.path.relpath(path, file.parent)
    return (
        os.path.abspath(path)
        if relative.startswith("..")
        else relative + ("/" if path.endswith("/") else "")
    )


def _numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise UsageError(
            f"--shape: expected numbers with commas between, got {text!r}",
            hint="for instance --shape 3,32,32",
        ) from None


def _write(file: Path, text: str) -> None:
    """The recipe, and beside it the schema that its first line names."""
    from edgekit.recipe.json_schema import recipe_json_schema

    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_schema(recipe_json_schema(), file.with_name("recipe.schema.json"))
        write_whole(file, text)
    except OSError as error:
        raise UsageError(
            f"cannot write {file}: {error.strerror or error}", hint="choose another place"
        ) from None
