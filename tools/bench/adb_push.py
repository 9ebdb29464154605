"""A 50 MB push over adb against the adb program's own.

    .venv/bin/python tools/bench/adb_push.py

Both send to the test adbd on loopback. edgekit's push keeps what arrived when it is cut off, so
that it can be resumed; adb's own deletes it. The hash that a deployment computes on the device
afterwards is timed on its own, as adb has nothing like it."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from paired import command_seconds, interleaved, report

from edgekit.devices import adb
from edgekit.devices.target import AdbTarget

sys.path.insert(0, str(Path(__file__).parents[2]))  # a script finds only what lies beside it
from tools.testbed import adbd

PUSHED_BYTES, ROUNDS = 50_000_000, 15


def main() -> None:
    if reason := adbd.why_not():
        raise SystemExit(reason)
    with (
        tempfile.TemporaryDirectory() as home,
        tempfile.TemporaryDirectory() as place,
        adbd.server(Path(home)) as environment,
    ):
        os.environ.update(environment)
        with adbd.running(Path(place)) as daemon:
            device = adb.connect(
                AdbTarget(
                    edgekit=1, name="phone", kind="adb", serial=daemon.serial, allow_network=True
                )
            )
            local, remote = Path(home) / "local", str(daemon.directory / "tmp" / "remote")
            local.write_bytes(os.urandom(PUSHED_BYTES))

            def pushed() -> float:
                started = time.perf_counter()
                device.push(local, remote)
                return time.perf_counter() - started

            def hashed() -> float:
                started = time.perf_counter()
                assert device.run(["sha256sum", remote], timeout_s=60).ok
                return time.perf_counter() - started

            program = ["adb", "-s", daemon.serial, "push", str(local), f"{remote}.adb"]
            values = interleaved(
                {
                    "adb push": lambda: command_seconds(program),
                    "edgekit push": pushed,
                    "sha256sum there": hashed,
                },
                rounds=ROUNDS,
            )
        subprocess.run(["adb", "kill-server"], check=False, capture_output=True)
    report(
        "50 MB over adb on loopback",
        values,
        base="adb push",
        unit="s",
        target="edgekit push at most 1.11 of adb push",
    )


if __name__ == "__main__":
    main()
