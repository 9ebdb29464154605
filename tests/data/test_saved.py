"""A split that was saved is the same when it is opened, in another process too."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from edgekit.data.dataset import ArraySplit
from edgekit.data.saved import open_split, save_split
from edgekit.data.source import InputSpec

pytestmark = pytest.mark.torch

SPECS = {
    "camera/left": InputSpec((1, 2, 2), mean=(0.5,), std=(0.25,)),
    "ids": InputSpec((3,), dtype="int64"),
}


def split(targets: torch.Tensor | None) -> ArraySplit:
    pixels = torch.arange(20, dtype=torch.uint8).reshape(5, 1, 2, 2)
    return ArraySplit(
        {"camera/left": pixels, "ids": torch.arange(15).reshape(5, 3)}, targets, SPECS
    )


@pytest.mark.parametrize("targets", [torch.tensor([0, 1, 2, 0, 1]), None])
def test_what_was_saved_is_opened(targets: torch.Tensor | None, tmp_path: Path) -> None:
    before = split(targets)
    save_split(before, ("a", "b", "c"), tmp_path)
    after, classes = open_split(tmp_path)
    assert classes == ("a", "b", "c")
    assert after.specs == SPECS
    assert list(after.inputs) == list(SPECS)
    for name, values in before.at(slice(None)).items():
        torch.testing.assert_close(after.at(slice(None))[name], values, rtol=0, atol=0)
    if targets is None:
        assert after.targets is None
    else:
        assert after.targets is not None
        assert torch.equal(after.targets, targets)


def test_a_reader_does_not_change_the_files(tmp_path: Path) -> None:
    save_split(split(None), (), tmp_path)
    after, _ = open_split(tmp_path)
    after.inputs["ids"].zero_()
    again, _ = open_split(tmp_path)
    assert again.inputs["ids"].sum() == 105
