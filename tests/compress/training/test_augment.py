"""Augmentation: torchvision's transforms by name, on groups of a batch, and what is said of wrong
ones."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from edgekit.compress.training.augment import DRAW, change_samples, mix_batch
from edgekit.errors import ModelError

pytestmark = pytest.mark.torch


def images(count: int = 64) -> Tensor:
    return torch.randint(
        0, 256, (count, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )


def change(augment: list[Any], samples: Tensor) -> Tensor:
    function = change_samples(augment, samples[:1])
    assert function is not None
    torch.manual_seed(0)
    return function(samples)


def test_nothing_named_nothing_done() -> None:
    assert change_samples([], images(1)) is None
    assert change_samples([{"MixUp": {"alpha": 0.2}}], images(1)) is None
    assert mix_batch(["RandomHorizontalFlip"], 10) is None


def test_every_group_of_samples_has_its_own_draw() -> None:
    samples = images(12 * DRAW)
    changed = change(["RandomHorizontalFlip"], samples)
    flipped = [torch.equal(a, b.flip(-1)) for a, b in zip(changed, samples, strict=True)]
    unchanged = [torch.equal(a, b) for a, b in zip(changed, samples, strict=True)]
    assert all(f != k for f, k in zip(flipped, unchanged, strict=True))
    assert 2 * DRAW <= sum(flipped) <= 10 * DRAW


def test_transforms_apply_in_order_with_their_arguments() -> None:
    samples = images()
    changed = change(
        [{"RandomHorizontalFlip": {"p": 1.0}}, {"RandomVerticalFlip": {"p": 1.0}}], samples
    )
    assert torch.equal(changed, samples.flip(-1, -2))
    cropped = change([{"RandomCrop": {"size": [16, 16], "padding": 4}}], samples)
    assert cropped.shape == samples.shape
    assert not torch.equal(cropped, samples)


def test_looking_a_transform_up_draws_nothing() -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    change_samples([{"RandomCrop": {"size": 16, "padding": 4}}], images(1))
    assert torch.equal(before, torch.get_rng_state())


def test_an_unknown_transform_is_suggested() -> None:
    for build in (
        lambda: change_samples(["RandomHorizontalFlop"], images(1)),
        lambda: change_samples(["Mixup"], images(1)),
    ):
        with pytest.raises(ModelError, match="there is no transform") as caught:
            build()
        assert "RandomHorizontalFlip" in caught.value.hint or "MixUp" in caught.value.hint


def test_names_of_torchvision_that_are_no_transforms_are_refused() -> None:
    for name in ("functional", "Transform", "InterpolationMode", "__name__"):
        with pytest.raises(ModelError, match="there is no transform"):
            change_samples([name], images(1))


@pytest.mark.parametrize(
    "entry",
    [
        {"RandomCrop": {"sise": 16}},
        "RandomCrop",
        {"RandomHorizontalFlip": {"p": 2}},
        {"CutMix": {"alpha": -1}},
    ],
)
def test_wrong_arguments_quote_the_signature(entry: Any) -> None:
    def look_up() -> None:
        if "CutMix" in entry:
            mix_batch([entry], 10)
        else:
            change_samples([entry], images(1))

    with pytest.raises(ModelError, match="augment: ") as caught:
        look_up()
    assert "it takes" in caught.value.hint


def test_a_transform_must_keep_the_shape_and_take_such_samples() -> None:
    with pytest.raises(ModelError, match=r"makes samples of \(3, 8, 8\) out of \(3, 16, 16\)"):
        change_samples([{"CenterCrop": {"size": 8}}], images(1))
    with pytest.raises(ModelError, match=r"RandomCrop fails on samples of \(3, 16, 16\)"):
        change_samples([{"RandomCrop": {"size": 40}}], images(1))
    with pytest.raises(ModelError, match=r"ToPILImage (fails|returns)"):
        change_samples(["ToPILImage"], images(1))


@pytest.mark.parametrize("name", ["MixUp", "CutMix"])
def test_mixing_gives_probabilities_that_say_what_was_mixed(name: str) -> None:
    labels = torch.arange(32) % 4
    batch = labels.float().view(-1, 1, 1, 1).expand(-1, 1, 16, 16).contiguous()
    mix = mix_batch([{name: {"alpha": 1.0}}], 4)
    assert mix is not None
    torch.manual_seed(1)
    mixed, targets = mix(batch, labels)
    assert targets.shape == (32, 4)
    torch.testing.assert_close(targets.sum(dim=1), torch.ones(32))
    assert targets.max(dim=1).values.min() < 1
    torch.testing.assert_close(
        mixed.mean(dim=(1, 2, 3)), (targets * torch.arange(4)).sum(dim=1), atol=1e-4, rtol=0
    )


def test_of_two_mixes_each_batch_gets_one() -> None:
    mix = mix_batch([{"MixUp": {"alpha": 1.0}}, {"CutMix": {"alpha": 1.0}}], 2)
    assert mix is not None
    labels = torch.arange(8) % 2
    batch = labels.float().view(-1, 1, 1, 1).expand(-1, 1, 16, 16).contiguous()
    torch.manual_seed(0)
    whole_pixels = [set(mix(batch, labels)[0].unique().tolist()) <= {0.0, 1.0} for _ in range(20)]
    assert 3 <= sum(whole_pixels) <= 17
