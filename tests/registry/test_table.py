"""A table resolves its own names and users' names, imports late, and refuses what is wrong."""

from __future__ import annotations

import subprocess
import sys
from collections import OrderedDict
from pathlib import Path

import pytest

from edgekit.errors import ModelError
from edgekit.registry.table import Table

ENTRIES = {"ordered": "collections:OrderedDict", "path": "pathlib:Path"}


def test_an_entry_is_imported_when_it_is_resolved(tmp_path: Path) -> None:
    late = "collections:deque, xml.sax.handler:ContentHandler"
    code = f"""
import sys
from pathlib import Path
from edgekit.registry.table import Table
names = dict(enumerate({late!r}.split(", ")))
table = Table("thing", {{str(number): place for number, place in names.items()}})
before = "xml.sax.handler" in sys.modules
table.resolve("1", Path("."))
sys.exit(before or "xml.sax.handler" not in sys.modules or "torch" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0


def test_names_are_kept_in_order() -> None:
    table = Table("thing", ENTRIES)
    assert list(table) == ["ordered", "path"]
    assert "path" in table
    assert "pathlib:Path" not in table
    assert table.resolve("ordered") is OrderedDict


def test_a_users_object_lies_beside_the_recipe(tmp_path: Path) -> None:
    (tmp_path / "table_own.py").write_text("MINE = {'a': 1}\n")
    assert Table("thing", ENTRIES).resolve("table_own:MINE", tmp_path) == {"a": 1}


def test_an_entry_wins_over_a_module_of_the_same_name_beside_the_recipe(tmp_path: Path) -> None:
    (tmp_path / "collections.py").write_text("raise SystemError\n")
    assert Table("thing", ENTRIES).resolve("ordered", tmp_path) is OrderedDict


def test_a_typo_is_suggested_and_a_strange_name_gets_the_list() -> None:
    table = Table("thing", ENTRIES)
    with pytest.raises(ModelError, match="there is no thing 'orderd'") as caught:
        table.resolve("orderd")
    assert caught.value.hint == "did you mean ordered?"
    with pytest.raises(ModelError) as caught:
        table.resolve("zzz")
    assert caught.value.hint == "known: ordered, path; your own: package.module:object"


def test_a_users_object_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "table_typo.py").write_text("MINE = 1\n")
    with pytest.raises(ModelError, match="thing 'table_typo:MINNE': module table_typo has no"):
        Table("thing", ENTRIES).resolve("table_typo:MINNE", tmp_path)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"a": "x:Y", "b": "x:Y"}, "things a and b are one object"),
        ({"a": "x.Y"}, "thing a: expected `module:object`"),
        ({"a:b": "x:Y"}, "'a:b' cannot be a name"),
        ({"": "x:Y"}, "'' cannot be a name"),
    ],
)
def test_a_wrong_table_is_refused(entries: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Table("thing", entries)
