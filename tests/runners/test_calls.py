"""Models that can be called in several ways, in both runners: by the name of a signature or method,
and in other shapes. What comes out is what eager PyTorch gives for the same names and shapes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.runners import Runner, assert_outputs, failure, inputs_file

pytestmark = pytest.mark.torch

Models = tuple[Path, dict[str, Any]]
Argv = tuple[str, ...]
ARGUMENTS = ("--warmup-min-ns", "0", "--min-iterations", "3")


@pytest.fixture(params=["litert", "litert_native"])
def litert(request: pytest.FixtureRequest, callable_models: Models) -> Runner:
    argv = request.getfixturevalue(f"{request.param}_argv")
    return Runner("litert", argv, callable_models[0])


@pytest.fixture
def executorch(callable_models: Models, executorch_argv: Argv) -> Runner:
    return Runner("executorch", executorch_argv, callable_models[0])


@pytest.mark.parametrize("name", ["prefill", "step"])
def test_a_signature_by_its_own_names(
    litert: Runner, callable_models: Models, name: str, tmp_path: Path
) -> None:
    """In the order of the names, which is neither the model's nor the file's."""
    samples = callable_models[1]["signatures.tflite"][name]
    written = ("--outputs", str(tmp_path / "outputs"))
    inputs = inputs_file(tmp_path / "inputs", samples)
    run = litert.run("signatures", "--signature", name, *inputs, *written, *ARGUMENTS)
    assert [tensor.name for tensor in run.inputs] == ["scale", "tokens"]
    assert [tensor.name for tensor in run.outputs] == ["best", "logits"]
    assert [tensor.shape for tensor in run.inputs] == [value.shape for value in samples[0].inputs]
    assert_outputs((tmp_path / "outputs").read_bytes(), samples)


@pytest.mark.parametrize("name", ["prefill", "step"])
def test_a_method_by_its_name(
    executorch: Runner, callable_models: Models, name: str, tmp_path: Path
) -> None:
    samples = callable_models[1]["methods.pte"][name]
    written = ("--outputs", str(tmp_path / "outputs"))
    inputs = inputs_file(tmp_path / "inputs", samples)
    executorch.run("methods", "--signature", name, *inputs, *written, *ARGUMENTS)
    assert_outputs((tmp_path / "outputs").read_bytes(), samples)


def test_a_name_that_is_not_there(litert: Runner, executorch: Runner) -> None:
    model = str(litert.model("signatures"))
    code, message = failure(litert, "--model", model, "--signature", "nope")
    assert code == 3
    assert "nope" in message
    model = str(executorch.model("methods"))
    for options in (("--signature", "nope"), ()):
        code, message = failure(executorch, "--model", model, *options)
        assert code == 3
        assert f"no method '{'nope' if options else 'forward'}'" in message


@pytest.mark.parametrize("name", ["dynamic", "portable"])
def test_a_pte_in_other_shapes(
    executorch: Runner, callable_models: Models, name: str, tmp_path: Path
) -> None:
    """The smallest, one between, and the largest, which needs no word."""
    by_sides = callable_models[1][f"{name}.pte"]
    largest = list(by_sides)[-1]
    for number, (sides, samples) in enumerate(by_sides.items()):
        shapes = () if sides == largest else ("--shapes", f"0:1x3x{sides[0]}x{sides[1]}")
        path = tmp_path / f"outputs{number}"
        inputs = inputs_file(tmp_path / "inputs", samples * 3)
        run = executorch.run(name, *shapes, *inputs, "--outputs", str(path), *ARGUMENTS)
        assert run.inputs[0].shape == (1, 3, *sides)
        assert_outputs(path.read_bytes(), samples * 3)


def test_a_tflite_in_another_shape(litert: Runner, tmp_path: Path) -> None:
    state, x = np.ones((3, 4), np.float32), np.arange(12, dtype=np.float32).reshape(3, 4)
    (tmp_path / "inputs").write_bytes(state.tobytes() + x.tobytes())
    run = litert.run(
        *("free", "--shapes", "0:3x4,1:3x4", "--inputs", str(tmp_path / "inputs")),
        *("--samples", "1", "--outputs", str(tmp_path / "outputs"), *ARGUMENTS),
    )
    assert [tensor.shape for tensor in (*run.inputs, *run.outputs)] == [(3, 4)] * 4
    expected = (2 * (state + x)).tobytes() + (state + x).tobytes()
    assert (tmp_path / "outputs").read_bytes() == expected


@pytest.mark.parametrize(
    ("shapes", "expected"),
    [
        ("0:1x3x96x129", (3, "was planned for a smaller input0")),
        ("0:1x3x2147483647x2147483647", (3, "was planned for a smaller input0")),
        ("0:3x96x128", (3, "input0 has another number of dimensions")),
        ("1:1x3x96x128", (3, "the model has fewer inputs")),
    ],
)
def test_shapes_that_the_pte_does_not_take(
    executorch: Runner, shapes: str, expected: tuple[int, str]
) -> None:
    code, message = failure(
        executorch, "--model", str(executorch.model("dynamic")), "--shapes", shapes
    )
    assert code == expected[0]
    assert expected[1] in message


def test_shapes_that_the_tflite_does_not_take(litert: Runner) -> None:
    model = str(litert.model("free"))
    for shapes, expected in (
        ("2:3x4", "the model has fewer inputs"),
        ("0:3x5", "cannot load the model"),
    ):
        code, message = failure(litert, "--model", model, "--shapes", shapes)
        assert code == 3
        assert expected in message


@pytest.mark.parametrize("shapes", ["1x3", "0:1x0", "0:1xa", "a:1x3", "0:-1x3"])
def test_shapes_that_are_no_shapes(litert: Runner, executorch: Runner, shapes: str) -> None:
    for runner, name in ((litert, "free"), (executorch, "dynamic")):
        done = runner.start("--nonce", "00", "--model", str(runner.model(name)), "--shapes", shapes)
        assert done.exit_code == 2
        assert b"--shapes: expected" in done.stderr
