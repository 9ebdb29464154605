"""A bundle that edgekit 0.1 wrote (tests/captured/format1/bundle) is still opened, deployed and
measured."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import edgekit
from edgekit.bundle.directory import Bundle, open_bundle
from edgekit.deployment import deploy, verify
from edgekit.devices.local import LocalDevice
from edgekit.errors import ResultError

OLD = Path(__file__).parents[1] / "captured" / "format1" / "bundle"
KEYS = [
    f"{variant}.{suffix}"
    for variant in ("fp32", "int8", "pruned-int8")
    for suffix in ("pte", "tflite")
]


@pytest.fixture(scope="module")
def old() -> Bundle:
    return open_bundle(OLD)


def test_it_is_of_format_1() -> None:
    assert json.loads((OLD / "manifest.json").read_text())["format"] == 1


def test_it_says_that_nothing_covers_its_numbers(caplog: pytest.LogCaptureFixture) -> None:
    open_bundle(OLD)
    assert "of an earlier edgekit, where an altered number is not noticed" in caplog.text


def test_it_opens_whole_and_keeps_its_id(old: Bundle) -> None:
    manifest = old.manifest
    assert manifest.id.startswith("f98fd4d82f59")
    assert [artifact.key for artifact in manifest.artifacts] == KEYS
    assert {(artifact.backend, artifact.runtime) for artifact in manifest.artifacts} == {
        ("xnnpack", "executorch"),
        ("litert", "litert"),
    }


def test_its_tensors_have_the_names_of_today(old: Bundle) -> None:
    assert list(old.manifest.inputs) == ["input"]
    for artifact in old.manifest.artifacts:
        [source], [target] = artifact.inputs, artifact.outputs
        assert (source.name, target.name) == ("input", "output_0")
        assert source.file_name in ("input_0", "args_0")
    evaluation = old.manifest.evaluation
    assert evaluation is not None
    assert [(tensor.name, tensor.shape) for tensor in evaluation.inputs] == [("input", (1, 8, 8))]


def test_an_altered_one_is_refused(tmp_path: Path) -> None:
    copy = tmp_path / "bundle"
    shutil.copytree(OLD, copy)
    text = (copy / "manifest.json").read_text()
    (copy / "manifest.json").write_text(text.replace('"variant": "fp32"', '"variant": "int9"', 1))
    open_bundle(copy)  # a variant's name says nothing about contents
    first = open_bundle(OLD).manifest.artifacts[0].file.sha256
    (copy / "manifest.json").write_text(text.replace(first, "0" * 64))
    with pytest.raises(ResultError, match="its id does not follow from its contents"):
        open_bundle(copy)


def test_it_is_deployed_and_read_back(old: Bundle, tmp_path: Path) -> None:
    device = LocalDevice("here")
    deploy(old, device, str(tmp_path / "store"))
    assert verify(device, str(tmp_path / "store")).bundle.startswith("f98fd4d82f59")


@pytest.mark.torch
def test_it_is_measured(old: Bundle, tmp_path: Path) -> None:
    target = tmp_path / "here.yaml"
    target.write_text(f"edgekit: 1\nkind: local\nname: here\nworkdir: {tmp_path / 'store'}\n")
    quick = {"runs": 1, "min_seconds": 0.01, "warmup_min_seconds": 0.0, "min_iterations": 8}
    measured = edgekit.bench(old, str(target), settings=quick, store=False)["here"]
    assert [result.key for result in measured.artifacts] == KEYS
    assert all(result.complete_runs for result in measured.artifacts)
