"""From names to networks: each kind of name, and what is said of wrong ones."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from edgekit.errors import ModelError
from edgekit.models import MODELS
from edgekit.models.create import create_model

pytestmark = pytest.mark.torch


def test_weights_follow_from_the_seed_and_leave_the_callers_random_state_alone() -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first, again, other = (
        create_model("small_cnn", {"width": 8}, seed=seed).state_dict() for seed in (1, 1, 2)
    )
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["classifier.weight"], other["classifier.weight"])
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("name", ["mobilenet_v2", "torchvision.models:mobilenet_v2"])
def test_torchvision_models_take_their_own_arguments(name: str) -> None:
    model = create_model(name, {"num_classes": 7, "width_mult": 0.1}, seed=0)
    assert model.eval()(torch.zeros(1, 3, 32, 32)).shape == (1, 7)


def test_a_factory_beside_the_recipe(tmp_path: Path) -> None:
    (tmp_path / "models_mine.py").write_text(
        "from torch import nn\ndef build(wide): return nn.Linear(wide, 2)\n"
    )
    assert create_model("models_mine:build", {"wide": 3}, seed=0, base=tmp_path)(
        torch.zeros(1, 3)
    ).shape == (1, 2)
    with pytest.raises(ModelError, match="missing a required argument: 'wide'") as caught:
        create_model("models_mine:build", {}, seed=0, base=tmp_path)
    assert caught.value.hint == "it takes build(wide)"


def test_what_is_not_a_module_is_refused(tmp_path: Path) -> None:
    (tmp_path / "models_wrong.py").write_text("def build(): return 'resnet'\n")
    with pytest.raises(ModelError, match=r"returned str, not an nn\.Module"):
        create_model("models_wrong:build", {}, seed=0, base=tmp_path)


@pytest.mark.parametrize(
    ("name", "meant"),
    [("resnet9", "resnet8"), ("mobilenet-v2", "mobilenet_v2"), ("small_cn", "small_cnn")],
)
def test_a_wrong_name_is_answered_with_near_ones(name: str, meant: str) -> None:
    with pytest.raises(ModelError, match=f"there is no model '{name}'") as caught:
        create_model(name, {}, seed=0)
    assert meant in caught.value.hint


def test_a_name_near_nothing_is_answered_with_what_there_is() -> None:
    with pytest.raises(ModelError) as caught:
        create_model("zzzzzz", {}, seed=0)
    assert all(name in caught.value.hint for name in MODELS)


def test_wrong_arguments_of_built_in_and_torchvision_models() -> None:
    with pytest.raises(
        ModelError, match="model resnet8: got an unexpected keyword argument 'classes'"
    ) as caught:
        create_model("resnet8", {"classes": 3}, seed=0)
    assert "num_classes" in caught.value.hint
    with pytest.raises(
        ModelError, match=r"model mobilenet_v2: its factory failed: TypeError: .*'widht'"
    ):
        create_model("mobilenet_v2", {"widht": 1}, seed=0)
