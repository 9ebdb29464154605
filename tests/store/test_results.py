"""Measurements go in and come back whole, in one database or another, from one writer or many."""

from __future__ import annotations

import multiprocessing
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import event, insert, select, text
from sqlalchemy.exc import DBAPIError

from edgekit import store
from edgekit.bundle.directory import Bundle
from edgekit.errors import StoreError, UsageError
from edgekit.measure.measurement import Measurement
from edgekit.store.results import Store
from edgekit.store.rows import pack, unpack
from edgekit.store.tables import artifact_results, bodies, measurements, run_samples
from tests.support.measured import make_measurement

FORK = multiprocessing.get_context("fork")


def test_what_is_saved_comes_back(bundle: Bundle, database: str) -> None:
    saved = make_measurement(bundle)
    assert store.save(saved, database) == saved.id
    assert list(Path(f"{database}.spool").iterdir()) == []
    with store.open_store(database) as opened:
        assert opened.load(saved.id) == saved
        assert opened.left_in_spool == []


def test_saving_twice_changes_nothing(bundle: Bundle, database: str) -> None:
    saved = make_measurement(bundle)
    store.save(saved, database)
    store.save(saved, database)
    with store.open_store(database) as opened:
        assert len(opened.rows()) == 1


def test_incomplete_and_hostile_measurements_come_back_too(bundle: Bundle, database: str) -> None:
    saved = make_measurement(bundle)
    crashed = (
        saved.artifacts[0]
        .runs[0]
        .model_copy(
            update={
                "complete": False,
                "first_ns": None,
                "steady_ns": (),
                "memory": (),
                "after": None,
            }
        )
    )
    results = (
        saved.artifacts[0].model_copy(update={"runs": (crashed,), "runner": None}),
        saved.artifacts[1].model_copy(update={"runs": ()}),
    )
    hostile = (
        "'); DROP TABLE measurements; -- \x1b[31m=cmd|'/c calc'!A0 <script>alert(1)</script>"
        " ../../x"
    )
    device = saved.device.model_copy(update={"machine": hostile})
    saved = saved.model_copy(
        update={"artifacts": results, "failure": hostile, "target": hostile, "device": device}
    )
    with store.open_store(database) as opened:
        opened.save(saved)
        assert opened.load(saved.id) == saved
        assert opened.rows(target=hostile)[0].machine == hostile


def test_newest_first_and_filtered(bundle: Bundle, database: str) -> None:
    with store.open_store(database) as opened:
        for number, target in ((2, "pi4"), (3, "phone"), (1, "pi4")):
            opened.save(make_measurement(bundle, number=number, runs=2, target=target))
        assert [int(row.id, 16) for row in opened.rows()] == [3, 2, 1]
        assert [int(row.id, 16) for row in opened.rows(target="pi4", limit=1)] == [2]
        assert opened.rows(bundle_name="other") == []
        row = opened.rows(target="phone")[0]
        assert row.artifacts == ("fp32.pte", "int8.tflite")
        assert row.quick
        assert row.machine == "Raspberry Pi 4 Model B Rev 1.2"


def test_what_was_measured_in_turn_is_found_again(bundle: Bundle, database: str) -> None:
    with store.open_store(database) as opened:
        for number, session in ((1, "a" * 32), (2, "b" * 32), (3, "a" * 32), (4, ""), (5, "")):
            opened.save(make_measurement(bundle, number=number, runs=1, session=session))
        assert [
            [int(i, 16) for i in opened.beside(f"{number:032x}")] for number in (1, 3, 2, 4)
        ] == [[3], [1], [], []]
        assert {row.session for row in opened.rows()} == {"a" * 32, "b" * 32, ""}


def test_the_newest_of_a_bundle_has_all_artifacts(bundle: Bundle, database: str) -> None:
    """A comparison of two of its artifacts, made later, does not push the whole measurement off the
    page."""
    with store.open_store(database) as opened:
        for number in (1, 2, 3):
            whole = make_measurement(bundle, number=number, runs=1)
            opened.save(
                whole if number < 3 else whole.model_copy(update={"artifacts": whole.artifacts[:1]})
            )
        assert [int(identity, 16) for identity in opened.newest_of(bundle.manifest.id)] == [2]


def test_an_id_may_be_shortened(bundle: Bundle, database: str) -> None:
    with store.open_store(database) as opened:
        for number in (0xA1 << 120, 0xA2 << 120):
            opened.save(make_measurement(bundle, number=1, runs=1, id=f"{number:032x}"))
        assert opened.load("A1").id.startswith("a1")
        assert opened.find("latest").startswith("a2")
        for prefix, words in (
            ("a", "several"),
            ("b", "no measurement"),
            ("%", "no measurement"),
            ("", "several"),
        ):
            with pytest.raises(UsageError, match=words):
                opened.load(prefix)


def test_rows_cannot_be_changed(bundle: Bundle, database: str) -> None:
    store.save(make_measurement(bundle), database)
    with store.open_store(database) as opened:
        for table in ("measurements", "measurement_bodies", "artifact_results", "run_samples"):
            column = "id" if table == "measurements" else "measurement_id"
            with (
                pytest.raises(DBAPIError, match="append-only"),
                opened._engine.begin() as connection,
            ):
                connection.execute(text(f"UPDATE {table} SET {column} = 'x'"))


def test_pruning_deletes_whole_measurements_and_gives_space_back(
    bundle: Bundle, database: str
) -> None:
    with store.open_store(database) as opened:
        for number in range(1, 6):
            opened.save(make_measurement(bundle, number=number, runs=20))
        size = Path(database).stat().st_size
        assert len(opened.prune(keep=4, dry_run=True)) == 1
        assert opened.prune(keep=5, before="2027") == []  # the newest stay, however old
        assert [
            int(i, 16) for i in opened.prune(keep=3, before="2026-01-01T00:00:02", dry_run=True)
        ] == [1]
        assert [int(i, 16) for i in opened.prune(keep=3)] == [2, 1]
        assert [int(i, 16) for i in opened.prune(before="2026-01-01T00:00:04")] == [3]
        assert len(opened.rows()) == 2
        with opened._engine.connect() as connection:
            for table in (bodies, artifact_results, run_samples):
                assert set(connection.execute(select(table.c.measurement_id)).scalars()) == {
                    row.id for row in opened.rows()
                }
        assert opened.load("latest").artifacts[0].runs[0].steady_ns
    assert Path(database).stat().st_size < size


def test_ten_thousand_measurements_are_listed_from_narrow_columns(
    bundle: Bundle, database: str
) -> None:
    """No body and no samples are read. How long it takes: tools/bench/results_list.py."""
    template: dict[str, Any] = {
        "bundle_name": "tiny",
        "bundle_id": "0" * 64,
        "recipe_sha256": "0" * 64,
        "target": "pi4",
        "target_kind": "ssh",
        "machine": None,
    }
    template |= {
        "edgekit_version": "0",
        "artifacts": "a.pte\nb.pte",
        "runs": 10,
        "quick": False,
        "valid": True,
        "timings": "meaningful",
    }
    numbers = range(10_000)
    with store.open_store(database) as opened:
        with opened._engine.begin() as connection:
            connection.execute(
                insert(measurements),
                [
                    {**template, "id": f"{n:032x}", "created": f"2026-01-01T{n:05}", "failure": ""}
                    for n in numbers
                ],
            )
            connection.execute(
                insert(bodies),
                [{"measurement_id": f"{n:032x}", "body": b"x" * 2000} for n in numbers],
            )
        statements: list[str] = []
        event.listen(
            opened._engine,
            "before_cursor_execute",
            lambda c, cursor, statement, *rest: statements.append(statement),
        )
        rows = opened.rows()
        assert len(rows) == 10_000
        assert rows[0].id == f"{9999:032x}"
        read = [statement for statement in statements if statement.startswith("SELECT")]
        assert len(read) == 1
        assert "body" not in read[0]
        assert "run_samples" not in read[0]
        with opened._engine.connect() as connection:
            plan = str(
                connection.execute(
                    text(f"EXPLAIN QUERY PLAN {read[0].replace('?', '-1')}"), {}
                ).all()
            )
        assert "measurements_by_time" in plan
        assert "TEMP B-TREE" not in plan


def write(bundle: Bundle, database: str, numbers: range) -> None:
    for number in numbers:
        store.save(make_measurement(bundle, number=number, runs=1), database)


def test_two_writers_lose_nothing_not_even_the_first_row(bundle: Bundle, database: str) -> None:
    """Two processes start at once on a database that does not exist yet."""
    numbers = [range(100, 120), range(200, 220)]
    writers = [FORK.Process(target=write, args=(bundle, database, mine)) for mine in numbers]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(timeout=120)
        assert writer.exitcode == 0
    with store.open_store(database) as opened:
        assert {int(row.id, 16) for row in opened.rows()} == {*numbers[0], *numbers[1]}
        assert opened.left_in_spool == []


@given(values=st.lists(st.integers(0, 3600 * 10**9), max_size=50))
def test_samples_survive_packing(values: list[int]) -> None:
    assert unpack(pack(values), len(values)) == values


@given(data=st.binary(max_size=60), count=st.integers(0, 1000))
@settings(max_examples=200)
def test_damaged_samples_are_refused(data: bytes, count: int) -> None:
    with pytest.raises((ValueError, zlib.error)):
        unpack(data + b"x", count + 1)


def test_a_bomb_of_zeros_is_not_inflated() -> None:
    with pytest.raises(ValueError, match="another number"):
        unpack(zlib.compress(bytes(50_000_000)), 3)


def test_a_damaged_body_is_said(bundle: Bundle, database: str) -> None:
    saved = make_measurement(bundle)
    for number, body in enumerate(
        (
            b"",
            b"junk",
            zlib.compress(b"[]"),
            zlib.compress(b'{"format": 2}'),
            zlib.compress(b"[" * 100_000),
        )
    ):
        with store.open_store(f"{database}{number}") as opened:
            opened.save(saved)
            with opened._engine.begin() as connection:
                connection.execute(bodies.delete())
                connection.execute(insert(bodies), {"measurement_id": saved.id, "body": body})
            with pytest.raises(StoreError, match="cannot be read"):
                opened.load(saved.id)


@pytest.mark.device
def test_postgresql(
    bundle: Bundle, postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    saved: list[Measurement] = [make_measurement(bundle, number=number) for number in (1, 2, 3)]
    for measurement in (*saved, saved[0]):
        store.save(measurement, postgres_url)
    monkeypatch.setenv("EDGEKIT_DB", postgres_url)
    with Store() as opened:
        assert [row.id for row in opened.rows()] == [m.id for m in reversed(saved)]
        assert opened.load(saved[1].id) == saved[1]
        assert opened.prune(keep=1) == [saved[1].id, saved[0].id]
        assert str(opened.spool).startswith(str(tmp_path))
        with pytest.raises(DBAPIError, match="append-only"), opened._engine.begin() as connection:
            connection.execute(text("UPDATE measurements SET target = 'x'"))
    for password in ("wrong-sesame", "sesame%20"):
        with pytest.raises(StoreError) as refused:
            Store(postgres_url.replace("sesame", password))
        assert "sesame" not in refused.value.message + refused.value.hint


def test_latest_of_none(tmp_path: Path) -> None:
    with (
        store.open_store(f"sqlite:///{tmp_path}/results.db") as results,
        pytest.raises(UsageError, match="holds no measurement yet"),
    ):
        results.find("latest")
