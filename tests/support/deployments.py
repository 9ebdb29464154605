"""What a store shows of a deployment, and deployments by a process that can be killed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

Contents = dict[str, bytes]


def contents(directory: Path) -> Contents:
    """All files below a directory, links followed."""
    files = {
        str(path.relative_to(directory)): path.read_bytes()
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }
    files.pop(".objects", None)
    return files


def live(store: Path) -> Contents | None:
    """What an application on the device sees that opens `current` now; None when nothing is
    deployed."""
    return contents((store / "current").resolve()) if (store / "current").is_symlink() else None


def run_python(
    code: str, *arguments: str, **environment: str
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        timeout=60,
    )


DEPLOY = """
import sys
from edgekit.bundle.directory import open_bundle
from edgekit.deployment import deploy
from edgekit.devices.local import LocalDevice
deploy(open_bundle(sys.argv[1]), LocalDevice(), sys.argv[2])
"""

STEPS = [
    "locked",
    "surveyed",
    "sending manifest.json",
    "sending fp32.pte",
    "sent",
    "admitted",
    "linked",
    "planted",
    "activated",
    "collected",
]

BOOT_ID = Path("/proc/sys/kernel/random/boot_id").read_text().strip()

UPTIME_S = int(float(Path("/proc/uptime").read_text().split()[0]))
