"""Both runners carry states over within a series, and start each with those of the inputs file;
what cannot be carried is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.runners import Runner, failure, inputs_file

pytestmark = pytest.mark.torch
Models = tuple[Path, dict[str, Any]]
STEPS = 3


@pytest.mark.parametrize("mode", ["measure", "evaluate"])
def test_a_state_is_carried_within_a_series(
    runner: Runner, models: Models, mode: str, tmp_path: Path
) -> None:
    samples = models[1]["running"]
    out = tmp_path / "outputs"
    runner.run(
        "running",
        *inputs_file(tmp_path / "inputs", samples),
        *("--outputs", str(out), "--mode", mode, "--min-iterations", "20"),
        *("--states", "0:1", "--steps", str(STEPS)),
        mode=mode,
    )
    outputs = np.frombuffer(out.read_bytes(), np.float32).reshape(len(samples), 2, 4)
    total = np.zeros(4)
    for number, sample in enumerate(samples):
        state, x = sample.inputs
        if number % STEPS == 0:
            total = state[0]
        total = total + x[0]
        np.testing.assert_allclose(outputs[number, 1], total, atol=1e-5)
        np.testing.assert_allclose(outputs[number, 0], 2 * total, atol=1e-5)


def test_without_states_each_sample_stands_alone(
    runner: Runner, models: Models, tmp_path: Path
) -> None:
    samples = models[1]["running"]
    out = tmp_path / "outputs"
    input_options = inputs_file(tmp_path / "inputs", samples)
    runner.run("running", *input_options, "--outputs", str(out))
    outputs = np.frombuffer(out.read_bytes(), np.float32).reshape(len(samples), 2, 4)
    for row, sample in zip(outputs, samples, strict=True):
        np.testing.assert_allclose(row[1], (sample.inputs[0] + sample.inputs[1])[0], atol=1e-5)


@pytest.mark.parametrize(
    ("states", "words"),
    [
        ("2:0", "input 2 and output 0 are not both there"),
        ("0:2", "input 0 and output 2 are not both there"),
        ("0:0", "input 0 and output 0 are of different"),
    ],
)
def test_what_cannot_be_carried(runner: Runner, models: Models, states: str, words: str) -> None:
    model = str(runner.model("two"))
    code, message = failure(runner, "--model", model, "--states", states, "--steps", "2")
    assert code == 3
    assert words in message


@pytest.mark.parametrize(
    "arguments", [("--states", "0:1"), ("--steps", "2"), ("--states", "0", "--steps", "2")]
)
def test_half_an_option_is_refused(runner: Runner, arguments: tuple[str, ...]) -> None:
    model = str(runner.model("two"))
    done = runner.start("--model", model, "--nonce", "0123abcd", *arguments)
    assert done.exit_code == 2
    assert b"--states" in done.stderr
