"""`edgekit search`: the best values of a recipe's searched keys, what they came to, and the chosen
recipe."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

import edgekit
from edgekit.cli.console import stdout
from edgekit.cli.live import live_progress
from edgekit.cli.options import Json, MeasuredTarget, Overrides, RecipeFile
from edgekit.errors import GateFailed

if TYPE_CHECKING:
    from edgekit.searching.result import SearchResult

RUN = "run"


class RunsByDefault(TyperGroup):
    """`edgekit search RECIPE` is `edgekit search run RECIPE`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in (*self.commands, "--help"):
            args = [RUN, *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    name="search",
    cls=RunsByDefault,
    no_args_is_help=True,
    help=(
        "Find the best values of a recipe's keys: `edgekit search RECIPE`. What cannot keep a limit"
        " is not trained."
    ),
)

Storage = Annotated[
    str | None,
    typer.Option(
        "--storage",
        metavar="URL",
        help=(
            "Where searches are kept: a database URL or an SQLite file. Default: EDGEKIT_SEARCH_DB,"
            " else the user's data directory."
        ),
        show_default=False,
    ),
]
Study = Annotated[
    str,
    typer.Argument(metavar="[SEARCH]", help="The start of a search's name, or `latest`."),
]
Page = Annotated[
    Path | None,
    typer.Option("--html", metavar="FILE", help="Also write one HTML page.", show_default=False),
]


@app.command(name=RUN)
def run(
    recipe: RecipeFile,
    target: MeasuredTarget = None,
    overrides: Overrides = None,
    trials: Annotated[
        int | None,
        typer.Option("--trials", help="Candidates, in place of search.stop.trials.", min=1),
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option("--minutes", help="In place of search.stop.minutes."),
    ] = None,
    storage: Storage = None,
    html: Page = None,
    as_json: Json = False,
) -> None:
    """Look for the best values of a recipe's searched keys, as its section `search` says.

    A candidate is lowered untrained and measured first; what cannot keep a limit is not trained.
    The others are trained by successive halving. The same command goes on with a search that was
    interrupted, and may run in several processes at a time. The exit code is 1 when no candidate
    keeps all limits.

    Example: edgekit search run recipes/digits_search.yaml --target local
    """
    with live_progress(quiet=as_json) as progress:
        result = edgekit.search(
            recipe,
            target=target,
            overrides=overrides or (),
            storage=storage,
            trials=trials,
            minutes=minutes,
            progress=progress,
        )
    _show(result, html, as_json=as_json)
    if not result.front:
        if as_json:
            raise typer.Exit(GateFailed.exit_code)
        raise GateFailed(
            f"none of {len(result.candidates)} candidates keeps all limits",
            hint="loosen a limit, widen a range, or try more: --trials N",
        )


@app.command()
def show(
    study: Study = "latest", storage: Storage = None, html: Page = None, as_json: Json = False
) -> None:
    """Show what a search has come to: the best candidates, what the parameters matter, its history.

    Example: edgekit search show latest --html search.html
    """
    _show(edgekit.open_search(study, storage=storage), html, as_json=as_json)


@app.command()
def apply(
    study: Study = "latest",
    candidate: Annotated[
        int | None,
        typer.Option(
            "--candidate",
            "-c",
            help="Its number. Default: the best one, where there is only one.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="The file, beside the searched recipe. Default: NAME-best.yaml.",
            show_default=False,
        ),
    ] = None,
    storage: Storage = None,
    as_json: Json = False,
) -> None:
    """Write the recipe of a candidate: the searched file with its values, comments kept.

    Example: edgekit search apply latest --candidate 12
    """
    path = edgekit.apply_search(study, candidate=candidate, output=output, storage=storage)
    print(json.dumps({"recipe": str(path)}) if as_json else path)


def _show(result: SearchResult, html: Path | None, *, as_json: bool) -> None:
    page = None if html is None else edgekit.report_search(result, output=html)
    if as_json:
        print(json.dumps({**result.as_dict(), **({"page": str(page)} if page else {})}))
        return
    from rich.text import Text

    from edgekit.reporting.search_tables import search_summary

    console = stdout(highlight=False)
    for part in search_summary(result):
        console.print(part, soft_wrap=isinstance(part, Text))
    if page:
        console.print(f"page: {page}", soft_wrap=True, markup=False)
