"""What the runners do beside measuring: stay on the cores they are given, watch probes, sustain,
and name each operator's time."""

from __future__ import annotations

import os
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from edgekit.devices.facts import CpuTime
from edgekit.runners.runtime import Runtime
from tests.support.runners import NONCE, Runner

pytestmark = pytest.mark.torch


def test_it_stays_on_the_cores_it_is_given(runner: Runner) -> None:
    core = max(os.sched_getaffinity(0))
    run = runner.run("convolution", "--cpus", str(core), "--threads", "2")
    assert run.hello
    assert run.hello.cpus == (core,)
    done = runner.start(
        "--model", str(runner.model("convolution")), "--nonce", NONCE, "--cpus", "1023"
    )
    assert (done.exit_code, b"--cpus: " in done.stderr) == (2, True)


def test_probes_are_read_between_inferences(runner: Runner, tmp_path: Path) -> None:
    (tmp_path / "temp").write_text("48199\n")
    (tmp_path / "word").write_text("none\n")
    probes = ":".join(str(tmp_path / name) for name in ("temp", "word", "missing"))
    window_ns = 20_000_000
    run = runner.run(
        *("convolution", "--window-ns", str(window_ns), "--min-ns", "110000000"),
        *("--probes", probes),
    )
    assert [window.values for window in run.windows] == [(48199, None, None)] * len(run.windows)
    assert len(run.windows) >= 2
    for before, after in pairwise(run.windows):
        all_but_the_last = run.steady_ns[before.iterations : after.iterations - 1]
        assert sum(all_but_the_last) < window_ns, "a window ends with the first inference after it"
    for before, after in pairwise(run.windows[:-1]):  # the last one ends with the run
        assert after.at_ns - before.at_ns >= window_ns
    assert run.windows[0].iterations == 0
    assert run.windows[-1].iterations == len(run.steady_ns)
    assert run.hello
    assert run.hello.at_ns is not None
    assert run.hello.at_ns < run.windows[0].at_ns
    assert run.windows[-1].at_ns - run.windows[0].at_ns >= sum(run.steady_ns)


def test_processor_time_of_its_own_and_of_all(runner: Runner) -> None:
    started_ns = time.monotonic_ns()
    run = runner.run("convolution", "--min-ns", "300000000")
    elapsed_ns = time.monotonic_ns() - started_ns
    assert run.cpu_ns is not None
    # The fastest inference was hardly disturbed by other programs, so it is processor time.
    assert run.cpu_ns > len(run.steady_ns) * min(run.steady_ns) / 2
    assert run.cpu_ns < elapsed_ns * (os.cpu_count() or 1)
    assert CpuTime.of_ticks(run.ticks).busy_s >= run.cpu_ns / 1e9 - 0.1


def test_a_sustained_run_keeps_some_times_of_every_window(runner: Runner) -> None:
    run = runner.run(
        "convolution",
        "--mode",
        "sustain",
        "--window-ns",
        "50000000",
        "--min-ns",
        "220000000",
        mode="sustain",
    )
    assert run.complete
    assert run.steady_ns == ()
    assert len(run.windows) >= 5
    assert all(0 < len(window.ns) <= 64 for window in run.windows[1:])
    assert sum(len(window.ns) for window in run.windows) < run.windows[-1].iterations


def test_every_operators_time(
    models: tuple[Path, dict[str, Any]], executorch_argv: tuple[str, ...], native: Runtime
) -> None:
    runner = Runner("executorch", executorch_argv, models[0])
    run = runner.run("convolution", "--mode", "profile", "--min-iterations", "7", mode="profile")
    assert all(len(operator.ns) == 7 for operator in run.operators)
    inside = [operator.name for operator in run.operators if operator.delegated]
    assert sum("Convolution" in name for name in inside) == 2
    assert sum("Fully Connected" in name for name in inside) == 1
    portable = runner.run("two", "--mode", "profile", "--min-iterations", "7", mode="profile")
    assert not any(operator.delegated for operator in portable.operators)
    assert any("embedding" in operator.name for operator in portable.operators)
    [whole] = [operator for operator in portable.operators if operator.instruction == -1]
    assert sum(whole.ns) <= sum(portable.steady_ns)
