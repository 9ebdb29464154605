"""`edgekit report`: a bundle and what was measured of it as one HTML file. Owns which measurements
are shown and where the file goes.

values     what a page is made of
build      sections on the bundle
overview   all in one line, the headline metric against latency
answers    samples and what the artifacts answer, as pictures
verdicts   against what was measured in turn
parity     the two runtimes side by side
session    device and validity
latency, memory, observed, history   what was measured
content    the sections in their order
document   the file
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.errors import StoreError, UsageError
from edgekit.whole_file import write_whole

if TYPE_CHECKING:
    from edgekit.bundle.directory import Bundle
    from edgekit.bundle.pictures import Pictures
    from edgekit.measure.measurement import Measurement
    from edgekit.store.results import Store

MOST = 12
"""Measurements on one page: it stays readable, and below some megabytes."""


def report(
    bundle: Bundle | str | Path | None = None,
    *,
    measurements: Sequence[str] = (),
    output: str | Path = "report.html",
    db: str | None = None,
) -> Path:
    """Write one self-contained HTML page.

    Args:
        bundle: A bundle or its directory. Default: only measurements are shown.
        measurements: Starts of ids, or `latest`, at most 12. Default: the newest of the bundle on
            each target; without a bundle, the latest of all.
        output: The page's file. It is replaced only by a whole page.
        db: The results, as `url` of `open_store`.

    Returns:
        The path of the page.

    Raises:
        UsageError: No such bundle or measurement, measurements of another bundle, too many of them,
            or the file cannot be written.
        ResultError: The bundle is damaged.
        StoreError: The database cannot be used.

    Example:
        >>> measurements = edgekit.bench("net", "desk", settings={"runs": 1})
        >>> edgekit.report("net", output="page.html").name
        'page.html'
    """
    from edgekit.bundle.directory import Bundle, open_bundle
    from edgekit.reporting.page.content import page
    from edgekit.reporting.page.document import html
    from edgekit.store import open_store
    from edgekit.workflow.judge import judge

    opened = bundle if bundle is None or isinstance(bundle, Bundle) else open_bundle(bundle)
    with open_store(db) as store:
        shown = _chosen(store, opened, measurements)
        past = {
            measurement.id: store.history(measurement.bundle_name, measurement.target)
            for measurement in shown
        }
        beside = {
            measurement.id: _readable(store, store.beside(measurement.id)[:MOST])[0]
            for measurement in shown
        }
    by_target = {measurement.target: measurement for measurement in reversed(shown)}
    drawn = _pictures(opened)
    checks = judge(opened, by_target) if opened and opened.manifest.recipe else None
    text = html(
        page(opened, shown, checks, past, beside, drawn),
        made=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    return _written(Path(output), text)


def _pictures(bundle: Bundle | None) -> Pictures | None:
    from edgekit.bundle.pictures import read_pictures

    file = bundle.manifest.pictures if bundle else None
    return read_pictures(bundle.file(file)) if bundle and file else None


def _chosen(store: Store, bundle: Bundle | None, prefixes: Sequence[str]) -> list[Measurement]:
    identities = [store.find(prefix) for prefix in prefixes]
    if not prefixes:
        identities = store.newest_of(bundle.manifest.id) if bundle else [store.find("latest")]
    identities = list(dict.fromkeys(identities))
    if len(identities) > MOST:
        if prefixes:
            raise UsageError(
                f"{len(identities)} measurements are too many for a page",
                hint=f"give at most {MOST} by --measurement",
            )
        identities = identities[:MOST]
    if prefixes:
        measurements = [store.load(identity) for identity in identities]
    else:
        measurements, problems = _readable(store, identities)
        if problems and not measurements:
            raise problems[0]
    for measurement in measurements:
        if bundle and measurement.bundle_id != bundle.manifest.id:
            text = (
                f"measurement {measurement.id[:12]} is of bundle {measurement.bundle_id[:12]}, not"
                f" of {bundle.manifest.id[:12]}"
            )
            raise UsageError(text, hint="leave the bundle out to see it alone")
    return measurements


def _readable(
    store: Store, identities: Sequence[str]
) -> tuple[list[Measurement], list[StoreError]]:
    """The measurements that can be read, and why others, which are named in the log, cannot: a
    damaged one is no reason to show none."""
    measurements: list[Measurement] = []
    problems: list[StoreError] = []
    for identity in identities:
        try:
            measurements.append(store.load(identity))
        except StoreError as error:
            problems.append(error)
            logging.getLogger(__name__).warning("left out: %s", error.message)
    return measurements, problems


def _written(path: Path, text: str) -> Path:
    """The whole file or the one that was there before."""
    try:
        write_whole(path, text)
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror or error}") from None
    return path
