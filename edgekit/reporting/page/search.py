"""`edgekit.report_search`: a search as one HTML page, by the parts of the report: its best
candidates, the Pareto front, what the parameters matter, and how it went."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from edgekit.errors import UsageError
from edgekit.reporting.page.content import Page, numbered
from edgekit.reporting.page.document import html
from edgekit.reporting.page.values import (
    ACCENT,
    LINE,
    SERIES,
    SOFT,
    Absent,
    Block,
    Cell,
    Code,
    Facts,
    Figure,
    Section,
    Table,
    axis,
    cells,
    label,
    layout,
    with_interval,
)
from edgekit.reporting.search_tables import (
    duration,
    heading,
    outcome_text,
    savings_lines,
    setting_text,
    settings_of,
)
from edgekit.sanitize import printable
from edgekit.searching.candidates import SearchCandidate
from edgekit.searching.goals import Objective
from edgekit.searching.result import SearchResult, comparable
from edgekit.searching.words import figure_text, value_text
from edgekit.whole_file import write_whole

MOST_ROWS = 500


def report_search(result: SearchResult, *, output: str | Path = "search.html") -> Path:
    """Write one self-contained HTML page about a search. Needs the extra `report`.

    Args:
        result: A search, as `search` and `open_search` give it.
        output: The page's file. It is replaced only by a whole page.

    Returns:
        The path of the page.

    Raises:
        UsageError: plotly is not installed, or the file cannot be written.

    Example:
        >>> searched = edgekit.open_search("latest")
        >>> edgekit.report_search(searched, output="search.html").name
        'search.html'
    """
    path = Path(output)
    text = html(search_page(result), made=datetime.now(UTC).isoformat(timespec="seconds"))
    try:
        write_whole(path, text)
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror or error}") from None
    return path


def search_page(result: SearchResult) -> Page:
    """The page's content."""
    sections = (
        Section("best", "Best candidates", (_front_table(result), _facts(result))),
        Section("front", "Objectives against each other", tuple(_fronts(result))),
        Section("importance", "What matters", tuple(_importance(result))),
        Section("history", "How it went", tuple(_history(result))),
        Section("candidates", "All candidates", (_all_table(result),)),
        Section("next", "Next", (_next(result),)),
    )
    best = len(result.front)
    return Page(
        printable(result.study),
        printable(f"search of {Path(result.recipe).name} · {result.target or 'no board'}"),
        "good" if best else "bad",
        f"{best} best of {len(result.candidates)}" if best else "none keeps all limits",
        (),
        tuple(numbered(sections)),
    )


def _front_table(result: SearchResult) -> Table:
    keys = settings_of(result.front)
    rows = tuple(
        cells(
            str(each.number),
            *(with_interval(figure_text(each.figures.get(o.name), o)) for o in result.objectives),
            *(setting_text(each.settings, key) for key in keys),
        )
        for each in result.front
    )
    count = len(result.objectives)
    return Table(
        ("number", *(heading(objective) for objective in result.objectives), *keys),
        rows,
        texts=tuple(range(1 + count, 1 + count + len(keys))),
        caption="95 % intervals. None of these beats another one in every objective.",
    )


def _facts(result: SearchResult) -> Facts:
    pairs = [
        ("variant", result.variant),
        ("limits", ", ".join(result.limits) or "none"),
        ("candidates and training", "; ".join(savings_lines(result.savings))),
        ("kept in", result.storage),
    ]
    if result.stopped:
        pairs.append(("stopped", result.stopped))
    return Facts(tuple((name, printable(value, limit=300)) for name, value in pairs))


def _fronts(result: SearchResult) -> Iterator[Block]:
    """Each objective against the first one."""
    first, *others = result.objectives
    if not others:
        yield Absent("a Pareto front", f"there is one objective, {printable(first.label)}")
    for other in others:
        yield _front_figure(result, first, other)


def _front_figure(result: SearchResult, y: Objective, x: Objective) -> Block:
    shown = [each for each in result.candidates if {x.name, y.name} <= set(each.figures)]
    if not shown:
        return Absent(f"{printable(y.label)} against {printable(x.label)}", "nothing was trained")
    groups = {
        "best": ([each for each in shown if each.best], ACCENT, "circle"),
        "trained whole": (
            [each for each in shown if each.outcome == "trained" and not each.best],
            SERIES[1],
            "circle",
        ),
        "halted early": ([e for e in shown if e.outcome == "halted"], SOFT, "circle-open"),
    }
    data = [
        _points(name, group, x, y, colour, symbol)
        for name, (group, colour, symbol) in groups.items()
        if group
    ]
    title = f"{label(y.label)} against {label(x.label)}"
    caption = (
        "Bars are 95 % intervals. Of halted candidates, the value after their last training."
        " Dropped candidates were never trained and are not shown."
    )
    axes = {"x": axis(_axis_title(x)), "y": axis(_axis_title(y))}
    return Figure("front", title, tuple(data), layout(**axes), 420, caption)


def _axis_title(objective: Objective) -> str:
    better = "higher is better" if objective.higher_is_better else "lower is better"
    unit = f", {objective.unit}" if objective.unit else ""
    return label(f"{objective.label}{unit} ({better})")


def _points(
    name: str,
    group: Sequence[SearchCandidate],
    x: Objective,
    y: Objective,
    colour: str,
    symbol: str,
) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": [each.figures[x.name].value for each in group],
        "y": [each.figures[y.name].value for each in group],
        "error_x": _bars(group, x, colour),
        "error_y": _bars(group, y, colour),
        "marker": {"color": colour, "symbol": symbol, "size": 10 if name == "best" else 7},
        "text": [f"candidate {each.number}" for each in group],
        "hovertemplate": "%{text}: %{y:.5g} at %{x:.5g}<extra></extra>",
    }


def _bars(group: Sequence[SearchCandidate], axis_of: Objective, colour: str) -> dict[str, Any]:
    figures = [each.figures[axis_of.name] for each in group]
    return {
        "type": "data",
        "symmetric": False,
        "thickness": 1,
        "width": 0,
        "color": colour,
        "array": [0 if f.high is None else f.high - f.value for f in figures],
        "arrayminus": [0 if f.low is None else f.value - f.low for f in figures],
    }


def _importance(result: SearchResult) -> Iterator[Block]:
    for objective in result.objectives:
        shares = result.importance.get(objective.name)
        what = f"what matters to {printable(objective.label)}"
        if not shares:
            yield Absent(what, "too few candidates have a value of it")
            continue
        ordered = sorted(shares.items(), key=lambda item: item[1])
        bars = {
            "type": "bar",
            "orientation": "h",
            "x": [100 * share for _, share in ordered],
            "y": [label(key) for key, _ in ordered],
            "marker": {"color": ACCENT},
            "hovertemplate": "%{y}: %{x:.0f} %<extra></extra>",
        }
        whole = layout(x=axis("share, %", range=[0, 100]), y=axis())
        yield Figure(
            "importance",
            f"What matters to {label(objective.label)}",
            (bars,),
            whole,
            120 + 40 * len(ordered),
            "PED-ANOVA over all candidates with a value; of metrics, that after the first part of"
            " the training, which all of these had.",
            half=True,
        )


def _history(result: SearchResult) -> Iterator[Block]:
    for objective in result.objectives:
        values = [
            (each.number, value, each.outcome == "trained")
            for each in result.candidates
            if (value := comparable(each, objective.name)) is not None
        ]
        if len(values) > 1:
            yield _history_figure(objective, values)
    seconds = sum(each.seconds for each in result.candidates)
    yield Facts((("all candidates together", duration(seconds)),))


def _history_figure(objective: Objective, values: Sequence[tuple[int, float, bool]]) -> Figure:
    best: list[float] = []
    for _, value, _ in values:
        pick = max if objective.higher_is_better else min
        best.append(pick([value, *best[-1:]]))
    numbers = [number for number, _, _ in values]
    dots = {
        "type": "scatter",
        "mode": "markers",
        "name": "a candidate",
        "x": numbers,
        "y": [value for _, value, _ in values],
        "marker": {
            "color": SERIES[0],
            "size": 7,
            "symbol": ["circle" if whole else "circle-open" for _, _, whole in values],
        },
        "hovertemplate": "candidate %{x}: %{y:.5g}<extra></extra>",
    }
    line = {
        "type": "scatter",
        "mode": "lines",
        "name": "best so far",
        "x": numbers,
        "y": best,
        "line": {"color": LINE, "shape": "hv"},
        "hoverinfo": "skip",
    }
    return Figure(
        "history",
        f"{label(objective.label)} of the candidates in their order",
        (line, dots),
        layout(x=axis("candidate"), y=axis(_axis_title(objective))),
        300,
        "After the first part of the training, where it has parts; filled: trained whole.",
    )


def _all_table(result: SearchResult) -> Table:
    shown = result.candidates[-MOST_ROWS:]
    keys = settings_of(shown)
    rows = tuple(
        cells(
            Cell(str(each.number), tone="good" if each.best else ""),
            Cell(printable(outcome_text(each), limit=200)),
            *(_value_cell(each, objective) for objective in result.objectives),
            *(setting_text(each.settings, key) for key in keys),
        )
        for each in shown
    )
    count = len(result.objectives)
    columns = ("number", "outcome", *(heading(each) for each in result.objectives), *keys)
    texts = tuple(range(2 + count, len(columns)))
    left_out = len(result.candidates) - len(shown)
    caption = f"{left_out} earlier ones are left out." if left_out else ""
    return Table(columns, rows, names=2, texts=texts, caption=caption)


def _value_cell(candidate: SearchCandidate, objective: Objective) -> str | None:
    figure = candidate.figures.get(objective.name)
    return None if figure is None else value_text(figure.value, objective)


def _next(result: SearchResult) -> Block:
    recipe = Path(result.recipe)
    best = recipe.with_name(f"{recipe.stem}-best.yaml")
    number = f" --candidate {result.front[0].number}" if result.front else ""
    target = f" --target {shlex.quote(result.target)}" if result.target else ""
    lines = [
        f"edgekit search apply {shlex.quote(result.study)}{number}",
        f"edgekit run {shlex.quote(str(best))}{target}",
    ]
    return Code("\n".join(lines), "The chosen recipe, and its bundle")
