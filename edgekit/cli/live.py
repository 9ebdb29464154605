"""Progress on a terminal: a line per task by rich; on a pipe, a plain line when a task ends, and
now and then in a long one."""

from __future__ import annotations

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
            bars.update(tasks[task], completed=done, total=total or None, text=text)  # type: ignore[arg-type]

        yield progress


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
