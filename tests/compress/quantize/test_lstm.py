from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from edgekit.compress.quantize.lstm import UnrolledLSTM, rewrite_lstm
from edgekit.errors import ModelError
from tests.support.compress_nets import batch, seeded

pytestmark = pytest.mark.torch


@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"num_layers": 3},
        {"bidirectional": True},
        {"num_layers": 2, "bidirectional": True, "bias": False},
    ],
)
@pytest.mark.parametrize("with_state", [False, True])
def test_the_rewritten_lstm_computes_the_same(
    batch_first: bool, settings: dict[str, Any], with_state: bool
) -> None:
    torch.manual_seed(0)
    lstm = nn.LSTM(5, 8, batch_first=batch_first, **settings)
    series = batch(3, 6, 5)
    samples = 3 if batch_first else 6
    layers = settings.get("num_layers", 1) * (2 if settings.get("bidirectional") else 1)
    state = (
        (batch(layers, samples, 8, seed=1), batch(layers, samples, 8, seed=2))
        if with_state
        else None
    )
    with torch.no_grad():
        expected, (h, c) = lstm(series, state)
        actual, (actual_h, actual_c) = rewrite_lstm(lstm)(series, state)
    for ours, theirs in ((actual, expected), (actual_h, h), (actual_c, c)):
        assert ours.shape == theirs.shape
        assert (ours - theirs).abs().max() < 1e-6


def test_gradients_are_the_same() -> None:
    model, series = seeded("lstm", hidden=8), batch(2, 6, 12)
    rewritten = rewrite_lstm(model)
    for net in (model, rewritten):
        net(series).square().sum().backward()
    ours = rewritten.get_parameter("lstm.cells.0.recurrent.weight").grad
    theirs = model.get_parameter("lstm.weight_hh_l0").grad
    assert ours is not None
    assert theirs is not None
    assert torch.allclose(ours, theirs, atol=1e-5)


def test_the_model_itself_is_left_alone_and_named_layers_are_kept() -> None:
    model = nn.ModuleDict({"front": nn.LSTM(4, 4), "back": nn.Sequential(nn.LSTM(4, 4))})
    rewritten = rewrite_lstm(model, keep=["back"])
    assert isinstance(model["front"], nn.LSTM)
    assert isinstance(rewritten.get_submodule("front"), UnrolledLSTM)
    assert isinstance(rewritten.get_submodule("back.0"), nn.LSTM)


def test_it_exports_with_any_batch() -> None:
    model = rewrite_lstm(seeded("lstm", layers=2, hidden=8)).eval()
    example = batch(2, 5, 12)
    graph = torch.export.export(
        model, (example,), dynamic_shapes=({0: torch.export.Dim("batch", min=1, max=64)},)
    ).module()
    for size in (1, 2, 5):
        series = batch(size, 5, 12, seed=size)
        assert torch.equal(graph(series), model(series))


def test_dropout_between_layers_is_that_of_training() -> None:
    model = rewrite_lstm(nn.LSTM(4, 4, num_layers=2, dropout=0.5, batch_first=True))
    series = batch(2, 5, 4)
    assert not torch.equal(model.train()(series)[0], model(series)[0])
    assert torch.equal(model.eval()(series)[0], model(series)[0])


def test_projections_are_refused_by_name() -> None:
    with pytest.raises(ModelError, match=r"LSTM '0': its projections \(proj_size 3\)"):
        rewrite_lstm(nn.Sequential(nn.LSTM(4, 8, proj_size=3)))


def test_a_single_series_is_refused() -> None:
    with pytest.raises(ModelError, match="2 dimensions"):
        rewrite_lstm(nn.LSTM(4, 8))(batch(5, 4))


@pytest.mark.parametrize("bias", [True, False])
def test_a_cell_computes_the_same_with_linear_layers(bias: bool) -> None:
    torch.manual_seed(0)
    model = nn.ModuleDict({"cell": nn.LSTMCell(5, 4, bias=bias)}).eval()
    written = rewrite_lstm(model)["cell"]  # type: ignore[index]
    step, state = torch.randn(3, 5), (torch.randn(3, 4), torch.randn(3, 4))
    with torch.no_grad():
        for known in (None, state):
            for ours, theirs in zip(written(step, known), model["cell"](step, known), strict=True):
                torch.testing.assert_close(ours, theirs)
    assert rewrite_lstm(model, keep=["cell"])["cell"].state_dict().keys() == (  # type: ignore[index]
        model["cell"].state_dict().keys()
    )
