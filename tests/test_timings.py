"""Timings of test files: added up, kept, and the longest first."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.timings import Timings, longest_first, read_timings


def item(file: str, slow: bool = False) -> Any:
    """What the order reads of a test."""
    return SimpleNamespace(
        nodeid=f"{file}::test_it",
        path=Path(file),
        get_closest_marker=lambda name: slow and name == "slow",
    )


def test_times_are_added_up_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "build" / "timings.json"
    path.parent.mkdir()
    path.write_text('{"tests/old.py": 3.0, "tests/a.py": 9.0}')
    timings = Timings(path)
    for duration in (0.5, 1.0):
        report: Any = SimpleNamespace(nodeid="tests/a.py::test_it[x]", duration=duration)
        timings.pytest_runtest_logreport(report)
    timings.pytest_sessionfinish()
    assert json.loads(path.read_text()) == {"tests/a.py": 1.5, "tests/old.py": 3.0}


def test_the_longest_come_first() -> None:
    items = [item("quick.py"), item("new.py"), item("new_slow.py", slow=True), item("long.py")]
    longest_first(items, {"quick.py": 1.0, "long.py": 60.0})
    assert [i.path.name for i in items] == ["new_slow.py", "long.py", "quick.py", "new.py"]


@pytest.mark.parametrize("content", ["", "[]", '{"a": "x"}', '{"a": null}'])
def test_a_damaged_file_is_no_hint(tmp_path: Path, content: str) -> None:
    (tmp_path / "timings.json").write_text(content)
    assert read_timings(tmp_path / "timings.json") == {}
    assert read_timings(tmp_path / "missing.json") == {}
