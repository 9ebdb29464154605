"""O-Net with its real weights knows real faces, and is the network that they were made for."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from edgekit.data.load import load_dataset
from edgekit.models.create import create_model
from edgekit.models.fingerprint import resolve_weights
from edgekit.models.weights import load_weights
from tests.support.splits import one_input, only, targets
from tests.support.tiers import require_module

pytestmark = pytest.mark.torch


@pytest.fixture
def network() -> nn.Module:
    require_module("facenet_pytorch", "data")
    network = create_model("mtcnn_onet", {}, seed=0).eval()
    load_weights(network, resolve_weights("package:facenet_pytorch/data/onet.pt", Path()))
    return network


def test_it_answers_as_the_packages_own_network(network: nn.Module) -> None:
    theirs = require_module("facenet_pytorch", "data").models.mtcnn.ONet().eval()
    images = torch.rand(4, 3, 48, 48, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.no_grad():
        box, landmarks, probability = theirs(images)
        outputs = network(images)
    assert list(outputs) == ["face", "box", "landmarks"]
    assert torch.equal(outputs["box"], box)
    assert torch.equal(outputs["landmarks"], landmarks)
    assert torch.equal(outputs["face"].softmax(dim=1), probability)


def test_it_knows_real_faces(network: nn.Module) -> None:
    require_module("skimage", "data")
    inputs = one_input((3, 48, 48), mean=[0.5] * 3, std=[0.502] * 3)
    split = load_dataset("lfw_faces", {}, inputs=inputs, seed=0).test
    with torch.no_grad():
        outputs = network(only(split.at(slice(0, 100))))
    faces = targets(split) == 1
    assert ((outputs["face"].argmax(dim=1) == 1) == faces).float().mean() >= 0.98
    x, y = outputs["landmarks"][faces].mean(dim=0).chunk(2)
    left_eye, right_eye, nose, left_mouth, right_mouth = zip(x.tolist(), y.tolist(), strict=True)
    assert left_eye[0] < nose[0] < right_eye[0]
    assert left_mouth[0] < nose[0] < right_mouth[0]
    assert max(left_eye[1], right_eye[1]) < nose[1] < min(left_mouth[1], right_mouth[1])
