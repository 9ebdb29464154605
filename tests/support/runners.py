"""The runners, the real ones, and tiny models in their formats."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.devices import CompletedProgram
from edgekit.devices.local import LocalDevice
from edgekit.errors import RunnerError
from edgekit.measure.protocol import RunnerRun, parse_runner_output
from edgekit.runners.litert import RUNNER, litert_runtime
from edgekit.runners.litert_native import native_litert
from edgekit.runners.native import native_runner
from edgekit.runners.runtime import Runtime, host_platform

NONCE = "0123abcd"

FORMATS = {"executorch": "pte", "litert": "tflite"}
RUNNERS = {"executorch": "executorch", "litert_native": "litert", "litert": "litert"}
"""By the name of their fixture (NAME_argv), the format of each."""


@dataclass(frozen=True)
class Runner:
    """A runner's argv on this machine, and where the models in its format are."""

    format: str
    argv: tuple[str, ...]
    models: Path
    is_native: bool = True

    def model(self, name: str) -> Path:
        return self.models / f"{name}.{FORMATS[self.format]}"

    def start(self, *arguments: str, **options: Any) -> CompletedProgram:
        return LocalDevice().run([*self.argv, *arguments], timeout_s=60, **options)

    def run(self, name: str, *arguments: str, **parsing: Any) -> RunnerRun:
        done = self.start("--model", str(self.model(name)), "--nonce", NONCE, *arguments)
        assert done.ok, done.stderr.decode()
        return parse_runner_output(done.stdout, nonce=NONCE, **parsing)


@pytest.fixture(scope="session")
def native(tmp_path_factory: pytest.TempPathFactory) -> Runtime:
    """The native runner, compiled for this session."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDGEKIT_CACHE", str(tmp_path_factory.mktemp("cache")))
        return native_runner()


@pytest.fixture(scope="session")
def executorch_argv(native: Runtime) -> tuple[str, ...]:
    return native.argv(str(native.files[0].path.parent))


@pytest.fixture(scope="session")
def litert_native(tmp_path_factory: pytest.TempPathFactory) -> Runtime:
    """The native runner for LiteRT, compiled for this session."""
    return native_litert(cache=tmp_path_factory.mktemp("litert-cache"))


@pytest.fixture(scope="session")
def litert_native_argv(litert_native: Runtime) -> tuple[str, ...]:
    return litert_native.argv(str(litert_native.files[0].path.parent))


@pytest.fixture(scope="session")
def litert_argv() -> tuple[str, ...]:
    return litert_runtime(host_platform()).argv(str(RUNNER.parent))


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """Exported models, and the samples of each by name."""
    from tests.support.runner_models import write_int8_tflite, write_pte, write_tflite

    directory = tmp_path_factory.mktemp("models")
    samples = {"convolution": write_pte("convolution", directory / "convolution.pte")}
    samples["two"] = write_pte("two", directory / "two.pte", delegate=False)
    write_tflite("convolution", directory / "convolution.tflite")
    write_tflite("two", directory / "two.tflite")
    samples["running"] = write_pte("running", directory / "running.pte")
    write_tflite("running", directory / "running.tflite")
    write_int8_tflite(directory / "int8.tflite")
    return directory, samples


@pytest.fixture(scope="session")
def callable_models(
    models: tuple[Path, dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, Any]]:
    """Models that can be called in several ways, and the samples of each by name, and by how it is
    called."""
    from tests.support import runner_models as make

    directory = tmp_path_factory.mktemp("callable")
    samples: dict[str, Any] = {
        "signatures.tflite": make.write_signatures_tflite(directory / "signatures.tflite"),
        "methods.pte": make.write_methods_pte(directory / "methods.pte"),
        "dynamic.pte": make.write_dynamic_pte(directory / "dynamic.pte", delegate=True),
        "portable.pte": make.write_dynamic_pte(directory / "portable.pte", delegate=False),
    }
    make.write_free_tflite(models[0] / "running.tflite", directory / "free.tflite")
    return directory, samples


def inputs_file(path: Path, samples: Sequence[Any]) -> tuple[str, ...]:
    """Write what a runner reads, and return the arguments that say so."""
    path.write_bytes(b"".join(sample.input_bytes for sample in samples))
    return ("--inputs", str(path), "--samples", str(len(samples)))


def assert_outputs(data: bytes, samples: Sequence[Any]) -> None:
    """Raw outputs against eager PyTorch."""
    at = 0
    for sample in samples:
        for expected in sample.outputs:
            actual = np.frombuffer(data, expected.dtype, expected.size, at).reshape(expected.shape)
            np.testing.assert_allclose(actual, expected, atol=1e-5)
            at += expected.nbytes
    assert at == len(data)


def failure(runner: Runner, *arguments: str) -> tuple[int | None, str]:
    """The exit code of a run that fails, and what its error line says."""
    done = runner.start("--nonce", NONCE, *arguments)
    with pytest.raises(RunnerError) as raised:
        parse_runner_output(done.stdout, nonce=NONCE)
    return done.exit_code, raised.value.message
