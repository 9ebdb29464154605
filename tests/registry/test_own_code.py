"""Code of a user's own that fails: one line that says what, and where in the user's module."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edgekit.errors import EdgekitError, ExportError, ModelError, UsageError
from edgekit.registry.factory import OwnObject, call_factory, load_object
from edgekit.registry.own_code import own_code

MODULE = """\
import json
from edgekit.errors import UsageError

def deep(text):
    return json.loads(text)

def refuses():
    raise UsageError("not like this")

def yields():
    yield 1
    deep("two\\nlines")

def late():
    import own_code_helper
    return own_code_helper.VALUE
"""


@pytest.fixture
def base(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "own_code_part.py").write_text(MODULE)
    (tmp_path / "own_code_helper.py").write_text("VALUE = 7\n")
    yield tmp_path
    for name in ("own_code_part", "own_code_helper"):
        sys.modules.pop(name, None)


def part(base: Path, name: str) -> Any:
    return load_object(f"own_code_part:{name}", base, "task")


@pytest.mark.parametrize("error", [ModelError, ExportError])
def test_the_last_line_of_the_users_own_is_named(base: Path, error: type[EdgekitError]) -> None:
    own = OwnObject("task", "own_code_part:deep", base, error)
    with pytest.raises(error) as caught:
        own.guarded("loss", part(base, "deep"))("{")
    message = caught.value.message
    assert message.startswith(
        "task own_code_part:deep: its loss failed: JSONDecodeError: Expecting"
    )
    assert message.endswith(f"({base.resolve()}/own_code_part.py:5)")
    assert "ModelError" in caught.value.hint


def test_an_error_of_edgekit_says_by_itself_what_is_wrong(base: Path) -> None:
    own = OwnObject("task", "own_code_part:refuses", base)
    with pytest.raises(UsageError, match=r"^not like this$"):
        own.guarded("loss", part(base, "refuses"))()


def test_what_yields_is_watched_to_its_end(base: Path) -> None:
    own = OwnObject("method", "own_code_part:yields", base)
    with pytest.raises(ModelError, match=r"its lint failed: .*own_code_part.py:5\)$"):
        own.guarded_iterator("lint", part(base, "yields"))()


def test_it_may_import_what_lies_beside_the_recipe(base: Path) -> None:
    assert OwnObject("task", "own_code_part:late", base).guarded("loss", part(base, "late"))() == 7
    assert str(base) not in sys.path


def test_a_factory_that_fails_is_named_with_its_line(base: Path) -> None:
    with pytest.raises(ModelError, match=r"data x: its factory failed: .*own_code_part.py:5\)$"):
        call_factory(part(base, "deep"), {"text": "{"}, "data x", base=base)


def test_without_a_line_of_the_user_there_is_none() -> None:
    with (
        pytest.raises(ModelError, match=r"^data x failed: ValueError: no message$"),
        own_code("data x", "no_such_module:LOAD"),
    ):
        raise ValueError
