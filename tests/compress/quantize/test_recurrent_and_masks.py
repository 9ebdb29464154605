"""Layers that the quantizer does not know stay float and are named; a mask of infinity is refused
with what to do."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from edgekit.compress.quantize.calibrate import calibrate, require_finite
from edgekit.compress.quantize.dynamic import DYNAMIC, QuantizeDynamic
from edgekit.compress.quantize.float_layers import float_notes
from edgekit.compress.quantize.pt2e import convert, prepare_ptq, prepare_qat, set_qat_mode
from edgekit.errors import ModelError
from tests.support.compress_nets import batch, named

pytestmark = pytest.mark.torch

SERIES = batch(2, 5, 6)
Kind = type[nn.GRU] | type[nn.LSTM] | type[nn.RNN]


class Recurrent(nn.Module):
    def __init__(self, kind: Kind) -> None:
        super().__init__()
        self.layer = kind(6, 8, batch_first=True)
        self.fc = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.fc(self.layer(x)[0][:, -1])
        return logits


class Masked(nn.Module):
    """Attention over what came before."""

    def __init__(self, value: float, *, buffer: bool) -> None:
        super().__init__()
        self.attention = Scores(value, buffer)
        self.fc = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.fc(self.attention(x).mean(1))
        return logits


class Scores(nn.Module):
    mask: Tensor | None

    def __init__(self, value: float, buffer: bool) -> None:
        super().__init__()
        self.value = value
        mask = torch.full((5, 5), value).triu(1)
        self.register_buffer("mask", mask if buffer else None)
        self.query = nn.Linear(6, 6)

    def forward(self, x: Tensor) -> Tensor:
        scores = self.query(x) @ x.transpose(1, 2)
        if self.mask is not None:
            return (scores + self.mask).softmax(-1) @ x
        hidden = torch.ones(5, 5, dtype=torch.bool).triu(1)
        return (scores.masked_fill(hidden, self.value) + 0.5).softmax(-1) @ x


@pytest.mark.parametrize("kind", [nn.GRU, nn.LSTM, nn.RNN])
def test_recurrent_layers_stay_float_and_are_named(kind: Kind) -> None:
    model = Recurrent(kind).eval()
    graph = prepare_ptq(model, named(SERIES))
    assert float_notes(graph, ()) == ("stay float: layer",)
    assert float_notes(graph, ["layer"]) == ()
    calibrate(graph, [named(SERIES)])
    assert convert(graph, fold=True)(SERIES).shape == (2, 3)
    prepare_qat(model, named(SERIES))


def test_dynamic_says_that_a_gru_stays_float() -> None:
    section = QuantizeDynamic.model_validate({"stage": "quantize", "method": "dynamic"})
    for kind, codes in ((nn.GRU, ["stays-float"]), (nn.LSTM, [])):
        remarks = list(DYNAMIC.lint_model(section, Recurrent(kind), named(SERIES)))
        assert [remark.code for remark in remarks] == codes
    in_float = QuantizeDynamic.model_validate(
        {"stage": "quantize", "method": "dynamic", "keep_float": ["layer"]}
    )
    assert not list(DYNAMIC.lint_model(in_float, Recurrent(nn.GRU), named(SERIES)))


@pytest.mark.parametrize("buffer", [True, False])
def test_a_mask_of_infinity_is_refused_with_what_to_do(buffer: bool) -> None:
    model = Masked(-torch.inf, buffer=buffer).eval()
    trained = prepare_qat(model, named(SERIES))
    set_qat_mode(trained, training=True)
    for graph in (prepare_ptq(model, named(SERIES)), trained):
        with pytest.raises(ModelError, match=r"infinity at \S+ during calibration") as caught:
            require_finite(graph, named(SERIES))
        assert "such as -30" in caught.value.hint
    finite = prepare_ptq(Masked(-30, buffer=buffer).eval(), named(SERIES))
    calibrate(finite, [named(SERIES)])
    in_float = prepare_ptq(model, named(SERIES), keep_float=["attention"])
    calibrate(in_float, [named(SERIES)])


def test_nan_has_its_own_advice() -> None:
    graph = prepare_ptq(Recurrent(nn.LSTM).eval(), named(SERIES))
    with pytest.raises(ModelError, match="NaN at") as caught:
        calibrate(graph, [named(torch.full((2, 5, 6), torch.nan))])
    assert "input.mean" in caught.value.hint
