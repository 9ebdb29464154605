"""What came of a candidate, as a value that survives JSON: it is stored with Optuna's trial."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from edgekit.searching.figures import SearchFigure, as_plain, from_plain

Outcome = Literal["trained", "halted", "dropped", "failed"]


@dataclass(frozen=True)
class SearchCandidate:
    """A candidate of a search that has ended.

    `outcome`: `trained` whole; `halted` after a part of its training; `dropped` before any
    training, as it cannot keep a limit; `failed` where it cannot be built or run, and `error` says
    why. `figures` are its quantities by name, those of a trained file where it was trained.
    `missed` are limits that it does not keep. `best`: trained whole, keeps all limits, and no other
    such candidate beats it in every objective.

    `rungs` are the metrics after each part of the training. `trained_epochs` were trained for it,
    of `whole_epochs` for the whole training; both leave out what all candidates share."""

    number: int
    settings: Mapping[str, Any]
    outcome: Outcome
    figures: Mapping[str, SearchFigure] = field(default_factory=dict)
    missed: tuple[str, ...] = ()
    error: str = ""
    rungs: Mapping[float, Mapping[str, SearchFigure]] = field(default_factory=dict)
    trained_epochs: float = 0.0
    whole_epochs: float = 0.0
    training_seconds: float = 0.0
    seconds: float = 0.0
    measured_file: str = ""
    best: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values; a figure is [value, low, high]."""
        return {"number": self.number, **self.record(), "best": self.best}

    def record(self) -> dict[str, Any]:
        """What is stored of it."""
        return {
            "settings": dict(self.settings),
            "outcome": self.outcome,
            "figures": as_plain(self.figures),
            "missed": list(self.missed),
            "error": self.error,
            "rungs": {repr(part): as_plain(figures) for part, figures in self.rungs.items()},
            "trained_epochs": self.trained_epochs,
            "whole_epochs": self.whole_epochs,
            "training_seconds": self.training_seconds,
            "seconds": self.seconds,
            "measured_file": self.measured_file,
        }


def candidate_of(number: int, record: Mapping[str, Any]) -> SearchCandidate:
    """What `SearchCandidate.record` gave. Raises LookupError, TypeError and ValueError for what it
    did not give."""
    return SearchCandidate(
        number=number,
        settings=record["settings"],
        outcome=record["outcome"],
        figures=from_plain(record["figures"]),
        missed=tuple(record["missed"]),
        error=record["error"],
        rungs={float(part): from_plain(each) for part, each in record["rungs"].items()},
        trained_epochs=record["trained_epochs"],
        whole_epochs=record["whole_epochs"],
        training_seconds=record["training_seconds"],
        seconds=record["seconds"],
        measured_file=record["measured_file"],
    )


@dataclass(frozen=True)
class Ending:
    """How a candidate ended, as it is told to Optuna. `values` are those of the objectives, None
    where it is left out of their comparison; `reports` those of the one objective after each part
    of its training; `excesses` are by limit, above 0 where it is not kept."""

    candidate: SearchCandidate
    values: tuple[float, ...] | None
    excesses: Mapping[str, float]
    reports: tuple[float, ...] = ()
