from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from edgekit.compress.prune.gradual import gradual_masks
from edgekit.compress.prune.masks import (
    apply_masks,
    hold,
    magnitude_masks,
    matching_layers,
    n_m_masks,
    with_masks,
    zero_fraction,
)
from edgekit.errors import ModelError, UsageError
from tests.support.compress_nets import seeded, separable

pytestmark = pytest.mark.torch


def test_a_fifth_of_5000_weights_leaves_exactly_4000() -> None:
    model = nn.Linear(100, 50)
    apply_masks(model, magnitude_masks(model, sparsity=0.2))
    assert int(model.weight.count_nonzero()) == 4000


def test_two_fifths_of_50_weights_zeroes_exactly_20() -> None:
    model = nn.Linear(10, 5)
    smallest = model.weight.detach().abs().flatten().argsort()[:20].sort().values
    apply_masks(model, magnitude_masks(model, sparsity=0.4))
    assert (model.weight.flatten() == 0).nonzero().flatten().tolist() == smallest.tolist()


def test_the_bias_of_a_bias_free_convolution_names_layer_and_parameter() -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.Conv2d(3, 16, 3, bias=False))
    with pytest.raises(ModelError, match=r"'1' \(Conv2d\) has no parameter 'bias'") as caught:
        magnitude_masks(model, sparsity=0.5, parameters=("weight", "bias"))
    assert "weight" in caught.value.hint


def test_the_model_is_left_without_any_trace() -> None:
    model = separable()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    magnitude_masks(model, sparsity=0.5, scope="global")
    n_m_masks(model, n=2, m=4, exclude=["stem", "depthwise"])
    after = model.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert not any(layer._forward_pre_hooks for layer in model.modules())


@given(
    sparsity=st.floats(0, 0.99),
    rows=st.integers(1, 30),
    columns=st.integers(1, 30),
    criterion=st.sampled_from(["l1", "random"]),
)
@settings(max_examples=40)
def test_exactly_the_rounded_number_goes(
    sparsity: float, rows: int, columns: int, criterion: str
) -> None:
    model = nn.Linear(columns, rows)
    mask = magnitude_masks(model, sparsity=sparsity, criterion=criterion)["weight"]  # type: ignore[arg-type]
    assert int((mask == 0).sum()) == round(sparsity * rows * columns)


def test_global_scope_ranks_all_layers_together() -> None:
    model = nn.Sequential(nn.Linear(10, 10), nn.Linear(10, 10))
    with torch.no_grad():
        model.get_parameter("0.weight").uniform_(1, 2)  # the other has at most 0.32
    masks = magnitude_masks(model, sparsity=0.4, scope="global")
    assert int((masks["0.weight"] == 0).sum()) == 0
    assert int((masks["1.weight"] == 0).sum()) == 80


def test_random_masks_follow_from_the_seed_and_are_nested() -> None:
    model = nn.Linear(40, 40)
    few, again, many = (
        magnitude_masks(model, sparsity=s, criterion="random", seed=3)["weight"]
        for s in (0.3, 0.3, 0.6)
    )
    assert torch.equal(few, again)
    assert not torch.equal(
        few, magnitude_masks(model, sparsity=0.3, criterion="random", seed=4)["weight"]
    )
    assert not ((few == 0) & (many == 1)).any()


def test_a_shared_weight_is_pruned_once() -> None:
    model = nn.Sequential(nn.Linear(8, 8, bias=False), nn.Linear(8, 8, bias=False))
    model[1].weight = model[0].weight
    assert list(magnitude_masks(model, sparsity=0.5, scope="global")) == ["0.weight"]


def test_all_weight_matrices_of_an_lstm_are_its_weight() -> None:
    masks = magnitude_masks(seeded("lstm", layers=2), sparsity=0.5, include=["lstm"])
    assert sorted(masks) == [
        f"lstm.weight_{kind}_l{layer}" for kind in ("hh", "ih") for layer in (0, 1)
    ]


def test_normalisation_layers_are_not_pruned() -> None:
    assert list(matching_layers(separable())) == [
        "stem.0",
        "depthwise.0",
        "pointwise.0",
        "classifier",
    ]


@pytest.mark.parametrize("sparsity", [-0.1, 1.0, float("nan")])
def test_a_sparsity_that_is_no_fraction(sparsity: float) -> None:
    with pytest.raises(ModelError, match="not a fraction"):
        magnitude_masks(nn.Linear(2, 2), sparsity=sparsity)


def test_a_model_without_weights() -> None:
    with pytest.raises(ModelError, match="no layer"):
        magnitude_masks(nn.ReLU(), sparsity=0.5)


@given(
    n=st.integers(1, 4),
    blocks=st.integers(1, 5),
    outputs=st.integers(1, 6),
    kernel=st.integers(1, 3),
)
@settings(max_examples=25)
def test_n_of_every_m_input_channels_stay_at_each_kernel_position(
    n: int, blocks: int, outputs: int, kernel: int
) -> None:
    model = nn.Conv2d(4 * blocks, outputs, kernel)
    mask = n_m_masks(model, n=n, m=4)["weight"]
    grouped_mask = mask.reshape(outputs, blocks, 4, kernel, kernel)
    assert (grouped_mask.sum(2) == n).all()
    weights = model.weight.detach().abs().reshape(grouped_mask.shape)
    smallest_kept = weights.masked_fill(grouped_mask == 0, torch.inf).amin(2)
    largest_gone = weights.masked_fill(grouped_mask == 1, -1).amax(2)
    assert (smallest_kept >= largest_gone).all()


def test_n_m_of_linear_and_transposed_layers_runs_along_their_inputs() -> None:
    model = nn.Sequential(nn.ConvTranspose2d(8, 3, 2), nn.Flatten(), nn.Linear(12, 5))
    masks = n_m_masks(model, n=1, m=4)
    assert (masks["0.weight"].reshape(2, 4, 3, 2, 2).sum(1) == 1).all()
    assert (masks["2.weight"].reshape(5, 3, 4).sum(2) == 1).all()


def test_n_m_names_every_layer_that_does_not_divide() -> None:
    with pytest.raises(ModelError, match=r"stem\.0 \(3 inputs\), depthwise\.0 \(1 inputs\)"):
        n_m_masks(separable(), n=2, m=4)
    assert list(n_m_masks(separable(), n=2, m=4, exclude=["stem", "depthwise"])) == [
        "pointwise.0.weight",
        "classifier.weight",
    ]


@pytest.mark.parametrize("n", [0, 5])
def test_n_m_of_nothing_or_too_much(n: int) -> None:
    with pytest.raises(ModelError, match=f"{n}:4"):
        n_m_masks(nn.Linear(8, 8), n=n, m=4)


def test_masks_of_another_model_do_not_fit() -> None:
    with pytest.raises(
        ModelError, match=r"mask of 0\.weight does not fit: the parameter is missing"
    ):
        apply_masks(nn.Linear(2, 2), {"0.weight": torch.ones(2, 2)})
    with pytest.raises(ModelError, match=r"has shape \(2, 2\), not \(2, 3\)"):
        apply_masks(nn.Linear(2, 2), {"weight": torch.ones(2, 3)})


def test_zero_fraction_counts_weights_not_biases() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4))
    nn.init.zeros_(model.get_parameter("0.bias"))
    assert zero_fraction(model) == 0
    apply_masks(model, magnitude_masks(model, sparsity=0.25))
    assert zero_fraction(model) == 0.25


def _train(model: nn.Module, steps: range, after_step: object) -> list[float]:
    """Steps of plain training on random targets; the zero fraction after each."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    zero_fractions = []
    for step in steps:
        inputs = torch.randn(16, 10)
        loss = (model(inputs) - inputs.sum(1, keepdim=True)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        after_step(step)  # type: ignore[operator]
        zero_fractions.append(zero_fraction(model))
    return zero_fractions


def test_gradual_pruning_follows_the_schedule_and_ends_at_exactly_the_final_sparsity() -> None:
    model = nn.Sequential(nn.Linear(10, 20), nn.ReLU(), nn.Linear(20, 1))
    after_step, masks = gradual_masks(
        model, final=0.6, begin_step=2, end_step=21, frequency=5, scope="global"
    )
    zero_fractions = _train(model, range(1, 26), after_step)
    assert zero_fractions[0] == 0
    assert [
        len({zero_fractions[step - 1] for step in steps})
        for steps in (range(2, 7), range(7, 12), range(12, 17), range(17, 21))
    ] == [1] * 4
    assert zero_fractions == sorted(zero_fractions)
    zeros = sum(int((mask == 0).sum()) for mask in masks().values())
    assert zero_fractions[20:] == [zeros / 220] * 5
    assert zeros == round(0.6 * 220)


@pytest.mark.parametrize("criterion", ["l1", "random"])
def test_gradual_pruning_goes_on_where_it_was_interrupted(criterion: Any) -> None:
    def run(parts: list[range]) -> torch.Tensor:
        torch.manual_seed(0)
        model = nn.Linear(10, 30)
        for part in parts:  # each part is a new process: masks are not kept, weights are
            after_step, masks = gradual_masks(
                model, final=0.5, end_step=20, frequency=4, criterion=criterion
            )
            _train(model, part, after_step)
        return masks()["weight"]

    assert int((run([range(1, 21)]) == 0).sum()) == 150
    assert int((run([range(1, 10), range(10, 21)]) == 0).sum()) == 150


def test_gradual_pruning_that_never_got_there_is_an_error() -> None:
    model = nn.Linear(10, 1)
    after_step, masks = gradual_masks(model, final=0.5, end_step=100)
    _train(model, range(1, 10), after_step)
    with pytest.raises(ModelError, match="before step 100"):
        masks()


def test_gradual_pruning_checks_everything_before_the_first_step() -> None:
    with pytest.raises(UsageError, match="end_step"):
        gradual_masks(nn.Linear(2, 2), final=0.5, begin_step=5, end_step=5)
    with pytest.raises(ModelError, match="'x'"):
        gradual_masks(nn.Linear(2, 2), final=0.5, end_step=5, include=["x"])


def test_masks_of_two_stages_are_one() -> None:
    model = separable()
    first = magnitude_masks(model, sparsity=0.5, include=["stem"])
    second = magnitude_masks(model, sparsity=0.25, include=["stem", "classifier"])
    merged = with_masks(first, second)
    assert merged.keys() == first.keys() | second.keys()
    assert torch.equal(merged["stem.0.weight"], first["stem.0.weight"] * second["stem.0.weight"])
    apply_masks(model, merged)
    hook = hold(model, merged)
    assert hook is not None
    with torch.no_grad():
        model.get_parameter("stem.0.weight").add_(1)
    hook(1)
    assert torch.equal(model.get_parameter("stem.0.weight") != 0, merged["stem.0.weight"] == 1)
    assert hold(model, {}) is None
