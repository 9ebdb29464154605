"""Every scheme by the built-in backends, on live models: accepted, proved by re-reading the file,
equal to eager, and run by the host's runtime."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from edgekit.backends.lookup import load_backend
from edgekit.bundle.manifest import Artifact
from edgekit.compress.quantize import calibrate, pt2e
from edgekit.compress.scheme import FLOAT
from edgekit.data.dataset import Split
from edgekit.errors import ExportError, ModelError
from edgekit.export.arrays_file import read_arrays
from edgekit.export.artifact import Purpose, export_artifact
from edgekit.export.verify import Thresholds
from edgekit.stats.fidelity import snr_db
from edgekit.tasks.classification import CLASSIFICATION
from tests.support.export_nets import (
    IMAGE,
    SERIES,
    SingularValues,
    Sorting,
    conv_net,
    samples,
    series_net,
)
from tests.support.schemes import SCHEMES
from tests.support.splits import only

pytestmark = pytest.mark.torch

BACKENDS = ("xnnpack", "litert")
LOOSE = Thresholds(samples=16, snr_min_db=20, cosine_min=0.99, agreement_min_percent=80)
EXACT = Thresholds(samples=16, snr_min_db=90)


def export(
    model: nn.Module,
    backend: str,
    output: Path,
    *,
    thresholds: Thresholds = EXACT,
    shape: tuple[int, ...] = IMAGE,
    method: str | None = None,
    keep_float: Sequence[str] = (),
    test: Split | None = None,
) -> Artifact:
    chosen = load_backend(backend)
    return export_artifact(
        model,
        chosen,
        purpose=Purpose("v", backend, f"v.{chosen.suffix}"),
        scheme=FLOAT if method is None else SCHEMES[method],
        keep_float=keep_float,
        task=CLASSIFICATION,
        test=test or samples(model, shape),
        thresholds=thresholds,
        output=output,
    )


@pytest.mark.parametrize("backend", BACKENDS)
def test_float(backend: str, tmp_path: Path) -> None:
    net = conv_net()
    artifact = export(net, backend, tmp_path)
    proof = artifact.verification.proof
    assert proof["dtypes"] == {"float32": 4}
    assert proof["output_channels"] == {
        "stem.0": 8,
        "depthwise.0": 8,
        "pointwise.0": 8,
        "classifier": 10,
    }
    assert [spec.dtype for spec in (*artifact.inputs, *artifact.outputs)] == ["float32", "float32"]
    assert artifact.inputs[0].shape == (1, *IMAGE)
    assert artifact.delegation.fallback == {}
    accuracy = artifact.verification.metrics[0]
    assert (accuracy.name, accuracy.right, accuracy.samples) == ("top1", 36, 40)
    assert (artifact.arena_bytes is not None) == (backend == "xnnpack")


@pytest.mark.parametrize("backend", [*BACKENDS, "portable"])
@pytest.mark.parametrize("method", [None, "dynamic"])
def test_a_network_in_training_mode(backend: str, method: str | None, tmp_path: Path) -> None:
    """As a checkpoint gives it. What ships, and what that is compared with, is in eval mode: batch
    norm in training mode gives other outputs, and each call changes its statistics."""
    net = conv_net()
    chosen, image = load_backend(backend), torch.rand(1, *IMAGE)
    expected = net.eval()(image)
    scheme = FLOAT if method is None else SCHEMES[method]
    lowered = chosen.lower(net.train(), {"image": image}, scheme=scheme, keep_float=())
    assert torch.equal(lowered.reference(image), expected)
    file = tmp_path / f"v.{chosen.suffix}"
    file.write_bytes(lowered.data)
    host = chosen.open(file, inputs=["image"], outputs=lowered.outputs, threads=1)
    (outputs,) = host({"image": image.numpy()}).values()
    assert snr_db(expected.detach().numpy(), outputs) > 25


@pytest.mark.parametrize("backend", BACKENDS)
def test_files_of_an_artifact(backend: str, tmp_path: Path) -> None:
    net = conv_net()
    artifact = export(net, backend, tmp_path)
    name = artifact.key
    files = sorted(
        str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()
    )
    assert files == sorted(
        [
            name,
            f"reference/{name}.input.bin",
            f"reference/{name}.output.bin",
            "outputs.npz",
            "result.json",
        ]
    )
    assert Artifact.model_validate_json((tmp_path / "result.json").read_bytes()) == artifact
    assert artifact.reference_inputs is not None
    assert artifact.reference_outputs is not None
    inputs = np.frombuffer(
        (tmp_path / artifact.reference_inputs.name).read_bytes(), np.float32
    ).reshape(8, *IMAGE)
    outputs = np.frombuffer(
        (tmp_path / artifact.reference_outputs.name).read_bytes(), np.float32
    ).reshape(8, 10)
    with torch.no_grad():
        np.testing.assert_allclose(net(torch.from_numpy(inputs.copy())).numpy(), outputs, atol=1e-5)
    np.testing.assert_array_equal(read_arrays(tmp_path / "outputs.npz")["output_0"][:8], outputs)


@pytest.fixture(scope="module")
def prepared() -> dict[str, nn.Module]:
    """A calibrated graph, and a trained one with the linear layer kept float."""
    net = conv_net()
    data = samples(net, IMAGE)
    calibrated = pt2e.prepare_ptq(net, data.at(slice(0, 2)), observer="minmax")
    calibrate.calibrate(calibrated, [data.at(slice(0, 40))])
    trained = pt2e.prepare_qat(net, data.at(slice(0, 2)), keep_float=("classifier",))
    pt2e.set_qat_mode(trained, training=True)
    optimizer = torch.optim.SGD(trained.parameters(), lr=1e-3)
    assert data.targets is not None
    for _ in range(3):
        loss = nn.functional.cross_entropy(trained(only(data.at(slice(0, 40)))), data.targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return {"ptq": calibrated, "qat": trained}


@pytest.mark.parametrize("backend", BACKENDS)
def test_ptq_holds_the_graphs_own_integers(
    backend: str, tmp_path: Path, prepared: dict[str, nn.Module]
) -> None:
    artifact = export(
        prepared["ptq"],
        backend,
        tmp_path,
        method="ptq",
        thresholds=LOOSE,
        test=samples(conv_net(), IMAGE),
    )
    proof = artifact.verification.proof
    assert proof["dtypes"] == {"int8": 4}
    assert (proof["bit_equal"], proof["per_channel_scales"]) == (4, 4)
    assert artifact.delegation.fallback == {}
    dtype = "float32" if backend == "xnnpack" else "int8"
    assert [spec.dtype for spec in (*artifact.inputs, *artifact.outputs)] == [dtype, dtype]
    assert (artifact.inputs[0].scale is None) == (backend == "xnnpack")
    assert artifact.reference_inputs.bytes == 8 * int(np.prod(IMAGE)) * (
        4 if backend == "xnnpack" else 1
    )


@pytest.mark.parametrize("backend", BACKENDS)
def test_qat_with_a_layer_kept_float(
    backend: str, tmp_path: Path, prepared: dict[str, nn.Module]
) -> None:
    artifact = export(
        prepared["qat"],
        backend,
        tmp_path,
        method="qat",
        thresholds=LOOSE,
        test=samples(conv_net(), IMAGE),
    )
    assert artifact.verification.proof["dtypes"] == {"float32": 1, "int8": 3}
    assert artifact.outputs[0].dtype == "float32"


@pytest.mark.parametrize("backend", BACKENDS)
def test_fp16_stores_half_weights_and_keeps_the_layer_asked_for(
    backend: str, tmp_path: Path
) -> None:
    artifact = export(
        conv_net(),
        backend,
        tmp_path,
        method="fp16",
        keep_float=("stem",),
        thresholds=Thresholds(samples=16, snr_min_db=50),
    )
    assert artifact.verification.proof["dtypes"] == {"float16": 3, "float32": 1}
    assert artifact.inputs[0].dtype == artifact.outputs[0].dtype == "float32"
    assert artifact.delegation.fallback == {}


def test_weight_only_litert(tmp_path: Path) -> None:
    artifact = export(
        conv_net(),
        "litert",
        tmp_path,
        method="weight_only",
        keep_float=("classifier",),
        thresholds=LOOSE,
    )
    assert artifact.verification.proof["dtypes"] == {"float32": 1, "int8": 3}


def test_weight_only_executorch_refuses_convolutions_unless_they_are_kept_float(
    tmp_path: Path,
) -> None:
    with pytest.raises(
        ExportError,
        match=(
            r"no convolution with int8 weights and float activations \(stem.0, depthwise.0,"
            r" pointwise.0\)"
        ),
    ) as caught:
        export(conv_net(), "xnnpack", tmp_path, method="weight_only")
    assert "keep_float" in caught.value.hint
    float_layers = ("stem", "depthwise", "pointwise")
    artifact = export(
        conv_net(),
        "xnnpack",
        tmp_path,
        method="weight_only",
        keep_float=float_layers,
        thresholds=Thresholds(samples=16, snr_min_db=30),
    )
    assert artifact.verification.proof["dtypes"] == {"float32": 3, "int8": 1}
    assert artifact.delegation.fallback == {}


@pytest.mark.parametrize("backend", BACKENDS)
def test_dynamic(backend: str, tmp_path: Path) -> None:
    artifact = export(conv_net(), backend, tmp_path, method="dynamic", thresholds=LOOSE)
    assert artifact.verification.proof["dtypes"] == (
        {"float32": 3, "int8": 1} if backend == "xnnpack" else {"int8": 4}
    )
    assert artifact.inputs[0].dtype == "float32"


@pytest.mark.nightly
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("method", [None, "dynamic", "weight_only"])
def test_recurrent(backend: str, method: str | None, tmp_path: Path) -> None:
    thresholds = (
        EXACT if method is None else Thresholds(samples=16, snr_min_db=25, agreement_min_percent=80)
    )
    artifact = export(
        series_net(), backend, tmp_path, shape=SERIES, method=method, thresholds=thresholds
    )
    assert artifact.verification.proof["dtypes"] == {"float32" if method is None else "int8": 3}


def test_portable_kernels(tmp_path: Path) -> None:
    artifact = export(conv_net(), "portable", tmp_path)
    assert artifact.delegation.delegate == "none"
    assert artifact.delegation.delegated == {}
    assert artifact.delegation.fallback["aten.convolution"] == 3
    with pytest.raises(ExportError, match="does not run float16 weights with float activations"):
        export(conv_net(), "portable", tmp_path, method="fp16")


@pytest.mark.nightly
def test_pruned_channels_are_seen_in_the_file(tmp_path: Path) -> None:
    for backend in BACKENDS:
        artifact = export(conv_net(width=5), backend, tmp_path)
        assert artifact.verification.proof["output_channels"] == {
            "stem.0": 5,
            "depthwise.0": 5,
            "pointwise.0": 5,
            "classifier": 10,
        }


def test_masked_weights_are_zero_in_the_file(tmp_path: Path) -> None:
    net = conv_net()
    layers = ("stem.0", "depthwise.0", "pointwise.0", "classifier")
    weights = [net.get_parameter(f"{layer}.weight") for layer in layers]
    with torch.no_grad():
        weights[0][:, 1] = 0
        weights[2][::2] = 0
    fraction = sum(int((weight == 0).sum()) for weight in weights) / sum(
        weight.numel() for weight in weights
    )
    assert fraction > 0.2
    for backend in BACKENDS:
        assert export(net, backend, tmp_path).verification.proof["zero_fraction"] == pytest.approx(
            fraction, abs=1e-6
        )


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_unsupported_operator_is_named_with_its_module_and_leaves_no_file(
    backend: str, tmp_path: Path
) -> None:
    net = nn.Sequential(nn.Linear(16, 16), nn.Sequential(nn.ReLU(), SingularValues())).eval()
    with pytest.raises(ExportError, match=r"aten\._linalg_svd in 1\.1") as caught:
        export(net, backend, tmp_path / "out", shape=(16,))
    assert caught.value.exit_code == 4
    assert caught.value.details["operators"] == [{"operator": "aten._linalg_svd", "module": "1.1"}]
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_the_delegate_does_not_take_is_reported_with_the_reason(
    backend: str, tmp_path: Path
) -> None:
    delegation = export(Sorting().eval(), backend, tmp_path, shape=(16,)).delegation
    name = "aten.cumsum" if backend == "xnnpack" else "CUMSUM"
    assert delegation.fallback == {name: 1}
    assert set(delegation.delegated) == {
        "aten.linear" if backend == "xnnpack" else "FULLY_CONNECTED"
    }
    assert delegation.reasons[name].startswith(
        "XNNPACK has no" if backend == "xnnpack" else "not taken by LiteRT's XNNPACK delegate"
    )


def test_control_flow_that_depends_on_values_is_refused(tmp_path: Path) -> None:
    class Branching(nn.Module):
        def forward(self, features: torch.Tensor) -> torch.Tensor:
            return features if features.sum() > 0 else -features

    with pytest.raises(ExportError, match=r"torch\.export cannot trace"):
        export(Branching().eval(), "xnnpack", tmp_path, shape=(16,))


def test_a_keep_float_pattern_that_means_nothing_is_refused(tmp_path: Path) -> None:
    for backend in BACKENDS:
        with pytest.raises(ModelError, match="no layer matches 'nope'"):
            export(conv_net(), backend, tmp_path, method="fp16", keep_float=("nope",))


@pytest.mark.nightly
@pytest.mark.parametrize("backend", BACKENDS)
def test_the_same_model_gives_the_same_bytes(
    backend: str, tmp_path: Path, prepared: dict[str, nn.Module]
) -> None:
    test = samples(conv_net(), IMAGE)
    first, second = (
        export(prepared["ptq"], backend, tmp_path / name, method="ptq", thresholds=LOOSE, test=test)
        for name in ("a", "b")
    )
    assert first == second


def test_beyond_the_thresholds_nothing_is_published_and_the_old_artifact_stays(
    tmp_path: Path,
) -> None:
    test = samples(conv_net(), IMAGE)
    export(conv_net(), "xnnpack", tmp_path, test=test)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(
        ExportError,
        match=r"differs from eager PyTorch on 16 test samples: SNR .* dB < 200 dB, largest error",
    ) as caught:
        export(
            conv_net(),
            "xnnpack",
            tmp_path,
            method="fp16",
            test=test,
            thresholds=Thresholds(16, snr_min_db=200, max_abs_error=1e-9),
        )
    assert caught.value.exit_code == 4
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
