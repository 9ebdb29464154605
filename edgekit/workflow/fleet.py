"""The same work on several targets at once, a thread each. Owns their progress lines, and what a
failure or Ctrl-C on the way means for the rest.

One that fails does not stop the others. Ctrl-C once cancels the work on each target: its next wait
for a board, or its next report of progress, raises KeyboardInterrupt as in the main thread, so the
same code leaves every board clean. Ctrl-C twice ends the process at once.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from edgekit.cancel import Cancel
from edgekit.devices.target import Target
from edgekit.errors import EdgekitError, UsageError
from edgekit.progress import Progress, silent

Result = TypeVar("Result")
Done = TypeVar("Done", covariant=True)
SLICE_S = 0.1


class Work(Protocol[Done]):
    """What is done for each target. It hands its `Cancel` to the device it connects to."""

    def __call__(self, *, target: Target, progress: Progress, cancel: Cancel) -> Done: ...


class TargetsFailed(EdgekitError):
    """Some of several targets failed. The exit code is the first failure's; `failures` has each by
    the name of its target, in the order asked for.

    `done` is what came of the others, for a caller who still wants it; `details` tells both as
    plain JSON values, with what `answers` says of the others."""

    def __init__(
        self,
        failures: dict[str, EdgekitError],
        done: Mapping[str, object],
        *,
        answers: Mapping[str, object] | None = None,
    ) -> None:
        first = next(iter(failures.values()))
        each = [
            f"{name}: {error.message.removeprefix(f'{name}: ')}" for name, error in failures.items()
        ]
        failed = {
            name: {"error": error.message, "hint": error.hint, "exit_code": error.exit_code}
            for name, error in failures.items()
        }
        hints = dict.fromkeys(error.hint for error in failures.values() if error.hint)
        message = "\n".join(
            [f"{len(failures)} of {len(failures) + len(done)} targets failed", *each]
        )
        super().__init__(
            message,
            hint="; ".join(hints),
            details={"failures": failed, "targets": dict(answers or {})},
        )
        self.exit_code = first.exit_code
        self.failures, self.done = failures, done


@dataclass
class Outcomes(Generic[Result]):
    """What came of each target, by name, in the order asked for."""

    done: dict[str, Result] = field(default_factory=dict)
    failures: dict[str, EdgekitError] = field(default_factory=dict)


def on_each(
    targets: Sequence[Target], work: Work[Result], *, progress: Progress = silent
) -> Outcomes[Result]:
    """Run `work(target, progress, cancel)` for all targets at once, and wait for all.

    EdgekitErrors are gathered, any other exception is raised when all have ended. A single target
    is worked on in the calling thread, and its error raised. Raises UsageError (two targets of one
    name), KeyboardInterrupt once every thread has cleaned up."""
    require_distinct(targets)
    if len(targets) == 1:
        return Outcomes(
            {targets[0].name: work(target=targets[0], progress=progress, cancel=Cancel())}
        )
    workers = [_Worker(target, work, progress) for target in targets]
    with _interrupting(workers):
        for worker in workers:
            worker.start()
        while any(worker.is_alive() for worker in workers):
            time.sleep(SLICE_S)
    return _gathered(workers)


def require_distinct(targets: Sequence[Target]) -> None:
    """Raises UsageError when two have one name."""
    names = [target.name for target in targets]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UsageError(
            f"given twice: {', '.join(twice)}",
            hint="name each target once; results are told apart by the names of targets",
        )


class _Worker(threading.Thread, Generic[Result]):
    """One target's thread. A daemon, so that a second Ctrl-C need not wait for it."""

    def __init__(self, target: Target, work: Work[Result], progress: Progress) -> None:
        super().__init__(name=f"edgekit {target.name}", daemon=True)
        self.target = target
        self.cancel = Cancel()
        self._work = work
        self._progress = progress
        self.result: list[Result] = []
        self.failure: BaseException | None = None

    def run(self) -> None:
        started = time.monotonic()
        try:
            self.result.append(
                self._work(target=self.target, progress=self._show, cancel=self.cancel)
            )
        except BaseException as error:  # told to the thread that waits
            self.failure = error
        seconds = time.monotonic() - started
        self._progress(self.target.name, 1, 1, f"{self._outcome()} after {seconds:.1f} s")

    def _outcome(self) -> str:
        if self.failure is None:
            return "done"
        return "interrupted" if isinstance(self.failure, KeyboardInterrupt) else "FAILED"

    def _show(self, task: str, done: float, total: float, text: str = "") -> None:
        """All that a target does is one line; a step that ends is not the end of the line."""
        self.cancel.check()
        ended = total and done >= total
        self._progress(
            self.target.name,
            0 if ended else done,
            0 if ended else total,
            f"{task}{f': {text}' if text else ''}",
        )


@contextmanager
def _interrupting(workers: Sequence[_Worker[Result]]) -> Iterator[None]:
    """Ctrl-C in the block cancels the work of all threads, and is raised when they have ended. A
    second one is raised at once."""
    try:
        yield
    except KeyboardInterrupt:
        for worker in workers:
            worker.cancel.request()
        while any(worker.is_alive() for worker in workers):
            time.sleep(SLICE_S)
        raise


def _gathered(workers: Sequence[_Worker[Result]]) -> Outcomes[Result]:
    outcomes: Outcomes[Result] = Outcomes()
    for worker in workers:
        if isinstance(worker.failure, EdgekitError):
            outcomes.failures[worker.target.name] = worker.failure
        elif worker.failure is not None:
            raise worker.failure
        else:
            outcomes.done[worker.target.name] = worker.result[0]
    return outcomes
