"""What a search shows on a terminal: its best candidates, what the parameters matter, what was
saved. Owns layout only."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from edgekit.reporting.tables import DASH, new_table, number_columns, plain, spaced
from edgekit.searching.words import figure_text, unit_text

if TYPE_CHECKING:
    from edgekit.searching.candidates import SearchCandidate
    from edgekit.searching.goals import Objective
    from edgekit.searching.result import SearchResult, SearchSavings

MOST_FAILURES = 3


def search_summary(result: SearchResult) -> Iterator[RenderableType]:
    """Top to bottom, what matters last."""
    if result.importance:
        yield spaced(importance_table(result))
    yield spaced(front_table(result))
    failed = [each for each in result.candidates if each.outcome == "failed"]
    for candidate in failed[:MOST_FAILURES]:
        yield plain(f"failed: candidate {candidate.number}: {candidate.error}", limit=300)
    if len(failed) > MOST_FAILURES:
        yield Text(f"failed: {len(failed) - MOST_FAILURES} more")
    for line in savings_lines(result.savings):
        yield Text(line)
    if result.stopped:
        yield Text(f"stopped: {result.stopped}")
    yield Text(f"search {result.study} in {result.storage}")
    if result.front:
        number = result.front[0].number
        yield Text(f"next: edgekit search apply {result.study} --candidate {number}")


def front_table(result: SearchResult) -> Table:
    """The best candidates, a line each: objectives with intervals, then the values that differ."""
    front = result.front
    limits = f"within {', '.join(result.limits)}" if result.limits else "without limits"
    title = f"Best of {len(result.candidates)} candidates of {result.variant}, {limits}"
    table = new_table(title, "number")
    number_columns(table, *(heading(objective) for objective in result.objectives))
    keys = list(dict.fromkeys(key for each in front for key in each.settings))
    for key in keys:
        table.add_column(plain(key), no_wrap=True)
    for candidate in front:
        table.add_row(
            str(candidate.number),
            *(figure_text(candidate.figures.get(o.name), o) for o in result.objectives),
            *(plain(setting_text(candidate.settings, key)) for key in keys),
        )
    if not front:
        table.add_row(DASH, *(DASH for _ in result.objectives))
    return table


def importance_table(result: SearchResult) -> Table:
    """How much each parameter matters to each objective, in percent."""
    shown = [each for each in result.objectives if each.name in result.importance]
    table = new_table("What matters", "parameter")
    number_columns(table, *(f"{objective.label} %" for objective in shown))
    keys = dict.fromkeys(key for each in shown for key in result.importance[each.name])
    for key in keys:
        shares = (result.importance[each.name].get(key) for each in shown)
        table.add_row(
            plain(key), *(DASH if share is None else f"{100 * share:.0f}" for share in shares)
        )
    return table


def savings_lines(savings: SearchSavings) -> Iterator[str]:
    """What became of the candidates, and what was not trained."""
    parts = {
        "dropped before any training": savings.dropped,
        "halted early": savings.halted,
        "trained whole": savings.trained,
        "failed": savings.failed,
    }
    listed = [f"{count} {what}" for what, count in parts.items() if count]
    yield f"{savings.candidates} candidates: {', '.join(listed) or 'none yet'}"
    if savings.saved_percent is not None:
        line = (
            f"trained {savings.trained_epochs:.4g} epochs; all of them whole take"
            f" {savings.whole_epochs:.4g}"
        )
        if savings.saved_percent > 0:
            line += f": {savings.saved_percent:.0f} % saved"
            if savings.saved_seconds is not None:
                line += f", about {duration(savings.saved_seconds)}"
        yield line


def duration(seconds: float) -> str:
    """`42 s`, `12 min`, `3.5 h`."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def heading(objective: Objective) -> str:
    """A column of an objective, with the direction in which it is better."""
    arrow = "↑" if objective.higher_is_better else "↓"
    return f"{objective.label}{unit_text(objective)} {arrow}"


def setting_text(settings: Mapping[str, Any], key: str) -> str:
    """A value of a candidate; a dash where the recipe's own stays."""
    if key not in settings:
        return DASH
    value = settings[key]
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def outcome_text(candidate: SearchCandidate) -> str:
    """What became of a candidate, in a few words."""
    if candidate.outcome == "failed":
        return f"failed: {candidate.error}"
    if candidate.outcome == "halted":
        return f"halted after {max(candidate.rungs):.0%} of its training"
    missed = f": not {', '.join(candidate.missed)}" if candidate.missed else ""
    return f"{candidate.outcome}{missed}"


def settings_of(candidates: Sequence[SearchCandidate]) -> list[str]:
    """All keys that the candidates have values for."""
    return list(dict.fromkeys(key for each in candidates for key in each.settings))
