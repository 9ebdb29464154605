"""What the result of a stage depends on beyond its settings: the sources of a user's own method."""

from __future__ import annotations

from pathlib import Path

from edgekit.compress.sections import StageBase, is_own
from edgekit.hashing import sha256_file
from edgekit.registry.dependencies import sources


def method_fingerprint(section: StageBase, base: Path) -> list[str]:
    """Hashes of the files of a method that a recipe names itself, empty for one of the tables:
    those are hashed with edgekit's own source. `base` is the recipe's directory."""
    if not is_own(section):
        return []
    module_name, _, _ = section.method.partition(":")
    return [sha256_file(file) for file in sources(module_name, base)]
