"""Samples that are read while they are used: the same batches as from memory, by any number of
processes, and every way a sample can be wrong."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import Dataset as TorchDataset

from edgekit.compress.training.evaluate import evaluate
from edgekit.data.dataset import ArraySplit, Split, in_turn, shuffled
from edgekit.data.saved import open_split, save_split
from edgekit.data.streaming import StreamedSplit, alive, streamed_split
from edgekit.errors import ModelError
from edgekit.models.create import create_model
from edgekit.tasks.classification import CLASSIFICATION
from tests.support.splits import one_input
from tests.support.training import train

pytestmark = pytest.mark.torch

SAMPLES = 23
PIXELS = torch.arange(SAMPLES * 64).remainder(251).to(torch.uint8).reshape(SAMPLES, 1, 8, 8)
LABELS = torch.arange(SAMPLES) % 3
SPECS = one_input((1, 8, 8), mean=(0.5,), std=(0.25,))


class Pixels(TorchDataset[tuple[Tensor, int]]):
    """`change(number, pixels)` may give another sample, or raise."""

    def __init__(self, change: Callable[[int, Tensor], Any] | None = None) -> None:
        self.change = change

    def __len__(self) -> int:
        return SAMPLES

    def __getitem__(self, number: int) -> Any:
        if self.change is not None:
            return self.change(number, PIXELS[number])
        return PIXELS[number], int(LABELS[number])


def streamed(change: Callable[[int, Tensor], Any] | None = None, workers: int = 0) -> StreamedSplit:
    return streamed_split(
        Pixels(change), SPECS, "data own, train split", classes=3, workers=workers
    )


def in_memory() -> ArraySplit:
    return ArraySplit({"input": PIXELS}, LABELS, SPECS)


def joined(split: Split, order: list[Tensor], seed: int = 0) -> tuple[Tensor, Tensor]:
    batches = list(split.batches(order, seed=seed))
    targets = [batch.targets for batch in batches if batch.targets is not None]
    return torch.cat([batch.inputs["input"] for batch in batches]), torch.cat(targets)


@pytest.mark.parametrize("workers", [0, 2])
def test_the_same_batches_as_from_memory(workers: int) -> None:
    split = streamed(workers=workers)
    order = list(shuffled(SAMPLES, 1).split(5))
    for read, expected in zip(joined(split, order), joined(in_memory(), order), strict=True):
        assert torch.equal(read, expected)
    for index in (slice(2, 9), torch.tensor([7, 0])):
        assert torch.equal(split.at(index)["input"], in_memory().at(index)["input"])
    assert (len(split), split.labelled, split.class_count) == (SAMPLES, True, 3)


def test_a_limit_keeps_the_same_samples_as_in_memory() -> None:
    order = list(torch.arange(9).split(4))
    few, expected = streamed(workers=1).limited(9, 5), in_memory().limited(9, 5)
    assert len(few) == 9
    assert torch.equal(joined(few, order)[0], joined(expected, order)[0])


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_random_draws_follow_from_the_seed_and_not_from_the_number_of_processes(
    workers: int,
) -> None:
    def noisy(number: int, pixels: Tensor) -> Any:
        return pixels.float() + torch.rand(()) + np.random.rand(), number % 3

    order = list(torch.arange(SAMPLES).split(5))
    torch.manual_seed(4)
    before = torch.random.get_rng_state()
    read, _ = joined(streamed(noisy, workers), order, seed=7)
    assert torch.equal(before, torch.random.get_rng_state()), "the caller's own draws stay"
    assert torch.equal(read, joined(streamed(noisy), order, seed=7)[0])
    assert not torch.equal(read, joined(streamed(noisy), order, seed=8)[0])


def test_a_training_from_a_stream_is_the_training_from_memory() -> None:
    nets = [create_model("small_cnn", {"in_channels": 1, "num_classes": 3}, seed=0) for _ in "12"]
    train(nets[0], in_memory(), epochs=3, batch_size=6)
    train(nets[1], streamed(workers=2), epochs=3, batch_size=6)
    for expected, weights in zip(*(net.state_dict().values() for net in nets), strict=True):
        assert torch.equal(expected, weights)
    assert evaluate(nets[0], in_memory(), CLASSIFICATION) == evaluate(
        nets[1], streamed(), CLASSIFICATION
    )


def test_a_stream_is_saved_as_it_is_in_memory(tmp_path: Any) -> None:
    save_split(streamed(workers=2), ("a", "b", "c"), tmp_path)
    split, classes = open_split(tmp_path)
    assert classes == ("a", "b", "c")
    assert torch.equal(split.inputs["input"], PIXELS)
    assert split.targets is not None
    assert torch.equal(split.targets, LABELS)


def raising(number: int, pixels: Tensor) -> Any:
    if number == 17:
        raise OSError("truncated file\nand more")
    return pixels, 0


def smaller(number: int, pixels: Tensor) -> Any:
    return (pixels[:, :4] if number == 17 else pixels), 0


def other_type(number: int, pixels: Tensor) -> Any:
    return (pixels.float() if number == 17 else pixels), 0


def not_a_number(number: int, pixels: Tensor) -> Any:
    return pixels.float() / float(number != 17), 0


def no_target(number: int, pixels: Tensor) -> Any:
    return (pixels, None if number == 17 else 0)


def longer_target(number: int, pixels: Tensor) -> Any:
    return pixels, torch.zeros(2 if number == 17 else 1)


def target_without_number(number: int, pixels: Tensor) -> Any:
    return pixels, float("nan") if number == 17 else 0.0


def negative_class(number: int, pixels: Tensor) -> Any:
    return pixels, -1 if number == 17 else 0


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (raising, r"train split, sample 17: OSError: truncated file \(.*test_streaming\.py:\d+\)$"),
        (smaller, r"sample 17: a sample is 1×4×8, but the recipe's input is 1×8×8"),
        (other_type, r"sample 17: torch\.float32 of .* but sample 15 is torch\.uint8"),
        (not_a_number, r"train split: sample 17 holds NaN or infinity"),
        (no_target, r"sample 17 has no target"),
        (longer_target, r"sample 17: a target of shape \(2,\), but sample 15 has \(1,\)"),
        (target_without_number, r"train split: target 17 holds NaN or infinity"),
        (negative_class, r"sample 17: targets must be one class number"),
    ],
)
def test_a_wrong_sample_is_named(
    change: Callable[[int, Tensor], Any], message: str, workers: int
) -> None:
    split = streamed(change, workers).checked(lambda y: CLASSIFICATION.check_targets(y, {}))
    if change is longer_target or change is target_without_number:
        split = streamed(change, workers)
    with pytest.raises(ModelError, match=message) as caught:
        list(split.batches(in_turn(SAMPLES, 5)))
    assert caught.value.exit_code == 3


def test_a_process_that_is_killed_is_an_error() -> None:
    parent = os.getpid()

    def fatal(number: int, pixels: Tensor) -> Any:
        if number == 17 and os.getpid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)
        return pixels, 0

    with pytest.raises(ModelError, match="a process that reads samples was killed") as caught:
        list(streamed(fatal, workers=1).batches(in_turn(SAMPLES, 5)))
    assert "data.workers: 0" in caught.value.hint


@pytest.mark.parametrize("error", [EOFError, ConnectionRefusedError, FileNotFoundError])
def test_a_process_that_dies_while_its_batch_is_taken(error: type[Exception]) -> None:
    """What torch lets through when the process is no longer there to hand over the memory of a
    batch, and not yet gone. That instant cannot be met at will."""

    class Dying:
        def __iter__(self) -> Iterator[Any]:
            yield "a batch"
            raise error

    batches = alive(Dying(), "data own")
    assert next(batches) == "a batch"
    with pytest.raises(ModelError, match="data own: a process that reads samples was killed"):
        next(batches)


def test_samples_without_targets() -> None:
    split = streamed(lambda number, pixels: pixels)
    assert not split.labelled
    assert split.take(slice(0, 2)).targets is None


def test_no_samples() -> None:
    class Empty(Pixels):
        def __len__(self) -> int:
            return 0

    with pytest.raises(ModelError, match="data own: there are no samples"):
        streamed_split(Empty(), SPECS, "data own", classes=0, workers=0)
