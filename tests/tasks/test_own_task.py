"""A task from outside the package, named in a recipe: a mean whose lower values are better, from
training to the report. Nothing in edgekit knows its metric."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

import edgekit
from edgekit.devices.target import LocalTarget
from edgekit.pipeline.build import BuildResult
from edgekit.recipe.limits import Gate
from edgekit.reporting import terminal
from edgekit.reporting.export import write_csv
from edgekit.reporting.extra_results import evaluation_table
from edgekit.reporting.gate_files import junit, markdown
from edgekit.reporting.page.content import page
from edgekit.workflow.judge import judge
from tests.support.terminal import printed

pytestmark = pytest.mark.torch

RECIPE = """
edgekit: 2
name: offsets
task: own_task:OFFSETS
model: {name: "own_task:network"}
inputs: {image: {shape: [1, 4, 4]}}
data: {name: "own_task:images"}
verify: {samples: 8, agreement_min_percent: 90}
stages:
  - {stage: train, epochs: 4, lr: 0.02, export: fp32}
  - {stage: quantize, method: ptq, calibration_samples: 32, export: int8}
export: {backends: [xnnpack], evaluation_set: 64}
budget:
  baseline: fp32
  variants: {int8: {metrics: {mae: {max: 2.0, max_drop: 0.000001}}}}
"""
MODULE = """
import numpy as np

from edgekit.errors import ModelError
from edgekit.metrics import MetricKind


class Offsets:
    metrics = (
        MetricKind(name="mae", label="MAE", unit="px", higher_is_better=False, gate_margin=0.5),
    )
    agreement_label = "within a pixel"

    def loss(self, outputs, targets, *, label_smoothing=0.0):
        from torch.nn import functional

        return functional.l1_loss(outputs["output_0"], targets)

    def distillation_loss(self, student, teacher, temperature):
        return self.loss(student, teacher["output_0"])

    def check_targets(self, targets, outputs):
        if targets.shape[1:] != (2,):
            raise ModelError("targets must be two numbers for each sample")

    def classes_of(self, outputs):
        return None

    def score(self, outputs, targets):
        return {"mae": np.abs(next(iter(outputs.values())) - targets).mean(1)}

    def agreement(self, first, second):
        error = np.abs(next(iter(first.values())) - next(iter(second.values())))
        return (error.max(1) < 1).astype(float)


OFFSETS = Offsets()


def images():
    generator = np.random.default_rng(0)
    inputs = generator.normal(0, 1, (192, 1, 4, 4)).astype(np.float32)
    flat = inputs.reshape(192, 16)
    targets = np.stack([flat[:, :8].sum(1), flat[:, 8:].sum(1)], 1).astype(np.float32)
    return inputs[:128], targets[:128], inputs[128:], targets[128:]


def network():
    from torch import nn

    return nn.Sequential(nn.Flatten(), nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 2))
"""
QUICK = {"warmup_min_seconds": 0, "min_seconds": 0, "min_iterations": 8}


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("offsets")
    (directory / "recipe.yaml").write_text(RECIPE)
    (directory / "own_task.py").write_text(MODULE)
    return directory


@pytest.fixture(scope="module")
def built(workshop: Path) -> BuildResult:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDGEKIT_CACHE", str(workshop / "cache"))
        return edgekit.build(workshop / "recipe.yaml", output=workshop / "out")


@pytest.fixture
def target(workshop: Path, monkeypatch: pytest.MonkeyPatch) -> LocalTarget:
    monkeypatch.chdir(workshop)  # the module of the task lies there
    return LocalTarget(edgekit=1, name="here", kind="local", workdir=str(workshop / "device"))


def test_the_build_holds_its_metric(built: BuildResult) -> None:
    manifest = built.bundle.manifest
    assert manifest.task == "own_task:OFFSETS"
    assert manifest.pictures is None  # the task says nothing about drawing
    fp32, int8 = (artifact.verification for artifact in manifest.artifacts)
    assert (fp32.metrics[0].label, fp32.metrics[0].samples) == ("MAE", 64)
    assert int8.agreement_percent is not None
    assert manifest.comparisons[0].agreement_label == "within a pixel"
    assert [row.metrics[0].name for row in built.trace] == ["mae", "mae"]
    text = printed(
        *terminal.summary(manifest, built.trace, built.export_seconds, {}, ()), width=120
    )
    assert "MAE px (95 %)" in text
    assert "within a pixel on" in text


def test_its_limits_are_judged_in_its_direction(built: BuildResult) -> None:
    below, drop = judge(built.bundle)
    assert (below.limit, drop.limit) == ("metrics.mae.max", "metrics.mae.max_drop")
    fp32, int8 = (a.verification.metrics[0].value for a in built.bundle.manifest.artifacts)
    assert below.ok == (int8 <= 2.0)
    assert drop.measured == pytest.approx(int8 - fp32)
    assert "px" in printed(terminal.budget_table([below, drop]), width=120)


def test_it_is_measured_compared_judged_and_reported(
    built: BuildResult, target: LocalTarget
) -> None:
    bundle = built.bundle
    settings = {**QUICK, "runs": 1}
    [measured] = edgekit.bench(bundle, target, settings=settings, accuracy_samples=64).values()
    for result, artifact in zip(measured.artifacts, bundle.manifest.artifacts, strict=True):
        assert result.evaluation
        [on_device] = result.evaluation.metrics
        [on_host] = artifact.verification.metrics
        assert on_device.value == pytest.approx(on_host.value, rel=1e-5)
        assert result.evaluation.agreement_percent == 100
    assert "MAE px" in printed(evaluation_table(measured), width=120)
    stream = io.StringIO()
    write_csv([measured], stream)
    row = next(csv.DictReader(io.StringIO(stream.getvalue())))
    assert float(row["device_metric_mae"]) == pytest.approx(float(row["metric_mae"]), rel=1e-5)
    titles = str(page(bundle, [measured], judge(bundle), {}, {}))
    assert "MAE (95 %)" in titles
    assert "MAE against latency" in titles
    assert "what the model answers on samples" in titles


def test_two_artifacts_are_compared_by_it(built: BuildResult, target: LocalTarget) -> None:
    compared = edgekit.compare(
        built.bundle,
        built.bundle,
        target,
        pairs=[("fp32.pte", "int8.pte")],
        settings={**QUICK, "runs": 1},
        accuracy_samples=64,
    )
    [mae] = [finding for finding in compared.findings if finding.metric == "mae"]
    assert (mae.label, mae.unit, mae.higher_is_better) == ("MAE", "px", False)
    assert mae.verdict == "same"
    assert "on the same samples" in mae.reason


def test_a_gate_judges_it_by_its_own_margin(built: BuildResult, target: LocalTarget) -> None:
    limits = Gate(latency_p50_max_ratio=None, peak_memory_max_ratio=None)
    gated = edgekit.gate(
        built.bundle, built.bundle, target, artifacts=["int8.pte"], limits=limits, settings=QUICK
    )
    [mae] = [finding for finding in gated.findings if finding.metric == "mae"]
    assert (mae.verdict, mae.margin) == ("passed", 0.5)
    assert 'name="MAE"' in junit(gated)
    assert "0.5 px" in markdown(gated)
