"""Which database holds the results, opening it, and its schema's version. Owns connections and the
translation of what goes wrong with them; knows no measurements.

A new SQLite database is made under another name and renamed when it is whole, so that a file at the
final name is either whole or somebody's: one that is no results database is refused, never written
over."""

from __future__ import annotations

import fcntl
import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError

from edgekit.errors import StoreError, UsageError
from edgekit.installing import install_command
from edgekit.places import data_directory, expanded
from edgekit.sanitize import printable
from edgekit.store.tables import HEAD, VERSION_TABLE

if TYPE_CHECKING:
    from alembic.config import Config

ENVIRONMENT = "EDGEKIT_DB"
BUSY_SECONDS = 30
SQLITE_MAGIC = b"SQLite format 3\0"
MIGRATION_LOCK = 0xED6E
"""Key of PostgreSQL's advisory lock under which a schema is changed."""


def database_url(
    location: str | None = None, *, environment: str = ENVIRONMENT, file: str = "results.db"
) -> URL:
    """The URL given, or that in the environment, or a file in the user's data directory; a path
    means an SQLite file. Raises StoreError."""
    written = location or os.environ.get(environment) or str(data_directory() / file)
    if "://" not in written:
        return URL.create("sqlite", database=str(expanded(written, "the results database")))
    try:
        url = make_url(written)
    except (ArgumentError, ValueError):
        hint = "such as postgresql://user@host/database, or the path of an SQLite file"
        raise StoreError(f"{environment} is not a database URL", hint=hint) from None
    if url.drivername.startswith("sqlite") and url.database in (None, "", ":memory:"):
        raise StoreError(
            "an SQLite database in memory keeps no results", hint="give the path of a file"
        )
    return url.set(drivername="postgresql+psycopg") if url.drivername == "postgresql" else url


def shown(url: URL) -> str:
    """A URL for messages: a plain path for SQLite, and never a password."""
    return (
        str(url.database)
        if url.drivername.startswith("sqlite")
        else url.render_as_string(hide_password=True)
    )


def sqlite_file(url: URL) -> Path | None:
    return Path(str(url.database)) if url.drivername.startswith("sqlite") else None


def open_database(url: URL) -> Engine:
    """An engine on a database whose schema is the present one, created or upgraded if need be.
    Raises StoreError."""
    with translated(url):
        file = sqlite_file(url)
        if file and not file.exists():
            _create(url, file)
        elif file:
            _require_whole_pages(file)
        engine = make_engine(url)
        try:
            _bring_up_to_date(engine, url, file)
        except BaseException:
            engine.dispose()
            raise
        return engine


def make_engine(url: URL) -> Engine:
    """An engine without any check. Statements never show their parameters in messages."""
    if not url.drivername.startswith("sqlite"):
        return create_engine(url, hide_parameters=True, pool_pre_ping=True)
    engine = create_engine(url, hide_parameters=True, connect_args={"timeout": BUSY_SECONDS})

    @event.listens_for(engine, "connect")
    def _configure(connection: object, _record: object) -> None:
        # The driver begins no transaction before DDL; without its own ideas, ours below is the only
        # one.
        connection.isolation_level = None  # type: ignore[attr-defined]
        connection.execute("PRAGMA foreign_keys = ON")  # type: ignore[attr-defined]

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN")

    return engine


@contextmanager
def translated(url: URL) -> Iterator[None]:
    """Foreign exceptions become a StoreError that names the database and no password; a missing
    extra is a UsageError."""
    try:
        yield
    except NoSuchModuleError:
        raise StoreError(
            f"edgekit knows no database of the kind {printable(url.drivername)}",
            hint="use SQLite or PostgreSQL",
        ) from None
    except ModuleNotFoundError as error:
        message = f"{shown(url)}: the driver {error.name} is not installed"
        if error.name != "psycopg":
            raise StoreError(message, hint="use SQLite or PostgreSQL") from None
        raise UsageError(message, hint=install_command("postgres")) from None
    except DBAPIError as error:
        raise _store_error(url, str(error.orig)) from None
    except SQLAlchemyError as error:
        raise _store_error(url, str(error)) from None
    except OSError as error:
        raise StoreError(
            f"{shown(url)}: {error.strerror or error}", hint="check the path and its permissions"
        ) from None


def _store_error(url: URL, reason: str) -> StoreError:
    if url.password:
        reason = reason.replace(str(url.password), "***")
    hints = {
        "not a database|malformed": (
            "it was not touched; restore it from a backup, or move it away to start anew"
        ),
        "disk is full|No space": "free some space",
        "readonly|unable to open|permission": "check the path and its permissions",
        "locked": "another program holds the database; try again",
    }
    hint = next(
        (hint for words, hint in hints.items() if re.search(words, reason, re.IGNORECASE)),
        "see that the database is up and reachable",
    )
    first = next((line for line in reason.splitlines() if line.strip()), "unknown error")
    return StoreError(f"{shown(url)}: {printable(first)}", hint=hint)


def _create(url: URL, file: Path) -> None:
    """Make a new SQLite database whole, then give it its name. Another process that does the same
    waits and finds it there."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with alone_with(file):
        if file.exists():
            return
        fresh = file.with_name(f".{file.name}.new")
        fresh.unlink(missing_ok=True)
        engine = make_engine(url.set(database=str(fresh)))
        try:
            with engine.begin() as connection:
                _upgrade(connection)
        finally:
            engine.dispose()
        fresh.rename(file)


def _require_whole_pages(file: Path) -> None:
    """Refuse a file whose last page was cut, which SQLite would read as if zeros followed; a
    missing page it notices itself.

    With a journal beside it the file is being written, or about to be rolled back by SQLite.
    """
    if not file.is_file():
        return
    with file.open("rb") as stream:
        header = stream.read(18)
        size = stream.seek(0, os.SEEK_END)
    page_bytes = int.from_bytes(header[16:18], "big") if header.startswith(SQLITE_MAGIC) else 0
    page_bytes = 65536 if page_bytes == 1 else page_bytes
    if page_bytes and size % page_bytes and not file.with_name(f"{file.name}-journal").exists():
        raise _store_error(
            URL.create("sqlite", database=str(file)), "malformed: the file was cut off"
        )


def give_space_back(engine: Engine) -> None:
    """Shrink an SQLite file to what is in it. That needs as much free space again; without, the
    file keeps the space and fills it later."""
    if engine.dialect.name == "sqlite":
        with closing(engine.raw_connection()) as connection, suppress(sqlite3.OperationalError):
            connection.cursor().execute("VACUUM")


def _bring_up_to_date(engine: Engine, url: URL, file: Path | None) -> None:
    with engine.connect() as connection:
        revision = _revision(connection)
    if revision == HEAD:
        return
    if revision is None and file:
        raise StoreError(
            f"{file}: not a database of edgekit's results",
            hint=f"it was not touched; point {ENVIRONMENT} elsewhere",
        )
    if revision is not None and revision not in _known_revisions():
        message = (
            f"{shown(url)}: written by a newer edgekit (schema {printable(revision)}, this one"
            f" knows {HEAD})"
        )
        raise StoreError(message, hint="it was not touched; upgrade edgekit")
    with alone_with(file) if file else nullcontext(), engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
        _upgrade(connection)


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    return connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()


def _upgrade(connection: Connection) -> None:
    from alembic import command

    command.upgrade(_alembic(connection), HEAD)


def _known_revisions() -> set[str]:
    from alembic.script import ScriptDirectory

    return {script.revision for script in ScriptDirectory.from_config(_alembic()).walk_revisions()}


def _alembic(connection: Connection | None = None) -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "edgekit.store:migrations")
    config.attributes["connection"] = connection
    return config


@contextmanager
def alone_with(file: Path) -> Iterator[None]:
    """Alone among the processes that create or upgrade this file."""
    with open(file.with_name(f".{file.name}.lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
