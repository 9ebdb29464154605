"""From an export to a profile on this machine whose rows name the model's modules, for a float and
a quantized graph."""

from __future__ import annotations

from pathlib import Path

import pytest
from torch import nn

from edgekit.backends.xnnpack import XNNPACK
from edgekit.compress.quantize import calibrate, pt2e
from edgekit.compress.scheme import FLOAT
from edgekit.export.artifact import Purpose, export_artifact
from edgekit.export.verify import Thresholds
from edgekit.measure.profiling import profile_of
from edgekit.tasks.classification import CLASSIFICATION
from tests.support.export_nets import IMAGE, Sorting, conv_net, samples
from tests.support.runners import Runner
from tests.support.schemes import SCHEMES

pytestmark = pytest.mark.torch
LAYERS = ["stem.0", "depthwise.0", "pointwise.0", "classifier"]


def weighted(
    model: nn.Module, method: str | None, directory: Path, argv: tuple[str, ...]
) -> list[tuple[str, str]]:
    """Operator and module of the rows with weights."""
    net = conv_net()
    thresholds = Thresholds(samples=8, snr_min_db=10, cosine_min=0.9, agreement_min_percent=0)
    artifact = export_artifact(
        model,
        XNNPACK,
        purpose=Purpose("v", "xnnpack", "v.pte"),
        scheme=FLOAT if method is None else SCHEMES[method],
        task=CLASSIFICATION,
        test=samples(net, IMAGE),
        thresholds=thresholds,
        output=directory,
    )
    run = Runner("executorch", argv, directory).run(
        "v", "--mode", "profile", "--min-iterations", "5", mode="profile"
    )
    rows = profile_of(run, artifact.delegation.sequence).operators
    return [
        (row.name.partition(" (")[0], row.layer)
        for row in rows
        if row.name.startswith(("Convolution", "Fully Connected"))
    ]


def test_float(tmp_path: Path, executorch_argv: tuple[str, ...]) -> None:
    assert [layer for _, layer in weighted(conv_net(), None, tmp_path, executorch_argv)] == LAYERS


def test_quantized(tmp_path: Path, executorch_argv: tuple[str, ...]) -> None:
    net = conv_net()
    data = samples(net, IMAGE)
    graph = pt2e.prepare_ptq(net, data.at(slice(0, 2)), observer="minmax")
    calibrate.calibrate(graph, [data.at(slice(0, 40))])
    rows = weighted(graph, "ptq", tmp_path, executorch_argv)
    assert [layer for _, layer in rows] == LAYERS
    assert {name for name, _ in rows} == {"Convolution", "Fully Connected"}


def test_operators_outside_the_delegate(tmp_path: Path, executorch_argv: tuple[str, ...]) -> None:
    net = Sorting().eval()
    thresholds = Thresholds(samples=8)
    artifact = export_artifact(
        net,
        XNNPACK,
        purpose=Purpose("v", "xnnpack", "v.pte"),
        task=CLASSIFICATION,
        test=samples(net, (16,)),
        thresholds=thresholds,
        output=tmp_path,
    )
    run = Runner("executorch", executorch_argv, tmp_path).run(
        "v", "--mode", "profile", "--min-iterations", "5", mode="profile"
    )
    rows = {
        row.name: row
        for row in profile_of(run, artifact.delegation.sequence).operators
        if not row.delegated
    }
    assert any("cumsum" in name for name in rows)
    assert [
        operation.operator
        for operation in artifact.delegation.sequence
        if operation.delegate is None
    ] == ["aten.cumsum"]
