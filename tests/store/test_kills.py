"""SIGKILL at random moments of a process that stores one measurement after the other.

After each kill, everything that was acknowledged is in the database, once and as it was measured,
and the database is whole. The counts are printed (pytest -rP)."""

from __future__ import annotations

import itertools
import os
import random
import signal
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from edgekit import store
from edgekit.bundle.directory import Bundle, open_bundle
from edgekit.store import spool
from edgekit.store.database import database_url, sqlite_file
from edgekit.store.results import Store
from tests.support.kills import Kills, die_later, exit_code, processes
from tests.support.measured import make_measurement

pytestmark = [pytest.mark.nightly, pytest.mark.slow]

KILLS = 50
AT_MOST_S = 0.6
PER_PROCESS = 1000
"""Numbers of measurements that one process may use."""

processes.set_forkserver_preload([__name__, "edgekit.store.results", "edgekit.store.rows"])


@pytest.fixture(params=["sqlite", "postgresql"])
def results(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Where the results go; what waits for a server waits in the data directory of this test."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    if request.param == "sqlite":
        return str(tmp_path / "results.db")
    return str(request.getfixturevalue("postgres_url"))


def writer(
    bundle: str, results: str, data_home: str, first: int, acknowledged: str, after_s: float
) -> None:
    """Stores measurements from number `first` on, and writes down each number that was stored."""
    os.environ["XDG_DATA_HOME"] = data_home
    opened = open_bundle(bundle)
    with Path(acknowledged).open("a") as log:
        die_later(after_s)
        for number in itertools.count(first):
            store.save(make_measurement(opened, number=number), results)
            log.write(f"{number}\n")
            log.flush()


def moment(results: str) -> str:
    """Where the kill met the last measurement, as far as files show."""
    url = database_url(results)
    file = sqlite_file(url)
    if file and file.with_name(f"{file.name}-journal").exists():
        return "in the middle of a commit"
    if spool.waiting(spool.spool_directory(url)):
        return "between the spool and the end of the commit"
    return "before the spool or after the end"


def require_whole(results: str) -> None:
    file = sqlite_file(database_url(results))
    if file:
        with closing(sqlite3.connect(file)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_a_process_that_stores_is_killed(
    bundle: Bundle, results: str, tmp_path: Path, kills: Kills
) -> None:
    randomly = random.Random(68)
    acknowledged = tmp_path / "acknowledged"
    acknowledged.touch()
    moments: Counter[str] = Counter()
    stored: set[str] = set()
    for attempt in range(kills(KILLS)):
        before = len(acknowledged.read_text().split())
        first, after_s = attempt * PER_PROCESS, randomly.uniform(0, AT_MOST_S)
        places = (str(bundle.path), results, str(tmp_path / "data"))
        code = exit_code(writer, *places, first, str(acknowledged), after_s)
        assert code == -signal.SIGKILL
        moments[moment(results)] += 1
        numbers = acknowledged.read_text().split()[before:]
        with Store(results) as opened:
            assert opened.left_in_spool == []
            assert spool.waiting(opened.spool) == []
            identities = [row.id for row in opened.rows()]
            assert len(identities) == len(set(identities))
            assert stored <= set(identities), "what was there is still there"
            for number in numbers:
                measurement = make_measurement(bundle, number=int(number))
                assert opened.load(measurement.id) == measurement
            under_way = set(identities) - stored
            assert len(under_way) in (len(numbers), len(numbers) + 1)
            stored = set(identities)
    require_whole(results)
    shown = ", ".join(f"{count} {where}" for where, count in moments.most_common())
    print(f"{moments.total()} kills ({shown}); {len(stored)} measurements stored, none lost")
