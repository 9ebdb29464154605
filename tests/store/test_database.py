"""What can happen to a database and its spool: nothing that was acknowledged is lost, and no file
of somebody is written over."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import event, inspect, text
from sqlalchemy.engine import make_url

from edgekit import store
from edgekit.bundle.directory import Bundle
from edgekit.errors import StoreError
from edgekit.store import database as module
from edgekit.store import rows, spool
from edgekit.store.database import database_url, open_database, shown
from edgekit.store.results import Store
from edgekit.store.tables import HEAD, VERSION_TABLE, metadata
from tests.support.measured import make_bundle, make_measurement
from tests.support.tiers import cannot_run, require_root

ROOT = Path(__file__).parents[2]


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return make_bundle(tmp_path / "bundle")


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "results.db"


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def refused(database: Path, words: str) -> StoreError:
    """Opening raises, and the file is as it was."""
    before = digest(database)
    with pytest.raises(StoreError, match=words) as raised:
        Store(str(database))
    assert digest(database) == before
    return raised.value


def test_the_revisions_make_the_tables(database: Path) -> None:
    engine = open_database(database_url(str(database)))
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
        assert context.get_current_revision() == HEAD
        inspector = inspect(connection)
        for table in metadata.sorted_tables:
            columns = {
                c["name"]: (str(c["type"]), c["nullable"])
                for c in inspector.get_columns(table.name)
            }
            assert columns == {
                c.name: (str(c.type.compile(engine.dialect)), bool(c.nullable))
                for c in table.columns
            }
            assert {i["name"] for i in inspector.get_indexes(table.name)} == {
                i.name for i in table.indexes
            }
            assert inspector.get_pk_constraint(table.name)["constrained_columns"] == [
                c.name for c in table.primary_key
            ]
    engine.dispose()
    assert ScriptDirectory.from_config(module._alembic()).get_heads() == [HEAD]


def test_a_database_is_made_where_there_is_none(tmp_path: Path) -> None:
    with Store(str(tmp_path / "deep" / "er" / "results.db")) as opened:
        assert opened.rows() == []


@pytest.mark.parametrize(
    "content",
    [b"", b"notes, not a database\n" * 400, b"SQLite format 3\0" + b"x" * 5000, b"\0" * 8192],
)
def test_what_is_no_database_is_never_written_over(database: Path, content: bytes) -> None:
    database.write_bytes(content)
    assert "not touched" in refused(database, "not a database|malformed").hint


def test_the_database_of_another_program_is_left_alone(database: Path) -> None:
    with sqlite3.connect(database) as connection:
        connection.execute("CREATE TABLE measurements (id)")
    connection.close()
    refused(database, "not a database of edgekit's results")


def test_a_truncated_database_is_never_recreated(bundle: Bundle, database: Path) -> None:
    for number in range(1, 4):
        store.save(make_measurement(bundle, number=number), str(database))
    whole = database.read_bytes()
    for length in (
        0,
        1,
        15,
        16,
        99,
        100,
        512,
        4095,
        4096,
        8192,
        len(whole) // 2,
        len(whole) - 4096,
        len(whole) - 1,
    ):
        database.write_bytes(whole[:length])
        refused(database, "not a database|malformed")
    database.write_bytes(whole)
    with Store(str(database)) as opened:
        assert len(opened.rows()) == 3


def test_a_directory_in_its_place(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="unable to open"):
        Store(str(tmp_path))


def test_a_newer_schema_is_refused_untouched(bundle: Bundle, database: Path) -> None:
    store.save(make_measurement(bundle), str(database))
    with sqlite3.connect(database) as connection:
        connection.execute(f"UPDATE {VERSION_TABLE} SET version_num = '9999\x1b[31m'")
    connection.close()
    error = refused(database, r"written by a newer edgekit \(schema 9999")
    assert "\x1b" not in error.message
    assert "upgrade edgekit" in error.hint


def test_a_new_result_survives_a_database_of_a_newer_edgekit(
    bundle: Bundle, database: Path
) -> None:
    """Measured at length, and the database cannot be used: said at once, the database untouched."""
    store.save(make_measurement(bundle), str(database))
    with sqlite3.connect(database) as connection:
        connection.execute(f"UPDATE {VERSION_TABLE} SET version_num = '9999'")
    connection.close()
    measured = make_measurement(bundle, number=2)
    with pytest.raises(StoreError, match="newer edgekit") as raised:
        store.save(measured, str(database))
    spooled = Path(str(raised.value.details["spool"]))
    assert spool.read(spooled) == measured


def test_a_full_database_leaves_the_result_in_the_spool(bundle: Bundle, database: Path) -> None:
    """SQLite may not grow any more, as on a full disk."""
    measured = [make_measurement(bundle, number=number) for number in (1, 2)]
    with Store(str(database)) as opened:
        opened.save(measured[0])
        event.listen(
            opened._engine,
            "begin",
            lambda connection: connection.exec_driver_sql("PRAGMA max_page_count = 1"),
        )
        with pytest.raises(StoreError, match="full; the measurement waits in") as raised:
            opened.save(measured[1])
        assert raised.value.hint == "free some space"
        assert [row.id for row in opened.rows()] == [measured[0].id]
    with Store(str(database)) as opened:
        assert [opened.load(m.id) for m in measured] == measured
        assert spool.waiting(opened.spool) == []


def fill(acknowledged: list[str], bundle: Bundle, database: str) -> None:
    for number in range(1, 1000):
        acknowledged.append(store.save(make_measurement(bundle, number=number, runs=20), database))


@pytest.mark.device
def test_a_really_full_disk(bundle: Bundle, tmp_path: Path) -> None:
    """A file system of 1 MB: what was acknowledged is there afterwards, what was not is an error,
    and the database is whole."""
    require_root("mounts a file system of 1 MB")
    mount = tmp_path / "mount"
    mount.mkdir()
    if (
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(mount)], capture_output=True
        ).returncode
        != 0
    ):
        cannot_run("needs the right to mount a tmpfs", need="mount")
    try:
        acknowledged: list[str] = []
        with pytest.raises(StoreError, match=r"No space left|full"):
            fill(acknowledged, bundle, str(mount / "results.db"))
        assert acknowledged
        with Store(str(mount / "results.db")) as opened:
            assert {row.id for row in opened.rows()} >= set(acknowledged)
            opened.load(acknowledged[-1])
        subprocess.run(["mount", "-o", "remount,size=8m", str(mount)], check=True)
        with Store(str(mount / "results.db")) as opened:
            assert opened.left_in_spool == []
            assert len(opened.prune(keep=1)) >= len(acknowledged) - 1
        assert store.save(make_measurement(bundle, number=5000), str(mount / "results.db"))
    finally:
        subprocess.run(["umount", str(mount)], check=True)


def die(*arguments: object, **options: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def save_and_die(bundle: Bundle, database: Path, place: str) -> None:
    """In a process of its own: killed where `place` says."""
    if place == "before commit":
        Store._commit = die  # type: ignore[method-assign]
    elif place == "within commit":
        rows._result_row = die  # type: ignore[assignment]
    else:
        Path.unlink = die  # type: ignore[method-assign]
    store.save(make_measurement(bundle), str(database))


@pytest.mark.parametrize("place", ["before commit", "within commit", "after commit"])
def test_killed_between_spool_and_commit(bundle: Bundle, database: Path, place: str) -> None:
    """The next opening stores it, once."""
    store.open_store(str(database)).close()
    process = multiprocessing.get_context("fork").Process(
        target=save_and_die, args=(bundle, database, place)
    )
    process.start()
    process.join(timeout=60)
    assert process.exitcode == -signal.SIGKILL
    assert len(spool.waiting(spool.spool_directory(database_url(str(database))))) == 1
    for _ in range(2):
        with Store(str(database)) as opened:
            assert [row.id for row in opened.rows()] == [make_measurement(bundle).id]
            assert opened.load("latest") == make_measurement(bundle)
            assert spool.waiting(opened.spool) == []


def test_rubbish_in_the_spool_stays_and_is_reported(bundle: Bundle, database: Path) -> None:
    directory = spool.spool_directory(database_url(str(database)))
    good = spool.write(directory, make_measurement(bundle))
    bad = directory / "00badbad.json"
    bad.write_text('{"format": 1')
    (directory / ".half-written.123").write_text("{")
    with Store(str(database)) as opened:
        assert len(opened.rows()) == 1
        assert not good.exists()
        assert bad.exists()
        assert len(opened.left_in_spool) == 1
        assert "00badbad.json" in opened.left_in_spool[0]


def test_a_spool_that_cannot_be_written_says_so(bundle: Bundle, database: Path) -> None:
    store.open_store(str(database)).close()
    database.with_name("results.db.spool").write_text("a file")
    with pytest.raises(StoreError, match="could not be kept"):
        store.save(make_measurement(bundle), str(database))


def test_urls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.delenv("EDGEKIT_DB", raising=False)
    assert shown(database_url()) == str(tmp_path / "edgekit" / "results.db")
    monkeypatch.setenv("EDGEKIT_DB", "postgresql://me:canary-secret@board-lab/results")
    assert database_url().drivername == "postgresql+psycopg"
    assert shown(database_url()) == "postgresql+psycopg://me:***@board-lab/results"
    assert database_url("~/x.db").database == str(Path.home() / "x.db")
    assert database_url(f"sqlite:///{tmp_path}/y.db").database == f"{tmp_path}/y.db"
    for bad in (
        "sqlite://",
        "sqlite:///:memory:",
        "://",
        "postgresql://me:canary-secret@host:port/x",
    ):
        with pytest.raises(StoreError) as raised:
            database_url(bad)
        assert "canary-secret" not in raised.value.message + raised.value.hint


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:canary-secret@127.0.0.1:1/x",
        "nosuch://me:canary-secret@host/x",
        "oracle://me:canary-secret@host/x",
    ],
)
def test_a_password_is_never_shown(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    with pytest.raises(StoreError) as raised:
        Store(url)
    assert "canary-secret" not in raised.value.message + raised.value.hint + repr(
        raised.value.__cause__
    )
    assert "canary-secret" not in str(spool.spool_directory(make_url(url)))


def test_reading_needs_no_migration_tool(database: Path) -> None:
    """Opening an up-to-date database imports neither Alembic, which takes half a second on a good
    day, nor numpy."""
    store.open_store(str(database)).close()
    for name in ("alembic", "numpy"):
        code = (
            "import sys; from edgekit.store import open_store;"
            f" open_store({str(database)!r}).rows(); sys.exit({name!r} in sys.modules)"
        )
        subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=60)
    quiet = "import sys, edgekit.store; sys.exit('sqlalchemy' in sys.modules)"
    subprocess.run([sys.executable, "-c", quiet], cwd=ROOT, check=True, timeout=60)


def test_statements_show_no_parameters(database: Path) -> None:
    with Store(str(database)) as opened, opened._engine.connect() as connection:
        with pytest.raises(Exception, match="hidden") as raised:
            connection.execute(text("SELECT :secret FROM nowhere"), {"secret": "canary-secret"})
        assert "canary-secret" not in str(raised.value)
