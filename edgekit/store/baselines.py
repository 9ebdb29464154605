"""Baselines: names for bundles that later ones are gated against. Owns the names in the results
database and the copies of the bundles beside it.

A gate measures its baseline anew, so a baseline is a bundle, not a number. A copy is kept (for a
database that is no file, in the user's data directory), so that a baseline outlives the build
directory. On a machine without the copy the directory it came from is used, if it still is that
bundle."""

from __future__ import annotations

import re
import secrets
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import delete, insert, select

from edgekit.bundle.directory import Bundle, open_bundle
from edgekit.errors import EdgekitError, StoreError, UsageError
from edgekit.sanitize import printable
from edgekit.store.database import translated
from edgekit.store.results import Store
from edgekit.store.tables import baselines

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True)
class Baseline:
    """A name and the bundle it stands for; `directory` is where that came from. Times are UTC, ISO
    8601."""

    name: str
    created: str
    bundle_name: str
    bundle_id: str
    directory: str


def set_baseline(name: str, bundle: Bundle | str | Path, url: str | None = None) -> Baseline:
    """Let a name stand for a bundle from now on, and keep a copy of the bundle.

    Args:
        name: Letters, digits, `.`, `_` and `-`, at most 64.
        bundle: A bundle or its directory.
        url: The results, as for `open_store`.

    Returns:
        The name, and the bundle it stands for.

    Raises:
        UsageError: Not a name, or not a bundle.
        ResultError: The bundle is damaged.
        StoreError: The database cannot be used, or there is no space for the copy.

    Example:
        >>> edgekit.set_baseline("main", "net").bundle_name
        'tiny'
    """
    if not NAME.fullmatch(name):
        raise UsageError(
            f"{printable(name)!r} is not a name for a baseline",
            hint="use letters, digits, '.', '_' and '-', at most 64",
        )
    opened = bundle if isinstance(bundle, Bundle) else open_bundle(bundle)
    manifest = opened.manifest
    with Store(url) as store:
        _keep(opened, _copies(store) / manifest.id)
        now = datetime.now(UTC).isoformat(timespec="microseconds")
        made = Baseline(name, now, manifest.name, manifest.id, str(opened.path.resolve()))
        with translated(store.url), store._engine.begin() as connection:
            connection.execute(insert(baselines), {"id": secrets.token_hex(16), **vars(made)})
    return made


def list_baselines(url: str | None = None) -> list[Baseline]:
    """Every baseline with what it stands for now.

    Args:
        url: The results, as for `open_store`.

    Returns:
        The baselines, sorted by name.

    Raises:
        StoreError: The database cannot be used.

    Example:
        >>> baseline = edgekit.set_baseline("main", "net")
        >>> [listed.name for listed in edgekit.list_baselines()]
        ['main']
    """
    with Store(url) as store:
        return _newest(store)


def remove_baseline(name: str, url: str | None = None) -> None:
    """Forget a name, and the copy of its bundle unless another name stands for it.

    Args:
        name: The baseline's name.
        url: The results, as for `open_store`.

    Returns:
        Nothing.

    Raises:
        UsageError: No such name.
        StoreError: The database cannot be used.

    Example:
        >>> baseline = edgekit.set_baseline("main", "net")
        >>> edgekit.remove_baseline("main")
        >>> edgekit.list_baselines()
        []
    """
    with Store(url) as store:
        _find(store, name)
        with translated(store.url), store._engine.begin() as connection:
            connection.execute(delete(baselines).where(baselines.c.name == name))
        used = {baseline.bundle_id for baseline in _newest(store)}
        for copy in _copies(store).glob("*"):
            if copy.name not in used:
                shutil.rmtree(copy, ignore_errors=True)


def open_baseline(name: str, url: str | None = None) -> Bundle:
    """The bundle that a name stands for, every byte of it checked.

    Args:
        name: The baseline's name.
        url: The results, as for `open_store`.

    Returns:
        The bundle: the copy, or where that is gone the directory it came from.

    Raises:
        UsageError: No such name, or neither the copy nor the directory is that bundle any more.
        StoreError: The database cannot be used.

    Example:
        >>> baseline = edgekit.set_baseline("main", "net")
        >>> edgekit.open_baseline("main").manifest.id == baseline.bundle_id
        True
    """
    with Store(url) as store:
        baseline = _find(store, name)
        places = (_copies(store) / baseline.bundle_id, Path(baseline.directory))
    for place in places:
        try:
            bundle = open_bundle(place)
        except EdgekitError:
            continue
        if bundle.manifest.id == baseline.bundle_id:
            return bundle
    hint = (
        f"build it again and `edgekit baseline set {name} BUNDLE`, or give its directory as the"
        " baseline"
    )
    raise UsageError(
        f"baseline {name}: its bundle {baseline.bundle_name} {baseline.bundle_id[:12]} is gone",
        hint=hint,
    )


def _newest(store: Store) -> list[Baseline]:
    columns = [baselines.c[field] for field in Baseline.__annotations__]
    with translated(store.url), store._engine.connect() as connection:
        rows = connection.execute(
            select(*columns).order_by(baselines.c.name, baselines.c.created)
        ).mappings()
        return list({row["name"]: Baseline(**row) for row in rows}.values())


def _find(store: Store, name: str) -> Baseline:
    known = {baseline.name: baseline for baseline in _newest(store)}
    if name not in known:
        hint = f"known: {', '.join(known)}" if known else "see `edgekit baseline set`"
        raise UsageError(f"no baseline {printable(name)!r}", hint=hint)
    return known[name]


def _copies(store: Store) -> Path:
    return store.spool.with_name(store.spool.name.removesuffix(".spool") + ".baselines")


def _keep(bundle: Bundle, place: Path) -> None:
    """A whole copy under its final name, or none."""
    try:
        if open_bundle(place).manifest.id == bundle.manifest.id:
            return
    except EdgekitError:
        shutil.rmtree(place, ignore_errors=True)
    staged = place.with_name(f".{place.name}.{secrets.token_hex(4)}")
    try:
        place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        shutil.copytree(bundle.path, staged)
        if place.exists():
            return  # somebody else was faster
        staged.rename(place)
    except OSError as error:
        raise StoreError(
            f"{place}: the bundle could not be kept: {error.strerror}", hint="free some space"
        ) from None
    finally:
        shutil.rmtree(staged, ignore_errors=True)
