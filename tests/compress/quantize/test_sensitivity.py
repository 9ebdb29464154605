from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from edgekit.compress.quantize import calibrate, pt2e
from edgekit.compress.quantize.sensitivity import PartlyQuantized, cheapest_float
from edgekit.stats import snr_db
from tests.support.compress_nets import batch, named, separable

pytestmark = pytest.mark.torch

LAYERS = {"stem.0", "depthwise.0", "pointwise.0", "classifier"}
SAMPLES = batch(32, 3, 8, 8, seed=1)


def ptq(*keep_float: str) -> torch.fx.GraphModule:
    graph = pt2e.prepare_ptq(separable(), named(SAMPLES[:2]), keep_float=keep_float)
    calibrate.calibrate(graph, [named(SAMPLES)])
    return graph


def qat() -> torch.fx.GraphModule:
    graph = pt2e.prepare_qat(separable(), named(SAMPLES[:2]))
    pt2e.set_qat_mode(graph, training=True)
    graph(SAMPLES)
    pt2e.set_qat_mode(graph, training=False)
    return graph


def converted(graph: torch.fx.GraphModule) -> Tensor:
    with torch.no_grad():
        return torch.as_tensor(pt2e.convert(graph, fold=True)(SAMPLES))


def test_all_places_together_are_the_converted_graph() -> None:
    graph = ptq()
    with torch.no_grad():
        expected = snr_db(separable()(SAMPLES).numpy(), converted(graph).numpy())
    assert PartlyQuantized(graph, named(SAMPLES)).snr_db() == pytest.approx(expected, abs=0.1)
    assert PartlyQuantized(graph, named(SAMPLES)).snr_db(only=()) == math.inf


@pytest.mark.parametrize("layer", sorted(LAYERS))
def test_a_layer_left_out_is_what_keeping_it_float_gives(layer: str) -> None:
    graph = ptq(layer)
    with torch.no_grad():
        expected = snr_db(separable()(SAMPLES).numpy(), converted(graph).numpy())
    assert PartlyQuantized(ptq(), named(SAMPLES)).snr_db(without=(layer,)) == pytest.approx(
        expected, abs=0.5
    )


@pytest.mark.parametrize("prepared", [ptq, qat])
def test_every_layer_is_there_with_its_weights(prepared: object) -> None:
    assert callable(prepared)
    graph = prepared()
    before = {name: tensor.clone() for name, tensor in graph.state_dict().items()}
    network = PartlyQuantized(graph, named(SAMPLES))
    places = {place.name: place for place in network.sensitivities()}
    assert {name for name, place in places.items() if place.weights} == LAYERS
    assert places["stem.0"].weights == 8 * 3 * 9
    whole_db = network.snr_db()
    assert all(place.alone_db > whole_db for place in places.values()), "less is quantized alone"
    assert all(torch.equal(before[name], tensor) for name, tensor in graph.state_dict().items()), (
        "the graph is left as it was"
    )


def test_no_more_is_kept_in_float_than_it_takes() -> None:
    network = PartlyQuantized(ptq(), named(SAMPLES))
    sensitivities = network.sensitivities()
    assert [layer.without_db for layer in sensitivities] == sorted(
        (layer.without_db for layer in sensitivities), reverse=True
    )
    target_db = network.snr_db() + 0.5
    float_layers, reached = cheapest_float(network, sensitivities, reach_db=target_db)
    assert float_layers
    assert reached == network.snr_db(without=float_layers) >= target_db
    assert network.snr_db(without=float_layers[:-1]) < target_db


def test_what_cannot_be_reached_and_what_is_reached_already() -> None:
    network = PartlyQuantized(ptq(), named(SAMPLES))
    sensitivities = network.sensitivities()
    assert cheapest_float(network, sensitivities, reach_db=0) == ((), network.snr_db())
    float_layers, reached = cheapest_float(network, sensitivities, reach_db=1000)
    assert set(float_layers) == LAYERS
    assert reached < 1000
