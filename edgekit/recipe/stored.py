"""The recipe inside a bundle, as typed sections. A bundle may have been made by another version of
edgekit, so that its recipe may be of format 1 or hold keys that this version does not know."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from edgekit.errors import UsageError
from edgekit.recipe.format1 import upgraded_data
from edgekit.recipe.limits import Bench, Budget, Gate, Verify
from edgekit.sanitize import printable
from edgekit.version import __version__

OF_THE_MODEL = {"name", "description", "seed", "deterministic", "task", "model", "inputs", "data"}
OF_THE_WORK = {"stages", "training", "export", "verify", "budget", "bench", "gate", "search"}
KEYS = {"edgekit"} | OF_THE_MODEL | OF_THE_WORK
"""Of a recipe. The schema itself takes long to import."""


@dataclass(frozen=True)
class StoredSections:
    """The sections that say how a bundle is verified, measured and judged."""

    verify: Verify
    budget: Budget
    bench: Bench
    gate: Gate


def stored_sections(recipe: Mapping[str, Any]) -> StoredSections:
    """The sections of a manifest's `recipe`; those that are missing have their defaults.

    Raises UsageError for keys or values that this version of edgekit does not know.
    """
    data = upgraded_data(recipe)
    unknown = sorted(data.keys() - KEYS)
    if unknown:
        raise _refused(f"{printable(unknown[0])}: not known")
    try:
        return StoredSections(
            verify=Verify.model_validate(data.get("verify", {})),
            budget=Budget.model_validate(data.get("budget", {})),
            bench=Bench.model_validate(data.get("bench", {})),
            gate=Gate.model_validate(data.get("gate", {})),
        )
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise _refused(f"{error.title.lower()}.{printable(key)}: {first['msg']}") from None


def _refused(reason: str) -> UsageError:
    return UsageError(
        f"the bundle's recipe: {reason}; this is edgekit {__version__}",
        hint="use the edgekit that built the bundle, or build it again",
    )
