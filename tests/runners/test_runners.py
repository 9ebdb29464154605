"""The runners do the same: protocol 1, the outputs of the model, one thread when one is asked for,
and errors with a reason."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.measure.protocol import parse_runner_output
from tests.support.runners import NONCE, Runner, assert_outputs, failure, inputs_file

pytestmark = pytest.mark.torch
Models = tuple[Path, dict[str, Any]]


def test_a_measurement(runner: Runner) -> None:
    run = runner.run(
        "convolution",
        "--warmup-min-ns",
        "20000000",
        "--min-iterations",
        "50",
        "--min-ns",
        "30000000",
    )
    assert run.complete
    assert run.hello
    assert run.load
    assert (run.hello.runtime, run.hello.threads) == (runner.format, 1)
    assert run.hello.runtime_version == {"executorch": "1.5.1", "litert": "2.3.0"}[runner.format]
    assert run.load.model_bytes == runner.model("convolution").stat().st_size
    assert run.load.start_ns is not None
    assert (run.load.arena_bytes is not None) == (runner.format == "executorch")
    assert [t.shape for t in run.inputs] == [(1, 3, 16, 16)]
    assert [(t.shape, t.dtype, t.scale) for t in run.outputs] == [((1, 10), "float32", None)]
    assert 10_000_000 <= sum(run.warmup_ns) <= 12 * 20_000_000
    assert len(run.steady_ns) >= 50
    assert sum(run.steady_ns) < 60_000_000_000
    assert run.first_ns
    assert min(run.steady_ns) < run.first_ns * 10
    assert run.overhead_ns_per_iteration is not None
    assert 0 < run.overhead_ns_per_iteration < 20_000


def test_memory_marks(runner: Runner) -> None:
    run = runner.run("convolution")
    assert [mark.mark for mark in run.memory] == ["baseline", "loaded", "first", "steady", "end"]
    baseline, *_, end = run.memory
    assert baseline.rss_anon_bytes > 0
    assert baseline.rss_file_bytes > 0
    assert baseline.rss_bytes < (15 if runner.is_native else 80) << 20
    assert end.peak_rss_bytes is None or end.peak_rss_bytes >= max(
        mark.rss_bytes for mark in run.memory[:1]
    )


@pytest.mark.parametrize("name", ["convolution", "two"])
def test_outputs_are_those_of_the_model(
    runner: Runner, models: Models, name: str, tmp_path: Path
) -> None:
    samples = models[1][name]
    out = tmp_path / "outputs"
    input_options = inputs_file(tmp_path / "inputs", samples)
    run = runner.run(
        name, *input_options, "--outputs", str(out), "--min-iterations", "12", outputs_wanted=True
    )
    assert run.output_file
    assert (run.output_file.samples, run.output_file.bytes) == (5, out.stat().st_size)
    assert len(run.steady_ns) == 12
    assert_outputs(out.read_bytes(), samples)

    evaluated = runner.run(
        name,
        *input_options,
        "--outputs",
        str(tmp_path / "again"),
        "--mode",
        "evaluate",
        mode="evaluate",
    )
    assert (tmp_path / "again").read_bytes() == out.read_bytes()
    assert len(evaluated.steady_ns) == 5
    assert not evaluated.warmup_ns


def test_two_inputs_and_two_outputs_are_described(runner: Runner) -> None:
    run = runner.run("two")
    assert [(t.dtype, t.shape) for t in run.inputs] == [("float32", (1, 4)), ("int32", (1,))]
    assert [(t.dtype, t.shape) for t in run.outputs] == [("float32", (1, 6)), ("bool", (1, 6))]


def test_pseudo_random_inputs_are_the_same_in_all_runners(
    models: Models,
    executorch_argv: tuple[str, ...],
    litert_argv: tuple[str, ...],
    litert_native_argv: tuple[str, ...],
    tmp_path: Path,
) -> None:
    outputs = []
    for runner in (
        Runner("executorch", executorch_argv, models[0]),
        Runner("litert", litert_argv, models[0]),
        Runner("litert", litert_native_argv, models[0]),
    ):
        runner.run("convolution", "--outputs", str(tmp_path / "outputs"))
        outputs.append(np.frombuffer((tmp_path / "outputs").read_bytes(), np.float32))
    np.testing.assert_allclose(outputs[0], outputs[1], atol=1e-5)
    np.testing.assert_array_equal(outputs[1], outputs[2])
    assert np.abs(outputs[0]).max() > 1e-3


def test_the_longest_time_ends_a_run(runner: Runner) -> None:
    run = runner.run("convolution", "--min-iterations", "1000000", "--max-ns", "50000000")
    assert 0 < len(run.steady_ns) < 1_000_000
    assert sum(run.steady_ns) < 1_000_000_000


def test_threads(runner: Runner) -> None:
    """As many threads as asked for, counted by the kernel; the Python runner has some of its
    own."""

    def count(threads: int) -> int:
        thread_counts: list[int] = []

        def on_stdout(chunk: bytes) -> None:
            lines.extend(chunk.splitlines())
            if b'"first"' in chunk:
                pid = json.loads(lines[0])["pid"]
                thread_counts.append(len(os.listdir(f"/proc/{pid}/task")))

        lines: list[bytes] = []
        options = (
            "--threads",
            str(threads),
            "--min-ns",
            "1000000000",
            "--warmup-min-ns",
            "1000000",
        )
        done = runner.start(
            "--model",
            str(runner.model("convolution")),
            "--nonce",
            NONCE,
            *options,
            on_stdout=on_stdout,
        )
        assert done.ok
        return max(thread_counts)

    alone = count(1)
    assert alone == 1 or not runner.is_native
    assert count(3) == alone + 2


def test_a_killed_run_leaves_what_it_measured(runner: Runner) -> None:
    pids: list[int] = []
    chunks: list[bytes] = []

    def on_stdout(chunk: bytes) -> None:
        chunks.append(chunk)
        if not pids:
            pids.append(json.loads(chunk.splitlines()[0])["pid"])
        if b'"steady","offset"' in chunk:
            os.kill(pids[0], signal.SIGKILL)

    arguments = (
        "--model",
        str(runner.model("convolution")),
        "--nonce",
        NONCE,
        "--min-ns",
        "30000000000",
    )
    done = runner.start(*arguments, on_stdout=on_stdout)
    assert done.signal == signal.SIGKILL
    run = parse_runner_output(done.stdout, nonce=NONCE, allow_incomplete=True)
    assert not run.complete
    assert run.steady_ns


def test_a_relative_path(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(runner.models))  # where a local program starts
    name = runner.model("convolution").name
    assert runner.start("--model", name, "--nonce", NONCE).ok


BAD_USAGE = [
    [],
    ["--nonce", "ab"],
    ["--model", "m"],
    ["--model", "m", "--nonce", "xyz"],
    ["--model", "m", "--nonce", "ab\n"],
    ["--model", "m", "--nonce", "a" * 129],
    ["--model", "m", "--nonce", "ab", "--threads", "0"],
    ["--model", "m", "--nonce", "ab", "--threads", "1e3"],
    ["--model", "m", "--nonce", "ab", "--threads", " 1"],
    ["--model", "m", "--nonce", "ab", "--min-ns", "-1"],
    ["--model", "m", "--nonce", "ab", "--min-ns", "99999999999999999999999"],
    ["--model", "m", "--nonce", "ab", "--threads", "1", "--threads", "1"],
    ["--model", "m", "--nonce", "ab", "--thread", "1"],
    ["--model", "m", "--nonce", "ab", "--threads"],
    ["--model", "m", "--nonce", "ab", "--mode", "guess"],
    ["--model", "m", "--nonce", "ab", "--samples", "1"],
    ["--model", "m", "--nonce", "ab", "--mode", "evaluate"],
]


@pytest.mark.parametrize("arguments", BAD_USAGE, ids=lambda a: " ".join(a)[:40] or "nothing")
def test_usage(runner: Runner, arguments: list[str]) -> None:
    done = runner.start(*arguments)
    assert (done.exit_code, done.stdout) == (2, b"")
    assert b"usage:" in done.stderr


@pytest.mark.parametrize(
    "content", [None, b"", b"no model at all" * 100, "truncated", "a directory"], ids=str
)
def test_what_is_no_model(runner: Runner, content: bytes | str | None, tmp_path: Path) -> None:
    model = tmp_path / "model"
    if content == "a directory":
        model.mkdir()
    elif content is not None:
        whole = runner.model("convolution").read_bytes()
        model.write_bytes(content if isinstance(content, bytes) else whole[: len(whole) // 3])
    code, message = failure(runner, "--model", str(model))
    assert code == 3
    assert len(message) > 30


def test_inputs_that_do_not_fit(runner: Runner, models: Models, tmp_path: Path) -> None:
    model = ("--model", str(runner.model("convolution")))
    path = tmp_path / "inputs"
    path.write_bytes(b"123")
    code, message = failure(runner, *model, "--inputs", str(path), "--samples", "2")
    assert (code, "holds 3 bytes, 2 samples of this model are 6144" in message) == (5, True)
    code, message = failure(runner, *model, "--inputs", str(tmp_path / "missing"), "--samples", "2")
    assert (code, "missing" in message) == (5, True)


@pytest.mark.parametrize("place", ["/dev/full", "/no/such/directory/file"])
def test_outputs_that_cannot_be_written(runner: Runner, place: str) -> None:
    code, message = failure(runner, "--model", str(runner.model("convolution")), "--outputs", place)
    assert code == 5
    assert place in message
