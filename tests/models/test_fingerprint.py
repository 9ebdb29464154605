"""The fingerprint of a model changes with every file that it comes from, and with nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from edgekit.errors import ModelError
from edgekit.models import MODELS
from edgekit.models.fingerprint import model_fingerprint, resolve_weights
from edgekit.models.traits import TRAITS


def write(base: Path, **modules: str) -> None:
    for name, text in modules.items():
        path = base / f"{name.replace('__', '/')}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)


def of_model(base: Path, name: str = "nets:build", **args: object) -> str:
    return model_fingerprint(name, args, None, base)


def test_every_network_has_its_traits() -> None:
    assert set(TRAITS) == set(MODELS)


def test_arguments_name_and_weights_count(tmp_path: Path) -> None:
    weights = tmp_path / "w.pth"
    weights.write_bytes(b"1")
    first = model_fingerprint("resnet8", {"num_classes": 10}, weights, tmp_path)
    assert first == model_fingerprint(
        "resnet8", {"num_classes": 10}, weights, tmp_path / "elsewhere"
    )
    assert first != model_fingerprint("resnet8", {"num_classes": 9}, weights, tmp_path)
    assert first != model_fingerprint("ds_cnn", {"num_classes": 10}, weights, tmp_path)
    assert first != model_fingerprint("resnet8", {"num_classes": 10}, None, tmp_path)
    weights.write_bytes(b"2")
    assert first != model_fingerprint("resnet8", {"num_classes": 10}, weights, tmp_path)


def test_missing_weights_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be read"):
        model_fingerprint("resnet8", {}, tmp_path / "none.pth", tmp_path)


def test_the_source_of_a_factory_and_of_what_it_imports_counts(tmp_path: Path) -> None:
    write(
        tmp_path,
        nets="import os\nfrom blocks import conv\n",
        blocks="from parts.deep import x\n",
        parts__deep="x = 1\n",
        other="y = 1\n",
    )
    first = of_model(tmp_path)
    write(tmp_path, other="y = 2\n")
    assert of_model(tmp_path) == first
    os.utime(tmp_path / "nets.py", (1, 1))
    assert of_model(tmp_path) == first
    for name in ("nets", "blocks", "parts__deep"):
        write(
            tmp_path,
            **{name: (tmp_path / f"{name.replace('__', '/')}.py").read_text() + "# changed\n"},
        )
        changed = of_model(tmp_path)
        assert changed != first, name
        first = changed


def test_a_source_that_does_not_parse_is_left_to_its_import(tmp_path: Path) -> None:
    write(tmp_path, nets="def (\n")
    assert len(of_model(tmp_path)) == 64


def test_weights_are_found_beside_the_recipe_and_in_packages(tmp_path: Path) -> None:
    (tmp_path / "w.pth").write_bytes(b"1")
    assert resolve_weights("w.pth", tmp_path / ".." / tmp_path.name).resolve() == tmp_path / "w.pth"
    assert resolve_weights("package:edgekit/errors.py", tmp_path).name == "errors.py"


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("none.pth", "no such weights file"),
        ("package:no_such_package/w.pth", "the package no_such_package is not installed"),
        ("package:edgekit/w.pth", "holds no such file"),
        ("package:edgekit/../pyproject.toml", "leads out of the package"),
        ("package:edgekit/../edgekit_not", "leads out of the package"),
    ],
)
def test_weights_that_cannot_be_found_are_an_error(spec: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=message):
        resolve_weights(spec, tmp_path)


def test_no_torch(tmp_path: Path) -> None:
    """Also with torchvision's models, whose parent package would import it."""
    code = """
import sys
from pathlib import Path
from edgekit.models.fingerprint import model_fingerprint
model_fingerprint("torchvision.models:mobilenet_v2", {}, None, Path("."))
model_fingerprint("efficientnet_lite0", {}, None, Path("."))
sys.exit("torch" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", code], cwd=tmp_path, timeout=60).returncode == 0
