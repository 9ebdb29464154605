"""Recipes of format 1: read as they are, and rewritten as format 2 with everything else kept."""

from __future__ import annotations

import json
import re
import shutil
import stat
from pathlib import Path

import pytest

from edgekit.cli import run
from edgekit.errors import UsageError
from edgekit.recipe.load import load_recipe, resolved
from edgekit.recipe.upgrade import MovedKey, upgrade_recipe

SHIPPED_1 = Path(__file__).parents[1] / "captured" / "format1" / "recipes"
NAMES = sorted(path.name for path in SHIPPED_1.glob("*.yaml"))

COMMENTED = """\
# A recipe with comments everywhere.
edgekit: 1   # the format
name: "net"

model: {name: small_cnn, args: {num_classes: 10}}
# about the input
input:       # one sample
  # its shape
  shape: [1,
          8, 8]  # grey
  mean: [0.5]

# about the data
data: {name: digits}
stages:
- {stage: train, export: fp32}     # two spaces? none
- {stage: quantize, method: ptq, export: int8}
export:
  backend: portable   # no delegate
  formats: [executorch,   litert]  # both
  evaluation_set: 5
verify: { top1_agreement_min_percent: 97.50, samples: 8 }
budget:
  variants:
    fp32:
      # first of all
      top1_max_drop_points: 1.0   # a drop
      size_max_bytes: 100000
      top1_min_percent: 9e1       # a floor
      # last of all
    int8: { top1_min_percent: 90 , top1_max_drop_points: ~ }
gate:
  accuracy_max_drop_points: 2   # points
  size_max_ratio: null
"""
UPGRADED = """\
# A recipe with comments everywhere.
edgekit: 2   # the format
name: "net"

model: {name: small_cnn, args: {num_classes: 10}}
# about the input
inputs:
  input:       # one sample
    # its shape
    shape: [1,
            8, 8]  # grey
    mean: [0.5]

# about the data
data: {name: digits}
stages:
- {stage: train, export: fp32}     # two spaces? none
- {stage: quantize, method: ptq, export: int8}
export:
  # no delegate
  backends: [portable,   litert]  # both
  evaluation_set: 5
verify: { agreement_min_percent: 97.50, samples: 8 }
budget:
  variants:
    fp32:
      # first of all
      metrics: {top1: {max_drop: 1.0, min: 9e1}}   # a drop
      size_max_bytes: 100000
      # a floor
      # last of all
    int8: { metrics: {top1: {min: 90, max_drop: ~}} }
gate:
  metrics: {top1: 2}   # points
  size_max_ratio: null
"""


def meaning(file: Path) -> dict[str, object]:
    return resolved(load_recipe(file).recipe)


@pytest.fixture
def shipped(tmp_path: Path) -> Path:
    """The recipes that edgekit shipped with format 1."""
    return Path(shutil.copytree(SHIPPED_1, tmp_path / "recipes"))


def test_all_of_them_are_here() -> None:
    assert len(NAMES) == 14


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_recipe_means_the_same_afterwards(name: str, shipped: Path) -> None:
    before, text = meaning(shipped / name), (shipped / name).read_text()
    done = upgrade_recipe(shipped / name)
    after = (shipped / name).read_text()
    assert done.moves[0] == MovedKey("edgekit: 1", "edgekit: 2")
    assert meaning(shipped / name) == before
    assert "edgekit: 2" in after
    assert comments(after) == comments(text)
    again = upgrade_recipe(shipped / name)
    assert again.moves == ()
    assert (shipped / name).read_text() == after


@pytest.mark.parametrize("base_first", [True, False])
def test_a_recipe_and_the_one_it_extends_in_either_order(base_first: bool, shipped: Path) -> None:
    names = ["quickstart.yaml", "quickstart_lamp.yaml"]
    before = meaning(shipped / "quickstart_lamp.yaml")
    for name in names if base_first else reversed(names):
        upgrade_recipe(shipped / name)
        assert meaning(shipped / "quickstart_lamp.yaml") == before


@pytest.mark.parametrize("base_first", [True, False])
@pytest.mark.parametrize("head", ["", "edgekit: 1\n"])
@pytest.mark.parametrize(
    ("base_export", "own"),
    [
        ("{formats: [executorch]}", "export: {backend: portable}\n"),
        ("{backend: portable}", "export: {formats: [litert, executorch]}\n"),
        ("{}", "input: {shape: [1, 9, 9]}\nbudget: {variants: {fp32: {top1_min_percent: 5}}}\n"),
    ],
)
def test_only_its_own_keys_of_a_recipe_that_extends(
    base_export: str, own: str, head: str, base_first: bool, tmp_path: Path
) -> None:
    base, child = tmp_path / "base.yaml", tmp_path / "child.yaml"
    base.write_text(
        "edgekit: 1\nname: net\nmodel: {name: small_cnn}\ninput: {shape: [1, 8, 8]}\n"
        f"data: {{name: digits}}\nexport: {base_export}\nstages: [{{stage: train, export: fp32}}]\n"
    )
    child.write_text(f"extends: base.yaml\n{head}{own}")
    before = meaning(child)
    for file in (base, child) if base_first else (child, base):
        upgrade_recipe(file)
    assert meaning(child) == before
    assert "stages" not in child.read_text()


def test_comments_order_and_layout_stay(tmp_path: Path) -> None:
    file = tmp_path / "net.yaml"
    file.write_text(COMMENTED)
    file.chmod(0o640)
    before = meaning(file)
    upgrade_recipe(file)
    assert file.read_text() == UPGRADED
    assert meaning(file) == before
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert [path.name for path in tmp_path.iterdir()] == ["net.yaml"]


def test_json_is_yaml_too_and_line_ends_stay(tmp_path: Path) -> None:
    file = tmp_path / "net.yaml"
    whole = {
        "edgekit": 1,
        "name": "net",
        "model": {"name": "small_cnn"},
        "input": {"shape": [1, 8, 8]},
        "data": {"name": "digits"},
        "stages": [{"stage": "train", "export": "fp32"}],
        "export": {"formats": ["executorch"], "backend": "portable"},
    }
    file.write_bytes(json.dumps(whole, indent=1).replace("\n", "\r\n").encode())
    before = meaning(file)
    upgrade_recipe(file)
    assert meaning(file) == before
    assert file.read_bytes().count(b"\r\n") == file.read_bytes().count(b"\n")


def test_what_cannot_be_rewritten_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "net.yaml"
    text = COMMENTED.replace("input:       # one sample", "? input\n:")
    file.write_text(text)
    assert meaning(file)["edgekit"] == 2
    with pytest.raises(UsageError, match=r"cannot be rewritten|not YAML"):
        upgrade_recipe(file)
    assert file.read_text() == text
    assert [path.name for path in tmp_path.iterdir()] == ["net.yaml"]


def test_the_command(shipped: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, new = shipped / "digits_portable.yaml", tmp_path / "recipes" / "new.yaml"
    before = file.read_text()
    assert run(["recipe", "upgrade", str(file), "--output", str(new), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert {"before": "input", "after": "inputs.input"} in answer["changes"]
    assert file.read_text() == before
    assert meaning(new) == meaning(file)
    assert run(["recipe", "upgrade", str(file)]) == 0
    assert "export.formats, export.backend → export.backends" in capsys.readouterr().out
    assert run(["recipe", "upgrade", str(file)]) == 0
    assert "already of format 2" in capsys.readouterr().out
    assert run(["recipe", "upgrade", str(tmp_path / "none.yaml")]) == 2


@pytest.mark.parametrize(
    ("override", "path", "value"),
    [
        ("export.formats=[litert]", ("export", "backends"), ["litert"]),
        ("export.backend=xnnpack", ("export", "backends"), ["xnnpack"]),
        (
            "budget.variants.int8.top1_max_drop_points=1",
            ("budget", "variants", "int8", "metrics", "top1", "max_drop"),
            1,
        ),
        ("input.shape=[1, 9, 9]", ("inputs", "input", "shape"), [1, 9, 9]),
        ("input.shape.1=9", ("inputs", "input", "shape"), [1, 9, 8]),
        ("verify.top1_agreement_min_percent=90", ("verify", "agreement_min_percent"), 90),
        ("gate.accuracy_max_drop_points=null", ("gate", "metrics", "top1"), None),
    ],
)
def test_keys_of_format_1_on_the_command_line(
    override: str, path: tuple[str, ...], value: object, shipped: Path
) -> None:
    name = "digits_portable.yaml" if override.startswith("export") else "quickstart.yaml"
    loaded = load_recipe(shipped / name, overrides=[override])
    data: object = resolved(loaded.recipe)
    for key in path:
        assert isinstance(data, dict)
        data = data[key]
    assert data == value


def test_an_error_in_a_file_of_format_1_speaks_of_its_own_keys(tmp_path: Path) -> None:
    file = tmp_path / "net.yaml"
    text = COMMENTED.replace("[executorch,   litert]", "[executorch,   litert, onnx]")
    text = text.replace("97.50", "101").replace(
        "accuracy_max_drop_points: 2", "accuracy_max_drop_points: -1"
    )
    file.write_text(text.replace("mean: [0.5]", "mean: [0.5, 1]"))
    with pytest.raises(UsageError) as caught:
        load_recipe(file)
    messages = caught.value.message.splitlines()
    assert messages == [
        f"{file}:11:9: mean: expected one value per channel: 1, got 2",
        f"{file}:20:35: formats[2]: expected one of executorch, litert, got the text 'onnx'",
        f"{file}:22:39: top1_agreement_min_percent must be at most 100, got 101",
        f"{file}:33:29: accuracy_max_drop_points must be at least 0, got -1",
    ]


def comments(text: str) -> list[str]:
    return re.findall(r"#.*", text)
