"""Samples of a model with a state: series with a target for each step, in memory and read while
they are used; and series that do not fit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from edgekit.data.dataset import ArraySplit, Dataset, Split, example_call, in_turn
from edgekit.data.load import load_dataset
from edgekit.data.saved import open_split, save_split
from edgekit.data.source import InputSpec
from edgekit.errors import ModelError
from edgekit.states import State, States
from edgekit.tasks.classification import CLASSIFICATION

pytestmark = pytest.mark.torch

STATES = States({"memory": State((3,), "hidden")}, ("x", "memory"))
SPECS = {"x": InputSpec((2,), mean=(1.0, 1.0), std=(2.0, 2.0))}
SERIES = torch.arange(40.0).reshape(5, 4, 2)
LABELS = torch.arange(20).reshape(5, 4) % 3


class Streamed:
    def __init__(self, change: Callable[[int, Tensor], Any] | None = None) -> None:
        self.change = change

    def __len__(self) -> int:
        return 5

    def __getitem__(self, number: int) -> Any:
        if self.change is not None:
            return self.change(number, SERIES[number])
        return SERIES[number], LABELS[number]


def give(returned: Any) -> Any:
    """A source that has what it is given."""
    return returned


def loaded(returned: Any, specs: Mapping[str, InputSpec] = SPECS) -> Dataset:
    name = f"{__name__}:give"
    return load_dataset(name, {"returned": returned}, inputs=specs, seed=0, states=STATES)


@pytest.fixture(params=["in memory", "streamed", "saved"])
def split(request: pytest.FixtureRequest, tmp_path: Path) -> Split:
    if request.param == "streamed":
        return loaded((Streamed(), Streamed(), ("a", "b", "c"))).test
    data = loaded((SERIES, LABELS, SERIES, LABELS, ("a", "b", "c")))
    if request.param == "in memory":
        return data.test
    save_split(data.test, data.classes, tmp_path)
    return open_split(tmp_path)[0]


def test_a_batch_has_series_and_a_target_for_each_step(split: Split) -> None:
    assert split.states == STATES
    assert (len(split), split.class_count) == (5, 3)
    batches = list(split.batches(in_turn(5, 2)))
    assert [batch.inputs["x"].shape for batch in batches] == [(2, 4, 2), (2, 4, 2), (1, 4, 2)]
    joined = torch.cat([batch.targets for batch in batches if batch.targets is not None])
    assert torch.equal(joined, LABELS.flatten())


def test_series_are_normalised_step_by_step(split: Split) -> None:
    assert torch.equal(split.at(slice(0, 5))["x"], (SERIES - 1) / 2)


def test_an_example_is_the_first_step_at_the_start(split: Split) -> None:
    example = example_call(split)
    assert list(example) == ["x", "memory"]
    assert torch.equal(example["x"], (SERIES[:2, 0] - 1) / 2)
    assert torch.equal(example["memory"], torch.zeros(2, 3))


def test_a_limit_keeps_whole_series(split: Split) -> None:
    limited = split.limited(2, seed=1)
    batch = limited.take(slice(0, 2))
    assert batch.targets is not None
    assert (len(limited), batch.inputs["x"].shape, len(batch.targets)) == (2, (2, 4, 2), 8)


def test_one_number_is_the_target_of_all_steps() -> None:
    numbers = torch.tensor([2, 0, 1, 1, 0])
    kinds = [
        (SERIES, numbers, SERIES, numbers),
        (Streamed(lambda n, x: (x, numbers[n])), Streamed(), ("a", "b", "c")),
    ]
    for kind in kinds:
        targets = loaded(kind).train.take(slice(0, 2)).targets
        assert targets is not None
        assert targets.tolist() == [2] * 4 + [0] * 4


@pytest.mark.parametrize(
    ("inputs", "targets", "words"),
    [
        (SERIES[:, 0], LABELS, "a sample is 2, but the recipe's input is a series of 2"),
        (SERIES[:, :, :1], LABELS, "a sample is 1, but the recipe's input is 2"),
        (SERIES[:, :0], LABELS, "have no steps"),
        (SERIES, LABELS[:, :3], r"series of 4 steps, but targets of shape \(5, 3\)"),
        (SERIES.masked_fill(SERIES == 13, torch.nan), LABELS, "sample 1 holds NaN"),
    ],
)
def test_series_that_do_not_fit(inputs: Tensor, targets: Tensor, words: str) -> None:
    with pytest.raises(ModelError, match=words):
        loaded((inputs, targets, SERIES, LABELS))


def test_a_streamed_series_that_does_not_fit_is_named() -> None:
    longer = Streamed(lambda n, x: (x if n < 3 else x[:2], LABELS[n]))
    with pytest.raises(ModelError, match=r"sample 3: .*\(2, 2\), but sample 2"):
        loaded((longer, Streamed(), ("a", "b", "c"))).train.take(slice(2, 4))
    wrong = Streamed(lambda n, x: (x, LABELS[n] - 3 * (n == 4)))
    checked = loaded((wrong, Streamed(), ("a", "b", "c"))).train.checked(
        lambda targets: CLASSIFICATION.check_targets(targets, {})
    )
    with pytest.raises(ModelError, match="sample 4: targets must be one class number"):
        checked.take(slice(3, 5))


def test_inputs_of_different_steps_are_refused() -> None:
    both = {"x": SERIES, "y": SERIES[:, :2]}
    with pytest.raises(ModelError, match="different numbers of steps: 4 of x, 2 of y"):
        loaded((both, LABELS, both, LABELS), {**SPECS, "y": InputSpec((2,))})


def test_without_targets() -> None:
    data = loaded((SERIES, None, SERIES, None))
    assert data.train.take(slice(0, 2)).targets is None
    assert isinstance(data.train, ArraySplit)
