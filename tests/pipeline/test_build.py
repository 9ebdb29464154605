"""The whole build on real images: what a second build re-uses, what a killed one keeps, and that
the same recipe gives the same bytes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import edgekit
from edgekit.devices.target import LocalTarget
from edgekit.errors import ExportError, ModelError, ResultError
from edgekit.pipeline.build import BuildResult
from edgekit.pipeline.planning import plan
from edgekit.recipe.load import load_recipe
from tests.support.recipes import RECIPE
from tests.support.tiers import require_root

pytestmark = pytest.mark.torch


NAMES = ("top1", "top5", "balanced_accuracy", "worst_class_recall")
METRICS = [(name, 100) for name in NAMES]


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("workshop")


@pytest.fixture
def _cache(workshop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEKIT_CACHE", str(workshop / "cache"))


@pytest.fixture(scope="module")
def recipe(workshop: Path) -> Path:
    path = workshop / "tiny.yaml"
    path.write_text(RECIPE)
    return path


@pytest.fixture(scope="module")
def built(workshop: Path, recipe: Path) -> BuildResult:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDGEKIT_CACHE", str(workshop / "cache"))
        return edgekit.build(recipe, output=workshop / "out")


def test_every_variant_in_every_format(built: BuildResult) -> None:
    manifest = built.bundle.manifest
    assert [a.key for a in manifest.artifacts] == [
        "fp32.pte",
        "fp32.tflite",
        "int8.pte",
        "int8.tflite",
    ]
    for artifact in manifest.artifacts:
        assert [(m.name, m.samples) for m in artifact.verification.metrics] == METRICS
        assert (built.bundle.path / artifact.reference_inputs.name).stat().st_size > 0
    pairs = {(c.a, c.b): c for c in manifest.comparisons}
    assert pairs["int8.pte", "int8.tflite"].samples == 100
    assert pairs["fp32.pte", "int8.pte"].snr_db is not None


def test_the_trace_tells_what_each_stage_gave(built: BuildResult) -> None:
    train, quantized = built.trace
    assert (train.stage, train.kind, train.parent) == ("fp32", "train", None)
    assert (quantized.stage, quantized.kind, quantized.parent) == ("int8", "quantize", "fp32")
    assert train.parameters == quantized.parameters > 0
    assert train.macs == quantized.macs > 0
    assert train.nonzero_fraction > 0.99
    assert train.deflated_bytes is not None
    assert train.bytes is not None
    assert train.deflated_bytes < train.bytes
    for row in (train, quantized):
        assert [(metric.name, metric.samples) for metric in row.metrics] == METRICS
    assert quantized.notes == ("bytes and top-1 of int8.pte",)


@pytest.mark.usefixtures("_cache", "built")
def test_a_second_build_computes_nothing_and_needs_no_torch(
    workshop: Path, recipe: Path, built: BuildResult
) -> None:
    code = f"""
import sys, edgekit
result = edgekit.build({str(recipe)!r}, output={str(workshop / "out")!r})
reused = [row.reused for row in result.trace]
print(result.bundle.manifest.id, reused, result.reused_exports, "torch" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[0] == f"{built.bundle.manifest.id} [True, True] 4 False"


@pytest.mark.usefixtures("_cache", "built")
def test_settings_touch_only_what_depends_on_them(recipe: Path) -> None:
    def todo(*overrides: str) -> tuple[list[str], list[str]]:
        planned = plan(load_recipe(recipe, overrides=overrides))
        return [s.name for s in planned.stages if not s.cached], [
            e.file_name for e in planned.exports if not e.cached
        ]

    every = ["fp32.pte", "fp32.tflite", "int8.pte", "int8.tflite"]
    assert todo() == ([], [])
    assert todo("bench.runs=3", "description=other", "budget.baseline=fp32") == ([], [])
    assert todo("export.backend=portable") == ([], ["fp32.pte", "int8.pte"])
    assert todo("verify.samples=17") == ([], every)
    assert todo("stages.int8.calibration_samples=65") == (["int8"], every[2:])
    assert todo("stages.fp32.epochs=4") == (["fp32", "int8"], every)
    assert todo("seed=1") == (["fp32", "int8"], every)
    assert todo("data.test_limit=99") == (["fp32", "int8"], every)


@pytest.mark.nightly
@pytest.mark.slow
def test_the_same_recipe_gives_the_same_bytes(
    recipe: Path, built: BuildResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path / "cache"))
    again = edgekit.build(recipe, output=tmp_path / "out")
    assert not any(row.reused for row in again.trace)
    assert {a.key: a.file.sha256 for a in again.bundle.manifest.artifacts} == {
        a.key: a.file.sha256 for a in built.bundle.manifest.artifacts
    }
    assert again.bundle.manifest.id == built.bundle.manifest.id


@pytest.mark.nightly
@pytest.mark.slow
def test_a_killed_build_goes_on_after_its_last_finished_stage(
    recipe: Path, built: BuildResult, tmp_path: Path
) -> None:
    environment = {**os.environ, "EDGEKIT_CACHE": str(tmp_path / "cache")}
    command = [
        sys.executable,
        "-m",
        "edgekit.cli",
        "build",
        str(recipe),
        "--output",
        str(tmp_path / "out"),
    ]
    process = subprocess.Popen(
        command, env=environment, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("cache/stages/*")):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not list(tmp_path.glob("out/*/manifest.json"))
    done = subprocess.run(
        [*command, "--json"], env=environment, capture_output=True, text=True, check=True
    )
    result = json.loads(done.stdout)
    assert result["trace"][0]["reused"]
    assert result["manifest"]["id"] == built.bundle.manifest.id


@pytest.mark.usefixtures("_cache")
def test_an_artifact_that_is_not_the_model_is_not_published(
    recipe: Path, workshop: Path, built: BuildResult
) -> None:
    before = sorted((workshop / "out").iterdir())
    with pytest.raises(ExportError, match=r"int8.*snr|SNR"):
        edgekit.build(recipe, overrides=["verify.snr_min_db=300"], output=workshop / "out")
    assert sorted((workshop / "out").iterdir()) == before
    assert edgekit.open_bundle(built.bundle.path).manifest.id == built.bundle.manifest.id


def test_an_input_the_model_does_not_take(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path / "cache"))
    with pytest.raises(ModelError, match=r"mobilenet_v2 does not run on input \(1, 8, 8\)"):
        edgekit.build(recipe, overrides=["model.name=mobilenet_v2"], output=tmp_path / "out")


def test_a_full_disk_leaves_no_half_bundle(
    recipe: Path,
    workshop: Path,
    built: BuildResult,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    require_root("mounts a small file system")
    monkeypatch.setenv("EDGEKIT_CACHE", str(workshop / "cache"))
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(small)], check=True)
    try:
        with pytest.raises(ExportError, match=r"No space left"):
            edgekit.build(recipe, output=small)
        assert list(small.iterdir()) == []
    finally:
        subprocess.run(["umount", str(small)], check=True)


@pytest.fixture
def own_cache(workshop: Path, built: BuildResult, tmp_path: Path) -> Path:
    """A copy of the cache, to be damaged. The bundle is of that cache's build."""
    assert built.bundle.path.parent.parent == workshop
    return Path(shutil.copytree(workshop / "cache", tmp_path / "cache"))


def test_what_is_damaged_in_the_cache_is_computed_anew(
    own_cache: Path,
    recipe: Path,
    built: BuildResult,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A bit flips in weights, in the outputs of an artifact, in what a stage is said to have given,
    and in the saved test split."""
    monkeypatch.setenv("EDGEKIT_CACHE", str(own_cache))
    outputs = next((own_cache / "artifacts").glob("*/outputs.npz"))
    [inputs] = (own_cache / "tests").glob("*/input_0.npy")
    damaged = [*(own_cache / "stages").glob("*/weights.safetensors"), outputs, inputs]
    for file in damaged:
        flip(file)
    again = edgekit.build(recipe, output=tmp_path / "out")
    for file in damaged:
        assert f"{file.parent} is damaged and is computed anew" in caplog.text
    assert ([row.reused for row in again.trace], again.reused_exports) == ([False, False], 3)
    assert contents(again.bundle.path) == contents(built.bundle.path)
    caplog.clear()
    edgekit.build(recipe, output=tmp_path / "again")
    assert not caplog.text, "what was damaged is replaced"


def test_a_damaged_bundle_is_written_anew(
    own_cache: Path,
    recipe: Path,
    built: BuildResult,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """`build the bundle again` is what the error says, so that must help. What a person put beside
    the files of a bundle is not lost."""
    monkeypatch.setenv("EDGEKIT_CACHE", str(own_cache))
    bundle = Path(shutil.copytree(built.bundle.path, tmp_path / built.bundle.path.name))
    flip(bundle / "int8.pte")
    (bundle / "notes.txt").write_text("mine")
    with pytest.raises(ResultError, match="does not match its hash"):
        edgekit.open_bundle(bundle)
    assert edgekit.build(recipe, output=tmp_path).bundle.path == bundle
    assert "is written anew" in caplog.text
    assert contents(bundle) == contents(built.bundle.path)
    assert (tmp_path / f"{bundle.name}.damaged" / "notes.txt").read_text() == "mine"


def contents(bundle: Path) -> tuple[dict[str, bytes], dict[str, object]]:
    """All files, and what the manifest says, without what differs from one build to the next."""
    files = {
        str(file.relative_to(bundle)): file.read_bytes()
        for file in bundle.rglob("*")
        if file.is_file()
    }
    manifest = json.loads(files.pop("manifest.json"))
    told_by_the_clock = {"created", "trace", "content_sha256"}
    return files, {key: manifest[key] for key in manifest.keys() - told_by_the_clock}


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


@pytest.mark.usefixtures("_cache")
def test_accuracy_on_this_machine_is_that_of_the_build(
    built: BuildResult, recipe: Path, workshop: Path
) -> None:
    """The evaluation set costs no new export, and the runners' outputs on all of it are those of
    the build, to the last bit."""
    again = edgekit.build(
        recipe, overrides=["export.evaluation_set=100"], output=workshop / "evaluated"
    )
    assert again.reused_exports == 4
    assert again.bundle.manifest.id != built.bundle.manifest.id
    evaluation_set = again.bundle.manifest.evaluation
    assert evaluation_set
    [inputs] = evaluation_set.inputs
    assert (evaluation_set.samples, inputs.shape, inputs.file.bytes) == (
        100,
        (1, 8, 8),
        100 * 64 * 4,
    )
    target = LocalTarget(edgekit=1, name="here", kind="local", workdir=str(workshop / "device"))
    [measurement] = edgekit.bench(
        again.bundle,
        target,
        settings={"runs": 1, "min_seconds": 0.01},
        profile=True,
        accuracy_samples=1000,
        store=False,
    ).values()
    for result, artifact in zip(
        measurement.artifacts, again.bundle.manifest.artifacts, strict=True
    ):
        assert result.evaluation
        assert result.evaluation.samples == 100
        assert result.evaluation.metrics == artifact.verification.metrics
        assert (result.evaluation.agreement_percent, result.evaluation.snr_db) == (100, None)
    profiles = {result.key: result.profile for result in measurement.artifacts}
    assert all(profile and profile.operators for profile in profiles.values())
    int8 = profiles["int8.pte"]
    assert int8
    assert {
        row.layer for row in int8.operators if row.name.startswith(("Convolution", "Fully"))
    } >= {"classifier"}
