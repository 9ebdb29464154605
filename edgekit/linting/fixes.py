"""Putting a recipe right mechanically: single values changed in the file, everything else in it
kept, comments and order included."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgekit.linting.document_rules import LintFinding
from edgekit.yaml_documents.edits import REMOVE, ValueEdit
from edgekit.yaml_documents.round_trip import KeptText


def fixed_text(file: Path, findings: Sequence[LintFinding]) -> tuple[str, tuple[LintFinding, ...]]:
    """The text of a recipe file with the edits of those findings that lie in it, and these
    findings.

    A value that comes from an extended recipe, from `--set` or from a default is not in this file,
    and is left alone."""
    text = file.read_text(encoding="utf-8")
    fixed = KeptText(text)
    done = tuple(
        finding
        for finding in findings
        if finding.edit and finding.origin.source == str(file) and _apply(fixed.data, finding.edit)
    )
    if not done:
        return text, ()
    return fixed.text(), done


def _apply(data: Any, edit: ValueEdit) -> bool:
    *way, last = edit.path
    try:
        for key in way:
            data = data[key]
        if last not in data:
            return False
        if edit.value is REMOVE:
            del data[last]
        else:
            data[last] = edit.value
    except (KeyError, IndexError, TypeError):
        return False
    return True
