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
from edgekit.compress.prune.channel_tracing import trace_channels
from edgekit.compress.prune.dependencies import followed
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
    model must compute. No layer of it may be in two groups."""
    model = copy.deepcopy(model)
    flow = trace_channels(model, named(example))
    gone = flow.ties.tied_to(
        {
            head
            for name, _, indices in history
            for head in flow.ties.heads(flow.axes[f"{name}.weight", 0].channels[indices]).tolist()
        }
    )
    for (name, axis), entry in flow.axes.items():
        if entry.own and axis == 0 and not name.endswith("running_var"):
            with torch.no_grad():
                model.state_dict()[name][gone[entry.channels]] = 0
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
    """Channels that cross over between two convolutions."""

    def __init__(self, parts: int, *, counts: bool) -> None:
        super().__init__()
        self.parts, self.counts = parts, counts
        self.first, self.second = nn.Conv2d(3, 24, 1), nn.Conv2d(24, 8, 1)
        self.head = nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        rest = -1 if self.counts else 24 // self.parts
        x = x.reshape(len(x), self.parts, rest, *x.shape[2:])
        x = x.transpose(1, 2).flatten(1, 2)
        logits: Tensor = self.head(self.second(x).relu().mean((2, 3)))
        return logits


def pruned_right(model: nn.Module, *shape: int, ratio: float = 0.4) -> list[list[Any]]:
    """Prunes a model without batch norm, and shows by numbers that it computes what the whole one
    does without those channels."""
    example = batch(*shape)
    pruned = copy.deepcopy(model.eval())
    history = prune_structured(pruned, named(example), ratio=ratio, round_to=1)
    expected = without(model, example, history)(example)
    assert (pruned(example) - expected).abs().max() < 1e-4 * expected.abs().max()
    fresh = copy.deepcopy(model)
    replay(fresh, named(example), json.loads(json.dumps(history)))
    fresh.load_state_dict(pruned.state_dict())
    assert torch.equal(fresh.eval()(example), pruned(example))
    return history


def without(model: nn.Module, example: Tensor, history: list[list[Any]]) -> nn.Module:
    """The unpruned model in which nothing takes the channels of a history any more."""
    silent = copy.deepcopy(model)
    flow = trace_channels(silent, named(example))
    removed: set[int] = set()
    for name, _, indices in history:
        axis = next(flow.axes[place] for place in flow.sources if place[0] == f"{name}.weight")
        left = axis.channels[~flow.ties.tied_to(removed)[axis.channels]]
        removed |= set(flow.ties.heads(left[indices]).tolist())
    gone = flow.ties.tied_to(removed)
    for (name, position), entry in flow.axes.items():
        if not entry.own:
            with torch.no_grad():
                silent.get_parameter(name).movedim(position, 0)[gone[entry.channels]] = 0
    return silent


def test_a_shuffle_of_channels_is_followed() -> None:
    history = pruned_right(Shuffle(2, counts=True), 2, 3, 4, 4)
    assert {name for name, _, _ in history} == {"first", "second"}


def test_channels_that_cannot_be_followed_stay_whole_and_are_named() -> None:
    """Its forward has a fixed number of channels."""
    model = Shuffle(2, counts=False)
    (whole,) = followed(model, named(batch(2, 3, 4, 4))).whole
    assert (whole.members, "shape" in whole.reason) == (("first",), True)
    assert {name for name, _, _ in pruned_right(model, 2, 3, 4, 4)} == {"second"}
    assert model.first.out_channels == 24
    with pytest.raises(ModelError, match="cannot be followed: those of first stay whole"):
        prune_structured(model, named(batch(2, 3, 4, 4)), ratio=0.4, round_to=1, include=["first"])


class Upscaler(nn.Module):
    """What small decoders are made of: depthwise, transposed and grouped convolutions, a pixel
    shuffle, parts of channels, and a sum over one of them."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, padding=1)
        self.depthwise = nn.Conv2d(16, 32, 3, padding=1, groups=16)
        self.up = nn.ConvTranspose2d(32, 24, 2, stride=2)
        self.up_depthwise = nn.ConvTranspose2d(24, 24, 3, padding=1, groups=24)
        self.grouped = nn.Conv2d(24, 48, 1, groups=4)
        self.up_grouped = nn.ConvTranspose2d(48, 32, 1, groups=4)
        self.expand = nn.Conv2d(32, 64, 1)
        self.shuffle = nn.PixelShuffle(2)
        self.left, self.right = nn.Conv2d(8, 8, 1), nn.Conv2d(8, 8, 1)
        self.slope = nn.PReLU(8)
        self.head = nn.Conv2d(16, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.silu(self.depthwise(nn.functional.silu(self.stem(x))))
        x = self.grouped(self.up_depthwise(self.up(x)).relu())
        left, right = self.shuffle(self.expand(self.up_grouped(x).relu())).chunk(2, dim=1)
        x = torch.cat([self.slope(self.left(left)), self.right(right)], dim=1)
        return self.head(x * torch.sigmoid(x.mean((2, 3), keepdim=True)))


def test_depthwise_transposed_and_grouped_convolutions_and_a_pixel_shuffle_are_followed() -> None:
    model = Upscaler()
    assert followed(model, named(batch(2, 3, 4, 4))).whole == ()
    history = pruned_right(model, 2, 3, 4, 4)
    assert {name for name, _, _ in history} == {
        "stem",
        "up",
        "grouped",
        "up_grouped",
        "expand",
        "left",
        "right",
    }


class Mixer(nn.Module):
    """Tokens with a learned position and a class token, a norm of the features, and an attention
    with a fixed number of features."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 24, 2, stride=2)
        self.token = nn.Parameter(batch(1, 1, 24))
        self.place = nn.Parameter(batch(1, 5, 24))
        self.norm = nn.LayerNorm(24)
        self.qkv, self.out = nn.Linear(24, 72), nn.Linear(24, 24)
        self.wide, self.narrow = nn.Linear(24, 48), nn.Linear(48, 24)
        self.head = nn.Linear(24, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(len(x), -1, -1), x], dim=1) + self.place
        q, k, v = self.qkv(self.norm(x)).reshape(len(x), 5, 3, 4, 6).permute(2, 0, 3, 1, 4)
        attended = (q @ k.transpose(-2, -1)).softmax(-1) @ v
        x = x + self.out(attended.transpose(1, 2).reshape(len(x), 5, 24))
        x = x + self.narrow(nn.functional.gelu(self.wide(x)))
        return self.head(x[:, 0])


def test_attention_stays_whole_and_the_features_around_it_go() -> None:
    model = Mixer()
    (whole,) = followed(model, named(batch(2, 3, 4, 4))).whole
    assert whole.members == ("qkv",)
    pruned = copy.deepcopy(model)
    history = prune_structured(pruned, named(batch(2, 3, 4, 4)), ratio=0.25, round_to=1)
    assert [name for name, _, _ in history] == ["patches", "wide"]
    assert pruned.token.shape == (1, 1, 18)
    assert (pruned.norm.normalized_shape, pruned.qkv.weight.shape) == ((18,), (72, 18))


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


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "size"),
    [("shufflenet_v2_x0_5", 64), ("mnasnet0_5", 64), ("regnet_y_400mf", 64), ("densenet121", 64)],
)
def test_mobile_nets_of_torchvision_are_followed_as_a_whole(name: str, size: int) -> None:
    model = create_model(name, {"num_classes": 5}, seed=0).eval()
    example = named(batch(2, 3, size, size))
    assert followed(model, example).whole == ()
    whole, _ = count_macs_params(model, example)
    prune_structured(model, example, ratio=0.5, round_to=1)
    assert count_macs_params(model, example)[0] < 0.5 * whole
    assert model(*example.values()).shape == (2, 5)
