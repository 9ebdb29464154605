"""`edgekit recipe`: check recipes, show what one means, and print the JSON Schema for editors. None of it imports torch."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table
from rich.tree import Tree

from edgekit.cli import authoring
from edgekit.cli.console import stdout
from edgekit.cli.options import SchemaFile, write_schema
from edgekit.errors import UsageError
from edgekit.problems import Origin, Problem, refuse

if TYPE_CHECKING:
    from edgekit.recipe import explain as plans

app = typer.Typer(name="recipe", help="Write, check and explain recipes. Nothing is trained.", no_args_is_help=True)
app.command()(authoring.new)
app.command()(authoring.lint)

Overrides = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a value, e.g. `stages.qat.train.epochs=1`. May be repeated.")
]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]


@app.command()
def validate(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Recipes.", show_default=False)],
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
    file: Annotated[Path, typer.Argument(help="The recipe, a YAML file.", show_default=False)],
    overrides: Overrides = None,
    as_json: Json = False,
) -> None:
    """Show what a recipe means: its stages and artifacts, what of it is cached, and every value with the place it comes from.

    Example: edgekit recipe explain recipes/quickstart.yaml --set seed=1
    """
    from edgekit import pipeline  # here and below, so that --help does not wait for the schema
    from edgekit.recipe import explain as plans
    from edgekit.recipe.load import load_recipe

    loaded = load_recipe(file, overrides=overrides or ())
    plan = plans.explain(loaded, cached={stage.name: stage.cached is not None for stage in pipeline.plan(loaded).stages})
    if as_json:
        print(json.dumps(dataclasses.asdict(plan)))
        return
    console = stdout(highlight=False)
    console.print(stage_tree(plan))
    console.print()
    console.print(value_table(plan))


@app.command()
def schema(output: SchemaFile = None) -> None:
    """Print the JSON Schema of recipes: every key with its description, unit, default and examples.

    An editor with the YAML language server completes, explains and checks a recipe that begins with
    `# yaml-language-server: $schema=recipe.schema.json`, the name of this file from where the recipe lies. Nothing is fetched.

    Example: edgekit recipe schema -o recipes/recipe.schema.json
    """
    from edgekit.recipe.json_schema import recipe_json_schema

    write_schema(recipe_json_schema(), output)


def _problems(file: Path, overrides: Sequence[str]) -> Iterator[Problem]:
    from edgekit.recipe.load import load_recipe

    try:
        load_recipe(file, overrides=overrides)
    except UsageError as error:
        found: Any = error.details["problems"]
        for problem in found:
            yield Problem(Origin(problem["file"], problem["line"], problem["column"]), problem["message"], problem["hint"])


def stage_tree(plan: plans.Plan) -> Tree:
    """The stages as they branch, each with its settings that were written and the artifacts it becomes."""
    tree = Tree(f"[bold]{escape(plan.name)}[/]  [dim]{plan.recipe_sha256[:12]}[/]")
    nodes: dict[str | None, Tree] = {None: tree}
    for stage in plan.stages:
        nodes[stage.name] = nodes[stage.parent].add(_headline(stage))
        for artifact in stage.artifacts:
            baseline = "  [dim]baseline[/]" if stage.variant == plan.baseline else ""
            nodes[stage.name].add(f"[green]→ {escape(artifact)}[/]{baseline}")
    return tree


def value_table(plan: plans.Plan) -> Table:
    """Every value with its origin; defaults are dimmed."""
    table = Table("key", "value", "origin", box=None, pad_edge=False)
    for value in plan.values:
        style = "dim" if value.origin == "default" else ""
        table.add_row(escape(value.path), escape(json.dumps(value.value, ensure_ascii=False)), escape(value.origin), style=style)
    return table


def _headline(stage: plans.PlannedStage) -> str:
    kind = stage.kind if stage.method is None else f"{stage.kind} {stage.method}"
    settings = ", ".join(f"{s.path}={json.dumps(s.value, ensure_ascii=False)}" for s in stage.settings if s.origin != "default")
    state = {True: "  [cyan]cached[/]", False: "  [yellow]to do[/]", None: ""}[stage.cached]
    return f"[bold]{escape(stage.name)}[/]  {escape(kind)}  [dim]{escape(settings)}[/]{state}"
