"""A recipe with an input of dynamic sizes: built, verified at the bounds, measured with the
largest, and evaluated in the size of the data. And networks that are not made for it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import edgekit
from edgekit.backends.backend import DynamicBackend
from edgekit.backends.lookup import load_backend
from edgekit.backends.xnnpack import XNNPACK
from edgekit.bundle.manifest import DynamicSize
from edgekit.compress.scheme import Scheme
from edgekit.devices.target import LocalTarget
from edgekit.errors import ExportError
from edgekit.export.sizes import sized
from edgekit.pipeline.build import BuildResult

pytestmark = [pytest.mark.torch, pytest.mark.slow]

RECIPE = """\
edgekit: 2
name: sizes
model: {name: small_cnn, args: {num_classes: 10}}
inputs:
  image:
    shape: [1, 8, 8]
    dynamic:
      - {axis: 1, min: 4, max: 16, multiple_of: 4}
      - {axis: 2, min: 4, max: 16, multiple_of: 4}
data: {name: digits, train_limit: 300, test_limit: 60}
stages:
  - {stage: train, epochs: 2, name: fp32, export: fp32}
  - {stage: quantize, method: qat, train: {epochs: 1}, export: int8}
export: {backends: [xnnpack, portable], evaluation_set: 30}
"""
SIZES = tuple(DynamicSize(axis=axis, min=4, max=16, multiple_of=4) for axis in (2, 3))


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> BuildResult:
    place = tmp_path_factory.mktemp("sizes")
    (place / "sizes.yaml").write_text(RECIPE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDGEKIT_CACHE", str(place / "cache"))
        return edgekit.build(place / "sizes.yaml", output=place / "out")


def test_the_bundle_says_what_sizes_there_are(built: BuildResult) -> None:
    manifest = built.bundle.manifest
    assert manifest.inputs["image"].shape == (1, 8, 8)
    assert [size.axis for size in manifest.inputs["image"].dynamic] == [1, 2]
    assert len(manifest.artifacts) == 4
    for artifact in manifest.artifacts:
        [image], [logits] = artifact.inputs, artifact.outputs
        assert (image.shape, image.dynamic) == ((1, 1, 16, 16), SIZES)
        assert (logits.shape, logits.dynamic) == ((1, 10), ())
        assert artifact.reference_inputs.bytes == artifact.reference_samples * 16 * 16 * 4
        assert artifact.verification.metrics[0].samples == 60


def test_a_device_runs_the_largest_and_the_size_of_the_data(
    built: BuildResult, tmp_path: Path
) -> None:
    target = LocalTarget(edgekit=1, name="here", kind="local", workdir=str(tmp_path / "device"))
    [measured] = edgekit.bench(
        built.bundle,
        target,
        settings={"runs": 1, "min_seconds": 0.01, "min_iterations": 2},
        accuracy_samples=30,
        store=False,
    ).values()
    for result in measured.artifacts:
        assert all(output.equal for output in result.outputs), result.artifact.key
        assert result.evaluation is not None
        assert result.evaluation.agreement_percent == 100, result.artifact.key
        assert result.evaluation.max_abs_error < 1e-5, result.artifact.key
    texts = [note.text for note in measured.notes if note.code == "call"]
    assert texts == [f"{a.key}: with image 1×1×16×16" for a in built.bundle.manifest.artifacts]


def test_a_file_in_a_size_between(built: BuildResult, tmp_path: Path) -> None:
    """As anybody measures it who has only the file."""
    target = LocalTarget(edgekit=1, name="here", kind="local", workdir=str(tmp_path / "device"))
    file = built.bundle.path / "int8.xnnpack.pte"
    with edgekit.open_model(file, shapes={"input0": (1, 1, 12, 8)}) as model:
        settings = {"runs": 1, "min_seconds": 0.01}
        [measured] = edgekit.bench(model, target, settings=settings, store=False).values()
    assert measured.artifacts[0].complete_runs


class Doubled(nn.Module):
    """Its output is as large as its input."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(1, 2, 3, padding=1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.layer(image)


ASKS_FOR_ITS_SIZE = """\
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.features, self.head = nn.Conv2d(1, 4, 3, padding=1), nn.Linear(4, 10)

    def forward(self, image):
        count, _, height, width = image.shape
        return self.head(self.features(image).reshape(count, 4, height * width).mean(2))
"""


def test_weights_that_are_stored_smaller(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model, example = Doubled().eval(), {"image": torch.randn(1, 1, 8, 8)}
    dynamic = {"image": SIZES}
    lowered = XNNPACK.lower_dynamic(
        model, example, dynamic, scheme=Scheme("float16"), keep_float=()
    )
    (tmp_path / "a.pte").write_bytes(lowered.data)
    host = XNNPACK.open(tmp_path / "a.pte", inputs=["image"], outputs=lowered.outputs, threads=1)
    for bound, side in (("min", 4), ("max", 16)):
        samples = sized(example, dynamic, bound)  # type: ignore[arg-type]
        assert samples["image"].shape == (1, 1, side, side)
        outputs = host({"image": samples["image"].numpy()})[lowered.outputs[0]]
        expected = model(samples["image"]).detach().numpy()
        np.testing.assert_allclose(outputs, expected, atol=1e-2)


def test_samples_in_another_size_are_cut_off_or_repeated() -> None:
    samples = {"x": torch.arange(4.0).reshape(1, 4)}
    dynamic = {"x": (DynamicSize(axis=1, min=2, max=6),)}
    assert sized(samples, dynamic, "min")["x"].tolist() == [[0, 1]]
    assert sized(samples, dynamic, "max")["x"].tolist() == [[0, 1, 2, 3, 0, 1]]


def test_backends_of_fixed_sizes_are_refused_before_training(tmp_path: Path) -> None:
    assert not isinstance(load_backend("litert"), DynamicBackend)
    recipe = tmp_path / "sizes.yaml"
    recipe.write_text(RECIPE.replace("portable", "litert"))
    with pytest.raises(ExportError, match="backend litert makes files of fixed sizes"):
        edgekit.build(recipe, output=tmp_path / "out")
    [finding] = [each for each in edgekit.lint(recipe) if each.severity == "error"]
    assert (finding.code, finding.origin.line) == ("fixed-sizes", 14)


@pytest.mark.nightly
def test_a_graph_that_keeps_the_sizes_of_training_is_refused(tmp_path: Path) -> None:
    """That of static int8; the float model follows them. Lint says so, too."""
    (tmp_path / "nets.py").write_text(ASKS_FOR_ITS_SIZE)
    text = RECIPE.replace("small_cnn, args: {num_classes: 10}", '"nets:Net"')
    recipe = tmp_path / "sizes.yaml"
    recipe.write_text(text.replace("method: qat, train: {epochs: 1}", "method: ptq"))
    [finding] = [each for each in edgekit.lint(recipe) if each.code == "cannot-export"]
    assert finding.origin.line == 13
    with pytest.raises(ExportError, match=r"int8\.\w+\.pte: .*does not run") as raised:
        edgekit.build(recipe, output=tmp_path / "out")
    assert "leave out `dynamic`" in raised.value.hint
