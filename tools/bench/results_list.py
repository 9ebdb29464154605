"""`edgekit results list` and `edgekit report` over a database of 10,000 measurements: seconds of
the whole commands, interpreter start included.

    python tools/bench/results_list.py DATABASE [COUNT]

DATABASE is one that holds a measurement. It is copied, and the newest of it, with its results and
body, repeated under other ids."""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from sqlalchemy import insert, select

from edgekit.store import open_store
from edgekit.store.tables import artifact_results, bodies, measurements

ROUNDS = 9


def fill(database: Path, count: int) -> None:
    """The newest measurement stays the newest; the samples of its copies are left out, as neither
    command reads those."""
    with open_store(str(database)) as opened, opened._engine.begin() as connection:
        newest = opened.find("latest")
        for table in (measurements, bodies, artifact_results):
            own = measurements.c.id if table is measurements else table.c.measurement_id
            for row in connection.execute(select(table).where(own == newest)).mappings().all():
                dated = {
                    "created": [
                        f"2020-01-{1 + n // 1440 % 28:02}"
                        f"T{n // 60 % 24:02}:{n % 60:02}:00.000+00:00"
                        for n in range(count)
                    ]
                }
                more = dated if table is measurements else {}
                copies = [
                    {
                        **row,
                        own.name: f"{n:032x}",
                        **{name: values[n] for name, values in more.items()},
                    }
                    for n in range(count - 1)
                ]
                connection.execute(insert(table), copies)


def seconds(argv: list[str]) -> float:
    """The median of some calls of `edgekit`."""
    times_s = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "edgekit.cli", *argv], check=True, stdout=subprocess.DEVNULL
        )
        times_s.append(time.perf_counter() - started)
    return statistics.median(times_s)


def main(source: Path, count: int = 10_000) -> None:
    with tempfile.TemporaryDirectory() as directory:
        database = Path(directory) / "results.db"
        shutil.copyfile(source, database)
        fill(database, count)
        where = ["--db", str(database)]
        commands = {
            "edgekit --help": ["--help"],
            "results list": ["results", "list", *where],
            "results list, all": ["results", "list", "--limit", str(count), *where],
            "results list, all, --json": [
                "results",
                "list",
                "--limit",
                str(count),
                "--json",
                *where,
            ],
            "report": ["report", "-o", str(Path(directory) / "report.html"), *where],
        }
        print(
            f"{count} measurements, medians of {ROUNDS}, in s; wanted: a list in 1 s, a report in"
            " 10 s"
        )
        for name, argv in commands.items():
            print(f"  {name:26s} {seconds(argv):.2f}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:]))
