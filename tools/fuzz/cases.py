"""One case: a damaged input, and what reading it came to."""

from __future__ import annotations

import signal
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from types import FrameType

from edgekit.errors import Defect, EdgekitError
from tools.fuzz.kinds import Kind, clear


@dataclass(frozen=True)
class Outcome:
    """`accepted`, or the class of the error that edgekit refused with."""

    name: str


@dataclass(frozen=True)
class Fault(Outcome):
    """What may not happen, and the input that made it happen."""

    what: str
    data: bytes


class TooSlow(BaseException):
    """Raised within a reader that takes too long; no `except Exception` stops it."""


def run_case(
    kind: Kind, seed: int, case: int, directory: Path, *, tell: bool = False
) -> Outcome | Fault:
    """Read the damaged input of a case. `tell` prints the traceback of what it ends with."""
    random = Random(f"{seed} {kind.name} {case}")
    data = kind.mutate(random.choice(list(kind.seeds())), random)
    clear(directory)
    try:
        with _limit(kind.limit_s):
            kind.read(data, directory)
    except Defect as error:
        return Fault("FAULT", str(error), data)
    except EdgekitError as error:
        if tell:
            traceback.print_exc()
        return Outcome(type(error).__name__)
    except (Exception, TooSlow) as error:
        if tell:
            traceback.print_exc()
        return Fault("FAULT", f"{type(error).__name__}: {error}", data)
    return Outcome("accepted")


@contextmanager
def _limit(seconds: float) -> Iterator[None]:
    def interrupt(number: int, frame: FrameType | None) -> None:
        raise TooSlow(f"more than {seconds:g} s")

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
