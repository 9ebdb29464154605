"""`edgekit results`: list, show, export and prune stored measurements."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated

import typer

from edgekit import store
from edgekit.cli.console import stdout
from edgekit.cli.options import Json
from edgekit.errors import StoreError, UsageError
from edgekit.sanitize import printable
from edgekit.whole_file import whole_file

if TYPE_CHECKING:
    from edgekit.measure.measurement import Measurement
    from edgekit.store.results import Store

app = typer.Typer(name="results", help="Look at stored measurements.", no_args_is_help=True)

Database = Annotated[
    str | None,
    typer.Option(
        "--db",
        metavar="URL",
        help=(
            "A database URL or an SQLite file. Default: EDGEKIT_DB, else the user's data directory."
        ),
    ),
]
Identity = Annotated[
    str,
    typer.Argument(
        metavar="ID", help="The start of an id that `edgekit results list` shows, or `latest`."
    ),
]


class Format(StrEnum):
    csv = "csv"
    jsonl = "jsonl"
    parquet = "parquet"


@app.command("list")
def list_(
    target: Annotated[
        str | None, typer.Option("--target", "-t", help="Only of this target.")
    ] = None,
    bundle: Annotated[str | None, typer.Option(help="Only of bundles with this name.")] = None,
    limit: Annotated[int, typer.Option(help="At most so many.", min=1)] = 20,
    db: Database = None,
    as_json: Json = False,
) -> None:
    """List measurements, the newest first.

    Example: edgekit results list --target pi5
    """
    with _opened(db) as results:
        rows = results.rows(target=target, bundle_name=bundle, limit=limit)
    if as_json:
        print(json.dumps({"measurements": [vars(row) for row in rows]}))
        return
    from edgekit.reporting.terminal import results_table

    if rows:
        stdout().print(results_table(rows))
    else:
        print("no measurements yet: see `edgekit bench`")


@app.command()
def show(identity: Identity = "latest", db: Database = None, as_json: Json = False) -> None:
    """Show one measurement: latency, speed-up, distribution, memory, and what to know about them.

    Example: edgekit results show latest
    """
    with _opened(db) as results:
        measurement = results.load(identity)
    if as_json:
        print(json.dumps(measurement.as_dict()))
        return
    from edgekit.reporting import terminal
    from edgekit.reporting.extra_results import observations

    console = stdout()
    for part in (*terminal.measurement_report(measurement), *observations(measurement)):
        console.print(part)


@app.command()
def export(
    identities: Annotated[
        list[str] | None,
        typer.Argument(metavar="[ID]...", help="Starts of ids. Default: all.", show_default=False),
    ] = None,
    format: Annotated[
        Format, typer.Option(help="csv, parquet: a row an artifact. jsonl: an object an artifact.")
    ] = Format.csv,
    raw: Annotated[
        bool, typer.Option("--raw", help="With jsonl: whole measurements, every sample included.")
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="A file; parquet needs one. Default: stdout."),
    ] = None,
    db: Database = None,
) -> None:
    """Write measurements for other programs, the oldest first.

    Example: edgekit results export --format csv -o results.csv
    """
    from edgekit.reporting.export import write_csv, write_jsonl, write_parquet

    if raw and format is not Format.jsonl:
        raise UsageError("--raw needs --format jsonl", hint="other files hold summaries only")
    if format is Format.parquet and output is None:
        raise UsageError("--format parquet needs --output FILE", hint="it is not text")
    with _opened(db) as results:
        chosen = _Chosen(results, identities)
        if format is Format.parquet and output is not None:
            write_parquet(chosen, output)
        else:
            with _sink(output) as stream:
                if format is Format.csv:
                    write_csv(chosen, stream)
                else:
                    write_jsonl(chosen, stream, raw=raw)
        chosen.require_all()


@app.command("log-mlflow")
def log_mlflow(
    identities: Annotated[
        list[str] | None,
        typer.Argument(metavar="[ID]...", help="Starts of ids. Default: all.", show_default=False),
    ] = None,
    experiment: Annotated[
        str, typer.Option(help="The experiment, made if there is none.")
    ] = "edgekit",
    tracking_uri: Annotated[
        str | None,
        typer.Option(metavar="URI", help="Default: MLflow's own, such as MLFLOW_TRACKING_URI."),
    ] = None,
    db: Database = None,
    as_json: Json = False,
) -> None:
    """Log measurements to MLflow, a run an artifact. What was logged before is left as it is.

    Example: edgekit results log-mlflow --tracking-uri http://127.0.0.1:5000
    """
    from edgekit.reporting.mlflow_log import log_mlflow

    with _opened(db) as results:
        chosen = _Chosen(results, identities)
        made = log_mlflow(chosen, experiment=experiment, tracking_uri=tracking_uri)
        chosen.require_all()
    print(json.dumps({"logged": made}) if as_json else f"logged {made} run{'s' * (made != 1)}")


class _Chosen:
    """Measurements by ids, else all, the oldest first. Of all, those that cannot be read are left
    out, and named at the end."""

    def __init__(self, results: Store, identities: list[str] | None) -> None:
        self._results = results
        self._named = bool(identities)
        self._identities = identities or [row.id for row in reversed(results.rows())]
        self._unreadable: list[StoreError] = []

    def __iter__(self) -> Iterator[Measurement]:
        for identity in self._identities:
            try:
                measurement = self._results.load(identity)
            except StoreError as error:
                if self._named:
                    raise
                self._unreadable.append(error)
                continue
            yield measurement

    def require_all(self) -> None:
        """Raises StoreError when something was left out."""
        if self._unreadable:
            listed = "".join(f"\n{error.message}" for error in self._unreadable)
            raise StoreError(
                f"{len(self._unreadable)} of {len(self._identities)} measurements were left"
                f" out:{listed}",
                hint=self._unreadable[0].hint,
            )


@app.command()
def prune(
    keep: Annotated[int | None, typer.Option(help="Keep the newest so many.", min=0)] = None,
    older_than_days: Annotated[
        float | None, typer.Option(help="Delete only what is older than so many days.", min=0)
    ] = None,
    before: Annotated[
        datetime | None,
        typer.Option(help="Delete only what is older than this day or time, in UTC."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be deleted.")
    ] = False,
    db: Database = None,
    as_json: Json = False,
) -> None:
    """Delete old measurements for good.

    Example: edgekit results prune --keep 1000 --older-than-days 365 --dry-run
    """
    if keep is None and older_than_days is None and before is None:
        raise UsageError(
            "nothing says which measurements are old",
            hint="give --keep N, --older-than-days N, --before DATE, or several",
        )
    limits = (
        [] if older_than_days is None else [datetime.now(UTC) - timedelta(days=older_than_days)]
    )
    limits += [] if before is None else [before.replace(tzinfo=UTC)]
    oldest = min(limits).isoformat(timespec="milliseconds") if limits else None
    with _opened(db) as results:
        deleted = results.prune(keep=keep, before=oldest, dry_run=dry_run)
    if as_json:
        print(json.dumps({"would_delete" if dry_run else "deleted": deleted}))
    else:
        print(
            f"{'would delete' if dry_run else 'deleted'} {len(deleted)}"
            f" measurement{'s' * (len(deleted) != 1)}"
        )


@contextmanager
def _opened(db: str | None) -> Iterator[Store]:
    """The results, after saying what still waits in the spool."""
    with store.open_store(db) as results:
        for reason in results.left_in_spool:
            print(
                f"warning: a measurement still waits to be stored: {printable(reason)}",
                file=sys.stderr,
            )
        yield results


@contextmanager
def _sink(output: Path | None) -> Iterator[IO[str]]:
    if output is None:
        yield sys.stdout
        return
    try:
        with (
            whole_file(output) as staged,
            staged.open("w", encoding="utf-8", newline="") as stream,
        ):
            yield stream
    except OSError as error:
        raise UsageError(f"{output}: cannot be written: {error.strerror or error}") from None
