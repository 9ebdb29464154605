"""Each task on real data with a tiny network: trained, quantized, exported and verified, and then
measured on this machine, where the metrics are those of the build host."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

import edgekit
from edgekit.bundle.directory import Bundle
from edgekit.bundle.pictures import read_pictures
from edgekit.devices.target import LocalTarget
from edgekit.measure.extra_results import DeviceEvaluation
from edgekit.verdict.metrics import metric_drop

pytestmark = [pytest.mark.torch, pytest.mark.slow]
BY_DAY = ("detection",)
"""The one that differs most from classification; a recipe of the gallery is a regressor."""

RECIPE = """
edgekit: 2
name: tiny
task: {task}
model: {{name: "parts:{network}"}}
inputs: {{x: {{shape: {shape}}}}}
data: {{name: "parts:{data}"}}
verify: {{samples: 32, snr_min_db: 8, cosine_min: 0.9, agreement_min_percent: 0}}
stages:
  - {{stage: train, epochs: {epochs}, lr: {lr}, batch_size: 64, export: fp32}}
  - {{stage: quantize, method: ptq, calibration_samples: 64, export: int8}}
export: {{backends: {backends}, evaluation_set: 96}}
"""
PARTS = '''
import numpy as np
from sklearn.datasets import load_diabetes, load_digits
from torch import nn

TRAIN = 600


def halves(inputs, targets, cut=TRAIN, end=TRAIN + 160):
    inputs = inputs.astype(np.float32)
    return inputs[:cut], targets[:cut], inputs[cut:end], targets[cut:end]


def digits():
    data = load_digits()
    return data.images[:, None] / 16, data.target


def bright(images):
    return images[:, 0] > 0.4


def diabetes():
    data = load_diabetes(scaled=True)
    return halves(data.data * 20, data.target.astype(np.float32), 340, 442)


def properties():
    """Of each digit: is it even, above 4, a prime number?"""
    images, numbers = digits()
    facts = [numbers % 2 == 0, numbers > 4, np.isin(numbers, (2, 3, 5, 7))]
    return halves(images, np.stack(facts, 1).astype(np.int64))


def masks():
    """Ink of small digits is class 1, of large ones class 2; faint pixels are ignored."""
    images, numbers = digits()
    ink = np.where(bright(images), 1 + (numbers > 4)[:, None, None], 0)
    faint = (images[:, 0] > 0.3) & ~bright(images)
    return halves(images, np.where(faint, 255, ink).astype(np.uint8))


def corners():
    """The first and the last row's middle, and the middle of the ink."""
    images, _ = digits()
    ys, xs = np.mgrid[:8, :8] + 0.5
    rows = bright(images).any(2)
    points = np.zeros((len(images), 3, 3), np.float32)
    for number, ink in enumerate(bright(images)):
        top, bottom = np.flatnonzero(rows[number])[[0, -1]]
        points[number, 0] = [xs[top][ink[top]].mean(), top + 0.5, 1]
        points[number, 1] = [xs[bottom][ink[bottom]].mean(), bottom + 0.5, 1]
        points[number, 2] = [xs[ink].mean(), ys[ink].mean(), number % 5 > 0]
    return halves(images, points)


def numbers():
    return halves(*digits())


def scenes():
    """A digit somewhere on a canvas, small ones of class 0 and large ones of class 1; every tenth
    canvas is empty."""
    images, numbers = digits()
    place = np.random.default_rng(0).integers(0, 17, (len(images), 2))
    canvas = np.zeros((len(images), 1, 24, 24))
    objects = np.full((len(images), 2, 5), -1, np.float32)
    for number, (x, y) in enumerate(place):
        if number % 10:
            canvas[number, :, y : y + 8, x : x + 8] = images[number]
            objects[number, 0] = [numbers[number] > 4, x, y, x + 8, y + 8]
    return halves(canvas, objects)


class Detector(nn.Module):
    """One feature map of 6 x 6 cells, one anchor in each."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 24, 5, 2, 2), nn.ReLU(), nn.Conv2d(24, 48, 5, 2, 2), nn.ReLU(),
            nn.Conv2d(48, 48, 3, padding=1), nn.ReLU(),
        )
        self.boxes = nn.Conv2d(48, 4, 1)
        self.scores = nn.Conv2d(48, 3, 1)

    def forward(self, x):
        features = self.body(x)
        heads = self.boxes(features), self.scores(features)
        return {
            name: head.permute(0, 2, 3, 1).flatten(1, 2)
            for name, head in zip(("boxes", "scores"), heads)
        }


def detector():
    return Detector()


def perceptron():
    return nn.Sequential(nn.Linear(10, 32), nn.ReLU(), nn.Linear(32, 1))


def flat(width):
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(256, 64), nn.ReLU(), nn.Linear(64, width),
    )


def facts():
    return flat(3)


def vectors():
    return flat(16)


def points():
    return nn.Sequential(flat(6), nn.Unflatten(1, (3, 2)))


def maps():
    return nn.Sequential(
        nn.Conv2d(1, 32, 5, padding=2), nn.ReLU(), nn.Conv2d(32, 32, 5, padding=2), nn.ReLU(),
        nn.Conv2d(32, 3, 3, padding=1),
    )
'''


@dataclass(frozen=True)
class Case:
    """What a recipe says, and the least value (or the most) of its metrics on the test set."""

    task: str
    data: str
    network: str
    shape: str
    least: dict[str, float]
    most: dict[str, float]
    epochs: int = 8
    lr: float = 0.02
    drawn: str = ""
    """The kind of what is drawn of an answer; nothing is where it is empty."""
    counted: bool = True


CASES = {
    "regression": Case(
        "{name: regression, args: {unit: points, tolerance: 10}}",
        "diabetes",
        "perceptron",
        "[10]",
        least={"r2": 0.2},
        most={"mae": 55, "rmse": 70},
        epochs=40,
        drawn="numbers",
        counted=False,
    ),
    "multilabel": Case(
        "multilabel",
        "properties",
        "facts",
        "[1, 8, 8]",
        {"map": 85, "macro_f1": 75},
        {},
        drawn="classes",
    ),
    "segmentation": Case(
        "segmentation",
        "masks",
        "maps",
        "[1, 8, 8]",
        {"miou": 40, "pixel_accuracy": 75},
        {},
        drawn="mask",
    ),
    "heat maps": Case(
        "{name: keypoints, args: {stride: 1}}",
        "corners",
        "maps",
        "[1, 8, 8]",
        {"pck": 40},
        {"nme": 30},
        lr=0.003,
        drawn="points",
        counted=False,
    ),
    "coordinates": Case(
        "keypoints",
        "corners",
        "points",
        "[1, 8, 8]",
        {"pck": 40},
        {"nme": 25},
        drawn="points",
        counted=False,
    ),
    "embedding": Case(
        "embedding", "numbers", "vectors", "[1, 8, 8]", {"recall_at_1": 85, "recall_at_5": 90}, {}
    ),
    "detection": Case(
        "{name: detection, args: {image: [24, 24], grids: [[6, 6]], anchors: [[[8, 8]]]}}",
        "scenes",
        "detector",
        "[1, 24, 24]",
        {"map50": 50, "map50_95": 30},
        {},
        epochs=20,
        drawn="boxes",
    ),
    "classification": Case(
        "classification",
        "numbers",
        "vectors",
        "[1, 8, 8]",
        {"top1": 85, "balanced_accuracy": 85, "worst_class_recall": 40},
        {},
        drawn="classes",
    ),
}


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=() if name in BY_DAY else pytest.mark.nightly) for name in CASES],
)
def test_it_is_built_and_measured(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = CASES[name]
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path / "cache"))
    (tmp_path / "parts.py").write_text(PARTS)
    recipe = RECIPE.format(
        task=case.task,
        network=case.network,
        shape=case.shape,
        data=case.data,
        epochs=case.epochs,
        lr=case.lr,
        backends="[xnnpack]" if name in BY_DAY else "[xnnpack, litert]",
    )
    (tmp_path / "recipe.yaml").write_text(recipe)
    bundle = edgekit.build(tmp_path / "recipe.yaml", output=tmp_path / "out").bundle
    for artifact in bundle.manifest.artifacts:
        values = {metric.name: metric for metric in artifact.verification.metrics}
        assert all(metric.low is not None for metric in values.values())
        for metric, least in case.least.items():
            assert values[metric].value >= least, (artifact.key, metric, values[metric].value)
        for metric, most in case.most.items():
            assert values[metric].value <= most, (artifact.key, metric, values[metric].value)
    _require_pictures(bundle, case)
    target = LocalTarget(edgekit=1, name="here", kind="local", workdir=str(tmp_path / "device"))
    settings = {"runs": 1, "warmup_min_seconds": 0, "min_seconds": 0, "min_iterations": 8}
    [measured] = edgekit.bench(bundle, target, settings=settings, accuracy_samples=96).values()
    results = {result.key: result.evaluation for result in measured.artifacts}
    for suffix in {key.partition(".")[2] for key in results}:
        _require_narrower_in_pairs(results[f"fp32.{suffix}"], results[f"int8.{suffix}"])


def _require_narrower_in_pairs(
    fp32: DeviceEvaluation | None, int8: DeviceEvaluation | None
) -> None:
    assert fp32
    assert int8
    assert int8.max_abs_error == 0
    for first, second in zip(fp32.metrics, int8.metrics, strict=True):
        paired = metric_drop(first, second, same_data=True)
        unpaired = metric_drop(first, second, same_data=False)
        assert paired
        assert unpaired
        assert paired.mid == pytest.approx(unpaired.mid)
        assert paired.high - paired.low < unpaired.high - unpaired.low


def _require_pictures(bundle: Bundle, case: Case) -> None:
    """Both variants side by side on the first samples and on the worst ones."""
    assert bundle.manifest.pictures
    pictures = read_pictures(bundle.file(bundle.manifest.pictures))
    assert set(pictures.tables) == ({"fp32.pte", "int8.pte"} if case.counted else set())
    if not case.drawn:
        assert pictures.samples == ()
        return
    chosen = [sample.chosen for sample in pictures.samples]
    assert chosen == ["first"] * 4 + ["worst"] * 4
    worst = [sample.errors["int8.pte"] for sample in pictures.samples if sample.chosen == "worst"]
    assert worst == sorted(worst, reverse=True)
    for sample in pictures.samples:
        assert sample.truth
        assert {key: marks.kind for key, marks in sample.answers.items()} == {
            "fp32.pte": case.drawn,
            "int8.pte": case.drawn,
        }
        assert (sample.image is None) == (case.shape == "[10]")
