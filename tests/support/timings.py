"""How long each file of tests takes, kept from one run to the next in build/test-timings.json, and
the order of files that follows from it: those that take longest first.

Two processes share the files, one file at a time. With the long ones first, neither is left alone
with a long one at the end."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import pytest

TIMINGS = Path(__file__).parents[2] / "build" / "test-timings.json"


class Timings:
    """Adds up the seconds of set-up, call and tear-down by file, and writes them at the end."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seconds: dict[str, float] = defaultdict(float)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._seconds[report.nodeid.partition("::")[0]] += report.duration

    def pytest_sessionfinish(self) -> None:
        merged = {**read_timings(self._path), **self._seconds}
        self._path.parent.mkdir(parents=True, exist_ok=True)
        rounded = {file: round(seconds, 2) for file, seconds in sorted(merged.items())}
        self._path.write_text(json.dumps(rounded, indent=2) + "\n", encoding="utf-8")


def read_timings(path: Path) -> dict[str, float]:
    """Seconds by file; nothing where the file is missing or damaged, as it is only a hint."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        return {str(file): float(seconds) for file, seconds in values.items()}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}


def longest_first(items: list[pytest.Item], timings: Mapping[str, float]) -> None:
    """Sort tests by what their file took the last time. Files without a time come first when they
    have slow tests, and last when they have none; within a file the order stays."""
    slow_files = {item.path for item in items if item.get_closest_marker("slow")}

    def seconds(item: pytest.Item) -> float:
        guess = float("inf") if item.path in slow_files else 0.0
        return timings.get(item.nodeid.partition("::")[0], guess)

    items.sort(key=seconds, reverse=True)


def pytest_configure(config: pytest.Config) -> None:
    """One process writes: the controller, where processes share the tests."""
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Timings(TIMINGS), "edgekit-timings")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    longest_first(items, read_timings(TIMINGS))
