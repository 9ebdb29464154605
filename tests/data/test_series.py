"""Japanese vowels, as the package aeon ships them."""

from __future__ import annotations

import pytest
import torch

from edgekit.data import japanese_vowels
from edgekit.data.load import load_dataset
from edgekit.errors import ModelError
from tests.support.splits import arrays, one_input, only, targets

pytestmark = pytest.mark.torch


def test_the_official_split_padded_in_front() -> None:
    data = load_dataset("japanese_vowels", {}, inputs=one_input((32, 12)), seed=0)
    assert (len(data.train), len(data.test)) == (270, 370)
    assert data.classes == tuple("123456789")
    assert torch.bincount(targets(data.train)).tolist() == [30] * 9
    first = only(arrays(data.train).inputs)[0]
    assert first.shape == (32, 12)
    assert first[:12].abs().max() == 0
    assert first[12:].abs().min() > 0
    assert first[12, :2].tolist() == pytest.approx([1.860936, -0.207383])
    assert first[-1, 0].item() == pytest.approx(1.261441)


@pytest.mark.parametrize("shape", [(28, 12), (29, 11), (12,), (1, 29, 12)])
def test_a_shape_that_does_not_hold_the_series_says_both(shape: tuple[int, ...]) -> None:
    with pytest.raises(
        ModelError, match=r"up to 29×12 \(steps × features\), but the recipe's input is"
    ):
        load_dataset("japanese_vowels", {}, inputs=one_input(shape), seed=0)


def test_without_the_package_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(japanese_vowels, "module_file", lambda name, base: None)
    with pytest.raises(
        ModelError, match="the package aeon, which holds it, is not installed"
    ) as caught:
        load_dataset("japanese_vowels", {}, inputs=one_input((29, 12)), seed=0)
    assert "pip install" in caught.value.hint
