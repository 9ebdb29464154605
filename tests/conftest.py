"""What every test relies on, and what tests of several parts share."""

from __future__ import annotations

import fcntl
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

import edgekit
from edgekit.bundle.directory import Bundle

pytest.register_assert_rewrite("tests.support")
pytest_plugins = [
    "tests.support.boards",
    "tests.support.bundles",
    "tests.support.kills",
    "tests.support.postgres",
    "tests.support.runners",
    "tests.support.timings",
]

# A shell starts background jobs with Ctrl-C ignored, and children inherit that: the tests of Ctrl-C
# need it to work.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# The check says the same of the same code every time, however busy the machine is. New cases are
# searched with --hypothesis-profile=default.
settings.register_profile("check", derandomize=True, deadline=None, database=None)
settings.load_profile("check")


@pytest.fixture(scope="session", autouse=True)
def _results_of_the_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What is measured here does not go to the user's own results."""
    with pytest.MonkeyPatch.context() as patch:
        place = tmp_path_factory.mktemp("results")
        patch.setenv("EDGEKIT_DB", str(place / "results.db"))
        patch.setenv("EDGEKIT_SEARCH_DB", str(place / "searches.db"))
        yield


@pytest.fixture(scope="session")
def quickstart_cache(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache with the quickstart's stages and exports, kept from one test run to the next. Half a
    minute when it is empty; processes that share the tests wait for the one that fills it."""
    assert pytestconfig.cache
    cache = pytestconfig.cache.mkdir("edgekit-quickstart")
    with (cache / "filled.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _build_quickstart(cache, tmp_path_factory.mktemp("quickstart"))
    return cache


@pytest.fixture(scope="session")
def quickstart_bundle(quickstart_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """What recipes/quickstart.yaml builds, all six artifacts."""
    return _build_quickstart(quickstart_cache, tmp_path_factory.mktemp("quickstart"))


def _build_quickstart(cache: Path, output: Path) -> Bundle:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDGEKIT_CACHE", str(cache))
        return edgekit.build(
            Path(__file__).parents[1] / "recipes" / "quickstart.yaml", output=output
        ).bundle
