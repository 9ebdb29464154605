"""Deployment over SSH on loopback: a 50 MB push against scp, an unchanged deployment again, and the
memory that a 500 MB push takes on this machine.

    .venv/bin/python tools/bench/push.py

Each push connects, sends content that is new to the board, and disconnects. scp has its default
cipher and only writes; deployment also computes the hash on the board, brings all to the disk, and
switches over. It is the call from Python; starting the command line comes on top."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from paired import command_seconds, interleaved, report
from servers import PLACE, Server, board, bundle, target

from edgekit.boards.deploying import deploy
from edgekit.bundle.directory import Bundle, open_bundle
from edgekit.devices.target import SshTarget

MB = 1_000_000
ROUNDS, PUSHED_BYTES, LARGE_BYTES = 9, 50 * MB, 500 * MB
PEAK = """
import sys
from pathlib import Path
from edgekit.boards.deploying import deploy
from edgekit.bundle.directory import open_bundle
from edgekit.devices.target import SshTarget
import edgekit.devices.ssh_login, edgekit.deployment
where = SshTarget.model_validate_json(sys.argv[1])
bundles = [open_bundle(Path(path)) for path in sys.argv[2:]]
def memory(key):
    line = next(line for line in open("/proc/self/status") if line.startswith(key))
    return int(line.split()[1]) / 1000
idle = memory("VmRSS")
for bundle in bundles:
    deploy(bundle, where)
print(memory("VmHWM") - idle)
"""
"""A process that deploys bundles and prints its highest memory beyond that before, in MB."""


def deploy_seconds(made: Bundle, where: SshTarget) -> float:
    started = time.perf_counter()
    deploy(made, where)
    return time.perf_counter() - started


def scp_seconds(made: Bundle, where: SshTarget, server: Server) -> float:
    options = [
        "-q",
        "-o",
        "StrictHostKeyChecking=no",
        "-o",
        "UserKnownHostsFile=/dev/null",
        "-i",
        str(server.directory / "user_key"),
    ]
    source = str(made.file(made.manifest.artifacts[0].file))
    return command_seconds(
        ["scp", *options, "-P", str(where.port), source, f"{server.user}@127.0.0.1:{PLACE}/scp"]
    )


def main() -> None:
    with board() as server, tempfile.TemporaryDirectory() as scratch:
        where = target(server)

        def new(size: int, name: str = "bundle") -> Bundle:
            shutil.rmtree(Path(scratch) / name, ignore_errors=True)
            return bundle(Path(scratch) / name, [size])

        pushes = {
            "scp": lambda: scp_seconds(new(PUSHED_BYTES), where, server),
            "edgekit deploy": lambda: deploy_seconds(new(PUSHED_BYTES), where),
            "the same again": lambda: deploy_seconds(open_bundle(Path(scratch) / "bundle"), where),
        }
        values = interleaved(pushes, rounds=ROUNDS)
        report(
            "50 MB over SSH on loopback",
            values,
            base="scp",
            unit="s",
            target="deploy at most 1.0 of scp; the same again at most 0.5 s",
        )
        made = new(LARGE_BYTES, "large")
        done = subprocess.run(
            [sys.executable, "-c", PEAK, where.model_dump_json(), str(made.path)],
            check=True,
            capture_output=True,
            text=True,
        )
        print(
            f"memory of this machine's process during a 500 MB push: {float(done.stdout):.1f} MB"
            " over idle (target: at most 100 MB)"
        )


if __name__ == "__main__":
    main()
