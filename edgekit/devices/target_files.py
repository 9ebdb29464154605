"""Target files: finding, reading and checking them. What they may hold is in target.py.

A name means a file in ./targets or in the user's configuration, or a target that is built in."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from edgekit.devices.target import LocalTarget, Target
from edgekit.errors import UsageError
from edgekit.places import config_directory
from edgekit.yaml_documents.fields import beside
from edgekit.yaml_documents.problems import Problem, quoted, refuse
from edgekit.yaml_documents.validation import check, closest
from edgekit.yaml_documents.yaml_file import Document, read_yaml

BUILT_IN = {
    "local": LocalTarget(edgekit=1, name="local", kind="local", description="This machine.")
}


def as_target(target: Target | str | Path) -> Target:
    """A target, or the one that a name or path means. Raises what `load_target` raises."""
    return load_target(target) if isinstance(target, str | Path) else target


def load_target(name_or_path: str | Path) -> Target:
    """The target in a file, or the one of a name in ./targets, in the user's configuration, or
    built in.

    Args:
        name_or_path: A name such as `pi5`, or a file: a `Path`, or text with a `/` or the suffix
            `.yaml`.

    Returns:
        The target, with the paths in it absolute.

    Raises:
        UsageError: No such target, or every problem in its file with line and column.

    Example:
        >>> edgekit.load_target("desk").kind
        'local'
    """
    text = str(name_or_path)
    if "/" in text or text.endswith((".yaml", ".yml")) or isinstance(name_or_path, Path):
        return read_target(Path(name_or_path))
    for directory in target_directories():
        if re.fullmatch(r"[A-Za-z0-9._-]+", text) and os.path.exists(directory / f"{text}.yaml"):
            return read_target(directory / f"{text}.yaml")
    if text in BUILT_IN:
        return BUILT_IN[text]
    known = target_names()
    hint = f"there are: {', '.join(known)}; or give a file, e.g. targets/pi5.yaml"
    raise UsageError(f"no target is called {quoted(text)}{closest(text, known)}", hint=hint)


def read_target(path: Path) -> Target:
    """Read and check a target file. Raises UsageError with every problem in it."""
    document = read_yaml(path)
    target, problems = check(
        Target, replace(document, problems=(*document.problems, *_secrets(document)))
    )
    if problems:
        refuse(problems)
    return _with_absolute_paths(target, path.absolute().parent)


def new_target(name: str, values: dict[str, Any]) -> Target:
    """A target from values that came by another way than a file. Raises UsageError with every
    problem in them."""
    try:
        target: Target = TypeAdapter(Target).validate_python({"edgekit": 1, "name": name, **values})
    except ValidationError as error:
        raise UsageError(
            "; ".join(f"{problem['loc'][-1]}: {problem['msg']}" for problem in error.errors())
        ) from None
    return target


def target_directories() -> tuple[Path, ...]:
    """Where targets are looked for by name, in this order."""
    own = config_directory()
    return Path("targets"), *((own / "targets",) if own else ())


def target_names() -> list[str]:
    """The names `load_target` knows."""
    return sorted(
        {file.stem for directory in target_directories() for file in directory.glob("*.yaml")}
        | set(BUILT_IN)
    )


_SECRET = re.compile(
    r"pass_?(word|wd|phrase)|secret|token|credential|(api|private)_?key|^pw$|^pass$"
)


def _secrets(document: Document) -> list[Problem]:
    """Keys that hold secrets by their name. Their values are never shown."""
    hint = (
        "let the ssh agent hold the key, name a key file with `identity_file`, or use the"
        " environment"
    )
    secrets = [
        path for path in document.keys if _SECRET.search(str(path[-1]).lower().replace("-", "_"))
    ]
    message = "a secret does not belong in a target file, which is shared and logged"
    return [
        Problem(document.origin_of(path, of_key=True), f"{quoted(str(path[-1]))}: {message}", hint)
        for path in secrets
    ]


def _with_absolute_paths(target: Target, directory: Path) -> Target:
    written = {
        key: getattr(target, key, None)
        for key in ("require_signature", "identity_file", "known_hosts")
    }
    absolute = {
        key: str(beside(directory, value)) for key, value in written.items() if value is not None
    }
    return target.model_copy(update=absolute)
