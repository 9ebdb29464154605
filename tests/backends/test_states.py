"""A model with a state by every runtime: over series the outputs are those of the graph, whatever
order the formats keep their tensors in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from torch import nn
from torch.fx import GraphModule

from edgekit.backends.host_model import HostModel
from edgekit.backends.lookup import load_backend
from edgekit.bundle.manifest import Artifact
from edgekit.compress.quantize.calibrate import calibrate
from edgekit.compress.quantize.pt2e import convert, prepare_dynamic, prepare_ptq
from edgekit.compress.quantize.sensitivity import PartlyQuantized
from edgekit.compress.scheme import FLOAT, Scheme
from edgekit.data.dataset import example_call
from edgekit.export.arrays_file import read_arrays
from edgekit.export.artifact import Purpose, export_artifact
from edgekit.export.verify import Thresholds, eager_outputs
from edgekit.stats import snr_db
from edgekit.tasks.classification import CLASSIFICATION
from tests.support.memory_net import STATES, STEPS, WIDTH, memory_net, split
from tests.support.schemes import INT8_IN_GRAPH

pytestmark = [pytest.mark.torch, pytest.mark.slow]

DYNAMIC = Scheme(weights="int8", activations="dynamic")
TEST = split(12)
CASES = {"float": (FLOAT, 100.0), "static": (INT8_IN_GRAPH, 45.0), "dynamic": (DYNAMIC, 20.0)}
"""Schemes, and how near an artifact comes to its graph over whole series, in dB."""


def source(scheme: Scheme) -> nn.Module:
    """What is exported: a calibrated graph, or the float model."""
    model: nn.Module = memory_net()
    if scheme.in_graph:
        graph = prepare_ptq(model, example_call(TEST), observer="minmax")
        calibrate(graph, [split(32, 2).at(slice(0, 32))], STATES)
        return graph
    return model


def reference(scheme: Scheme, model: nn.Module) -> nn.Module:
    """The eager model that computes what the artifact is to compute."""
    if scheme.in_graph:
        return convert(model, fold=True)  # type: ignore[arg-type]
    if scheme == DYNAMIC:
        return convert(prepare_dynamic(model, example_call(TEST)), fold=True)
    return model


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("backend", ["xnnpack", "litert"])
def test_over_series_an_artifact_is_its_graph(backend: str, case: str, tmp_path: Path) -> None:
    scheme, least_db = CASES[case]
    model = source(scheme)
    artifact = export_artifact(
        model,
        load_backend(backend),
        purpose=Purpose("v", backend, f"v.{load_backend(backend).suffix}"),
        scheme=scheme,
        task=CLASSIFICATION,
        test=TEST,
        thresholds=Thresholds(samples=45, agreement_min_percent=90),
        output=tmp_path,
    )
    assert {spec.name: spec.from_output for spec in artifact.inputs} == {
        "memory": "hidden",
        "x": None,
    }
    assert {spec.name for spec in artifact.outputs} == {"scores", "hidden"}
    assert artifact.verification.samples == 5 * STEPS  # whole series
    assert artifact.reference_samples == 8
    assert {metric.samples for metric in artifact.verification.metrics} == {len(TEST) * STEPS}
    outputs = read_arrays(tmp_path / "outputs.npz")
    assert outputs["hidden"].shape == (len(TEST) * STEPS, WIDTH)
    expected = eager_outputs(reference(scheme, model), TEST.at(slice(0, 12)), STATES)
    for name, values in expected.items():
        assert snr_db(values, outputs[name]) > least_db, name
    _check_reference(artifact, open_artifact(artifact, backend, tmp_path), tmp_path)


def open_artifact(artifact: Artifact, backend: str, directory: Path) -> HostModel:
    return load_backend(backend).open(
        directory / artifact.key,
        inputs=STATES.order,
        outputs=("scores", "hidden"),
        threads=1,
    )


def _check_reference(artifact: Artifact, host: HostModel, directory: Path) -> None:
    """Each sample of the reference has its state in it, so that it stands for itself."""
    stored = (directory / artifact.reference_inputs.name).read_bytes()
    assert artifact.reference_outputs is not None
    returned = (directory / artifact.reference_outputs.name).read_bytes()
    for number in range(artifact.reference_samples):
        inputs = split_bytes(stored, artifact.inputs, number)
        outputs = host.run(inputs)
        for name, values in split_bytes(returned, artifact.outputs, number).items():
            np.testing.assert_array_equal(outputs[name], values)


def split_bytes(data: bytes, specs: object, number: int) -> dict[str, np.ndarray]:
    """One sample's tensors by name."""
    arrays = {}
    sizes = [int(np.prod(s.shape)) * np.dtype(s.dtype).itemsize for s in specs]  # type: ignore[attr-defined]
    at = number * sum(sizes)
    for spec, size in zip(specs, sizes, strict=True):  # type: ignore[call-overload]
        arrays[spec.name] = np.frombuffer(data[at : at + size], spec.dtype).reshape(spec.shape)
        at += size
    return arrays


def test_calibration_sees_the_states_of_all_steps() -> None:
    """Ranges that are those of a zero state would clip all states that come back."""
    inputs = TEST.at(slice(0, 12))
    expected = eager_outputs(memory_net(), inputs, STATES)
    only_zeros = prepare_ptq(memory_net(), example_call(TEST), observer="minmax")
    calibrate(only_zeros, [example_call(split(32, 2), 32)])
    nearness = []
    for graph in (reference(INT8_IN_GRAPH, source(INT8_IN_GRAPH)), convert(only_zeros, fold=True)):
        outputs = eager_outputs(graph, inputs, STATES)
        nearness.append(snr_db(expected["hidden"], outputs["hidden"]))
    assert nearness[0] > nearness[1] + 6


def test_sensitivity_looks_at_all_steps() -> None:
    """With the states that the float model has there, of which most are not zeros."""
    graph = source(INT8_IN_GRAPH)
    assert isinstance(graph, GraphModule)
    network = PartlyQuantized(graph, TEST.at(slice(0, 4)), STATES)
    assert len(network._batch["memory"]) == len(network._batch["x"]) == 4 * STEPS
    assert network._batch["memory"].any(1).sum() == 4 * (STEPS - 1)
    assert 10 < network.snr_db() < 60
