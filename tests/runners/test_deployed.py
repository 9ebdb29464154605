"""Runtimes as a board gets them: pushed to a store, started from there, on a model from there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edgekit.deployment import provision
from edgekit.devices.local import LocalDevice
from edgekit.measure.protocol import parse_runner_output
from edgekit.runners.litert import litert_runtime
from edgekit.runners.native import native_runner
from edgekit.runners.runtime import Platform, Runtime, runtime_for
from tests.support.runners import FORMATS, NONCE, RUNNERS, Runner, assert_outputs, inputs_file
from tests.support.tiers import require_module

pytestmark = pytest.mark.torch


@pytest.mark.parametrize("name", RUNNERS)
def test_provisioned_runtimes_run(
    name: str,
    native: Runtime,
    litert_native: Runtime,
    models: tuple[Path, dict[str, Any]],
    tmp_path: Path,
) -> None:
    device = LocalDevice()
    native_ones = {"executorch": native, "litert_native": litert_native}
    argv = provision(device, str(tmp_path / "store"), native_ones.get(name) or litert_runtime())
    model = models[0] / f"convolution.{FORMATS[RUNNERS[name]]}"
    done = device.run([*argv, "--model", str(model), "--nonce", NONCE], timeout_s=60)
    assert parse_runner_output(done.stdout, nonce=NONCE).complete


@pytest.mark.nightly
def test_the_portable_program_does_the_same(
    models: tuple[Path, dict[str, Any]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    pytestconfig: pytest.Config,
) -> None:
    """Built with zig, which links libc++: nothing of either C++ library may cross into ExecuTorch's
    libstdc++. What is compiled is kept."""
    require_module("ziglang", "export")
    assert pytestconfig.cache
    monkeypatch.setenv("EDGEKIT_CACHE", str(pytestconfig.cache.mkdir("edgekit-portable")))
    runtime = native_runner(portable=True)
    argv = runtime.argv(str(runtime.files[0].path.parent))
    outputs = tmp_path / "outputs"
    for name in ("convolution", "two"):
        samples = models[1][name]
        input_options = inputs_file(tmp_path / "inputs", samples)
        assert (
            Runner("executorch", argv, models[0])
            .run(name, *input_options, "--outputs", str(outputs))
            .complete
        )
        assert_outputs(outputs.read_bytes(), samples)
    assert (
        runtime_for("executorch", Platform(runtime.arch, glibc="2.28")).files == runtime.files
    )  # what another machine of this kind gets


def test_a_library_that_is_gone_is_named_and_sent_again(
    native: Runtime, models: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    device, store = LocalDevice(), tmp_path / "store"
    argv = [
        *provision(device, str(store), native),
        "--model",
        str(models[0] / "convolution.pte"),
        "--nonce",
        NONCE,
    ]
    (lost,) = (file for file in native.files if file.name == "libexecutorch_kernels_quantized.so")
    (store / "objects" / lost.sha256).unlink()
    done = device.run(argv, timeout_s=60)
    assert (done.exit_code, done.stdout) == (127, b"")
    assert b"libexecutorch_kernels_quantized.so: cannot open shared object file" in done.stderr
    provision(device, str(store), native)
    assert parse_runner_output(device.run(argv, timeout_s=60).stdout, nonce=NONCE).complete
