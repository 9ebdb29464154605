"""Every shipped recipe builds: the quickstart as it is, the others on a small part of their data
and with little training.

What they reach in full is in recipes/README.md, with machine and date; here it is shown that each
goes through all of its stages and formats."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet

import edgekit
from edgekit.export import worker
from edgekit.export.processes import Export, ExportJob, artifact_of
from edgekit.pipeline import build as building
from edgekit.pipeline.build import BuildResult

pytestmark = [pytest.mark.torch, pytest.mark.slow]

RECIPES = Path(__file__).parents[1] / "recipes"
BY_DAY = ("diabetes_regression", "digits_ptq_keep_float")
LENIENT = [
    "verify.samples=16",
    "verify.snr_min_db=5",
    "verify.cosine_min=0.8",
    "verify.agreement_min_percent=50",
]
SMALL = {
    "fashion_mnist_mobilenetv2_qat": [
        *(
            "data.train_limit=512",
            "data.test_limit=200",
            "stages.fp32.epochs=1",
            "stages.int8.calibration_samples=64",
        ),
        *("stages.finetuned.epochs=1", "stages.pruned-int8.train.epochs=1", *LENIENT),
    ],
    "fashion_mnist_resnet8_sparse_ptq": [
        *(
            "data.train_limit=1024",
            "data.test_limit=200",
            "stages.fp32.epochs=1",
            "stages.sparse.schedule.train.epochs=1",
        ),
        *(
            "stages.sparse.schedule.frequency=1",
            "stages.sparse-int8.calibration_samples=64",
            *LENIENT,
        ),
    ],
    "efficientnet_lite0_ptq": [
        "data.args.train=8",
        "data.args.test=4",
        "stages.int8.calibration_samples=8",
        *LENIENT,
        "verify.samples=4",
    ],
    "japanese_vowels_lstm_dynamic": ["stages.fp32.epochs=2", "data.test_limit=50", *LENIENT],
    "silero_vad": [
        *("data.args.train=1", "data.args.test=2", "data.args.seconds=2"),
        *("export.evaluation_set=1", *LENIENT),
    ],
}


LITERT, EXECUTORCH = "export.backends=[litert]", "export.backends=[xnnpack]"
GALLERY = {
    "diabetes_regression": [],
    "digits_sparse_iterative": [
        "stages.sparse.schedule.steps=2",
        "stages.sparse.schedule.train.epochs=1",
        LITERT,
    ],
    "digits_n_m": ["stages.sparse.epochs=1"],
    "digits_taylor_channels": [
        "stages.pruned.schedule.steps=2",
        "stages.pruned.schedule.train.epochs=1",
        EXECUTORCH,
    ],
    "digits_ptq_keep_float": [
        "stages.int8.calibration_samples=64",
        "stages.int8-mixed.calibration_samples=64",
        LITERT,
    ],
    "digits_portable": [],
    "digits_search": ["stages.finetuned.epochs=1"],
    "digits_ds_cnn_weight_only": ["stages.fp32.epochs=1"],
    "digits_fp16": [EXECUTORCH],
    "digits_vit_qat": [
        "data.train_limit=256",
        "data.test_limit=60",
        "stages.fp32.epochs=1",
        "stages.fp32.warmup_epochs=0",
        "stages.int8.train.epochs=1",
    ],
    "digits_mobilenet_v1_ptq": [
        "stages.fp32.epochs=1",
        "data.train_limit=400",
        "data.test_limit=100",
        "stages.int8.calibration_samples=64",
        EXECUTORCH,
    ],
    "keyword_spotting": [
        "data.args.voices=[en-us]",
        "data.args.test_voices=[en-gb]",
        "data.args.train=256",
        "data.args.test=60",
        "stages.fp32.epochs=1",
        "stages.int8.calibration_samples=32",
        EXECUTORCH,
    ],
    "fashion_scenes_detection": [
        *("data.args.train=64", "data.args.test=32", "stages.fp32.epochs=1"),
        *("stages.finetuned.epochs=1", "stages.pruned-int8.train.epochs=1"),
        *("export.evaluation_set=16", *LENIENT),
    ],
    "fashion_scenes_segmentation": [
        *("data.args.train=64", "data.args.test=32", "stages.fp32.epochs=1"),
        *("stages.int8.calibration_samples=32", "export.evaluation_set=16", *LENIENT),
    ],
    "mtcnn_faces": ["stages.int8.calibration_samples=50"],
    "quickstart_lamp": ["stages.3.epochs=1", "stages.pruned-int8.train.epochs=1"],
}
"""Small recipes, one for each method and format, most of them with the quickstart's network, which
is trained and exported once for all. Training is short, and of what backends/test_built_in.py tests
in both formats one is made here."""


def test_every_recipe_is_here() -> None:
    assert {path.stem for path in RECIPES.glob("*.yaml")} == {"quickstart", *SMALL, *GALLERY}


def test_together_they_show_every_method_and_format() -> None:
    recipes = [edgekit.load_recipe(path).recipe for path in RECIPES.glob("*.yaml")]
    stages = [stage for recipe in recipes for stage in recipe.stages]
    assert {stage.stage for stage in stages} == {"train", "finetune", "import", "prune", "quantize"}
    assert {m for s in stages if (m := getattr(s, "method", None))} == {
        *("structured", "unstructured", "n_m"),
        *("fp16", "dynamic", "weight_only", "ptq", "qat"),
    }
    schedules = [getattr(stage, "schedule", None) for stage in stages if stage.stage == "prune"]
    assert {schedule.kind for schedule in schedules if schedule} == {
        "one_shot",
        "iterative",
        "polynomial",
    }
    assert {getattr(s, "importance", None) for s in stages} >= {
        "magnitude",
        "taylor",
        "lamp",
    }
    backends = {backend for recipe in recipes for backend in recipe.export.backends}
    assert backends == {"xnnpack", "portable", "litert"}
    assert any(getattr(s, "keep_float", ()) for s in stages)
    assert any(getattr(s, "distill", None) for s in stages)


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.yaml")), ids=lambda path: path.stem)
def test_each_opens_with_what_it_teaches(path: Path) -> None:
    comments = path.read_text().split("\nedgekit: 2")[0].split("\nextends:")[0].splitlines()[2:]
    assert all(line.startswith("#") for line in comments)
    assert "Teaches " in "".join(comments)
    assert "# Measured on " in "\n".join(comments)


def test_each_opens_with_its_command() -> None:
    for path in RECIPES.glob("*.yaml"):
        assert (
            path.read_text().splitlines()[1] == f"# edgekit run recipes/{path.name} --target local"
        )


def by_day_or_night(name: str) -> ParameterSet:
    """A recipe of the gallery; those that show nothing that another test does not are left for the
    night."""
    return pytest.param(name, marks=() if name in BY_DAY else pytest.mark.nightly)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("recipes")


def build(name: str, place: Path, overrides: list[str], cache: Path | None = None) -> BuildResult:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDGEKIT_CACHE", str(cache or place / "cache"))
        return edgekit.build(RECIPES / f"{name}.yaml", overrides=overrides, output=place / "out")


def test_quickstart_meets_its_budget(cache: Path, quickstart_cache: Path) -> None:
    result = build("quickstart", cache, [], quickstart_cache)
    assert [a.key for a in result.bundle.manifest.artifacts] == [
        f"{v}.{s}" for v in ("fp32", "int8", "pruned-int8") for s in ("pte", "tflite")
    ]
    checks = edgekit.judge(result.bundle)
    assert len(checks) == 11
    assert all(check.ok for check in checks), checks
    pruned, whole = (
        next(row for row in result.trace if row.stage == name) for name in ("pruned", "fp32")
    )
    assert pruned.macs <= 0.5 * whole.macs


def test_lint_finds_nothing_in_the_quickstart() -> None:
    assert edgekit.lint(RECIPES / "quickstart.yaml") == ()


def exported_here(jobs: Sequence[ExportJob], **_: object) -> list[Export]:
    """What the children do, in this process, which imports the libraries once for all recipes
    (export/test_processes.py tests that it is the same)."""
    for job in jobs:
        worker.run(job, threads=1, step=lambda name: None)
    return [Export(artifact_of(job.output), {}) for job in jobs]


@pytest.mark.parametrize("name", [by_day_or_night(name) for name in GALLERY])
def test_gallery_builds(
    name: str, cache: Path, quickstart_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(building, "export_artifacts", exported_here)
    result = build(name, cache, [*GALLERY[name], *LENIENT], quickstart_cache)
    recipe, artifacts = (
        result.bundle.manifest.recipe,
        {a.key: a for a in result.bundle.manifest.artifacts},
    )
    suffixes = {"xnnpack": "pte", "portable": "pte", "litert": "tflite"}
    exported = {stage["export"] for stage in recipe["stages"] if stage["export"]}
    assert set(artifacts) == {
        f"{variant}.{suffixes[name]}"
        for variant in exported
        for name in recipe["export"]["backends"]
    }
    if name == "digits_n_m":
        assert all(
            artifacts[key].verification.proof["zero_fraction"] > 0.48
            for key in ("sparse.pte", "sparse.tflite")
        )
    if name == "digits_sparse_iterative":
        assert all(
            artifacts[key].verification.proof["zero_fraction"] > 0.78
            for key in ("sparse.tflite", "sparse-int8.tflite")
        )
    if name == "digits_taylor_channels":
        assert result.trace[-1].parameters < 0.5 * result.trace[0].parameters
    if name == "keyword_spotting":
        dtypes = artifacts["int8.pte"].verification.proof["dtypes"]
        assert dtypes == {"float32": 1, "int8": 11}, "all but the energies of the bands"
    if name == "mtcnn_faces":
        for artifact in artifacts.values():
            assert [output.name for output in artifact.outputs] == ["face", "box", "landmarks"]
            assert artifact.verification.metrics[0].value >= 95
    if name == "digits_portable":
        assert artifacts["fp32.pte"].delegation.delegate == "none"
    if name == "digits_ptq_keep_float":
        assert artifacts["int8.tflite"].file.bytes < artifacts["int8-mixed.tflite"].file.bytes


@pytest.mark.parametrize("name", [by_day_or_night(name) for name in SMALL])
def test_builds_on_a_small_part(name: str, cache: Path) -> None:
    result = build(name, cache, SMALL[name])
    manifest = result.bundle.manifest
    variants = {stage["export"] for stage in manifest.recipe["stages"] if stage["export"]}
    assert {a.key for a in manifest.artifacts} == {
        f"{variant}.{suffix}" for variant in variants for suffix in ("pte", "tflite")
    }
    if name == "fashion_mnist_resnet8_sparse_ptq":
        for artifact in manifest.artifacts:
            assert artifact.variant == "fp32" or artifact.verification.proof["zero_fraction"] > 0.45
        sparse, fp32 = (
            next(a for a in manifest.artifacts if a.key == key)
            for key in ("sparse-int8.tflite", "fp32.tflite")
        )
        assert (
            sparse.file.deflated_bytes / sparse.file.bytes
            < 0.9 * fp32.file.deflated_bytes / fp32.file.bytes
        )
    if name == "efficientnet_lite0_ptq":
        assert all(not a.verification.metrics for a in manifest.artifacts)
