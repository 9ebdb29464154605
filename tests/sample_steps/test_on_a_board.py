"""The package as it lies on a board, in a Python without edgekit: what it answers, and what its
program says."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit import sample_steps
from edgekit.deployment import provision
from edgekit.devices.local import LocalDevice
from edgekit.runners.runtime import Platform, describe_file, host_platform
from edgekit.runners.sample_steps import steps_runtime, why_not
from edgekit.tasks import TASKS
from edgekit.tasks.decoding import board_decoding_of, decoding_of
from edgekit.tasks.detection import Detection
from edgekit.tasks.keypoints import Keypoints
from edgekit.tasks.task import Task, load_task

NONCE = "ab" * 16
SOURCES = sorted(Path(sample_steps.__path__[0]).rglob("*.py"))
DETECTION = Detection(image=(32, 32), grids=((4, 4), (2, 2)), anchors=(((8.0, 9.0),), ((16, 20),)))
GENERATOR = np.random.default_rng(7)
BOXES = {
    "boxes": GENERATOR.normal(size=(2, 20, 4)).astype(np.float32),
    "scores": 3 * GENERATOR.normal(size=(2, 20, 4)).astype(np.float32),
}
CASES: list[tuple[str, Task, dict[str, np.ndarray]]] = [
    ("detection", DETECTION, BOXES),
    ("keypoints", Keypoints(stride=2.0), {"out": GENERATOR.normal(size=(2, 3, 6, 5))}),
    ("segmentation", load_task("segmentation"), {"out": GENERATOR.normal(size=(2, 3, 6, 5))}),
    *(
        (name, load_task(name), {"out": GENERATOR.normal(size=(2, 5)).astype(np.float32)})
        for name in ("classification", "multilabel", "regression", "embedding")
    ),
]
ANSWER = """
import json, sys
sys.path.insert(0, sys.argv[1])
import numpy
from sample_steps.decoding.lookup import decoder
assert not [name for name in sys.modules if name.startswith("edgekit")]
outputs = dict(numpy.load(sys.argv[2]))
answers = decoder(**json.loads(sys.argv[3]))(outputs)
print(json.dumps([numpy.asarray(each).tolist() for each in answers]))
"""


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """How the program starts in a store on this machine."""
    store = tmp_path_factory.mktemp("store")
    return list(provision(LocalDevice(), str(store), steps_runtime(host_platform(), ())))


def test_every_built_in_task_is_compared() -> None:
    assert {name for name, _, _ in CASES} == set(TASKS)


@pytest.mark.parametrize(("name", "task", "outputs"), CASES, ids=[case[0] for case in CASES])
def test_a_board_answers_as_the_task_does(
    name: str, task: Task, outputs: dict[str, np.ndarray], command: list[str], tmp_path: Path
) -> None:
    decoding, decode = board_decoding_of(task), decoding_of(task)
    assert decoding
    assert decode
    arrays: dict[str, Any] = dict(outputs)
    np.savez(tmp_path / "outputs.npz", **arrays)
    plan = json.dumps({"name": decoding.name, "args": dict(decoding.args)})
    place = str(Path(command[-1]).parents[1])
    argv = [sys.executable, "-IB", "-c", ANSWER, place, str(tmp_path / "outputs.npz"), plan]
    printed = subprocess.run(argv, check=True, capture_output=True, timeout=60).stdout
    expected: Any = decode(outputs)
    assert json.loads(printed) == [np.asarray(each).tolist() for each in expected]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_old_boards_can_read_it(path: Path) -> None:
    """Python 3.8; and numpy's types, which old versions lack, are for type checkers only."""
    tree = ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 8))
    imported = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    assert not [node for node in imported if "numpy.typing" in ast.unparse(node)]
    assert not [node for node in ast.walk(tree) if getattr(node, "arg", "") == "strict"]


def plan_for(tmp_path: Path, **changes: Any) -> bytes:
    """Two samples of one input and one output, as files and as a plan."""
    inputs, outputs = tmp_path / "inputs.bin", tmp_path / "outputs.bin"
    inputs.write_bytes(np.arange(4, dtype=np.float32).tobytes())
    outputs.write_bytes(np.array([1, 2, 3, 3, 2, 1], dtype=np.int8).tobytes())
    tensor = {"dtype": "float32", "scale": None, "zero_point": None}
    quantized = {"dtype": "int8", "scale": 0.5, "zero_point": -1}
    plan = {
        "nonce": NONCE,
        "cpus": [],
        "inputs_file": str(inputs),
        "inputs": [{"name": "x", "shape": [1, 2], **tensor}],
        "described": [{"shape": [2], "mean": None, "std": None}],
        "outputs_file": str(outputs),
        "outputs": [{"name": "y", "shape": [1, 3], **quantized}],
        "decoding": {"name": "top_classes", "args": {}},
    }
    return json.dumps(plan | changes).encode()


def lines_of(command: list[str], plan: bytes) -> tuple[int | None, list[dict[str, Any]]]:
    done = LocalDevice().run(command, timeout_s=60, stdin=plan)
    return done.exit_code, [json.loads(line) for line in done.stdout.splitlines()]


def test_both_steps_are_timed(command: list[str], tmp_path: Path) -> None:
    code, lines = lines_of(command, plan_for(tmp_path))
    assert code == 0
    assert {line["nonce"] for line in lines} == {NONCE}
    steps = [line["step"] for line in lines if line["type"] == "times"]
    assert list(dict.fromkeys(steps)) == ["pre", "post"]
    assert lines[-1]["type"] == "end"
    assert not list(Path(command[-1]).parent.rglob("*.pyc"))


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        ({"inputs_file": "/nowhere"}, 5, "No such file"),
        ({"decoding": {"name": "points", "args": {"stride": 1.0}}}, 4, "Error"),
        ({"cpus": [4000]}, 5, "Invalid argument"),
    ],
)
def test_what_it_cannot_do_is_reported(
    changes: dict[str, Any], code: int, words: str, command: list[str], tmp_path: Path
) -> None:
    ended, lines = lines_of(command, plan_for(tmp_path, **changes))
    assert (ended, lines[-1]["code"]) == (code, code)
    assert words in lines[-1]["message"]


def test_numpy_comes_from_the_packages_beside_it(tmp_path: Path) -> None:
    """As the LiteRT runtime brings them; this `site` only says where numpy is."""
    with zipfile.ZipFile(tmp_path / "python.zip", "w") as archive:
        place = sysconfig.get_path("platlib")
        archive.writestr("edgekit_packed.py", f"import sys\nsys.path.append({place!r})")
    packed = describe_file(tmp_path / "python.zip", "site/python.zip", 0o755)
    bare = Path(sys.base_prefix) / "bin" / "python3"  # of the virtual environment's Python
    board = Platform("x", python=str(bare))
    device, store = LocalDevice(), str(tmp_path / "store")
    with_packages = list(provision(device, store, steps_runtime(board, [packed])))
    assert lines_of(with_packages, plan_for(tmp_path))[0] == 0
    without = list(provision(device, store, steps_runtime(board, [])))
    without.insert(1, "-S")
    code, lines = lines_of(without, plan_for(tmp_path))
    assert (code, lines[0]["type"]) == (3, "error")
    assert "numpy does not import" in lines[0]["message"]


def test_who_cannot_run_it(tmp_path: Path) -> None:
    packed = describe_file(Path(__file__), "site/python.zip", 0o755)
    assert "no Python" in why_not(Platform("x", numpy="1.24.2"), [packed])
    assert "python3-numpy" in why_not(Platform("x", python="python3"), [])
    assert not why_not(Platform("x", python="python3", numpy="1.24.2"), [])
    assert not why_not(Platform("x", python="python3"), [packed])
    assert not why_not(host_platform(), [])
