"""Each script in tools/bench finds what it imports, wherever it is started and whatever else is
called `tests`. What its calls pass is checked by mypy."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

BENCHES = sorted((Path(__file__).parents[1] / "tools" / "bench").glob("*.py"))
START = """
import runpy, sys
from pathlib import Path
sys.path.insert(0, str(Path(sys.argv[1]).parent))  # as for a script
names = runpy.run_path(sys.argv[1], run_name="a bench")
print("main" in names)
"""
NO_SCRIPTS = {"paired.py", "proxy.py", "servers.py"}


def test_they_are_all_here() -> None:
    assert len(BENCHES) == 16
    assert {bench.name for bench in BENCHES} > NO_SCRIPTS


@pytest.mark.parametrize("bench", BENCHES, ids=lambda path: path.name)
def test_it_finds_its_modules(bench: Path, tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "__init__.py").write_text(
        "raise RuntimeError('tests of another project')"
    )
    root = str(bench.parents[2])
    done = subprocess.run(
        [sys.executable, "-c", START, str(bench)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), root])},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[-1] == str(bench.name not in NO_SCRIPTS)
