"""A rewritten `.tflite` computes the same, in fewer bytes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from ai_edge_litert import schema_py_generated as tfl
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from edgekit.backends.tflite import conversion
from edgekit.backends.tflite.compact import ALIGNMENT, compact, layer_name
from edgekit.backends.tflite.contents import read_tflite
from edgekit.backends.tflite.weight_quantization import with_smaller_weights
from edgekit.compress.quantize import calibrate, pt2e
from edgekit.compress.scheme import Scheme
from tests.support.export_nets import IMAGE, conv_net, samples

pytestmark = pytest.mark.torch


@pytest.fixture(scope="module", params=["float", "int8"])
def written(request: pytest.FixtureRequest) -> bytes:
    """What the converter wrote."""
    net = conv_net()
    example = torch.zeros(1, *IMAGE)
    if request.param == "float":
        return conversion._convert(net.eval(), {"x": example}, int8=False).data
    data = samples(net, IMAGE)
    prepared = pt2e.prepare_ptq(net, data.at(slice(0, 2)), observer="minmax")
    calibrate.calibrate(prepared, [data.at(slice(0, 40))])
    return conversion._convert(pt2e.convert(prepared, fold=False), {"x": example}, int8=True).data


def run(model: bytes) -> NDArray[np.generic]:
    interpreter = Interpreter(model_content=model)
    runner = interpreter.get_signature_runner()
    details = runner.get_input_details()["args_0"]
    values = np.random.default_rng(0).normal(size=details["shape"]) * (
        1 if details["dtype"] is np.float32 else 50
    )
    (output,) = runner(args_0=values.astype(details["dtype"])).values()
    return np.asarray(output)


def test_fewer_bytes_the_same_numbers(written: bytes) -> None:
    small = compact(written)
    assert len(small) < 0.9 * len(written)
    assert np.array_equal(run(small), run(written))
    before, after = read_tflite(written), read_tflite(small)
    assert [operator.name for operator in after.operators] == [
        operator.name for operator in before.operators
    ]
    for index, constant in before.constants.items():
        assert np.array_equal(after.constants[index].values, constant.values)
        assert (constant.scale is None) == (after.constants[index].scale is None)
        if constant.scale is not None:
            assert np.array_equal(after.constants[index].scale, constant.scale)  # type: ignore[arg-type]


def test_tensors_are_called_by_their_layers(written: bytes) -> None:
    graph = tfl.Model.GetRootAs(compact(written), 0).Subgraphs(0)
    names = [graph.Tensors(index).Name().decode() for index in range(graph.TensorsLength())]
    assert len(set(names)) == len(names)
    assert {"stem.0", "depthwise.0", "pointwise.0", "classifier"} <= {
        name.partition(":")[0] for name in names
    }
    ends = [graph.Tensors(index).Name() for index in (graph.Inputs(0), graph.Outputs(0))]
    plain = tfl.Model.GetRootAs(written, 0).Subgraphs(0)
    assert ends == [plain.Tensors(index).Name() for index in (plain.Inputs(0), plain.Outputs(0))]


def test_constants_are_aligned(written: bytes) -> None:
    small = compact(written)
    model = tfl.Model.GetRootAs(small, 0)
    whole = np.frombuffer(small, np.uint8)
    for index in range(model.BuffersLength()):
        if model.Buffers(index).DataLength():
            place = model.Buffers(index).DataAsNumpy().ctypes.data - whole.ctypes.data
            assert place % ALIGNMENT == 0


@pytest.mark.parametrize(
    ("converted", "layer"),
    [
        (
            "pkg.Net/torch.nn.modules.container.Sequential_features/torch.nn.modules.conv.Conv2d_0;2",
            "features.0",
        ),
        (
            "pkg.Net/torch.nn.modules.activation.ReLU_act;;pkg.Net/torch.nn.modules.conv.Conv2d_conv_stem;",
            "conv_stem",
        ),
        ("pkg.Net/pkg._Private_block1/torch.nn.modules.linear.Linear_fc;", "block1.fc"),
        ("pkg.Net;1", "Net"),
        ("serving_default_args_0", "serving_default_args_0"),
        ("", ""),
    ],
)
def test_layer_names(converted: str, layer: str) -> None:
    assert layer_name(converted) == layer


def test_constants_outside_the_flatbuffer_come_in() -> None:
    """ai-edge-quantizer puts 256 KiB and more of them behind it."""
    net = torch.nn.Linear(640, 512).eval()
    floats = conversion._convert(net, {"x": torch.zeros(1, 640)}, int8=False).data
    written = with_smaller_weights(floats, Scheme(weights="int8", activations="dynamic"), [])
    assert not any(
        constant.values.shape == (512, 640) for constant in read_tflite(written).constants.values()
    )
    small = compact(written)
    assert any(
        constant.values.shape == (512, 640) and constant.values.dtype == np.int8
        for constant in read_tflite(small).constants.values()
    )
    assert np.array_equal(run(small), run(written))
    assert len(small) < len(written)
