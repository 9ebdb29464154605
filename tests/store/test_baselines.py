"""Baselines: names for bundles that survive the build directory, in an old database too."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

import edgekit
from edgekit.bundle.directory import Bundle
from edgekit.cli import run
from edgekit.errors import UsageError
from edgekit.store import database as module
from edgekit.store import save
from edgekit.store.results import Store
from tests.support.measured import make_bundle, make_measurement


def test_a_baseline_outlives_the_build_directory(bundle: Bundle, database: str) -> None:
    edgekit.set_baseline("main", bundle, database)
    shutil.rmtree(bundle.path)
    baseline = edgekit.open_baseline("main", database)
    assert baseline.manifest == bundle.manifest
    assert baseline.path != bundle.path


def test_the_newest_of_a_name_counts(bundle: Bundle, database: str, tmp_path: Path) -> None:
    other = make_bundle(tmp_path / "other", ["fp32.pte"])
    for name, saved in (("main", bundle), ("old", bundle), ("main", other)):
        edgekit.set_baseline(name, saved.path, database)
    assert {baseline.name: baseline.bundle_id for baseline in edgekit.list_baselines(database)} == {
        "main": other.manifest.id,
        "old": bundle.manifest.id,
    }
    edgekit.remove_baseline("main", database)
    assert [baseline.name for baseline in edgekit.list_baselines(database)] == ["old"]
    assert [copy.name for copy in Path(f"{database}.baselines").iterdir()] == [bundle.manifest.id]
    with pytest.raises(UsageError, match="no baseline 'main'") as raised:
        edgekit.open_baseline("main", database)
    assert raised.value.hint == "known: old"


def test_a_bundle_that_is_gone_is_refused_with_a_remedy(bundle: Bundle, database: str) -> None:
    edgekit.set_baseline("main", bundle, database)
    copied_bundle = Path(f"{database}.baselines") / bundle.manifest.id
    (copied_bundle / "fp32.pte").write_bytes(b"altered")
    assert edgekit.open_baseline("main", database).path == bundle.path
    (bundle.path / "fp32.pte").unlink()
    with pytest.raises(UsageError, match=r"its bundle tiny .* is gone") as raised:
        edgekit.open_baseline("main", database)
    assert "edgekit baseline set main" in raised.value.hint


@pytest.mark.parametrize("name", ["", "../x", "a b", "x" * 65, "-x"])
def test_names(name: str, bundle: Bundle, database: str) -> None:
    with pytest.raises(UsageError, match="not a name"):
        edgekit.set_baseline(name, bundle, database)


def test_rows_cannot_be_changed(bundle: Bundle, database: str) -> None:
    edgekit.set_baseline("main", bundle, database)
    with (
        Store(database) as opened,
        pytest.raises(DBAPIError, match="append-only"),
        opened._engine.begin() as connection,
    ):
        connection.execute(text("UPDATE baselines SET name = 'x'"))


def test_a_database_of_the_first_schema_is_upgraded(
    bundle: Bundle, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Made by the first schema, with rows of today's that it had columns for."""
    measured, today = make_measurement(bundle, session="a" * 32), str(tmp_path / "today.db")
    save(measured, today)
    monkeypatch.setattr(module, "HEAD", "0001")
    Store(database).close()
    monkeypatch.undo()
    with sqlite3.connect(database) as connection:
        connection.execute("ATTACH ? AS today", (today,))
        tables = [
            name
            for (name,) in connection.execute(
                "SELECT name FROM main.sqlite_master WHERE type = 'table'"
            )
        ]
        assert "baselines" not in tables
        for table in ("measurements", "measurement_bodies", "artifact_results", "run_samples"):
            columns = ", ".join(
                row[1] for row in connection.execute(f"PRAGMA main.table_info({table})")
            )
            connection.execute(
                f"INSERT INTO main.{table} ({columns}) SELECT {columns} FROM today.{table}"
            )
    connection.close()
    edgekit.set_baseline("main", bundle, database)
    with Store(database) as opened:
        assert opened.load("latest") == measured
        assert [row.session for row in opened.rows()] == [""]
        assert opened.beside(measured.id) == []


@pytest.mark.device
def test_postgresql(
    bundle: Bundle, postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    edgekit.set_baseline("main", bundle, postgres_url)
    assert edgekit.open_baseline("main", postgres_url).path.is_relative_to(tmp_path / "data")
    with (
        Store(postgres_url) as opened,
        pytest.raises(DBAPIError, match="append-only"),
        opened._engine.begin() as connection,
    ):
        connection.execute(text("UPDATE baselines SET name = 'x'"))
    edgekit.remove_baseline("main", postgres_url)


def test_the_command(bundle: Bundle, database: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["baseline", "list", "--db", database]) == 0
    assert run(["baseline", "set", "main", str(bundle.path), "--db", database]) == 0
    assert run(["baseline", "list", "--db", database]) == 0
    assert bundle.manifest.id[:12] in capsys.readouterr().out
    assert run(["baseline", "remove", "main", "--db", database, "--json"]) == 0
    assert capsys.readouterr().out == '{"removed": "main"}\n'
    assert run(["baseline", "remove", "main", "--db", database]) == 2
