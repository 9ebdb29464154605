"""`edgekit results list` over a database of 10,000 measurements: seconds of the query, and of the whole command. Wanted: at most 1 s.

    python tools/bench/results_list.py [COUNT]
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from sqlalchemy import insert

from edgekit.store import open_store
from edgekit.store.tables import bodies, measurements

ROUNDS = 9


def fill(database: Path, count: int) -> None:
    """Rows as measurements have them, each with a body of 20 kB, so that the narrow table does not lie alone in the file."""
    row = {"bundle_name": "net", "bundle_id": "0" * 64, "recipe_sha256": "0" * 64, "target": "pi4", "target_kind": "ssh", "machine": None}
    row |= {"edgekit_version": "0", "artifacts": "fp32.pte\nint8.pte", "runs": 10, "quick": False, "valid": True, "timings": "meaningful", "failure": ""}
    ids = [f"{number:032x}" for number in range(count)]
    with open_store(str(database)) as opened, opened._engine.begin() as connection:
        connection.execute(insert(measurements), [{**row, "id": one, "created": f"2026-01-01T{n:06}"} for n, one in enumerate(ids)])
        connection.execute(insert(bodies), [{"measurement_id": one, "body": bytes(20_000)} for one in ids])


def main(count: int) -> None:
    with tempfile.TemporaryDirectory() as directory:
        database = Path(directory) / "results.db"
        fill(database, count)
        queries, commands = [], []
        for _ in range(ROUNDS):
            started = time.perf_counter()
            with open_store(str(database)) as opened:
                assert len(opened.rows()) == count
            queries.append(time.perf_counter() - started)
            started = time.perf_counter()
            argv = [sys.executable, "-m", "edgekit.cli", "results", "list", "--limit", str(count), "--json", "--db", str(database)]
            subprocess.run(argv, check=True, stdout=subprocess.DEVNULL)
            commands.append(time.perf_counter() - started)
    print(f"{count} measurements, medians of {ROUNDS}: open and query {statistics.median(queries):.2f} s, the command {statistics.median(commands):.2f} s")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
