"""A change to one value of a document, by which a finding can be put right mechanically. Applying
it to a file is linting/fixes.py's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edgekit.yaml_documents.problems import KeyPath

REMOVE = object()
"""As the value of an edit: take the key out."""


@dataclass(frozen=True)
class ValueEdit:
    """Write `value` at `path`, or take it out when the value is `REMOVE`."""

    path: KeyPath
    value: Any
