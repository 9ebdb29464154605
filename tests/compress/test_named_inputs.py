"""A network with two inputs and several outputs through everything that compression does."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from edgekit.compress.counting import count_macs_params
from edgekit.compress.prune.channel_removal import prune_structured, replay
from edgekit.compress.quantize.calibrate import calibrate
from edgekit.compress.quantize.pt2e import convert, prepare_dynamic, prepare_ptq, prepare_qat
from edgekit.compress.quantize.sensitivity import PartlyQuantized
from edgekit.errors import ModelError
from edgekit.models.calling import call
from tests.support.compress_nets import batch

pytestmark = pytest.mark.torch


class Captioned(nn.Module):
    """An image and the numbers of four words; boxes and scores, the scores at two scales."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), nn.ReLU())
        self.body = nn.Sequential(nn.Conv2d(16, 16, 3, padding=1), nn.ReLU())
        self.words = nn.Embedding(10, 16)
        self.boxes = nn.Linear(32, 4)
        self.scores = nn.Linear(32, 5)

    def forward(self, image: Tensor, words: Tensor) -> dict[str, object]:
        image_features = self.body(self.stem(image)).mean((2, 3))
        both = torch.cat([image_features, self.words(words).mean(1)], dim=1)
        return {"boxes": self.boxes(both), "scores": (self.scores(both), self.scores(2 * both))}


def captioned() -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Captioned().eval()


SAMPLES = {"image": batch(4, 3, 8, 8), "words": torch.arange(16).reshape(4, 4) % 10}


def test_outputs_by_name() -> None:
    shapes = {name: tuple(values.shape) for name, values in call(captioned(), SAMPLES).items()}
    assert shapes == {"boxes": (4, 4), "scores_0": (4, 5), "scores_1": (4, 5)}


def test_an_output_that_is_no_tensor_is_refused() -> None:
    with pytest.raises(ModelError, match="returns a NoneType as output_1"):
        call(lambda image: (image, None), {"image": torch.zeros(1)})


@pytest.mark.parametrize("prepare", [prepare_ptq, prepare_qat, prepare_dynamic])
def test_quantization_keeps_inputs_and_outputs(prepare: object) -> None:
    model = captioned()
    graph = prepare(model, SAMPLES)  # type: ignore[operator]
    if prepare is prepare_ptq:
        calibrate(graph, [SAMPLES])
    elif prepare is prepare_qat:
        from edgekit.compress.quantize.pt2e import set_qat_mode

        set_qat_mode(graph, training=True)
        graph(*SAMPLES.values())
    reference = call(model, SAMPLES)
    for name, values in call(convert(graph, fold=True), SAMPLES).items():
        torch.testing.assert_close(values, reference[name], atol=0.05, rtol=0.05)


def test_sensitivity_is_that_of_the_worst_output() -> None:
    graph = prepare_ptq(captioned(), SAMPLES)
    calibrate(graph, [SAMPLES])
    sensitivities = PartlyQuantized(graph, SAMPLES).sensitivities()
    assert {"stem.0", "body.0", "boxes", "scores"} <= {layer.name for layer in sensitivities}
    boxes = next(layer for layer in sensitivities if layer.name == "boxes")
    assert boxes.alone_db < 80  # though the scores lose nothing by it


def test_channels_go_and_outputs_stay() -> None:
    model = captioned()
    whole, _ = count_macs_params(model, SAMPLES)
    history = prune_structured(model, SAMPLES, ratio=0.5, round_to=4)
    assert {name for name, _, _ in history} >= {"stem.0", "body.0"}
    assert count_macs_params(model, SAMPLES)[0] < 0.5 * whole
    assert call(model, SAMPLES)["scores_1"].shape == (4, 5)
    again = captioned()
    replay(again, SAMPLES, history)
    assert [p.shape for p in again.parameters()] == [p.shape for p in model.parameters()]
