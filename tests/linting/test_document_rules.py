from __future__ import annotations

from pathlib import Path

import pytest

from edgekit.errors import UsageError
from edgekit.recipe.load import load_recipe
from tests.support.yaml_faults import places, problems_in

HEAD = (
    "edgekit: 1\nname: net\nmodel: {name: m}\ninput: {shape: [3, 32, 32]}\ndata: {name:"
    " digits}\nstages:\n"
)

TRAIN = "- {stage: train, name: a, export: fp32}\n"
PTQ = "- {stage: quantize, method: ptq, name: q, export: int8}\n"
PRUNE = "- {stage: prune, method: unstructured, sparsity: 0.5, name: p}\n"


def refused(directory: Path, stages: str, more: str = "") -> dict[str, str]:
    """Line:column within the stages (the first is line 1) → message."""
    path = directory / "recipe.yaml"
    path.write_text(HEAD + stages + more)
    with pytest.raises(UsageError) as raised:
        load_recipe(path)
    messages = places(raised.value)
    return {
        f"{int(place.split(':')[0]) - 6}:{place.split(':')[1]}": message
        for place, message in messages.items()
    }


def test_prune_after_quantize_is_refused_with_the_reason(tmp_path: Path) -> None:
    """Case 11 of the faults."""
    assert refused(tmp_path, TRAIN + PTQ + PRUNE) == {
        "3:11": (
            "stage 'p' prunes a model that stage 'q' has quantized: the scales and fake-quant"
            " observers were fitted to weights that would be gone, and channels cannot be removed"
            " from a quantized graph"
        )
    }
    with pytest.raises(UsageError) as raised:
        load_recipe(tmp_path / "recipe.yaml")
    assert (
        raised.value.hint
        == "the sound order is prune, finetune, quantize: put it before 'q', or branch off with a"
        " `from` before that"
    )


@pytest.mark.parametrize("quantize", ["ptq", "qat", "fp16", "dynamic", "weight_only"])
def test_every_quantization_ends_a_line(tmp_path: Path, quantize: str) -> None:
    stages = (
        TRAIN
        + PTQ.replace("ptq", quantize)
        + "- {stage: train, name: t}\n- {stage: finetune}\n- {stage: quantize, method: qat}\n"
        + PRUNE
    )
    messages = refused(tmp_path, stages)
    assert {place: message.split(":")[0] for place, message in messages.items()} == {
        "3:11": "stage 't' trains a model that stage 'q' has quantized",
        "4:11": "stage 'finetune-1' trains a model that stage 'q' has quantized",
        "5:11": "stage 'quantize-2' quantizes a model that stage 'q' has quantized already",
        "6:11": "stage 'p' prunes a model that stage 'quantize-2' has quantized",
    }


def test_branches_are_lines_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    stages = (
        TRAIN
        + PTQ
        + PRUNE.replace("name: p", "name: p, from: a")
        + "- {stage: finetune}\n- {stage: quantize, method: qat, export: sparse8}\n"
    )
    path.write_text(HEAD + stages)
    load_recipe(path)
    messages = refused(tmp_path, stages + "- {stage: prune, method: n_m, from: q}\n")
    assert list(messages) == ["6:11"], "a `from` can also lead into a quantized line"


def test_import_starts_a_recipe(tmp_path: Path) -> None:
    assert refused(tmp_path, "- {stage: import}\n" + TRAIN + "- {stage: import, name: i}\n") == {
        "3:11": (
            "stage 'i' takes the model with its loaded weights, which drops the work of stage 'a'"
        )
    }


def test_references_name_an_earlier_stage(tmp_path: Path) -> None:
    stages = (
        "- {stage: train, from: b, export: fp32}\n- {stage: train, name: b, from: fp23}\n- {stage:"
        " train, from: train-3}\n- {stage: train, distill: {teacher: train-9}}\n- {stage: prune,"
        " method: n_m, schedule: {kind: iterative, train: {distill: {teacher: later}}}}\n- {stage:"
        " quantize, method: qat, name: q, train: {distill: {teacher: q}}}\n- {stage: train, name:"
        " later, from: b, distill: {teacher: q}}\n"
    )
    assert refused(tmp_path, stages) == {
        "1:24": "from: stage 'b' does not come before this one",
        "2:33": "from: no stage is called 'fp23' (did you mean 'fp32'?)",
        "3:24": "from: stage 'train-3' does not come before this one",
        "4:37": "teacher: no stage is called 'train-9' (did you mean 'train-3'?)",
        "5:86": "teacher: stage 'later' does not come before this one",
        "6:70": "teacher: stage 'q' does not come before this one",
        "7:59": "teacher: stage 'q' is quantized, and a teacher must be a float model",
    }


def test_names_are_unique(tmp_path: Path) -> None:
    stages = (
        "- {stage: train, export: a}\n- {stage: train, name: a}\n- {stage: train, export: a}\n-"
        " {stage: train, name: b, export: c}\n- {stage: train, name: train-6}\n- {stage: train}\n-"
        " {stage: train, export: b}\n"
    )
    assert refused(tmp_path, stages) == {
        "2:24": "stage name 'a' belongs to stages[0] already",
        "3:26": "variant 'a' is exported by stages[0] already",
        "6:11": "stage name 'train-6' belongs to stages[4] already",
        "7:26": "stage name 'b' belongs to stages[3] already",
    }


def test_something_is_exported(tmp_path: Path) -> None:
    assert refused(tmp_path, "- {stage: train}\n") == {
        "0:1": "no stage has `export`: there would be nothing to deploy"
    }


def test_budgets_name_exported_variants(tmp_path: Path) -> None:
    budget = "budget: {baseline: fp23, variants: {int9: {}, int8: {top1_min_percent: 9}}}\n"
    assert refused(tmp_path, TRAIN + PTQ, budget) == {
        "3:20": "baseline: no stage exports the variant 'fp23' (did you mean 'fp32'?)",
        "3:37": "no stage exports the variant 'int9' (did you mean 'int8'?)",
    }


def test_agreement_of_runtimes_needs_two(tmp_path: Path) -> None:
    more = (
        "export: {formats: [litert]}\nbudget: {variants: {int8: {runtimes_min_agreement_percent:"
        " 99}, fp32: {runtimes_min_agreement_percent: }}}\n"
    )
    assert refused(tmp_path, TRAIN + PTQ, more) == {
        "4:28": (
            "runtimes_min_agreement_percent compares two runtimes, but there is only one backend"
        )
    }


def test_rules_are_checked_beside_other_mistakes(tmp_path: Path) -> None:
    """A mistake elsewhere hides no broken rule, and what is malformed breaks none."""
    stages = (
        TRAIN.replace("export", "exprot")
        + PTQ
        + PRUNE.replace("0.5", "5")
        + "- 5\n- {stage: 7, name: [x], from: 3, export: {}}\n"
    )
    more = "budget: [x]\nexport: 3\n"
    path = tmp_path / "recipe.yaml"
    path.write_text(HEAD + stages + more)
    with pytest.raises(UsageError) as raised:
        load_recipe(path)
    messages = [problem["message"] for problem in problems_in(raised.value)]
    assert any(message.startswith("stage 'p' prunes a model") for message in messages)
    assert "unknown key 'exprot' (did you mean 'export'?)" in messages
    assert sum("no stage" in message or "already" in message for message in messages) == 0


@pytest.mark.parametrize(
    ("name", "message"),
    [("digit", "there is no data 'digit' (did you mean 'digits'?)"), ("x", "there is no data 'x'")],
)
def test_data_that_is_not_built_in(name: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text((HEAD + TRAIN).replace("digits", name))
    with pytest.raises(UsageError) as raised:
        load_recipe(path)
    assert places(raised.value) == {"5:14": message}
    path.write_text((HEAD + TRAIN).replace("digits", '"mine:data"'))
    load_recipe(path)
