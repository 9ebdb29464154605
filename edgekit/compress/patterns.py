"""Layer names and the patterns a recipe selects them by. Owns what a pattern means; knows no torch
and no layer types."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from edgekit.errors import ModelError


def matches(name: str, patterns: Iterable[str]) -> bool:
    """Whether a dotted layer name is meant by one of the patterns: the name itself, a shell-style
    pattern, or a module the layer lies in."""
    return any(
        fnmatchcase(name, pattern) or fnmatchcase(name, f"{pattern}.*") for pattern in patterns
    )


def select(
    names: Sequence[str], include: Iterable[str], exclude: Iterable[str], *, purpose: str
) -> list[str]:
    """The names that an `include` pattern means and no `exclude` pattern does, in the order given.

    `purpose` completes the error message, as in "layers to prune". Raises ModelError when a pattern
    means no name at all."""
    include, exclude = tuple(include), tuple(exclude)
    require_matches(names, (*include, *exclude), purpose=purpose)
    return [name for name in names if matches(name, include) and not matches(name, exclude)]


def require_matches(names: Sequence[str], patterns: Iterable[str], *, purpose: str) -> None:
    """Raise ModelError for the first pattern that means none of the names, with names that are
    close to it."""
    for pattern in patterns:
        if not any(matches(name, (pattern,)) for name in names):
            near = difflib.get_close_matches(pattern, names, n=3, cutoff=0.4) or list(names[:5])
            raise ModelError(
                f"no layer matches {pattern!r} ({purpose})",
                hint=f"layers are called {', '.join(near) or '(none)'}",
            )
