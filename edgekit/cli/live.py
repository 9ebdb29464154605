"""Progress on a terminal: a line per task by rich; on a pipe, a plain line when a task ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as RichProgress

from edgekit.progress import Progress, silent


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
    finished: set[str] = set()

    def progress(task: str, done: float, total: float, text: str = "") -> None:
        if total and done >= total and task not in finished:
            finished.add(task)
            console.print(f"{task}: {text or 'done'}", highlight=False, markup=False)

    return progress
