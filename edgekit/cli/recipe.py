"""`edgekit recipe`: check recipes, show what one means, and print the JSON Schema for editors. Only
explain's estimate, and lint, import torch."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from edgekit.cli.console import stdout
from edgekit.cli.options import Json, Markdown, Overrides, SchemaFile, write_schema
from edgekit.cli.recipe_lint import lint, upgrade
from edgekit.cli.recipe_new import new
from edgekit.errors import UsageError
from edgekit.yaml_documents.problems import Origin, Problem, refuse

app = typer.Typer(
    name="recipe",
    help="Write, check and explain recipes. Nothing is trained.",
    no_args_is_help=True,
)
app.command()(new)
app.command()(lint)
app.command()(upgrade)


@app.command()
def validate(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="Recipes.", show_default=False)
    ],
    overrides: Overrides = None,
    as_json: Json = False,
) -> None:
    """Check recipes, and report everything that is wrong with file, line and column.

    Example: edgekit recipe validate recipes/*.yaml
    """
    problems = [problem for file in files for problem in _problems(file, overrides or ())]
    if problems:
        refuse(problems)
    if as_json:
        print(json.dumps({"files": [str(file) for file in files], "problems": []}))
    else:
        for file in files:
            stdout().print(f"[green]✓[/] {escape(str(file))}", highlight=False)


@app.command()
def explain(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="The recipe, a YAML file.", show_default=False)
    ],
    overrides: Overrides = None,
    no_estimate: Annotated[
        bool,
        typer.Option("--no-estimate", help="Do not build the network; then no torch is loaded."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Show what a recipe means and comes to: its stages and artifacts, what of it is cached,
    parameters, multiply-accumulates, size and memory of each stage before anything is trained, and
    every value with the place it comes from.

    Example: edgekit recipe explain recipes/quickstart.yaml --set seed=1
    """
    from edgekit.cli.plans import (
        show_plan,
    )  # here and below, so that --help does not wait for the schema
    from edgekit.recipe.load import load_recipe

    show_plan(
        load_recipe(file, overrides=overrides or ()), estimated=not no_estimate, as_json=as_json
    )


@app.command()
def schema(output: SchemaFile = None, markdown: Markdown = False) -> None:
    """Print the JSON Schema of recipes: every key with its description, unit, default and examples.

    An editor with the YAML language server completes, explains and checks a recipe that begins with
    `# yaml-language-server: $schema=recipe.schema.json`, the name of this file from where the
    recipe lies. Nothing is fetched.

    Example: edgekit recipe schema -o recipes/recipe.schema.json
    """
    from edgekit.recipe.json_schema import recipe_json_schema

    write_schema(
        recipe_json_schema(),
        output,
        markdown_by="edgekit recipe schema --markdown -o recipes/REFERENCE.md" if markdown else "",
    )


def _problems(file: Path, overrides: Sequence[str]) -> Iterator[Problem]:
    from edgekit.recipe.load import load_recipe

    try:
        load_recipe(file, overrides=overrides)
    except UsageError as error:
        problems: Any = error.details["problems"]
        for problem in problems:
            yield Problem(
                Origin(problem["file"], problem["line"], problem["column"]),
                problem["message"],
                problem["hint"],
            )
