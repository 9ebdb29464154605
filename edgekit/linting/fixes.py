"""Putting a recipe right mechanically: single values changed in the file, everything else in it
kept, comments and order included."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from edgekit.linting.document_rules import LintFinding
from edgekit.yaml_documents.edits import REMOVE, ValueEdit

WIDTH = 10_000
"""Longer lines than anybody writes: none is broken anew."""


def fixed_text(file: Path, findings: Sequence[LintFinding]) -> tuple[str, tuple[LintFinding, ...]]:
    """The text of a recipe file with the edits of those findings that lie in it, and these
    findings.

    A value that comes from an extended recipe, from `--set` or from a default is not in this file,
    and is left alone."""
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = WIDTH
    text = file.read_text(encoding="utf-8")
    (
        yaml.indent(mapping=2, sequence=4, offset=2)
        if "\n  - " in text
        else yaml.indent(mapping=2, sequence=2, offset=0)
    )
    data = yaml.load(text)
    done = tuple(
        finding
        for finding in findings
        if finding.edit and finding.origin.source == str(file) and _apply(data, finding.edit)
    )
    if not done:
        return text, ()
    written = io.StringIO()
    yaml.dump(data, written)
    return written.getvalue(), done


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
