from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from edgekit.compress.counting import count_macs_params
from edgekit.compress.prune.channel_removal import prune_structured, replay
from edgekit.compress.prune.dependencies import dependencies
from edgekit.errors import ModelError, UsageError
from edgekit.models.create import create_model
from tests.support.compress_nets import batch, named, seeded

pytestmark = pytest.mark.torch

IMAGES = batch(2, 3, 32, 32)
NETS = ["resnet8", "mobilenet_v2_small"]


def losses(model: nn.Module) -> Iterator[Tensor]:
    for seed in range(2):
        yield nn.functional.cross_entropy(model(batch(4, 3, 32, 32, seed=seed)), torch.arange(4))


def silenced(model: nn.Module, example: Tensor, history: list[list[Any]]) -> nn.Module:
    """The unpruned model, in which the channels of a history are made to be zero: what a pruned
    model must compute."""
    model = copy.deepcopy(model)
    with dependencies(model, named(example)) as graph, torch.no_grad():
        for name, _, indices in history:
            layer = model.get_submodule(name)
            for dep, channels in graph.get_pruning_group(
                layer, graph.get_pruner_of_module(layer).prune_out_channels, indices
            ):
                made_by = dep.target.module
                if graph.is_out_channel_pruning_fn(dep.handler) and isinstance(
                    made_by, nn.Conv2d | nn.Linear | nn.BatchNorm2d
                ):
                    for key in ("weight", "bias", "running_mean"):
                        if getattr(made_by, key, None) is not None:
                            getattr(made_by, key)[channels] = 0
    return model


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("resnet8", (3, 32, 32)),
        ("mobilenet_v2_small", (3, 32, 32)),
        ("ds_cnn", (1, 49, 10)),
        ("squeezenet1_1", (3, 64, 64)),
    ],
)
def test_a_pruned_model_computes_what_the_whole_one_does_without_those_channels(
    name: str, shape: tuple[int, ...]
) -> None:
    """Residual sums, depthwise convolutions and concatenation followed right, shown by numbers."""
    model, example = seeded(name), batch(2, *shape)
    pruned = copy.deepcopy(model)
    history = prune_structured(pruned, named(example), ratio=0.4, round_to=1)
    expected = silenced(model, example, history)(example)
    assert (
        count_macs_params(pruned, named(example))[0]
        < 0.6 * count_macs_params(model, named(example))[0]
    )
    assert (pruned(example) - expected).abs().max() < 1e-5 * expected.abs().max()


@pytest.mark.parametrize("importance", ["magnitude", "taylor", "lamp", "bn_scale", "random"])
def test_every_importance_prunes_and_ranks_in_its_own_way(importance: Any) -> None:
    model = seeded("resnet8")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        history = prune_structured(
            model,
            named(IMAGES),
            importance=importance,
            ratio=0.5,
            round_to=1,
            scope="global",
            loss_batches=losses,
        )
    assert model(IMAGES).shape == (2, 10)
    assert all(parameter.grad is None for parameter in model.parameters())
    assert sum(len(indices) for _, _, indices in history) == (16 + 16 + 32 + 32 + 64 + 64) / 2
    if importance != "magnitude":
        assert history != prune_structured(
            seeded("resnet8"), named(IMAGES), ratio=0.5, round_to=1, scope="global"
        )


def test_the_weakest_channel_by_magnitude_goes() -> None:
    model = seeded("resnet8")
    with torch.no_grad():
        for name in ("stack1.conv1.0", "stack1.conv1.1"):
            model.get_parameter(f"{name}.weight")[5] *= 1e-3
        model.get_parameter("stack1.conv2.0.weight")[:, 5] *= 1e-3
    assert prune_structured(
        model, named(IMAGES), ratio=0.05, round_to=1, include=["stack1.conv1"]
    ) == [["stack1.conv1.0", True, [5]]]


@pytest.mark.parametrize(
    ("name", "scope"),
    [("resnet8", "layer"), ("resnet8", "global"), ("mobilenet_v2_small", "global")],
)
def test_a_macs_target_is_met_closely_and_never_missed(name: str, scope: Any) -> None:
    model = seeded(name)
    before, _ = count_macs_params(model, named(IMAGES))
    prune_structured(model, named(IMAGES), macs=0.6, scope=scope, round_to=1)
    after, _ = count_macs_params(model, named(IMAGES))
    assert 0.55 < after / before <= 0.6


def test_a_macs_target_out_of_reach_says_what_can_be_reached() -> None:
    model = seeded("resnet8")
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(ModelError, match=r"cannot be brought to 1\.0%: \d+\.\d% is the least"):
        prune_structured(model, named(IMAGES), macs=0.01, max_layer_ratio=0.5)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_channel_counts_are_multiples_and_the_classifier_stays() -> None:
    model = seeded("mobilenet_v2_small")
    prune_structured(model, named(IMAGES), ratio=0.3, round_to=8)
    widths = [layer.out_channels for layer in model.modules() if isinstance(layer, nn.Conv2d)]
    assert all(width % 8 == 0 for width in widths)
    assert model(IMAGES).shape == (2, 10)


@pytest.mark.parametrize("name", NETS)
def test_replaying_several_rounds_rebuilds_the_architecture(name: str) -> None:
    model, history = seeded(name), []
    history += prune_structured(model, named(IMAGES), ratio=0.3, round_to=1)
    history += prune_structured(
        model, named(IMAGES), importance="bn_scale", ratio=0.3, round_to=4, scope="global"
    )
    fresh = create_model(name, {}, seed=7)
    replay(fresh, named(IMAGES), json.loads(json.dumps(history)))
    assert {name: tensor.shape for name, tensor in fresh.state_dict().items()} == {
        name: tensor.shape for name, tensor in model.state_dict().items()
    }
    fresh.load_state_dict(model.state_dict())
    assert torch.equal(fresh.eval()(IMAGES), model.eval()(IMAGES))


def test_a_history_of_another_model_does_not_fit() -> None:
    with pytest.raises(ModelError, match="does not fit the model"):
        replay(seeded("resnet8"), named(IMAGES), [["features.0.0", True, [1]]])


def test_ratios_of_a_schedule_count_from_its_start() -> None:
    model = seeded("resnet8")
    history: list[list[Any]] = []
    for step in (1, 2, 3, 4):
        history += prune_structured(
            model, named(IMAGES), ratio=0.5 * step / 4, round_to=8, earlier=history
        )
    assert [
        model.get_submodule(name).out_channels
        for name in ("stem.0", "stack2.conv1.0", "stack3.conv1.0")
    ] == [8, 16, 32]


def test_include_exclude_and_own_ratios() -> None:
    def widths(**settings: Any) -> dict[str, Any]:
        model = seeded("resnet8")
        history = prune_structured(model, named(IMAGES), ratio=0.5, round_to=1, **settings)
        return {name: model.get_submodule(name).out_channels for name, _, _ in history}

    assert widths(include=["stack3.conv1"]) == {"stack3.conv1.0": 32}
    assert "stack1.conv1.0" not in widths(exclude=["stack1"])
    assert "stem.0" not in widths(exclude=["stack1.conv2.1"]), (
        "a norm that shares its channels keeps the stem whole"
    )
    assert (
        widths(include=["stack?.conv1"], per_layer={"stack2.conv1": 0.25})["stack2.conv1.0"] == 24
    )


def test_nothing_but_the_channels_changes() -> None:
    model = seeded("resnet8").train()
    model.get_submodule("stack1").eval()
    model.get_parameter("stem.0.weight").requires_grad_(False)
    prune_structured(model, named(IMAGES), ratio=0.5)
    assert model.training
    assert not model.get_submodule("stack1").training
    assert [
        name for name, parameter in model.named_parameters() if not parameter.requires_grad
    ] == ["stem.0.weight"]
    assert not any(layer._forward_hooks for layer in model.modules())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"ratio": 0.5, "include": ["stak1.*"]}, r"no layer matches 'stak1\.\*'"),
        ({"ratio": 0.5, "exclude": ["fc"]}, "no layer matches 'fc'"),
        ({"ratio": 0.5, "per_layer": {"classifier": 0.5}}, "no layer matches 'classifier'"),
        ({"ratio": 0.5, "include": ["classifier"]}, "no channels that can be pruned"),
        ({"ratio": 0.01, "round_to": 8}, "nothing was pruned"),
        ({"ratio": 0.5, "importance": "taylor"}, "needs losses"),
        (
            {"ratio": 0.5, "importance": "taylor", "loss_batches": lambda model: iter(())},
            "no batch of labelled samples",
        ),
        ({"ratio": 0.5, "importance": "oracle"}, "no importance 'oracle'"),
    ],
)
def test_what_cannot_be_honoured_is_an_error(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        prune_structured(seeded("resnet8"), named(IMAGES), **settings)


def test_ratio_and_macs_are_alternatives() -> None:
    for settings in ({}, {"ratio": 0.5, "macs": 0.5}):
        with pytest.raises(UsageError, match="one of the two"):
            prune_structured(seeded("resnet8"), named(IMAGES), **settings)  # type: ignore[arg-type]


def test_a_model_with_nothing_but_outputs() -> None:
    with pytest.raises(ModelError, match="no channels that can be pruned"):
        prune_structured(
            nn.Sequential(nn.Flatten(), nn.Linear(12, 4)), named(batch(2, 3, 4)), ratio=0.5
        )


def test_recurrent_layers_are_refused_by_name() -> None:
    with pytest.raises(ModelError, match="recurrent layer lstm"):
        prune_structured(seeded("lstm"), named(batch(2, 10, 12)), ratio=0.5)


class Shuffle(nn.Module):
    """Channels that cross over between two convolutions: torch-pruning cannot follow them."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.head = nn.Conv2d(3, 8, 1), nn.Conv2d(8, 8, 1), nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        x = x.reshape(len(x), 2, 4, *x.shape[2:]).transpose(1, 2).reshape(x.shape)
        logits: Tensor = self.head(self.second(x).mean((2, 3)))
        return logits


def test_channels_that_cannot_be_followed_leave_the_model_whole() -> None:
    model = Shuffle()
    with pytest.raises(ModelError, match="cannot be followed"):
        prune_structured(model, named(batch(2, 3, 4, 4)), ratio=0.4, round_to=1)
    assert model.first.out_channels == 8
    assert model(batch(2, 3, 4, 4)).shape == (2, 2)


@pytest.mark.parametrize(
    ("model", "shape", "macs", "parameters"),
    [
        (nn.Linear(10, 20), (10,), 200, 220),
        (nn.Conv2d(8, 8, 3, groups=8, padding=1, bias=False), (8, 6, 6), 8 * 9 * 36, 72),
        (
            nn.LSTM(6, 64, 2, batch_first=True, bidirectional=True),
            (100, 6),
            100 * 2 * 4 * 64 * (6 + 64 + 128 + 64),
            136192,
        ),
    ],
)
def test_macs_are_of_one_sample_whatever_the_batch(
    model: nn.Module, shape: tuple[int, ...], macs: int, parameters: int
) -> None:
    assert count_macs_params(model, named(batch(1, *shape))) == (macs, parameters)
    assert count_macs_params(model, named(batch(3, *shape))) == (macs, parameters)


def test_macs_of_mobilenet_v2_are_the_published_300_million() -> None:
    macs, parameters = count_macs_params(
        create_model("mobilenet_v2", {}, seed=0), named(batch(1, 3, 224, 224))
    )
    assert (macs, parameters) == (300_774_272, 3_504_872)
