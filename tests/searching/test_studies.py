"""A study in its storage: no candidate that has ended is lost or counts twice, whoever is killed
when, on SQLite and on a real PostgreSQL."""

from __future__ import annotations

import multiprocessing
import signal
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgekit.errors import StoreError, UsageError
from edgekit.searching import owners
from edgekit.searching.candidates import Ending, SearchCandidate
from tests.support.postgres import PostgresServer
from tests.support.searches import (
    PARAMETERS,
    TOP1,
    begin_and_die,
    computed,
    find_study,
    killed_at,
    opened,
    search_computed,
)
from tests.support.tiers import require_module

pytestmark = pytest.mark.slow

MOST = 4
FORK = multiprocessing.get_context("fork")


@pytest.fixture(autouse=True)
def _optuna() -> None:
    require_module("optuna", "search")


@pytest.fixture
def url(tmp_path: Path) -> str:
    return str(tmp_path / "searches.db")


@pytest.fixture
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What has no owner yet is taken back at once: here nobody else begins anything."""
    monkeypatch.setattr(owners, "NAMELESS_S", -1.0)


def in_a_process(work: Callable[..., None], *arguments: Any) -> int | None:
    process = FORK.Process(target=work, args=arguments)
    process.start()
    process.join(120)
    return process.exitcode


def ended(url: str) -> tuple[SearchCandidate, ...]:
    return find_study(url, "computed").candidates()


def test_the_same_seed_tries_the_same(tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        search_computed(str(tmp_path / name), 12, seed=seed)
    a, b, c = ([each.settings for each in ended(str(tmp_path / name))] for name in ("a", "b", "c"))
    assert a == b
    assert len({str(settings) for settings in a}) == 12
    assert a[0] != c[0]


def test_a_better_one_comes_of_it(url: str) -> None:
    search_computed(url, 30)
    values = [each.figures[TOP1.name].value for each in ended(url)]
    assert sum(values[-10:]) / 10 > sum(values[:10]) / 10


def test_a_search_goes_on_where_it_was(url: str, tmp_path: Path) -> None:
    search_computed(url, 3)
    search_computed(url, 11)
    search_computed(url, 5)
    search_computed(str(tmp_path / "whole"), 11)
    assert ended(url) == ended(str(tmp_path / "whole"))


@pytest.mark.nightly
@pytest.mark.usefixtures("_at_once")
def test_killed_at_every_statement(tmp_path: Path) -> None:
    """A search of four candidates, killed before each statement that it has in turn, and then run
    to its end, tries what one tries that was never killed."""
    search_computed(str(tmp_path / "whole"), MOST)
    expected = [each.settings for each in ended(str(tmp_path / "whole"))]
    kills = 0
    statement = 1
    while True:
        url = str(tmp_path / f"killed-{statement}")
        killed = in_a_process(killed_at, url, MOST, statement) == -signal.SIGKILL
        before = ended(url) if Path(url).exists() and has_study(url) else ()
        search_computed(url, MOST)
        after = ended(url)
        assert [each.settings for each in after] == expected
        assert after[: len(before)] == before, "what had ended is as it was"
        kills += killed
        if not killed:
            break
        statement += 1 if statement < 40 else 7
    assert kills > 40


def has_study(url: str) -> bool:
    try:
        find_study(url, "computed")
    except UsageError:
        return False
    return True


def test_two_processes_share_a_search(url: str) -> None:
    processes = [FORK.Process(target=search_computed, args=(url, 12)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0, 0]
    candidates = ended(url)
    assert len(candidates) == 12
    assert len({str(each.settings) for each in candidates}) == 12


def test_what_a_dead_process_had_is_tried_again(url: str, tmp_path: Path) -> None:
    assert in_a_process(begin_and_die, url, MOST) == -signal.SIGKILL
    again = opened(url, MOST).begin(MOST, PARAMETERS)
    first = opened(str(tmp_path / "other.db"), MOST).begin(MOST, PARAMETERS)
    assert again is not None
    assert first is not None
    assert again[0].number == 1
    assert again[1] == first[1]


def test_what_is_taken_back_late_is_not_tried_twice(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process is killed before its candidate has values; others go on, and take it back later."""
    study = opened(url, MOST)
    study._study.ask()
    begun = study.begin(MOST, PARAMETERS)
    assert begun is not None
    trial, settings = begun
    candidate = computed(trial.number, settings)
    study.end(trial, Ending(candidate, (candidate.figures[TOP1.name].value,), {}))
    monkeypatch.setattr(owners, "NAMELESS_S", -1.0)
    search_computed(url, MOST)
    whole = str(tmp_path / "whole.db")
    search_computed(whole, MOST)
    tried = sorted(str(each.settings) for each in ended(url))
    assert tried == sorted(str(each.settings) for each in ended(whole))


def test_what_another_process_works_on_is_left_alone(url: str) -> None:
    study = opened(url, MOST)
    begun = study.begin(1, PARAMETERS)
    assert begun is not None
    assert opened(url, MOST).begin(1, PARAMETERS) is None
    trial, settings = begun
    study.end(trial, Ending(computed(trial.number, settings), (1.0,), {}))
    assert opened(url, MOST).begin(1, PARAMETERS) is None
    assert len(study.candidates()) == 1


def test_one_that_was_taken_back_does_not_count_twice(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that was asleep comes back with a result that another one has been given."""
    study = opened(url, MOST)
    begun = study.begin(1, PARAMETERS)
    assert begun is not None
    trial, settings = begun
    monkeypatch.setattr("edgekit.searching.studies.is_gone", lambda *arguments: True)
    again = opened(url, MOST).begin(1, PARAMETERS)
    assert again is not None
    assert again[1] == settings
    study.end(trial, Ending(computed(trial.number, settings), (1.0,), {}))
    assert study.candidates() == ()
    study.end(again[0], Ending(computed(again[0].number, settings), (1.0,), {}))
    assert len(study.candidates()) == 1


def test_an_error_gives_a_candidate_back(url: str) -> None:
    study = opened(url, MOST)
    begun = study.begin(MOST, PARAMETERS)
    assert begun is not None
    with pytest.raises(KeyboardInterrupt), study.at_work(begun[0]):
        raise KeyboardInterrupt
    again = study.begin(MOST, PARAMETERS)
    assert again is not None
    assert again[1] == begun[1]


def test_a_file_of_something_else_is_not_touched(tmp_path: Path) -> None:
    file = tmp_path / "mine.db"
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE mine (a)")
    before = file.read_bytes()
    with pytest.raises(StoreError, match="not a database of searches"):
        opened(str(file), MOST)
    assert file.read_bytes() == before
    file.write_text("no database at all, and long enough to be one " * 40)
    with pytest.raises(StoreError, match="not a database"):
        opened(str(file), MOST)


def test_searches_are_known_by_the_start_of_their_names(url: str) -> None:
    with pytest.raises(UsageError, match="no search yet"):
        find_study(url, "latest")
    for name in ("net-1234", "net-1299", "other-1"):
        opened(url, MOST, name=name)
    assert find_study(url, "other").name == "other-1"
    assert find_study(url, "net-123").name == "net-1234"
    with pytest.raises(UsageError, match="2 searches are called net"):
        find_study(url, "net")
    with pytest.raises(UsageError, match="no search is called none") as raised:
        find_study(url, "none")
    assert "net-1299" in raised.value.hint


def test_a_missing_driver_and_no_url() -> None:
    with pytest.raises(StoreError, match="EDGEKIT_SEARCH_DB is not a database URL"):
        opened("://", MOST)
    with pytest.raises(StoreError, match="nosuch"):
        opened("nosuch://host/database", MOST)


@pytest.mark.device
def test_on_a_real_postgres(
    postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two processes at a time, of which one is killed; the server goes away and comes back."""
    url = postgres_server.url
    processes = [FORK.Process(target=search_computed, args=(url, 10)) for _ in range(2)]
    processes.append(FORK.Process(target=killed_at, args=(url, 10, 90)))
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes[:2]] == [0, 0]
    monkeypatch.setattr(owners, "NAMELESS_S", -1.0)  # all of them have ended
    search_computed(url, 10)
    candidates = ended(url)
    assert len(candidates) == 10
    assert len({str(each.settings) for each in candidates}) == 10
    study = find_study(url, "computed")
    postgres_server.stop()
    with pytest.raises(StoreError) as raised:
        study.candidates()
    assert "sesame" not in raised.value.message
    postgres_server.start()
    assert study.candidates() == candidates
    search_computed(url, 14)
    assert len(study.candidates()) == 14
    assert study.candidates()[:10] == candidates
