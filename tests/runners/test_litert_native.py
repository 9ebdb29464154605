"""The native LiteRT runner gives what the one in Python gives, byte for byte, or an error that says
why; a file that is damaged does not take it down."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.devices.local import LocalDevice
from edgekit.errors import DeadlinePassed
from edgekit.runners.runtime import Runtime
from tests.support.runners import NONCE, Runner, failure, inputs_file
from tests.support.tflite_traps import FOR_PYTHON, RUNNABLE, custom_operator

pytestmark = pytest.mark.torch
Models = tuple[Path, dict[str, Any]]
Argv = tuple[str, ...]


@pytest.fixture(scope="module")
def traps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("traps")
    for name, make in RUNNABLE.items():
        (directory / f"{name}.tflite").write_bytes(make())
    return directory


def described(tensors: Sequence[Any]) -> list[Any]:
    return [tensor.model_dump() for tensor in tensors]


def both(
    native: Argv, python: Argv, model: Path, tmp_path: Path, *options: str
) -> tuple[bytes, bytes]:
    """The outputs of a file in both runners, which say the same of its tensors."""
    outputs, tensors = [], []
    for number, argv in enumerate((native, python)):
        path = tmp_path / f"outputs{number}"
        run = Runner("litert", argv, model.parent).run(
            model.stem, "--outputs", str(path), "--min-iterations", "2", *options
        )
        outputs.append(path.read_bytes())
        tensors.append((described(run.inputs), described(run.outputs)))
    assert tensors[0] == tensors[1]
    return outputs[0], outputs[1]


def test_it_says_what_it_is(litert_native: Runtime, litert_native_argv: Argv) -> None:
    done = Runner("litert", litert_native_argv, Path()).start("--version")
    version = json.loads(done.stdout)
    assert (version["runtime"], version["runner"]) == ("litert", "native")
    assert version["runtime_version"] == litert_native.version == "2.3.0"
    assert {file.name for file in litert_native.files} == {"edgekit_runner", "libLiteRt.so"}


@pytest.mark.parametrize("threads", ["1", "2"])
@pytest.mark.parametrize("name", ["convolution", "two", "running", "int8"])
def test_exported_models(
    litert_native_argv: Argv,
    litert_argv: Argv,
    models: Models,
    name: str,
    threads: str,
    tmp_path: Path,
) -> None:
    model = models[0] / f"{name}.tflite"
    native, python = both(litert_native_argv, litert_argv, model, tmp_path, "--threads", threads)
    assert native == python
    assert any(native)


@pytest.mark.parametrize("name", RUNNABLE)
def test_traps(
    litert_native_argv: Argv, litert_argv: Argv, traps: Path, name: str, tmp_path: Path
) -> None:
    native, python = both(litert_native_argv, litert_argv, traps / f"{name}.tflite", tmp_path)
    assert native == python


def test_wide_integers_are_not_narrowed(
    litert_native_argv: Argv, traps: Path, tmp_path: Path
) -> None:
    wide = np.array([[1 << 40, -(1 << 50), 7]], np.int64)
    half = np.array([[0.5, -2], [65504, 1e-7]], np.float16)
    (tmp_path / "inputs").write_bytes(wide.tobytes() + half.tobytes())
    Runner("litert", litert_native_argv, traps).run(
        *("wide", "--inputs", str(tmp_path / "inputs"), "--samples", "1"),
        *("--outputs", str(tmp_path / "outputs")),
    )
    expected = (2 * wide).tobytes() + half.astype(np.float32).tobytes()
    assert (tmp_path / "outputs").read_bytes() == expected


@pytest.mark.parametrize("signature", ["prefill", "step"])
def test_signatures(
    litert_native_argv: Argv,
    litert_argv: Argv,
    callable_models: Models,
    signature: str,
    tmp_path: Path,
) -> None:
    samples = callable_models[1]["signatures.tflite"][signature]
    options = (*inputs_file(tmp_path / "inputs", samples), "--signature", signature)
    model = callable_models[0] / "signatures.tflite"
    native, python = both(litert_native_argv, litert_argv, model, tmp_path, *options)
    assert native == python


def test_another_shape(
    litert_native_argv: Argv, litert_argv: Argv, callable_models: Models, tmp_path: Path
) -> None:
    model = callable_models[0] / "free.tflite"
    shapes = ("--shapes", "0:3x4,1:3x4")
    native, python = both(litert_native_argv, litert_argv, model, tmp_path, *shapes)
    assert native == python
    assert len(native) == 2 * 3 * 4 * 4


@pytest.mark.parametrize(
    ("name", "words"),
    [("variable", "Variable tensors not yet supported"), ("where", "after an inference only")],
)
def test_what_only_python_runs_is_refused(
    litert_native_argv: Argv, name: str, words: str, tmp_path: Path
) -> None:
    model = tmp_path / "model.tflite"
    model.write_bytes(FOR_PYTHON[name][0]())
    code, message = failure(Runner("litert", litert_native_argv, tmp_path), "--model", str(model))
    assert code == 3
    assert words in message


def test_an_operator_that_is_not_there_is_named(litert_native_argv: Argv, tmp_path: Path) -> None:
    model = tmp_path / "model.tflite"
    model.write_bytes(custom_operator("MyMean"))
    code, message = failure(Runner("litert", litert_native_argv, tmp_path), "--model", str(model))
    assert code == 3
    assert "unresolved custom op: MyMean" in message


LONG_S = 10
"""Longer than any of the files takes that ends."""
REFERENCE = """
import os, signal, sys, numpy
from ai_edge_litert.interpreter import Interpreter
inputs = open(sys.argv[1], "rb").read()
def run(path):
    model = Interpreter(model_path=path, num_threads=1)
    model.allocate_tensors()
    at = 0
    for detail in model.get_input_details():
        dtype, shape = numpy.dtype(detail["dtype"]), detail["shape"]
        size = int(numpy.prod(shape, dtype=numpy.int64)) * dtype.itemsize
        values = numpy.frombuffer(inputs[at : at + size], dtype).reshape(shape)
        model.set_tensor(detail["index"], values)
        at += size
    assert at == len(inputs)
    model.invoke()
    return b"".join(model.get_tensor(d["index"]).tobytes() for d in model.get_output_details())
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        signal.alarm(LONG_S)
        try:
            result = run(line.strip()).hex()
        except BaseException:
            result = "refused"
        print(result, flush=True)
        os._exit(0)
    ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if ended:
        print("endless" if ended == -signal.SIGALRM else "crashed", flush=True)
"""


@pytest.fixture
def reference(models: Models, tmp_path: Path) -> Iterator[Any]:
    """What LiteRT's own interpreter makes of a file: its outputs, or that it refuses, crashes or
    does not end."""
    inputs_file(tmp_path / "inputs", models[1]["convolution"][:1])
    program = REFERENCE.replace("LONG_S", str(LONG_S))
    argv = [sys.executable, "-c", program, str(tmp_path / "inputs")]
    with subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdin
        assert process.stdout

        def answer(path: Path) -> str:
            assert process.stdin
            assert process.stdout
            print(path, file=process.stdin, flush=True)
            return process.stdout.readline().strip()

        yield answer
        process.stdin.close()


def damaged(data: bytes, count: int) -> Iterator[bytes]:
    """The file cut short, and with a single bit flipped, `count` in all."""
    chance = random.Random(12)
    for number in range(count):
        if number % 10 == 0:
            yield data[: chance.randrange(1, len(data))]
        else:
            place = chance.randrange(len(data))
            yield data[:place] + bytes([data[place] ^ 1 << chance.randrange(8)]) + data[place + 1 :]


def run_damaged(argv: Argv, models: Models, reference: Any, tmp_path: Path, count: int) -> int:
    """Each damaged file: an error in words, or what the interpreter gives, which may be to run on
    and on. Returns how many ran."""
    ran = 0
    options = ("--inputs", str(tmp_path / "inputs"), "--samples", "1", "--mode", "evaluate")
    for data in damaged((models[0] / "convolution.tflite").read_bytes(), count):
        (tmp_path / "model.tflite").write_bytes(data)
        (tmp_path / "outputs").unlink(missing_ok=True)
        try:
            done = LocalDevice().run(
                [
                    *(*argv, "--model", str(tmp_path / "model.tflite"), "--nonce", NONCE),
                    *(*options, "--outputs", str(tmp_path / "outputs")),
                ],
                timeout_s=LONG_S,
            )
        except DeadlinePassed:
            assert reference(tmp_path / "model.tflite") == "endless"
            continue
        assert done.exit_code in (0, 3, 4, 5), (done.signal, done.stderr)
        assert done.ok or b'"type":"error"' in done.stdout
        if done.ok:
            ran += 1
            assert (tmp_path / "outputs").read_bytes().hex() == reference(tmp_path / "model.tflite")
    return ran


def test_damaged_files(
    litert_native_argv: Argv, models: Models, reference: Any, tmp_path: Path
) -> None:
    assert run_damaged(litert_native_argv, models, reference, tmp_path, 60) > 20


@pytest.mark.nightly
def test_a_thousand_damaged_files(
    litert_native_argv: Argv, models: Models, reference: Any, tmp_path: Path
) -> None:
    assert run_damaged(litert_native_argv, models, reference, tmp_path, 1000) > 400


def test_every_place_where_a_file_may_be_cut(
    litert_native_argv: Argv, models: Models, tmp_path: Path
) -> None:
    data = (models[0] / "int8.tflite").read_bytes()
    runner = Runner("litert", litert_native_argv, tmp_path)
    for length in range(0, len(data), 97):
        (tmp_path / "model.tflite").write_bytes(data[:length])
        code, message = failure(runner, "--model", str(tmp_path / "model.tflite"))
        assert code == 3
        assert "cannot load the model" in message


def test_a_profile_by_operator(litert_native_argv: Argv, models: Models) -> None:
    """What ran inside the delegate under the delegate's names, once an inference each."""
    options = ("--mode", "profile", "--min-iterations", "20")
    run = Runner("litert", litert_native_argv, models[0]).run(
        "convolution", *options, mode="profile"
    )
    names = [operator.name.partition(" (")[0] for operator in run.operators if operator.delegated]
    assert names.count("Convolution") == 2
    assert "Fully Connected" in names
    assert {len(operator.ns) for operator in run.operators} == {20}
    assert all(value % 1000 == 0 for operator in run.operators for value in operator.ns)


def test_a_profile_of_what_is_not_delegated(litert_native_argv: Argv, tmp_path: Path) -> None:
    (tmp_path / "where.tflite").write_bytes(RUNNABLE["wide"]())
    run = Runner("litert", litert_native_argv, tmp_path).run(
        "where", "--mode", "profile", "--min-iterations", "3", mode="profile"
    )
    plain = {(each.name, each.instruction) for each in run.operators if not each.delegated}
    assert plain <= {("ADD", 0), ("CAST", 1)}
    assert plain
