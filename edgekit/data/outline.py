"""What is known of data before any sample is loaded. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgekit.data import SOURCES
from edgekit.data.source import Outline, Source
from edgekit.registry.factory import OwnObject


def outline_of(name: str, args: Mapping[str, Any], base: Path) -> Outline | None:
    """The outline of a source, for paths relative to `base`; None where the source knows none, as a
    plain function does.

    Raises ModelError: no such source, or data that surely cannot be loaded."""
    source = SOURCES.resolve(name, base)
    if not isinstance(source, Source):
        return None
    if name in SOURCES:
        return source.outline(args, base)
    with OwnObject("data", name, base).runs("outline"):
        return source.outline(args, base)
