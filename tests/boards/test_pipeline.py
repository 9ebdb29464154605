"""`bench --pipeline` on a board: where a sample's steps are timed, why not there, and what a board
may answer. The board is a real SSH server; its Python is one of the tests."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy
import pytest

from edgekit.bundle.directory import Bundle, write_manifest
from edgekit.bundle.manifest import NamedTask
from edgekit.cli import run
from edgekit.devices.target import SshTarget
from tests.support.board_programs import on_the_board
from tests.support.desk import QUICK
from tests.support.measured import make_bundle
from tests.support.targets import write_target
from tests.support.tiers import cannot_run

pytestmark = pytest.mark.device

SYSTEM_PYTHON = "/usr/bin/python3"
OWN = """
from edgekit.tasks.classification import Classification

class Mine(Classification):
    def decoded(self, outputs):
        return outputs["logits"].argmax(1)

MINE = Mine()
"""
Bench = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture(scope="module")
def bare_python() -> Iterator[Path]:
    """A Python without packages that the board's user can start."""
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    if shutil.which(SYSTEM_PYTHON) is None:
        cannot_run("needs a python3 that every user may run: apt-get install python3")
    asked = [SYSTEM_PYTHON, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
    if subprocess.check_output(asked, text=True).strip() != version:
        cannot_run(f"needs {SYSTEM_PYTHON} to be Python {version}, as that of the tests", "machine")
    with tempfile.TemporaryDirectory(prefix="edgekit-python-") as name:
        place = Path(name)
        place.chmod(0o755)
        subprocess.run(
            [SYSTEM_PYTHON, "-m", "venv", "--without-pip", place / "bare"], check=True, timeout=60
        )
        yield place / "bare" / "bin" / "python3"


@pytest.fixture(scope="module")
def python(bare_python: Path) -> Path:
    """The same with numpy, that of the tests."""
    place = bare_python.parents[2] / "with_numpy"
    subprocess.run([SYSTEM_PYTHON, "-m", "venv", "--without-pip", place], check=True, timeout=60)
    [packages] = place.glob("lib/python*/site-packages")
    source = Path(numpy.__file__).parents[1]
    about = f"numpy-{metadata.version('numpy')}.dist-info"
    for part in ("numpy", "numpy.libs", about):
        if (source / part).is_dir():
            skipped = shutil.ignore_patterns("tests", "__pycache__", "*.a")
            shutil.copytree(source / part, packages / part, ignore=skipped)
    return place / "bin" / "python3"


@pytest.fixture
def bundle(here: Path) -> Bundle:
    recipe = {"bench": {**QUICK, "runs": 1}}
    return make_bundle(here / "bundle", ["fp32.pte"], recipe=recipe)


@pytest.fixture
def bench(pi: SshTarget, bundle: Bundle, capsys: pytest.CaptureFixture[str]) -> Iterator[Bench]:
    """A function from the board's Python to the exit code of `bench --pipeline`, and what it
    printed as JSON."""
    with on_the_board(bundle) as program:

        def measured(python: Path | str) -> tuple[int, dict[str, Any]]:
            runners = {"executorch": {"program": program}, "litert": {"python": str(python)}}
            values = pi.model_dump(exclude_unset=True) | {"runners": runners}
            write_target(SshTarget.model_validate(values))
            capsys.readouterr()
            argv = ["bench", str(bundle.path), "-t", "pi", "--runs", "1", "--pipeline", "--json"]
            code = run(argv)
            return code, json.loads(capsys.readouterr().out)

        yield measured


def steps_in(printed: dict[str, Any]) -> dict[str, Any]:
    [artifact] = printed["artifacts"]
    return dict(artifact["pipeline"])


def test_both_steps_on_the_board(bench: Bench, python: Path, pi: SshTarget) -> None:
    code, printed = bench(python)
    steps = steps_in(printed)
    assert (code, steps["where"], steps["host_because"]) == (0, "device", "")
    assert steps["pre_ns"] > 0
    assert steps["post_ns"] > 0
    assert list(Path(pi.workdir).glob("runtimes/sample_steps-*"))
    assert not list(Path(pi.workdir).rglob("*.pyc"))


def test_a_board_without_numpy_or_python(
    bench: Bench, bare_python: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for python, reason in ((bare_python, "there is no numpy"), ("/nowhere", "there is no Python")):
        code, printed = bench(python)
        steps = steps_in(printed)
        assert (code, steps["where"]) == (0, "host")
        assert reason in steps["host_because"]
        assert steps["pre_ns"] > 0
        assert steps["post_ns"] > 0
    assert run(["results", "show"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "timed on this machine, not on pi: there is no Python there" in shown


def test_a_task_of_ones_own_stays_here(
    bench: Bench, bundle: Bundle, python: Path, here: Path
) -> None:
    (here / "own_steps.py").write_text(OWN)
    own = NamedTask(name="own_steps:MINE")
    write_manifest(bundle.path, bundle.manifest.model_copy(update={"task": own}))
    code, printed = bench(python)
    steps = steps_in(printed)
    assert (code, steps["where"]) == (0, "host")
    assert "your own" in steps["host_because"]
    assert steps["post_ns"] > 0


@pytest.mark.parametrize(
    ("does", "code", "words"),
    [
        ("""printf '{"edgekit":1,"nonce":"%s","type":"end","ok":true}\\n' 00""", 9, "another run"),
        ("printf '\\033[2Jnumpy\\n'", 9, "line 1"),
        ("echo broken >&2; exit 1", 8, "exit code 1: broken"),
        ("kill -9 $$", 8, "memory"),
    ],
)
def test_what_a_board_may_not_answer(
    does: str, code: int, words: str, bench: Bench, python: Path, here: Path
) -> None:
    """Named, with what was measured before it, and with the exit code of its kind."""
    with tempfile.TemporaryDirectory(prefix="edgekit-hostile-") as name:
        Path(name).chmod(0o755)
        hostile = Path(name) / "python3"
        hostile.write_text(
            f'#!/bin/sh\ncase "$*" in *sample_steps*) cat >/dev/null; {does}; exit;; esac\n'
            f'exec {python} "$@"\n'
        )
        hostile.chmod(0o755)
        ended, printed = bench(hostile)
    assert ended == code
    assert "fp32.pte, pipeline" in printed["error"]
    assert words in printed["error"]
    assert "\x1b" not in json.dumps(printed, ensure_ascii=False)
