"""A model with a float image and int64 ids as inputs, and three named outputs, by every runtime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from edgekit.backends.lookup import load_backend
from edgekit.bundle.manifest import Artifact
from edgekit.compress.quantize.calibrate import calibrate
from edgekit.compress.quantize.pt2e import prepare_ptq
from edgekit.compress.scheme import FLOAT, Scheme
from edgekit.data.dataset import ArraySplit
from edgekit.data.source import InputSpec
from edgekit.export.arrays_file import read_arrays
from edgekit.export.artifact import Purpose, export_artifact
from edgekit.export.verify import Thresholds
from edgekit.tasks.classification import CLASSIFICATION
from tests.support.schemes import INT8_IN_GRAPH

pytestmark = [pytest.mark.torch, pytest.mark.slow]

SPECS = {"image": InputSpec((3, 16, 16)), "ids": InputSpec((7,), dtype="int64")}
OUTPUTS = ("z_boxes", "logits", "parts_0")
"""In the order of `forward`, which is not that of the alphabet."""


class TwoInputs(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU())
        self.embedding = nn.Embedding(10, 8)
        self.boxes = nn.Conv2d(8, 4, 1)
        self.logits = nn.Linear(16, 5)

    def forward(self, image: Tensor, ids: Tensor) -> dict[str, object]:
        features = self.conv(image)
        pooled = features.mean((2, 3), keepdim=True).flatten(1)
        joined = torch.cat([pooled, self.embedding(ids).mean(1)], 1)
        return {
            "z_boxes": self.boxes(features),
            "logits": self.logits(joined),
            "parts": (joined,),
        }


def net() -> TwoInputs:
    torch.manual_seed(0)
    return TwoInputs().eval()


def samples() -> ArraySplit:
    generator = torch.Generator().manual_seed(1)
    image = torch.randn(12, 3, 16, 16, generator=generator)
    ids = torch.randint(0, 10, (12, 7), generator=generator)
    return ArraySplit({"image": image, "ids": ids}, None, SPECS)


def exported(backend: str, scheme: Scheme, model: nn.Module, output: Path) -> Artifact:
    return export_artifact(
        model,
        load_backend(backend),
        purpose=Purpose("v", backend, f"v.{load_backend(backend).suffix}"),
        scheme=scheme,
        task=CLASSIFICATION,
        test=samples(),
        thresholds=Thresholds(samples=12, snr_min_db=90 if scheme == FLOAT else 20),
        output=output,
    )


@pytest.mark.parametrize("scheme", [FLOAT, INT8_IN_GRAPH], ids=["float", "int8"])
@pytest.mark.parametrize("backend", ["xnnpack", "portable", "litert"])
def test_inputs_and_outputs_are_matched_by_name(
    backend: str, scheme: Scheme, tmp_path: Path
) -> None:
    model: nn.Module = net()
    if scheme.in_graph:
        model = prepare_ptq(model, samples().at(slice(0, 2)), observer="minmax")
        calibrate(model, [samples().at(slice(0, 12))])
    artifact = exported(backend, scheme, model, tmp_path)
    inputs = {spec.name: spec for spec in artifact.inputs}
    assert list(inputs) == ["image", "ids"]
    narrowed = backend == "litert"
    assert inputs["ids"].dtype == ("int32" if narrowed else "int64")
    assert inputs["ids"].model_dtype == ("int64" if narrowed else None)
    assert {spec.name for spec in artifact.outputs} == set(OUTPUTS)
    outputs = read_arrays(tmp_path / "outputs.npz")
    with torch.no_grad():
        expected = net()(*samples().at(slice(0, 12)).values())
    atol = 1e-5 if scheme == FLOAT else 0.2
    np.testing.assert_allclose(outputs["logits"], expected["logits"], atol=atol)
    np.testing.assert_allclose(outputs["z_boxes"], expected["z_boxes"], atol=atol)
    np.testing.assert_allclose(outputs["parts_0"], expected["parts"][0], atol=atol)


def test_reference_files_hold_all_inputs_of_a_sample_side_by_side(tmp_path: Path) -> None:
    artifact = exported("litert", FLOAT, net(), tmp_path)
    stored = (tmp_path / artifact.reference_inputs.name).read_bytes()
    assert artifact.reference_samples == 8
    sample = samples().at(slice(0, 1))
    parts = {
        "image": sample["image"].numpy().tobytes(),
        "ids": sample["ids"].numpy().astype(np.int32).tobytes(),
    }
    first = b"".join(parts[spec.name] for spec in artifact.inputs)
    assert stored[: len(first)] == first
    assert len(stored) == 8 * len(first)
