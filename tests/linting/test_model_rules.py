"""Each rule on a recipe that breaks it and on one that does not; with real models, partitioner and
quantizer."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from PIL import Image

import edgekit
from edgekit.cli import run
from edgekit.linting.document_rules import LintFinding, lint_text
from edgekit.pipeline.preview import preview
from edgekit.recipe.load import load_recipe
from edgekit.runners.runtime import Platform
from tests.support.wheelhouse import only_index

HEAD = """\
edgekit: 1
name: net  # mine
model: {name: small_cnn, args: {width: 8}}
input: {shape: [1, 8, 8]}
data: {name: digits}
"""
NETS = """\
import torch
from torch import nn

class Odd(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 8, 3)
        self.lstm = nn.LSTM(36, 8, batch_first=True)
        self.classifier = nn.Linear(8, 10)
    def forward(self, x):
        x = torch.erf(self.conv(x)).flatten(2)
        return self.classifier(self.lstm(x)[0][:, -1])
"""

RESIDUAL = """\
from torch import nn

class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 32, 3, padding=1)
        self.inner = nn.Conv2d(32, 32, 3, padding=1)
        self.body = nn.Conv2d(32, 32, 3, padding=1)
        self.classifier = nn.Linear(32, 10)
    def forward(self, x):
        x = self.conv(x).relu()
        x = x + self.body(self.inner(x).relu())
        return self.classifier(x.mean((2, 3)))
"""

LITERT = "export: {formats: [litert]}\n"


def recipe(tmp_path: Path, stages: str, more: str = "", head: str = HEAD) -> Path:
    path = tmp_path / "net.yaml"
    path.write_text(f"{head}stages:\n{stages}{more}")
    return path


def without_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "edgekit.linting.model_rules._with_model", lambda loaded, progress: iter(())
    )


def codes(findings: tuple[LintFinding, ...]) -> list[tuple[str, int | None]]:
    return [(finding.code, finding.origin.line) for finding in findings]


TEXT_CASES = [
    ("  - {stage: train, export: a}\n  - {stage: finetune}\n", "", [("unused-stage", 8)]),
    (
        "  - {stage: train, export: a, schedule: step, epochs: 3}\n",
        "",
        [("schedule-after-training", 7)],
    ),
    (
        (
            "  - {stage: train}\n  - {stage: quantize, method: qat, export: a,"
            " freeze_observer_epoch: 1}\n"
        ),
        "",
        [("freeze-after-training", 8)],
    ),
    (
        "  - {stage: train}\n  - {stage: quantize, method: fp16, export: a}\n",
        "export: {backend: portable}\n",
        [("needs-other-backend", 9)],
    ),
    (
        (
            "  - {stage: train}\n  - {stage: prune, method: structured, ratio: 0.5, round_to: 4}\n "
            " - {stage: quantize, method: ptq, export: a}\n"
        ),
        "",
        [("round-to-kernel", 8), ("untrained-after-prune", 8)],
    ),
    (
        "  - {stage: train, export: a}\n",
        "bench: {runs: 3}\nbudget: {variants: {a: {latency_p50_max_ms: 1}}}\n",
        [("quick-budget", 8)],
    ),
    ("  - {stage: train, export: a}\n  - {stage: quantize, method: ptq, export: b}\n", "", []),
]


@pytest.mark.parametrize(("stages", "more", "expected"), TEXT_CASES)
def test_rules_that_need_no_model(
    tmp_path: Path, stages: str, more: str, expected: list[tuple[str, int]]
) -> None:
    findings = tuple(lint_text(load_recipe(recipe(tmp_path, stages, more))))
    assert sorted(codes(findings)) == expected
    assert all(finding.fix for finding in findings)


def test_fix_keeps_comments_and_order(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = recipe(
        tmp_path,
        "  # first\n  - stage: train  # as usual\n    schedule: step\n    epochs: 3\n    export:"
        " a\n  - {stage: quantize, method: qat, export: b, freeze_observer_epoch: 1, train:"
        " {epochs: 1}}\n",
        "bench: {runs: 3}  # quick\nbudget: {variants: {a: {latency_p50_max_ms: 1}}}\n",
    )
    before = path.read_text()
    monkeypatch.setattr(
        "edgekit.linting.model_rules._with_model", lambda loaded, progress: iter(())
    )
    assert run(["recipe", "lint", str(path), "--fix", "--json"]) == 0
    findings = json.loads(capsys.readouterr().out)["findings"]
    assert [finding["fixed"] for finding in findings] == [True] * 3
    expected = (
        before.replace("schedule: step", "schedule: constant")
        .replace(" freeze_observer_epoch: 1,", "")
        .replace("runs: 3} ", "runs: 10}")
    )
    assert path.read_text() == expected, "the comment stays in its column"
    assert run(["recipe", "lint", str(path)]) == 0
    assert "nothing found" in capsys.readouterr().out


def test_a_default_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = recipe(
        tmp_path,
        "  - {stage: train, export: a}\n",
        "budget: {variants: {a: {latency_p50_max_ms: 1}}}\n",
    )
    before = path.read_text()
    monkeypatch.setattr(
        "edgekit.linting.model_rules._with_model", lambda loaded, progress: iter(())
    )
    run(["recipe", "lint", str(path), "--set", "bench.runs=3", "--fix"])
    assert path.read_text() == before


def test_without_torch_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert [
        finding.code
        for finding in edgekit.lint(recipe(tmp_path, "  - {stage: train, export: a}\n"))
    ] == ["no-model"]


@pytest.mark.torch
def test_a_sound_recipe_has_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    stages = "  - {stage: train, export: a}\n  - {stage: quantize, method: ptq, export: b}\n"
    assert (
        edgekit.lint(recipe(tmp_path, stages, "budget: {variants: {b: {size_max_bytes: 30000}}}\n"))
        == ()
    )
    assert capfd.readouterr().out == "", "the libraries' own words are not repeated"


@pytest.mark.torch
def test_what_the_model_does_not_allow(tmp_path: Path) -> None:
    stages = (
        "  - {stage: train, export: a}\n  - {stage: prune, method: structured, ratio: 0.5,"
        " round_to: 1, include: [block2, classifier], per_layer: {block9: 0.1}}\n  - {stage:"
        " finetune, name: whole, from: a}\n  - {stage: quantize, method: weight_only, export: w,"
        " keep_float: [clasifier]}\n"
    )
    findings = edgekit.lint(
        recipe(
            tmp_path,
            stages,
            "export: {formats: [executorch]}\nbudget: {variants: {a: {size_max_bytes: 1000}}}\n",
        )
    )
    by_line = {
        (finding.code, finding.origin.line) for finding in findings if finding.severity == "error"
    }
    assert {
        ("unknown-layer", 8),
        ("cannot-prune", 8),
        ("unknown-layer", 10),
        ("budget-out-of-reach", 12),
    } <= by_line
    assert any(
        "classifier" in finding.fix for finding in findings if finding.code == "unknown-layer"
    )


@pytest.mark.torch
def test_data_and_model_belong_together(tmp_path: Path) -> None:
    train = "  - {stage: train, export: a}\n"
    for args, severity, fixable in (
        ("{width: 8, num_classes: 9}", "error", True),
        ("{width: 8, num_classes: 11}", "warning", True),
    ):
        findings = edgekit.lint(
            recipe(tmp_path, train, LITERT, head=HEAD.replace("{width: 8}", args))
        )
        assert [
            (finding.code, finding.severity, finding.origin.line, finding.edit is not None)
            for finding in findings
        ] == [("classes", severity, 3, fixable)]
        assert (
            f"answers with {args[-3:-1].strip()} values, the data has 10 classes"
            in findings[0].message
        )
    folder = HEAD.replace("{name: digits}", "{name: image_folder, args: {path: photos}}")
    (missing,) = edgekit.lint(recipe(tmp_path, train, LITERT, head=folder))
    assert (missing.code, missing.severity, missing.origin.line) == ("data", "error", 5)
    for name in ("cat", "dog"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(5):
            Image.new("L", (8, 8), number).save(tmp_path / "photos" / name / f"{number}.png")
    (tmp_path / "photos" / "cat" / "phone.heic").touch()
    classes, left_out = edgekit.lint(recipe(tmp_path, train, LITERT, head=folder))
    assert (classes.code, classes.fix) == ("classes", "num_classes: 2")
    assert (left_out.code, left_out.severity, left_out.origin.line) == ("left-out", "note", 5)
    assert left_out.message == "of the data is left out: 1 file .heic"


@pytest.mark.torch
def test_layers_that_cannot_be_pruned(tmp_path: Path) -> None:
    stages = (
        "  - {stage: train}\n  - {stage: prune, method: structured, ratio: 0.5, round_to: 8,"
        " include: [block*, classifier]}\n  - {stage: finetune, export: a}\n"
    )
    findings = [
        finding
        for finding in edgekit.lint(
            recipe(tmp_path, stages, head=HEAD.replace("width: 8", "width: 16"))
        )
        if finding.code == "not-prunable"
    ]
    assert [(finding.origin.line, "classifier" in finding.message) for finding in findings] == [
        (8, True)
    ]


@pytest.mark.torch
def test_layers_that_lose_channels_only_together(tmp_path: Path) -> None:
    """conv and body end in one sum, so that their channels are the same."""
    (tmp_path / "residual_nets.py").write_text(RESIDUAL)
    head = HEAD.replace("{name: small_cnn, args: {width: 8}}", '{name: "residual_nets:Residual"}')
    prune = "  - {stage: prune, method: structured, round_to: 8, name: NAME, "
    stages = (
        "  - {stage: train, export: a}\n"
        + prune.replace("NAME", "p")
        + "from: a, ratio: 0.5, include: [inner, body]}\n"
        + prune.replace("NAME", "q")
        + "from: a, ratio: 0.5, exclude: [conv]}\n"
        + prune.replace("NAME", "r")
        + "from: a, ratio: 0.5, per_layer: {conv: 0.25, inner: 0.75, body: 0.5}}\n"
    )
    findings = [
        finding
        for finding in edgekit.lint(recipe(tmp_path, stages, head=head))
        if finding.origin.line in (8, 9, 10) and finding.code != "unused-stage"
    ]
    sys.modules.pop("residual_nets")
    assert [
        (finding.code, finding.severity, finding.origin.line, finding.origin.column)
        for finding in findings
    ] == [
        ("part-of-group", "warning", 8, 100),
        ("kept-with-group", "note", 9, 93),
        ("ratios-at-odds", "warning", 10, 126),
    ]
    part, whole, odds = findings
    assert part.message.startswith("body can lose channels only together with conv,")
    assert part.fix == "add conv to include, or take body out"
    assert whole.message.startswith("body stay whole too")
    assert odds.message.startswith("body: 0.5 does not count")


@pytest.mark.torch
def test_int8_and_operators(tmp_path: Path) -> None:
    (tmp_path / "odd_nets.py").write_text(NETS)
    head = HEAD.replace("{name: small_cnn, args: {width: 8}}", '{name: "odd_nets:Odd"}')
    findings = edgekit.lint(
        recipe(
            tmp_path,
            "  - {stage: train}\n  - {stage: quantize, method: ptq, export: a}\n",
            head=head,
        )
    )
    sys.modules.pop("odd_nets")
    assert any(
        finding.code == "stays-float" and "lstm" in finding.message for finding in findings
    ), findings
    assert any(finding.code == "falls-back" and "erf" in finding.message for finding in findings), (
        findings
    )


@pytest.mark.torch
def test_a_schedule_that_ends_after_training(tmp_path: Path) -> None:
    schedule = (
        "schedule: {kind: polynomial, end_step: 5000, frequency: 10, train: {epochs: 2, batch_size:"
        " 64}}"
    )
    path = recipe(
        tmp_path,
        f"  - {{stage: prune, method: unstructured, sparsity: 0.5, export: a, {schedule}}}\n",
    )
    findings = [
        finding for finding in edgekit.lint(path) if finding.code == "schedule-after-training"
    ]
    assert len(findings) == 1
    assert "are 44 steps" in findings[0].message, "1,347 samples in batches of 64, twice"
    assert run(["recipe", "lint", str(path), "--fix"]) == 0
    assert "end_step: 33," in path.read_text()


@pytest.mark.torch
def test_a_board_is_asked(tmp_path: Path) -> None:
    (tmp_path / "pi.yaml").write_text(
        "edgekit: 1\nname: pi\nkind: ssh\nhost: 127.0.0.1\nport: 1\ntimeouts: {connect_seconds:"
        " 1}\n"
    )
    findings = edgekit.lint(
        recipe(tmp_path, "  - {stage: train, export: a}\n"), target=tmp_path / "pi.yaml"
    )
    assert [finding.code for finding in findings] == ["board"]


def test_a_board_whose_python_has_no_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The board's answer is one of Debian's Python 3.7; the wheels are those that the index has,
    here none."""
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path / "cache"))
    only_index(tmp_path / "index", monkeypatch)
    old = Platform("aarch64", python="python3", python_version="3.7", glibc="2.28")
    monkeypatch.setattr(
        "edgekit.linting.model_rules._with_model", lambda loaded, progress: iter(())
    )
    monkeypatch.setattr("edgekit.runners.board_platform.platform_of", lambda target, device: old)
    (tmp_path / "pi.yaml").write_text(
        f"edgekit: 1\nname: pi\nkind: local\nworkdir: {tmp_path}/device\n"
    )
    path = recipe(tmp_path, "  - {stage: train, export: a}\n", "export:\n  formats: [litert]\n")
    (finding,) = edgekit.lint(path, target=tmp_path / "pi.yaml")
    assert (finding.code, finding.severity, finding.origin.line) == ("no-runtime", "error", 9)
    assert "'pi' cannot run litert: " in finding.message
    assert "3.7" in finding.message
    assert finding.fix


@pytest.mark.torch
def test_preview_counts_what_pruning_leaves(tmp_path: Path) -> None:
    stages = (
        "  - {stage: train, export: a}\n  - {stage: prune, method: structured, macs: 0.5, round_to:"
        " 4}\n  - {stage: finetune}\n  - {stage: quantize, method: ptq, export: b}\n"
    )
    whole, pruned, tuned, int8 = preview(
        load_recipe(recipe(tmp_path, stages, head=HEAD.replace("width: 8", "width: 16")))
    ).stages
    assert pruned.macs <= 0.5 * whole.macs
    assert (tuned.parameters, tuned.weight_bytes) == (pruned.parameters, pruned.weight_bytes)
    assert int8.parameters == pruned.parameters
    assert int8.weight_bytes < 0.4 * pruned.weight_bytes
    assert 0 < int8.activation_bytes < pruned.activation_bytes
