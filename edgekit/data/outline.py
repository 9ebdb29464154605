"""What is known of data before any sample is loaded. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgekit.data import SOURCES
from edgekit.data.source import Outline, Source, with_home
from edgekit.data.split_folders import FolderContents
from edgekit.registry.factory import OwnObject


def outline_of(name: str, args: Mapping[str, Any], base: Path) -> Outline | None:
    """The outline of a source, for paths relative to `base`; None where the source knows none, as a
    plain function does.

    Raises ModelError: no such source, or data that surely cannot be loaded."""
    source = SOURCES.resolve(name, base)
    if not isinstance(source, Source):
        return None
    if name in SOURCES:
        return source.outline(with_home(args), base)
    with OwnObject("data", name, base).runs("outline"):
        return source.outline(with_home(args), base)


def contents_of(name: str, args: Mapping[str, Any], base: Path) -> FolderContents | None:
    """What a built-in source finds in its folder, by names alone; None where it reads none.

    Raises ModelError: no such source, or a folder that cannot be used."""
    source = SOURCES.resolve(name, base) if name in SOURCES else None
    return source.contents(with_home(args), base) if isinstance(source, Source) else None
