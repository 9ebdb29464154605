"""What a recipe means and comes to, printed: for `edgekit recipe explain` and for `--dry-run`."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.table import Table
from rich.tree import Tree

import edgekit
from edgekit.cli.console import stdout
from edgekit.errors import ModelError
from edgekit.installing import install_command

if TYPE_CHECKING:
    from edgekit.data.split_folders import FolderContents
    from edgekit.devices.target import Target
    from edgekit.pipeline.stage_estimate import StageEstimate
    from edgekit.recipe import explain as plans
    from edgekit.recipe.load import LoadedRecipe


def show_plan(
    loaded: LoadedRecipe, *, estimated: bool, as_json: bool, targets: Sequence[Target] = ()
) -> None:
    """Changes nothing, in the cache or elsewhere. A model that cannot be built leaves the estimate
    out, and says so."""
    from edgekit.pipeline.planning import plan as planned

    plan = edgekit.explain(
        loaded, cached={stage.name: stage.cached is not None for stage in planned(loaded).stages}
    )
    contents, no_data = _contents(loaded)
    estimates: tuple[StageEstimate, ...] = ()
    reason = (
        "" if importlib.util.find_spec("torch") else f"it needs torch: {install_command('export')}"
    )
    if estimated and not reason:
        try:
            estimates = edgekit.estimate(loaded)
        except ModelError as error:
            reason = error.message
    if as_json:
        answer: dict[str, Any] = dataclasses.asdict(plan) | {
            "estimates": [_as_json(estimate) for estimate in estimates],
            "no_estimate": reason,
            "data": contents and dataclasses.asdict(contents),
            "no_data": no_data,
        }
        if targets:
            answer["targets"] = [target.model_dump(mode="json") for target in targets]
        print(json.dumps(answer))
        return
    console = stdout(highlight=False)
    console.print(stage_tree(plan))
    if contents or no_data:
        shown = f"data {loaded.recipe.data.name}: {contents.text()}" if contents else no_data
        console.print(f"\n{escape(shown)}", soft_wrap=True)
    if estimates:
        console.print("\nEstimate, before training; sizes are what the weights alone take")
        console.print(estimate_table(estimates))
    elif estimated:
        console.print(f"\n[dim]no estimate: {escape(reason)}[/]")
    for target in targets:
        console.print(
            f"\nwould be deployed to and measured on [bold]{escape(target.name)}[/] ({target.kind})"
            f" {escape(target.description)}"
        )
    console.print()
    console.print(value_table(plan))


def _contents(loaded: LoadedRecipe) -> tuple[FolderContents | None, str]:
    """What the folder of the data holds, or why it cannot be used; nothing for other data."""
    from edgekit.data.outline import contents_of  # here, so that --help does not wait for it

    named = loaded.recipe.data
    try:
        return contents_of(named.name, named.args, loaded.path.parent), ""
    except ModelError as error:
        return None, error.message


def _as_json(estimate: StageEstimate) -> dict[str, Any]:
    return {**vars(estimate), "problem": estimate.problem.message if estimate.problem else None}


def stage_tree(plan: plans.ExplainedRecipe) -> Tree:
    """The stages as they branch, each with its settings that were written and the artifacts it
    becomes."""
    tree = Tree(f"[bold]{escape(plan.name)}[/]  [dim]{plan.recipe_sha256[:12]}[/]")
    nodes: dict[str | None, Tree] = {None: tree}
    for stage in plan.stages:
        nodes[stage.name] = nodes[stage.parent].add(_headline(stage))
        for artifact in stage.artifacts:
            baseline = "  [dim]baseline[/]" if stage.variant == plan.baseline else ""
            nodes[stage.name].add(f"[green]→ {escape(artifact)}[/]{baseline}")
    return tree


def estimate_table(estimates: Sequence[StageEstimate]) -> Table:
    """A line a stage; one that cannot be done says why."""
    from edgekit.reporting.numbers import amount, size
    from edgekit.reporting.tables import new_table, number_columns

    table = new_table("", "stage")
    number_columns(table, "params", "MACs", "size ≥", "activations ≥")
    table.add_column("")
    for estimate in estimates:
        problem = f"[red]{escape(estimate.problem.message)}[/]" if estimate.problem else ""
        table.add_row(
            escape(estimate.name),
            amount(estimate.parameters),
            amount(estimate.macs),
            size(estimate.weight_bytes),
            size(estimate.activation_bytes),
            problem,
        )
    return table


def value_table(plan: plans.ExplainedRecipe) -> Table:
    """Every value with its origin; defaults are dimmed."""
    from edgekit.reporting.tables import new_table

    table = new_table("", "key")
    table.add_column("value", overflow="fold")
    table.add_column("origin", overflow="fold")
    for value in plan.values:
        style = "dim" if value.origin == "default" else ""
        table.add_row(
            escape(value.path),
            escape(json.dumps(value.value, ensure_ascii=False)),
            escape(value.origin),
            style=style,
        )
    return table


def _headline(stage: plans.ExplainedStage) -> str:
    kind = stage.kind if stage.method is None else f"{stage.kind} {stage.method}"
    settings = ", ".join(
        f"{s.path}={json.dumps(s.value, ensure_ascii=False)}"
        for s in stage.settings
        if s.origin != "default"
    )
    state = {True: "  [cyan]cached[/]", False: "  [yellow]to do[/]", None: ""}[stage.cached]
    return f"[bold]{escape(stage.name)}[/]  {escape(kind)}  [dim]{escape(settings)}[/]{state}"
