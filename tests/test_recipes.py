"""Every shipped recipe builds: the quickstart as it is, the others on a small part of their data and with little training.

What they reach in full is in the README, with machine and date; here it is shown that each goes through all of its stages and formats.
"""

from __future__ import annotations

from pathlib import Path

import pytest

import edgekit
from edgekit.pipeline.building import BuildResult

pytestmark = [pytest.mark.torch, pytest.mark.slow]

RECIPES = Path(__file__).parents[1] / "recipes"
LENIENT = ["verify.samples=16", "verify.snr_min_db=5", "verify.cosine_min=0.8", "verify.top1_agreement_min_percent=50"]
SMALL = {
    "fashion_mnist_mobilenetv2_qat": [
        *("data.train_limit=512", "data.test_limit=200", "stages.fp32.epochs=1", "stages.int8.calibration_samples=64"),
        *("stages.finetuned.epochs=1", "stages.pruned-int8.train.epochs=1", *LENIENT),
    ],
    "fashion_mnist_resnet8_sparse_ptq": [
        *("data.train_limit=1024", "data.test_limit=200", "stages.fp32.epochs=1", "stages.sparse.schedule.train.epochs=1"),
        *("stages.sparse.schedule.frequency=1", "stages.sparse-int8.calibration_samples=64", *LENIENT),
    ],
    "efficientnet_lite0_ptq": ["data.args.train=8", "data.args.test=4", "stages.int8.calibration_samples=8", *LENIENT, "verify.samples=4"],
    "japanese_vowels_lstm_dynamic": ["stages.fp32.epochs=2", "data.test_limit=50", *LENIENT],
}


def test_every_recipe_is_here() -> None:
    assert {path.stem for path in RECIPES.glob("*.yaml")} == {"quickstart", *SMALL}


def test_each_opens_with_its_command() -> None:
    for path in RECIPES.glob("*.yaml"):
        assert path.read_text().splitlines()[1] == f"# edgekit run recipes/{path.name} --target local"


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("recipes")


def test_a_new_recipe_runs_as_it_is(cache: Path) -> None:
    (cache / "mine.yaml").write_text(edgekit.new_recipe("mine.yaml"))
    result = build(str(cache / "mine"), cache, [])
    assert all(check.ok for check in edgekit.judge(result.bundle))


def build(name: str, place: Path, overrides: list[str]) -> BuildResult:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDGEKIT_CACHE", str(place / "cache"))
        return edgekit.build(RECIPES / f"{name}.yaml", overrides=overrides, output=place / "out")


def test_quickstart_meets_its_budget(cache: Path) -> None:
    result = build("quickstart", cache, [])
    assert [a.key for a in result.bundle.manifest.artifacts] == [f"{v}.{s}" for v in ("fp32", "int8", "pruned-int8") for s in ("pte", "tflite")]
    checks = edgekit.judge(result.bundle)
    assert len(checks) == 11
    assert all(check.ok for check in checks), checks
    pruned, whole = (next(row for row in result.trace if row.stage == name) for name in ("pruned", "fp32"))
    assert pruned.macs <= 0.5 * whole.macs


@pytest.mark.parametrize("name", SMALL)
def test_builds_on_a_small_part(name: str, cache: Path) -> None:
    result = build(name, cache, SMALL[name])
    manifest = result.bundle.manifest
    variants = {stage["export"] for stage in manifest.recipe["stages"] if stage["export"]}
    assert {a.key for a in manifest.artifacts} == {f"{variant}.{suffix}" for variant in variants for suffix in ("pte", "tflite")}
    if name == "fashion_mnist_resnet8_sparse_ptq":
        for artifact in manifest.artifacts:
            assert artifact.variant == "fp32" or artifact.verification.proof["zero_fraction"] > 0.45
        sparse, fp32 = (next(a for a in manifest.artifacts if a.key == key) for key in ("sparse-int8.tflite", "fp32.tflite"))
        assert sparse.file.deflated_bytes / sparse.file.bytes < 0.9 * fp32.file.deflated_bytes / fp32.file.bytes
    if name == "efficientnet_lite0_ptq":
        assert all(a.verification.top1_total is None for a in manifest.artifacts)
