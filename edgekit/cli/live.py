"""Progress on a terminal: a line per task by rich; on a pipe, a plain line when a task ends, and
now and then in a long one."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.progress import Progress as RichProgress

from edgekit.progress import Progress, silent

LOG_EVERY_S = 30.0
REMARK = 40
"""The longest text that stands beside a bar; what a task says at its end may be longer."""


@contextmanager
def live_progress(*, quiet: bool) -> Iterator[Progress]:
    """A progress callable that draws on stderr while the block runs."""
    console = Console(stderr=True)
    if quiet:
        yield silent
    elif console.is_terminal:
        yield from _drawn(console)
    else:
        yield _logged(console)


def _drawn(console: Console) -> Iterator[Progress]:
    columns = (
        SpinnerColumn(finished_text="[green]✓"),
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("[dim]{task.fields[text]}"),
    )
    with RichProgress(*columns, console=console, refresh_per_second=4) as bars:
        tasks: dict[str, int] = {}

        def progress(task: str, done: float, total: float, text: str = "") -> None:
            if task not in tasks:
                tasks[task] = bars.add_task(task, total=None, text="")
            if len(text) > REMARK and done >= total:  # there is no room for it beside a bar
                bars.console.print(f"{task}: {text}", highlight=False, markup=False)
                text = ""
            bars.update(tasks[task], completed=done, total=total or None, text=text)  # type: ignore[arg-type]

        yield progress


def telling_long_work(progress: Progress, expected_s: float) -> Progress:
    """The same progress, which says once how long it will take, if that is much longer than one
    expects."""
    begun: dict[str, float] = {}
    announced: set[str] = set()

    def telling(task: str, done: float, total: float, text: str = "") -> None:
        passed_s = time.monotonic() - begun.setdefault(task, time.monotonic())
        if task not in announced and 0 < done < total and passed_s / done * total > expected_s:
            announced.add(task)
            minutes = passed_s / done * total / 60
            print(f"{task}: this will take about {minutes:.0f} minutes", file=sys.stderr)
        progress(task, done, total, text)

    return telling


def _logged(console: Console) -> Progress:
    spoke: dict[str, float] = {}
    finished: set[str] = set()

    def progress(task: str, done: float, total: float, text: str = "") -> None:
        if task in finished:
            return
        ended = bool(total) and done >= total
        if ended:
            finished.add(task)
            console.print(f"{task}: {text or 'done'}", highlight=False, markup=False)
        elif time.monotonic() - spoke.setdefault(task, time.monotonic()) >= LOG_EVERY_S:
            spoke[task] = time.monotonic()
            of = f" of {total:g}" if total else ""
            console.print(f"{task}: {done:g}{of} {text}".rstrip(), highlight=False, markup=False)

    return progress
