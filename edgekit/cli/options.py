"""Arguments and options that several commands share, how targets are named on the command line, and
where a schema goes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from edgekit.errors import UsageError
from edgekit.whole_file import write_whole

Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout, no progress.")]
RecipeFile = Annotated[
    Path, typer.Argument(metavar="RECIPE", help="The recipe, a YAML file.", show_default=False)
]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Override a value, e.g. `stages.qat.train.epochs=1`. May be repeated.",
    ),
]
Output = Annotated[Path, typer.Option("--output", "-o", help="Directory of bundles.")]
TargetName = Annotated[
    str,
    typer.Argument(
        metavar="NAME",
        help="A name that `edgekit target list` shows, or a file.",
        show_default=False,
    ),
]
OneTarget = Annotated[
    str,
    typer.Option(
        "--target",
        "-t",
        help="A name that `edgekit target list` shows, or a file.",
        show_default=False,
    ),
]
MeasuredTarget = Annotated[
    str | None,
    typer.Option(
        "--target",
        "-t",
        help="Where to measure: a name from targets/ or a file. Without, nothing is.",
        show_default=False,
    ),
]
Targets = Annotated[
    list[str],
    typer.Option(
        "--target",
        "-t",
        help="A name that `edgekit target list` shows, or a file. May be repeated.",
        show_default=False,
    ),
]

SchemaFile = Annotated[
    Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write it there instead.")
]


Markdown = Annotated[
    bool, typer.Option("--markdown", help="As tables to be read, in place of JSON.")
]


def write_schema(schema: dict[str, Any], output: Path | None, *, markdown_by: str = "") -> None:
    """As JSON, or as Markdown that names the command it is made by. Raises UsageError when the file
    cannot be written."""
    if markdown_by:
        from edgekit.recipe.reference import reference

        text = reference(schema, markdown_by)
    else:
        text = json.dumps(schema, indent=1, ensure_ascii=False)
    if output is None:
        print(text)
        return
    try:
        write_whole(output, text + "\n")
    except OSError as error:
        raise UsageError(
            f"cannot write {output}: {error.strerror or error}", hint="choose another --output"
        ) from None
