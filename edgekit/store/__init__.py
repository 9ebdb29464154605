"""The results database: every measurement, kept for good. SQLite in the user's data directory, or
any database by URL (`EDGEKIT_DB`).

    tables      what is stored, as SQLAlchemy tables
    database    which database, opening it, and bringing its schema up to date
    spool       where a measurement waits until it is in the database
    results     saving, loading, listing and pruning
    rows        a measurement as rows of these tables
    baselines   names for bundles, and copies of them

Measurements are only ever added, or pruned whole. SQLAlchemy is imported on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgekit.measure.measurement import Measurement
    from edgekit.store.results import Store

__all__ = ["open_store", "require_writable", "save"]


def open_store(url: str | None = None) -> Store:
    """Open the results, creating the database if there is none, and store what waits in the spool.
    Use it as a context manager.

    Args:
        url: An SQLAlchemy URL or the path of an SQLite file. Default: EDGEKIT_DB, else a file in
            the user's data directory.

    Returns:
        The open results. An existing file that is no results database is never written over.

    Raises:
        StoreError: Not a results database, damaged, from a newer edgekit, or not reachable.

    Example:
        >>> measured = edgekit.bench("net", "desk", settings={"runs": 1})["desk"]
        >>> with edgekit.open_store() as results:
        ...     results.load("latest").id == measured.id
        True
    """
    from edgekit.store.results import Store

    return Store(url)


def require_writable(url: str | None = None) -> None:
    """Find out whether a measurement could be stored now. Raises StoreError."""
    from edgekit.store.results import require_writable

    require_writable(url)


def save(measurement: Measurement, url: str | None = None) -> str:
    """Store a measurement and return its id; storing it again changes nothing.

    It is written to the spool before the database is even opened. Raises StoreError; when its
    message names the spool, the measurement is safe there and is stored when the results are opened
    next."""
    from edgekit.store.results import save

    return save(measurement, url)
