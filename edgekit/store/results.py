"""Measurements in and out of the database. Owns queries and the order spool → commit → forget;
rows.py owns what is in the rows, database.py the connection. Listing needs neither numpy nor the
model of a measurement, which take longer to import than 10,000 rows to read."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from sqlalchemy import delete, false, select
from sqlalchemy.exc import IntegrityError

from edgekit.errors import StoreError, UsageError
from edgekit.sanitize import printable
from edgekit.store import spool
from edgekit.store.database import database_url, give_space_back, open_database, shown, translated
from edgekit.store.tables import artifact_results, bodies, measurements, run_samples

if TYPE_CHECKING:
    from edgekit.measure.measurement import Measurement


@dataclass(frozen=True)
class MeasurementRow:
    """A measurement in a list. `artifacts` are keys such as `int8.tflite`; measurements of one
    `session` were measured in turn."""

    id: str
    created: str
    session: str
    bundle_name: str
    bundle_id: str
    target: str
    machine: str | None
    artifacts: tuple[str, ...]
    runs: int
    quick: bool
    valid: bool
    timings: str
    failure: str


@dataclass(frozen=True)
class HistoryEntry:
    """An artifact's result in one measurement of a history. `counts`: it was neither quick nor
    invalid and ran to its end."""

    id: str
    created: str
    artifact: str
    p50_ns: float | None
    counts: bool


class Store:
    """An open results database. `left_in_spool` says, for each measurement that waits and could not
    be stored on opening, why."""

    def __init__(self, url: str | None = None) -> None:
        self.url = database_url(url)
        self.spool = spool.spool_directory(self.url)
        self._engine = open_database(self.url)
        self.left_in_spool: list[str] = []
        for path in spool.waiting(self.spool):
            try:
                measurement = spool.read(path)
                if measurement:
                    self._commit(measurement)
                path.unlink(missing_ok=True)
            except StoreError as error:
                self.left_in_spool.append(error.message)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self._engine.dispose()

    def save(self, measurement: Measurement) -> str:
        """As `save` below, into a database that is open."""
        with _spooled(self.spool, measurement):
            self._commit(measurement)
        return measurement.id

    def rows(
        self, *, limit: int | None = None, target: str | None = None, bundle_name: str | None = None
    ) -> list[MeasurementRow]:
        """The newest measurements first."""
        columns = [measurements.c[name] for name in MeasurementRow.__annotations__]
        query = (
            select(*columns)
            .order_by(measurements.c.created.desc(), measurements.c.id.desc())
            .limit(limit)
        )
        if target is not None:
            query = query.where(measurements.c.target == target)
        if bundle_name is not None:
            query = query.where(measurements.c.bundle_name == bundle_name)
        with translated(self.url), self._engine.connect() as connection:
            return [
                MeasurementRow(**{**row, "artifacts": tuple(row["artifacts"].split("\n"))})
                for row in connection.execute(query).mappings()
            ]

    def find(self, prefix: str) -> str:
        """The id that starts so; `latest` is the newest. Raises UsageError: none or several."""
        query = (
            select(measurements.c.id)
            .where(measurements.c.id.startswith(prefix.lower(), autoescape=True))
            .limit(2)
        )
        if prefix == "latest":
            query = (
                select(measurements.c.id)
                .order_by(measurements.c.created.desc(), measurements.c.id.desc())
                .limit(1)
            )
        with translated(self.url), self._engine.connect() as connection:
            identities = connection.execute(query).scalars().all()
        if not identities and prefix == "latest":
            raise UsageError(
                f"{shown(self.url)} holds no measurement yet",
                hint="`edgekit bench` and `edgekit run` store what they measure",
            )
        if len(identities) != 1 or not prefix:
            which = "several measurements start" if identities else "no measurement starts"
            raise UsageError(
                f"{which} with {printable(prefix)!r}", hint="see `edgekit results list`"
            )
        return str(identities[0])

    def newest_of(self, bundle_id: str) -> list[str]:
        """The ids of the newest measurement of a bundle on each target, of those with the most
        artifacts there: a comparison measures some only."""
        query = select(measurements.c.id, measurements.c.target, measurements.c.artifacts).where(
            measurements.c.bundle_id == bundle_id
        )
        query = query.order_by(measurements.c.created.desc(), measurements.c.id.desc())
        newest: dict[str, tuple[int, str]] = {}
        with translated(self.url), self._engine.connect() as connection:
            for identity, target, artifacts in connection.execute(query):
                count = len(artifacts.split("\n"))
                if target not in newest or count > newest[target][0]:
                    newest[target] = (count, identity)
        return [identity for _, identity in newest.values()]

    def beside(self, identity: str) -> list[str]:
        """The ids of what was measured in turn with a measurement, in the same session; that of
        older databases is not known."""
        own = select(measurements.c.session).where(measurements.c.id == identity).scalar_subquery()
        query = select(measurements.c.id).where(
            measurements.c.session == own,
            measurements.c.session != "",
            measurements.c.id != identity,
        )
        with translated(self.url), self._engine.connect() as connection:
            return list(
                connection.execute(
                    query.order_by(measurements.c.created, measurements.c.id)
                ).scalars()
            )

    def history(self, bundle_name: str, target: str) -> list[HistoryEntry]:
        """Every stored result of bundles of this name on a target, the oldest first; without
        samples, so that ten thousand take no time."""
        shown = (
            measurements.c.id,
            measurements.c.created,
            artifact_results.c.artifact,
            artifact_results.c.p50_ns,
        )
        judged = (measurements.c.quick, measurements.c.valid, measurements.c.failure)
        query = select(*shown, *judged).join_from(measurements, artifact_results)
        query = query.where(
            measurements.c.bundle_name == bundle_name, measurements.c.target == target
        ).order_by(measurements.c.created, measurements.c.id)
        with translated(self.url), self._engine.connect() as connection:
            return [
                HistoryEntry(*row[:4], counts=row[5] and not row[4] and not row[6])
                for row in connection.execute(query)
            ]

    def require_writable(self) -> None:
        """Raises StoreError when nothing can be stored: no right to write, no space."""
        spool.require_writable(self.spool)
        if self._engine.dialect.name == "sqlite":  # a server's tables may be for adding only
            with translated(self.url), self._engine.begin() as connection:
                connection.execute(delete(measurements).where(false()))

    def load(self, prefix: str) -> Measurement:
        """A whole measurement by its id or the start of it. Raises UsageError (none or several),
        StoreError (damaged, or of a newer edgekit)."""
        from edgekit.store import rows

        identity = self.find(prefix)
        with translated(self.url), self._engine.connect() as connection:
            body = connection.execute(
                select(bodies.c.body).where(bodies.c.measurement_id == identity)
            ).scalar_one()
            samples = (
                connection.execute(
                    select(run_samples).where(run_samples.c.measurement_id == identity)
                )
                .mappings()
                .all()
            )
        try:
            return rows.read(body, samples)
        except (
            ValueError,
            LookupError,
            TypeError,
            AttributeError,
            RecursionError,
            zlib.error,
        ):
            hint = "it may be of a newer edgekit; or restore the database from a backup"
            raise StoreError(
                f"{shown(self.url)}: measurement {identity} cannot be read", hint=hint
            ) from None

    def prune(
        self, *, keep: int | None = None, before: str | None = None, dry_run: bool = False
    ) -> list[str]:
        """Delete measurements beyond the newest `keep`, and of these only what was created before
        an ISO 8601 time in UTC; returns their ids, newest first."""
        query = select(measurements.c.id, measurements.c.created).order_by(
            measurements.c.created.desc(), measurements.c.id.desc()
        )
        with translated(self.url):
            with self._engine.begin() as connection:
                old = connection.execute(query).all()[keep or 0 :]
                ids = [
                    str(identity) for identity, created in old if before is None or created < before
                ]
                for identity in () if dry_run else ids:
                    connection.execute(delete(measurements).where(measurements.c.id == identity))
            if ids and not dry_run:
                give_space_back(self._engine)
        return ids

    def _commit(self, measurement: Measurement) -> None:
        """All rows in one transaction. The first statement is a write, so that two writers wait for
        each other and never deadlock."""
        from edgekit.store import rows

        with translated(self.url):
            try:
                with self._engine.begin() as connection:
                    rows.write(connection, measurement)
            except IntegrityError:
                if not self._has(measurement.id):
                    raise

    def _has(self, identity: str) -> bool:
        with self._engine.connect() as connection:
            return (
                connection.execute(
                    select(measurements.c.id).where(measurements.c.id == identity)
                ).first()
                is not None
            )


def require_writable(url: str | None = None) -> None:
    """See edgekit.store.require_writable."""
    with Store(url) as store:
        store.require_writable()


def save(measurement: Measurement, url: str | None = None) -> str:
    """See edgekit.store.save. Opening the database stores what waits in the spool, this measurement
    with it."""
    with _spooled(spool.spool_directory(database_url(url)), measurement), Store(url) as store:
        store._commit(measurement)
    return measurement.id


@contextmanager
def _spooled(directory: Path, measurement: Measurement) -> Iterator[None]:
    """The measurement is in the spool while the block runs, and stays there if it fails."""
    path = spool.write(directory, measurement)
    try:
        yield
    except StoreError as error:
        raise StoreError(
            f"{error.message}; the measurement waits in {path}",
            hint=error.hint,
            details={"spool": str(path)},
        ) from None
    path.unlink(missing_ok=True)
