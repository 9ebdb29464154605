"""What a method says about its stage before anything runs. Owns the values; where a remark stands
in a file, and how it is shown, is linting's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from edgekit.compress.sections import StageBase
from edgekit.yaml_documents.edits import ValueEdit
from edgekit.yaml_documents.problems import KeyPath

Severity = Literal["error", "warning", "note"]


@dataclass(frozen=True)
class Remark:
    """`path` leads from the stage to the value that is meant; () is the stage itself. So do the
    paths of `edit`. `error`: a run would fail; `warning`: it would not do what it looks like;
    `note`: worth knowing."""

    code: str
    severity: Severity
    path: KeyPath
    message: str
    fix: str = ""
    edit: ValueEdit | None = None


@dataclass(frozen=True)
class Place:
    """A stage among the others of its recipe. `following` continue directly from it; `later` are
    all stages that build on it."""

    name: str
    following: tuple[StageBase, ...]
    later: tuple[StageBase, ...]
