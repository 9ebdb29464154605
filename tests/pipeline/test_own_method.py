"""A quantization method from a module beside the recipe, through the stages of a build."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from edgekit.cache import Cache
from edgekit.compress.checkpoint import Checkpoint
from edgekit.errors import ModelError
from edgekit.pipeline.planning import plan
from edgekit.pipeline.stages import Stages
from edgekit.progress import silent
from edgekit.recipe.load import load_recipe

pytestmark = pytest.mark.torch

MODULE = '''
"""int8 by calibration, with the extremes that were seen."""
import dataclasses

from edgekit.compress.method import Method
from edgekit.compress.scheme import Scheme
from edgekit.compress.sections import QuantizeBase
from edgekit.yaml_documents.fields import Count

SCHEME = Scheme(weights="int8", activations="static", in_graph=True)


class Extremes(QuantizeBase):
    """int8 with the extremes of a few samples."""

    samples: Count = 32


def run(context, checkpoint, section):
    from edgekit.compress.checkpoint import Quantization
    from edgekit.compress.quantize.calibrate import calibrate

    quantization = Quantization(section.method, SCHEME, section.keep_float)
    graph = rebuild(checkpoint.model.eval(), context.example, quantization)
    calibrate(graph, [context.train.at(slice(0, section.samples))])
    return dataclasses.replace(checkpoint, model=graph, quantization=quantization), ("own",)


def rebuild(model, example, quantization):
    from edgekit.compress.quantize.pt2e import prepare_ptq

    return prepare_ptq(model, example, keep_float=quantization.keep_float, observer="minmax")


EXTREMES = Method(section=Extremes, run=run, scheme=SCHEME, rebuild=rebuild)
'''
RECIPE = """
edgekit: 2
name: own
model: {name: small_cnn, args: {num_classes: 10, width: 8}}
inputs: {image: {shape: [1, 8, 8]}}
data: {name: digits, train_limit: 128, test_limit: 50}
export: {backends: [xnnpack]}
stages:
  - {stage: train, export: fp32}
  - {stage: quantize, method: "own_quantizer_of_a_test:EXTREMES", samples: 16, export: int8}
"""


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path / "cache"))
    (tmp_path / "own_quantizer_of_a_test.py").write_text(MODULE)
    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE)
    return path


def quantized(recipe: Path) -> Checkpoint:
    """The result of the second stage, from the cache where it is there."""
    loaded = load_recipe(recipe)
    cache = Cache(recipe.parent / "cache", "stages")
    return Stages(loaded, plan(loaded), cache, silent).checkpoint(1)


def test_its_result_is_cached_until_its_source_changes(recipe: Path) -> None:
    made, read = quantized(recipe), quantized(recipe)
    assert made.quantization == read.quantization
    assert made.quantization is not None
    assert made.quantization.method == "own_quantizer_of_a_test:EXTREMES"
    example = torch.rand(2, 1, 8, 8)
    assert torch.equal(made.model(example), read.model(example))
    (row,) = (stage for stage in plan(load_recipe(recipe)).stages if stage.name == "int8")
    assert row.cached is not None
    assert '"own"' in (row.cached / "trace.json").read_text()
    module = recipe.parent / "own_quantizer_of_a_test.py"
    module.write_text(MODULE + "\n# another version\n")
    assert [bool(stage.cached) for stage in plan(load_recipe(recipe)).stages] == [True, False]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("raise ValueError('no luck')", "its method failed: ValueError: no luck"),
        ("return None, ()", "returned a NoneType as the result"),
    ],
)
def test_a_method_that_fails_is_an_error_of_the_stage(
    recipe: Path, line: str, message: str
) -> None:
    module = recipe.parent / "own_quantizer_of_a_test.py"
    module.write_text(
        MODULE.replace(
            "    quantization = Quantization", f"    {line}\n    quantization = Quantization"
        )
    )
    with pytest.raises(ModelError, match=message):
        quantized(recipe)
