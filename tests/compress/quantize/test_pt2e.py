from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.fx import GraphModule
from torchao.quantization.pt2e import FakeQuantizeBase

from edgekit.captured_graph import batch_norms
from edgekit.compress.prune.masks import apply_masks, magnitude_masks, n_m_masks
from edgekit.compress.quantize.calibrate import calibrate
from edgekit.compress.quantize.graph_state import graph_state, load_graph_state
from edgekit.compress.quantize.pt2e import (
    convert,
    prepare_dynamic,
    prepare_ptq,
    prepare_qat,
    set_qat_mode,
)
from edgekit.compress.quantize.report import int8_weights, quantized_layer_report
from edgekit.compress.training.fit import fit
from edgekit.errors import ModelError
from edgekit.tasks.classification import CLASSIFICATION
from tests.support.compress_nets import batch, named, seeded, separable, with_statistics
from tests.support.splits import one_input_split

pytestmark = pytest.mark.torch

IMAGES = batch(4, 3, 12, 12)


def trained(
    graph: GraphModule,
    inputs: Tensor = IMAGES,
    steps: int = 3,
    after_step: Callable[[int], None] = lambda step: None,
) -> GraphModule:
    """Some steps of quantization-aware training; left in inference mode."""
    set_qat_mode(graph, training=True)
    optimizer = torch.optim.SGD(graph.parameters(), lr=0.02, momentum=0.9)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for step in range(1, steps + 1):
            loss = graph(inputs).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            after_step(step)
    set_qat_mode(graph, training=False)
    return graph


@pytest.fixture(scope="module")
def qat() -> GraphModule:
    return trained(prepare_qat(separable(), named(IMAGES)))


@pytest.fixture(scope="module")
def ptq() -> GraphModule:
    graph = prepare_ptq(separable(), named(IMAGES), observer="histogram")
    calibrate(graph, [named(IMAGES), named(batch(4, 3, 12, 12, seed=1))])
    return graph


def outputs(graph: nn.Module, inputs: Tensor = IMAGES) -> Tensor:
    with torch.no_grad():
        result: Tensor = graph(inputs)
    return result


def snr_db(reference: Tensor, other: Tensor) -> float:
    return float(10 * torch.log10(reference.square().sum() / (reference - other).square().sum()))


# The arithmetic in the real graph.


def row(weights: list[float]) -> nn.Module:
    layer = nn.Linear(len(weights), 1, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([weights]))
    return nn.Sequential(layer)


def test_the_graph_quantizes_the_worked_example() -> None:
    graph = prepare_ptq(row([0.9, -1.2, 0.3, 2.7, 12.7]), named(batch(2, 5)), observer="minmax")
    calibrate(graph, [named(batch(2, 5))])
    folded = convert(graph, fold=True)
    assert int8_weights(folded)["0"].tolist() == [[9, -12, 3, 27, 127]]
    assert quantized_layer_report(folded)["layers"]["0"]["scales"] == pytest.approx([0.1], rel=1e-6)


@pytest.mark.parametrize("fold", [True, False])
def test_the_graph_saturates_what_grew_after_its_scale_was_fixed(fold: bool) -> None:
    graph = prepare_qat(row([0.9, -1.2, 0.3, 2.7, 12.7]), named(batch(2, 5)))
    set_qat_mode(graph, training=True)
    graph(batch(2, 5))
    set_qat_mode(graph, training=True, freeze_observers=True)
    with torch.no_grad():
        graph.get_parameter("0.weight").copy_(torch.tensor([[0.9, -1.2, 0.3, 100.0, -100.0]]))
    graph(100 * batch(2, 5))
    assert int8_weights(convert(graph, fold=fold))["0"].tolist() == [[9, -12, 3, 127, -127]]


def test_activations_saturate() -> None:
    graph = prepare_ptq(row([1.0, 0.0]), named(torch.zeros(2, 2)), observer="minmax")
    calibrate(graph, [named(torch.tensor([[-1.28, 0.0], [1.27, 0.0]]))])
    converted = convert(graph, fold=True)
    assert outputs(
        converted, torch.tensor([[100.0, 0.0], [-100.0, 0.0]])
    ).flatten().tolist() == pytest.approx([1.27, -1.28], abs=1e-6)


# What is trained is what ships.


def test_folded_and_unfolded_and_trained_graphs_give_the_same_numbers_at_any_batch(
    qat: GraphModule,
) -> None:
    folded, unfolded = convert(qat, fold=True), convert(qat, fold=False)
    for size in (1, 3, 7):
        inputs = batch(size, 3, 12, 12, seed=size)
        assert torch.equal(outputs(folded, inputs), outputs(unfolded, inputs))
        assert torch.equal(outputs(folded, inputs), outputs(qat, inputs))


def test_folded_and_unfolded_ptq_graphs_give_the_same_numbers_at_any_batch(
    ptq: GraphModule,
) -> None:
    folded, unfolded = convert(ptq, fold=True), convert(ptq, fold=False)
    for size in (1, 3, 7):
        inputs = batch(size, 3, 12, 12, seed=size)
        assert torch.equal(outputs(folded, inputs), outputs(unfolded, inputs))
    assert snr_db(outputs(separable()), outputs(folded)) > 25


def test_both_conversions_hold_the_same_weights_and_scales(qat: GraphModule) -> None:
    folded, unfolded = (
        quantized_layer_report(convert(qat, fold=True)),
        quantized_layer_report(convert(qat, fold=False)),
    )
    assert folded == unfolded
    assert list(folded["layers"]) == ["stem.0", "depthwise.0", "pointwise.0", "classifier"]
    assert folded["float_layers"] == []
    assert [len(layer["scales"]) for layer in folded["layers"].values()] == [8, 8, 8, 4]
    assert folded["activations"][-1]["layer"] == "classifier"


def test_converting_leaves_the_prepared_graph_as_it_is() -> None:
    graph = trained(prepare_qat(separable(), named(IMAGES)))
    code, state = graph.code, {name: tensor.clone() for name, tensor in graph.state_dict().items()}
    convert(graph, fold=True)
    assert graph.code == code
    assert all(torch.equal(tensor, state[name]) for name, tensor in graph.state_dict().items())
    trained(graph, steps=1)


def test_a_folded_graph_exports(qat: GraphModule) -> None:
    program = torch.export.export(convert(qat, fold=True), (IMAGES[:1],))
    assert torch.equal(program.module()(IMAGES[:1]), outputs(convert(qat, fold=False), IMAGES[:1]))


# Batch norm and dropout in training graphs.


def without_quantization(graph: GraphModule) -> GraphModule:
    for module in graph.modules():
        if isinstance(module, FakeQuantizeBase):
            module.disable_fake_quant()
    return graph


@pytest.mark.parametrize(("eps", "momentum"), [(1e-5, 0.1), (1e-3, 0.01), (0.3, 0.5)])
def test_batch_norm_keeps_its_epsilon_and_momentum(eps: float, momentum: float) -> None:
    """torchao's QAT patterns know only the defaults; MobileNetV3 and EfficientNet have others."""
    model = separable(eps, momentum)
    model.get_submodule("dropout").p = 0.0  # type: ignore[assignment]
    graph = without_quantization(prepare_qat(model, named(IMAGES)))
    assert torch.allclose(outputs(graph), outputs(model), atol=1e-5)
    set_qat_mode(graph, training=True)
    assert torch.allclose(graph(IMAGES), model.train()(IMAGES), atol=1e-4)
    for name, tensor in model.named_buffers():
        if "running" in name:
            assert torch.allclose(graph.get_buffer(name), tensor, atol=1e-5), name


@pytest.mark.parametrize("eps", [1e-7, 1e-3, 0.3])
def test_folding_uses_the_models_own_epsilon(eps: float) -> None:
    model = separable(eps)
    model.get_submodule("dropout").p = 0.0  # type: ignore[assignment]
    with torch.no_grad():
        for layer in model.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.running_var.mul_(1e-2)  # type: ignore[union-attr]
    graph = prepare_qat(model, named(IMAGES))
    set_qat_mode(graph, training=True, freeze_batchnorm=True)
    graph(IMAGES)
    set_qat_mode(graph, training=False)
    assert torch.equal(outputs(convert(graph, fold=True)), outputs(graph))
    assert snr_db(outputs(model), outputs(convert(graph, fold=True))) > 25


def test_modes_gather_only_what_they_should() -> None:
    graph = prepare_qat(separable(), named(IMAGES))
    louder = 10 * IMAGES

    def changed(**mode: bool) -> set[str]:
        set_qat_mode(graph, **mode)
        before = {name: tensor.clone() for name, tensor in graph.state_dict().items()}
        graph(louder)
        differing = {
            name
            for name, tensor in graph.state_dict().items()
            if not torch.equal(tensor, before[name])
        }
        return {
            "ranges" if "post_process" in name else "statistics" if "running" in name else name
            for name in differing
        }

    assert changed(training=True) == {"ranges", "statistics"}
    assert changed(training=True, freeze_observers=True) == {"statistics"}
    assert changed(training=True, freeze_batchnorm=True) == {"ranges"}
    assert changed(training=False) == set()


def test_dropout_drops_in_training_only() -> None:
    graph = prepare_qat(separable(), named(IMAGES))
    set_qat_mode(graph, training=True, freeze_batchnorm=True)
    graph(IMAGES)
    set_qat_mode(graph, training=True, freeze_observers=True, freeze_batchnorm=True)
    assert not torch.equal(outputs(graph), outputs(graph))
    set_qat_mode(graph, training=False)
    assert torch.equal(outputs(graph), outputs(graph))


class Aside(nn.Module):
    """In training mode it drops whole samples at random and answers with two tensors: neither may
    be caught in the graph."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 8, 3), nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Any:
        x = self.conv(x).mean((2, 3))
        if self.training:
            x = x * torch.empty(len(x), 1).bernoulli_(0.5)
            return self.head(x), x
        return self.head(x)


def test_what_only_training_has_is_not_caught_in_the_graph() -> None:
    graph = prepare_qat(Aside().train(), named(IMAGES))
    trained(graph)
    assert outputs(graph).shape == (4, 4)
    assert torch.equal(outputs(graph), outputs(graph))


def test_the_model_is_not_touched() -> None:
    model = separable().train()
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    trained(prepare_qat(model, named(IMAGES)))
    assert model.training
    assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())


# Ranges.


def test_a_map_and_its_average_share_a_range_that_does_not_clip_the_map() -> None:
    """A plain moving average of both would settle at a half of the map's range."""
    graph = prepare_qat(seeded("small_cnn", in_channels=3, width=8), named(IMAGES))
    set_qat_mode(graph, training=True, freeze_batchnorm=True)
    sites = [
        str(node.target)
        for node in graph.graph.nodes
        if node.op == "call_module" and "post" in str(node.target)
    ]
    watching: Any = next(
        graph.get_submodule(name)
        for name in sites
        if sum(graph.get_submodule(name) is graph.get_submodule(s) for s in sites) > 2
    )
    peaks: list[float] = []
    watching.register_forward_pre_hook(lambda module, inputs: peaks.append(inputs[0].max().item()))
    for seed in range(150):
        outputs(graph, batch(4, 3, 12, 12, seed=seed))
    of_the_map = peaks[::3]
    assert len(of_the_map) == 150
    assert (
        sum(of_the_map[-50:]) / 50
        < watching.activation_post_process.max_val.item()
        <= max(of_the_map)
    )
    assert sum(peaks[1::3]) < 0.8 * sum(of_the_map), "the average is much smaller than the map"


def test_observers_differ_in_how_they_see_an_outlier() -> None:
    wide = torch.cat([batch(63, 2), torch.tensor([[50.0, 0.0]])])
    scales = {}
    for observer in ("minmax", "moving_average", "histogram"):
        graph = prepare_ptq(row([1.0, 1.0]), named(batch(2, 2)), observer=observer)
        calibrate(graph, [named(batch(64, 2)), named(wide), named(batch(64, 2, seed=1))])
        scales[observer] = quantized_layer_report(convert(graph, fold=True))["activations"][0][
            "scale"
        ]
    assert scales["moving_average"] < scales["histogram"] < scales["minmax"]


# Layers left in float, and layers that are not known.


@pytest.mark.parametrize("method", ["qat", "ptq"])
@pytest.mark.parametrize(
    ("keep", "left"),
    [(["stem", "classifier"], ["stem.0", "classifier"]), (["point*.0"], ["pointwise.0"])],
)
def test_layers_kept_float_really_are(method: str, keep: list[str], left: list[str]) -> None:
    model = separable()
    if method == "qat":
        graph = prepare_qat(model, named(IMAGES), keep_float=keep)
        set_qat_mode(graph, training=True, freeze_batchnorm=True)
        graph(IMAGES)
        set_qat_mode(graph, training=False)
    else:
        graph = prepare_ptq(model, named(IMAGES), keep_float=keep)
        calibrate(graph, [named(IMAGES)])
    converted = convert(graph, fold=True)
    report = quantized_layer_report(converted)
    assert report["float_layers"] == left
    assert set(report["layers"]) == {"stem.0", "depthwise.0", "pointwise.0", "classifier"} - set(
        left
    )
    assert not batch_norms(converted)
    assert not [node for node in converted.graph.nodes if "div" in str(node.target)], (
        "no arithmetic of QAT is left over"
    )
    assert snr_db(outputs(model), outputs(converted)) > 25


class Odd(nn.Module):
    """Batch norm before a convolution, after a transposed one, after a linear layer; operators that
    have no int8 kernel."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(3)
        self.up = nn.Sequential(
            nn.ConvTranspose2d(3, 8, 3, 2), nn.BatchNorm2d(8, eps=1e-3), nn.ReLU()
        )
        self.conv = nn.Sequential(nn.Conv2d(8, 8, 3), nn.BatchNorm2d(8), nn.Hardswish())
        self.series = nn.Sequential(nn.Conv1d(8, 16, 3), nn.BatchNorm1d(16), nn.ReLU())
        self.head = nn.Sequential(
            nn.Linear(16, 12), nn.BatchNorm1d(12), nn.ReLU(), nn.Linear(12, 4)
        )

    def forward(self, x: Tensor) -> Tensor:
        x = torch.erf(self.conv(self.up(self.norm(x)))) * 2.0
        logits: Tensor = self.head(self.series(x.flatten(2)).mean(2))
        return logits


def test_unusual_places_of_batch_norm_and_unknown_operators() -> None:
    model = with_statistics(Odd())
    inputs = batch(4, 3, 6, 6)
    graph = prepare_qat(model, named(inputs))
    set_qat_mode(graph, training=True, freeze_batchnorm=True)
    graph(inputs)
    set_qat_mode(graph, training=False)
    folded = convert(graph, fold=True)
    assert torch.equal(outputs(folded, inputs), outputs(graph, inputs))
    assert torch.equal(outputs(folded, inputs), outputs(convert(graph, fold=False), inputs))
    assert snr_db(outputs(model, inputs), outputs(folded, inputs)) > 20
    assert list(quantized_layer_report(folded)["layers"]) == [
        "up.0",
        "conv.0",
        "series.0",
        "head.0",
        "head.3",
    ]
    assert [str(node.args[4].target) for node in batch_norms(folded)] == ["norm.running_var"]  # type: ignore[union-attr]
    assert [str(node.target) for node in folded.graph.nodes if node.name == "erf"] == [
        "aten.erf.default"
    ]


# Masks.


def test_masks_hold_through_training_and_show_in_the_int8_weights() -> None:
    model = separable()
    masks = magnitude_masks(model, sparsity=0.5, exclude=["pointwise"]) | n_m_masks(
        model, n=1, m=4, include=["pointwise"]
    )
    apply_masks(model, masks)
    graph = prepare_qat(model, named(IMAGES))
    trained(graph, steps=4, after_step=lambda step: apply_masks(graph, masks))
    for fold in (True, False):
        stored = int8_weights(convert(graph, fold=fold))
        assert len(stored) == len(masks) == 4
        for name, mask in masks.items():
            weight, unmasked = stored[name.removesuffix(".weight")], mask == 1
            assert (weight[~unmasked] == 0).all()
            assert (weight[unmasked] != 0).float().mean() > 0.9, (
                "what is not masked is not zero, but for what rounds to it"
            )


def test_masks_hold_through_ptq() -> None:
    model = separable()
    masks = magnitude_masks(model, sparsity=0.5)
    apply_masks(model, masks)
    graph = prepare_ptq(model, named(IMAGES))
    calibrate(graph, [named(IMAGES)])
    stored = int8_weights(convert(graph, fold=True))
    assert all(
        (stored[name.removesuffix(".weight")][mask == 0] == 0).all() for name, mask in masks.items()
    )


# State.


@pytest.mark.parametrize("method", ["qat", "histogram", "minmax", "moving_average", "dynamic"])
def test_the_state_of_a_graph_survives_a_file_bit_for_bit(method: Any, tmp_path: Path) -> None:
    def prepare(seed: int) -> GraphModule:
        model = separable() if seed == 0 else nn.Module.apply(separable(), _scrambled)
        if method == "qat":
            return prepare_qat(model, named(IMAGES))
        return (
            prepare_dynamic(model, named(IMAGES))
            if method == "dynamic"
            else prepare_ptq(model, named(IMAGES), observer=method)
        )

    graph = prepare(0)
    if method == "qat":
        trained(graph)
    elif method != "dynamic":
        calibrate(graph, [named(IMAGES), named(3 * IMAGES), named(IMAGES + 1)])
    save_file(
        {name: tensor.contiguous().clone() for name, tensor in graph_state(graph).items()},
        tmp_path / "state.safetensors",
    )
    fresh = prepare(1)
    load_graph_state(fresh, load_file(tmp_path / "state.safetensors"))
    assert torch.equal(outputs(fresh), outputs(graph))
    for fold in (True, False):
        again, converted = convert(fresh, fold=fold), convert(graph, fold=fold)
        assert again.code == converted.code
        assert quantized_layer_report(again) == quantized_layer_report(converted)
        assert torch.equal(outputs(again), outputs(converted))


def _scrambled(module: nn.Module) -> None:
    with torch.no_grad():
        for tensor in (*module.parameters(recurse=False), *module.buffers(recurse=False)):
            tensor.copy_(tensor + 1)


def test_state_of_another_graph_does_not_fit(qat: GraphModule, ptq: GraphModule) -> None:
    with pytest.raises(ModelError, match="does not fit"):
        load_graph_state(copy.deepcopy(ptq), graph_state(qat))
    state = graph_state(qat)
    with pytest.raises(ModelError, match=r"does not fit: classifier\.weight"):
        load_graph_state(copy.deepcopy(qat), state | {"classifier.weight": torch.zeros(1, 8)})


class Stopped(Exception):
    pass


def test_training_that_was_stopped_goes_on_to_the_same_graph(tmp_path: Path) -> None:
    data = one_input_split(batch(32, 3, 12, 12), torch.arange(32) % 4, (3, 12, 12))
    settings: dict[str, Any] = {
        "task": CLASSIFICATION,
        "epochs": 3,
        "batch_size": 8,
        "optimizer": "adamw",
        "lr": 1e-2,
        "weight_decay": 0.01,
        "momentum": 0.9,
        "schedule": "cosine",
        "warmup_epochs": 0,
        "step_epochs": 1,
        "label_smoothing": 0,
        "gradient_clip_norm": None,
        "augment": (),
        "seed": 5,
    }

    def train(stop_at: int | None, resume_path: Path | None) -> GraphModule:
        graph = prepare_qat(separable(), named(IMAGES))

        def mode(step: int) -> None:
            set_qat_mode(graph, training=True, freeze_batchnorm=step >= 8)

        def after_step(step: int) -> None:
            if step == stop_at:
                raise Stopped

        fit(
            graph,
            data,
            **settings,
            resume_path=resume_path,
            set_train_mode=mode,
            after_step=after_step,
        )
        set_qat_mode(graph, training=False)
        return graph

    whole = train(None, None)
    with pytest.raises(Stopped):
        train(9, tmp_path / "epoch.pt")
    resumed = train(None, tmp_path / "epoch.pt")
    assert all(
        torch.equal(tensor, whole.state_dict()[name])
        for name, tensor in resumed.state_dict().items()
    )
    assert torch.equal(outputs(convert(resumed, fold=True)), outputs(convert(whole, fold=True)))


# Dynamic quantization.


def test_dynamic_quantization_of_linear_layers_keeps_the_rest_float() -> None:
    model = separable()
    graph = prepare_dynamic(model, named(IMAGES))
    folded, unfolded = convert(graph, fold=True), convert(graph, fold=False)
    report = quantized_layer_report(folded)
    assert list(report["layers"]) == ["classifier"]
    assert report["float_layers"] == ["stem.0", "depthwise.0", "pointwise.0"]
    for size in (1, 3):
        inputs = batch(size, 3, 12, 12, seed=size)
        assert torch.equal(outputs(folded, inputs), outputs(unfolded, inputs))
    assert snr_db(outputs(model), outputs(folded)) > 35


def test_dynamic_quantization_reaches_into_an_lstm() -> None:
    model, series = seeded("lstm", hidden=16), batch(3, 7, 12)
    converted = convert(prepare_dynamic(model, named(series)), fold=True)
    report = quantized_layer_report(converted)
    assert {name: layer["shape"] for name, layer in report["layers"].items()} == {
        "lstm.cells.0.inputs": [64, 12],
        "lstm.cells.0.recurrent": [64, 16],
        "classifier": [9, 16],
    }
    assert report["float_layers"] == []
    assert snr_db(outputs(model, series), outputs(converted, series)) > 35
    float_lstm_report = quantized_layer_report(
        convert(prepare_dynamic(model, named(series), keep_float=["lstm"]), fold=True)
    )
    assert (list(float_lstm_report["layers"]), float_lstm_report["float_layers"]) == (
        ["classifier"],
        ["lstm"],
    )


def test_dynamic_quantization_of_nothing_is_an_error() -> None:
    with pytest.raises(ModelError, match="no linear or LSTM layer"):
        prepare_dynamic(nn.Sequential(nn.Conv2d(3, 4, 3)), named(IMAGES))


# What goes wrong.


@pytest.mark.parametrize(
    ("batches", "message"),
    [
        ([], "is empty"),
        ([IMAGES[:0]], "is empty"),
        ([batch(2, 1, 12, 12)], r"\(2, 1, 12, 12\) does not fit"),
    ],
)
def test_calibration_sets_that_do_not_fit(batches: list[Tensor], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        calibrate(prepare_ptq(separable(), named(IMAGES)), map(named, batches))


@pytest.mark.parametrize("observer", ["minmax", "histogram", "moving_average"])
@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_numbers_that_are_none_are_named_with_their_layer(observer: Any, bad: float) -> None:
    model = separable()
    with torch.no_grad():
        model.get_parameter("pointwise.1.bias")[3] = bad
    graph = prepare_ptq(model, named(IMAGES), observer=observer)
    with pytest.raises(ModelError, match=r"^(NaN|infinity) at pointwise\.0"):
        calibrate(graph, [named(IMAGES)])


def test_ranges_must_have_been_seen() -> None:
    with pytest.raises(ModelError, match=r"ranges of \d+ tensors are unknown"):
        convert(prepare_ptq(separable(), named(IMAGES)), fold=True)
    with pytest.raises(ModelError, match=r"ranges of \d+ tensors are unknown"):
        convert(prepare_qat(separable(), named(IMAGES)), fold=True)


@pytest.mark.parametrize("prepare", [prepare_ptq, prepare_qat, prepare_dynamic])
def test_keep_float_must_mean_something(prepare: Callable[..., GraphModule]) -> None:
    with pytest.raises(
        ModelError, match=r"no layer matches 'clasifier' \(layers to keep float\)"
    ) as caught:
        prepare(separable(), named(IMAGES), keep_float=["clasifier"])
    assert "classifier" in caught.value.hint


def test_an_unknown_observer() -> None:
    with pytest.raises(ModelError, match="no observer 'kl'"):
        prepare_ptq(separable(), named(IMAGES), observer="kl")  # type: ignore[arg-type]


class Branching(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x if x.sum() > 0 else -x


def test_a_model_that_cannot_be_captured() -> None:
    with pytest.raises(ModelError, match=r"torch\.export cannot capture the model: \S"):
        prepare_ptq(Branching(), named(IMAGES))


def test_one_sample_is_example_enough() -> None:
    graph = prepare_ptq(separable(), named(IMAGES[:1]))
    calibrate(graph, [named(IMAGES)])
    assert outputs(convert(graph, fold=True)).shape == (4, 4)
