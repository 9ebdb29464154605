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
from edgekit.version import __version__


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
        raise UsageError(
            f"the bundle's recipe: {error.title.lower()}.{key}: {first['msg']};"
            f" this is edgekit {__version__}",
            hint="use the edgekit that built the bundle, or build it again",
        ) from None
