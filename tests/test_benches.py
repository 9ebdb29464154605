"""Each script in tools/bench finds what it imports, wherever it is started and whatever else is
called `tests`, and runs as its first lines say, with the least that it can be asked for."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from edgekit.bundle.directory import Bundle
from edgekit.store import save
from tests.support.measured import make_bundle, make_measurement

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


SMALLEST: dict[str, tuple[str, ...]] = {
    "adb_push.py": (),
    "build_overhead.py": ("1", "2000"),
    "cached_build.py": (),
    "dense_models.py": ("lraspp",),
    "many_objects.py": ("0.1",),
    "parallel_targets.py": (),
    "push.py": (),
    "qat_build.py": ("1", "64"),
    "results_list.py": ("DATABASE", "200"),
    "runner_overhead.py": ("--rounds", "1", "--seconds", "0.1"),
    "startup.py": (),
    "streaming.py": ("200", "1"),
    "watching.py": ("PTE", "TFLITE"),
}


@pytest.mark.nightly
@pytest.mark.torch
@pytest.mark.device
@pytest.mark.parametrize("bench", sorted({path.name for path in BENCHES} - NO_SCRIPTS))
def test_it_runs(
    bench: str, quickstart_cache: Path, quickstart_bundle: Bundle, tmp_path: Path
) -> None:
    save(make_measurement(make_bundle(tmp_path / "bundle")), str(tmp_path / "results.db"))
    files = {
        "DATABASE": tmp_path / "results.db",
        "PTE": quickstart_bundle.path / "fp32.pte",
        "TFLITE": quickstart_bundle.path / "fp32.tflite",
    }
    script = BENCHES[0].with_name(bench)
    done = subprocess.run(
        [sys.executable, str(script), *(str(files.get(word, word)) for word in SMALLEST[bench])],
        cwd=script.parents[2],
        env={**os.environ, "EDGEKIT_BENCH_ROUNDS": "1", "EDGEKIT_CACHE": str(quickstart_cache)},
        capture_output=True,
        text=True,
        timeout=1200,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip(), "it prints what it measured"
    assert "DIFFERENT" not in done.stdout
