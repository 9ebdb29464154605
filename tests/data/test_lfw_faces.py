"""Faces and other crops of photographs, from the package that carries them."""

from __future__ import annotations

import pytest
import torch

from edgekit.data import lfw_faces
from edgekit.data.load import load_dataset
from edgekit.errors import ModelError
from edgekit.installing import install_command
from tests.support.splits import arrays, one_input, only, targets
from tests.support.tiers import require_module

pytestmark = pytest.mark.torch


def test_half_of_both_classes_is_for_testing() -> None:
    require_module("skimage", "data")
    data = load_dataset("lfw_faces", {}, inputs=one_input((3, 48, 48)), seed=0)
    assert data.classes == ("other", "face")
    for split in (data.train, data.test):
        assert torch.bincount(targets(split)).tolist() == [50, 50]
        pixels = only(arrays(split).inputs)
        assert (pixels.shape, pixels.dtype) == ((100, 1, 48, 48), torch.uint8)
        assert only(split.at(slice(1))).shape == (1, 3, 48, 48)
    images = torch.cat([only(arrays(split).inputs) for split in (data.train, data.test)])
    assert len(images.unique(dim=0)) == 200


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lfw_faces, "module_file", lambda name, base: None)
    with pytest.raises(ModelError, match="scikit-image, which holds it, is not") as caught:
        load_dataset("lfw_faces", {}, inputs=one_input((1, 25, 25)), seed=0)
    assert caught.value.hint == install_command("data")
    with pytest.raises(ModelError, match="images have 1 or 3 channels"):
        load_dataset("lfw_faces", {}, inputs=one_input((25, 25)), seed=0)
