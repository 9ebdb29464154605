"""`edgekit recipe new`: a first recipe, from flags or from answers (recipe/scaffold.py). `edgekit
recipe lint`: what will not work (linting.py)."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

import edgekit
from edgekit.cli.console import stdout
from edgekit.cli.options import Json, Overrides, write_schema
from edgekit.errors import GateFailed, ModelError, UsageError

if TYPE_CHECKING:
    from edgekit.linting.document_rules import LintFinding

CHECKPOINTS = (".safetensors", ".pt", ".pth")
ARTIFACTS = (".tflite", ".pte")
STYLES = {"error": "bold red", "warning": "yellow", "note": "dim"}


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
                "A model's name (built-in, torchvision's, package.module:factory); a .safetensors,"
                " .pt or .pth checkpoint; or a .tflite or .pte."
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
    suffix = Path(source).suffix.lower() if source and ":" not in source else ""
    if source and suffix in ARTIFACTS:
        _measured_only(source, as_json)
        return
    from edgekit.recipe.load import load_recipe  # here, so that --help does not wait for the schema
    from edgekit.recipe.scaffold import (
        data_choices,
        default_data,
        default_method,
        new_recipe,
        unknown_data,
        unknown_method,
    )
    from edgekit.recipe.starters import STARTERS

    if file.exists() and not replace:
        raise UsageError(
            f"{file} is there already", hint="choose another name, or overwrite it with --replace"
        )
    weights = source if suffix in CHECKPOINTS else None
    if weights and not model:
        raise UsageError(
            "a checkpoint is weights without a model",
            hint="name it, e.g. --model mobilenet_v2 or --model my_nets:build",
        )
    asking = sys.stdin.isatty() and not as_json
    chosen = (
        model
        or source
        or _asked(
            "Model",
            "small_cnn",
            ("small_cnn", "resnet8", "mobilenet_v2", "lstm", "my_nets:build"),
            asking,
        )
    )
    data_name = data or _asked(
        "Data",
        default_data(chosen),
        (*data_choices(), "photos/"),
        asking,
        refused=unknown_data,
    )
    how = method or _asked(
        "Method", default_method(chosen), STARTERS, asking, refused=unknown_method
    )
    text = new_recipe(
        str(file),
        model=chosen,
        data=_relative(data_name, file) if "/" in data_name and ":" not in data_name else data_name,
        method=how,
        weights=_relative(weights, file) if weights else None,
        shape=_numbers(shape) if shape else (),
        epochs=epochs,
        classes=_class_folders(data_name),
    )
    _write(file, text)
    load_recipe(file)
    if as_json:
        print(json.dumps({"file": str(file), "model": chosen, "data": data_name, "method": how}))
    else:
        stdout(highlight=False, soft_wrap=True, markup=False).print(
            f"{file}\nnext: edgekit recipe lint {file}, then edgekit run {file} --target local"
        )


def lint(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="Recipes.", show_default=False)
    ],
    target: Annotated[
        str | None,
        typer.Option("--target", "-t", help="A board to ask whether it can run the result."),
    ] = None,
    overrides: Overrides = None,
    fix: Annotated[
        bool,
        typer.Option(
            "--fix", help="Put right in the file what is mechanical; comments and order stay."
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Look for what is valid and still will not work: with the model, before anything is trained,
    and with a board when one is named.

    The exit code is 1 when there is an error, with --fix one that is left; warnings and notes do
    not count.

    Example: edgekit recipe lint recipes/quickstart.yaml
    """
    from edgekit.linting.fixes import fixed_text
    from edgekit.yaml_documents.replace_file import replace_file

    os.environ.setdefault(
        "TF_ENABLE_ONEDNN_OPTS", "0"
    )  # TensorFlow is loaded below LiteRT's converter, and would say that it has them on
    by_file = {file: edgekit.lint(file, overrides=overrides or (), target=target) for file in files}
    done: list[LintFinding] = []
    for file in files if fix else ():
        text, put_right = fixed_text(file, by_file[file])
        if put_right:
            replace_file(file, text)
            done += put_right
    findings = [finding for file in files for finding in by_file[file]]
    if as_json:
        print(
            json.dumps(
                {
                    "findings": [
                        finding.as_json() | {"fixed": finding in done} for finding in findings
                    ]
                }
            )
        )
    else:
        _show(findings, done)
    if any(finding.severity == "error" and finding not in done for finding in findings):
        raise typer.Exit(GateFailed.exit_code)


def upgrade(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="The recipe, a YAML file.", show_default=False)
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Write the new recipe there. Default: replace the file.",
            show_default=False,
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Rewrite a recipe of format 1 as format 2. Comments, order and layout stay.

    Of a recipe that extends another, only its own keys are changed. A recipe of format 2 is left
    alone.

    Example: edgekit recipe upgrade mine.yaml
    """
    from edgekit.recipe.upgrade import upgrade_recipe

    done = upgrade_recipe(file, output=output)
    if as_json:
        moved = [{"before": move.before, "after": move.after} for move in done.moves]
        print(json.dumps({"file": str(file), "output": str(done.output), "changes": moved}))
        return
    console = stdout(highlight=False, soft_wrap=True, markup=False)
    if not done.moves:
        console.print(f"{file}: already of format 2, left as it is")
        return
    for move in done.moves:
        console.print(f"{move.before} → {move.after}")
    console.print(f"{done.output}: format 2")


def _show(findings: Sequence[LintFinding], done: Sequence[LintFinding]) -> None:
    console = stdout(highlight=False, soft_wrap=True)
    for finding in findings:
        state = (
            "[green]fixed[/]"
            if finding in done
            else f"[{STYLES[finding.severity]}]{finding.severity}[/]"
        )
        offer = ", --fix does it" if finding.edit and finding not in done else ""
        fix = f" [dim]({escape(finding.fix)}{offer})[/]" if finding.fix else ""
        console.print(
            f"{escape(str(finding.origin))}: {state} {escape(finding.message)}"
            f" [dim]\\[{finding.code}][/]{fix}"
        )
    console.print(
        f"{len(findings)} finding{'s'[: len(findings) != 1]}"
        if findings
        else "[green]nothing found[/]"
    )


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


def _class_folders(data: str) -> int | None:
    """How many classes a folder of images has, when it is there."""
    from edgekit.data import FOLDERS
    from edgekit.data.outline import outline_of

    if "/" not in data or ":" in data:
        return None
    try:
        outline = outline_of(FOLDERS, {"path": data}, Path())
    except ModelError:
        return None  # the folder may come later; the recipe is checked before it runs
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
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"cannot write {file}: {error.strerror or error}", hint="choose another place"
        ) from None
    write_schema(recipe_json_schema(), file.with_name("recipe.schema.json"))
