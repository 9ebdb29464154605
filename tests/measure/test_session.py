"""A session on this machine: with a runner that prints healthy numbers, and with one that
misbehaves in every way a runner can."""

from __future__ import annotations

import json
import shlex
import signal
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.bundle.directory import Bundle
from edgekit.bundle.manifest import TensorSpec
from edgekit.deployment import hold
from edgekit.devices import CompletedProgram
from edgekit.devices.facts import DeviceState
from edgekit.devices.local import LocalDevice
from edgekit.devices.target import LocalTarget
from edgekit.devices.target_sections import Control, Timeouts
from edgekit.errors import (
    BusyError,
    DeviceError,
    EdgekitError,
    ResultError,
    RunnerError,
    StoreError,
    TransportError,
    UsageError,
)
from edgekit.measure.measurement import Measurement
from edgekit.measure.run_failures import failed
from edgekit.measure.runner_process import real_values
from edgekit.measure.session import Extras
from tests.support.measured import bench, make_bundle
from tests.support.sessions import SETTINGS, TARGET, outputs_of, place, run, with_program
from tests.support.tiers import cannot_run


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return make_bundle(tmp_path / "bundle")


def test_bench_deploys_measures_and_leaves_no_traces(tmp_path: Path) -> None:
    """A whole `bench` on this machine, with a user's own runner program."""
    bundle = make_bundle(tmp_path / "bundle", ["fp32.pte"])
    command = place(bundle, tmp_path)[0].command
    program = tmp_path / "runner"
    program.write_text(f'#!/bin/sh\nexec {shlex.join(command)} "$@"\n')
    program.chmod(0o755)
    workdir = tmp_path / "device"
    runners = {"executorch": {"program": str(program)}}
    target = LocalTarget.model_validate(
        {"edgekit": 1, "name": "desk", "kind": "local", "workdir": str(workdir), "runners": runners}
    )
    for _ in range(2):
        measurement = bench(bundle, target, runs=2, warmup_min_seconds=0, min_seconds=0)
        assert measurement.valid
        assert len(measurement.artifacts[0].complete_runs) == 2
        assert (workdir / "current" / "fp32.pte").read_bytes() == (
            bundle.path / "fp32.pte"
        ).read_bytes()
        assert not (workdir / "outputs.bin").exists()
    with hold(LocalDevice(), str(workdir)), pytest.raises(BusyError):
        bench(bundle, target, runs=1)
    program.write_text("#!/bin/sh\necho out of cheese >&2; exit 3\n")
    partial_measurements: list[Measurement] = []
    with pytest.raises(
        RunnerError,
        match=r"desk: fp32\.pte, run 1 of 1: the runner ended with exit code 3: out of cheese",
    ):
        bench(bundle, target, runs=1, keep=partial_measurements.append)
    assert partial_measurements[0].artifacts[0].runs[0].steady_ns == ()


def test_what_the_target_controls_is_kept_with_the_numbers(tmp_path: Path) -> None:
    bundle, target = with_program(tmp_path)
    control = Control.model_validate(
        {"cpus": [0], "cool_down": {"below_c": 50, "timeout_seconds": 0.01}}
    )
    measurement = bench(
        bundle,
        target.model_copy(update={"control": control}),
        runs=2,
        warmup_min_seconds=0,
        min_seconds=0,
    )
    assert measurement.artifacts[0].runner
    assert measurement.artifacts[0].runner.cpus == (0,)
    assert (measurement.controlled.cpus, measurement.controlled.cool_below_c) == ((0,), 50)
    if (
        not measurement.artifacts[0].runs[0].before.temperatures_c
    ):  # whether it is cool is not known where no zone tells, which is not cool
        assert "2 runs started before the device was below 50 °C" in [
            note.text for note in measurement.notes
        ]


def test_a_governor_that_cannot_be_set_ends_the_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle, target = with_program(tmp_path)
    for policy in Path("/sys/devices/system/cpu/cpufreq").glob("policy*"):
        cannot_run(f"this machine has {policy}, which a test must not change", need="machine")
    with pytest.raises(DeviceError, match="the governor cannot be set: no clock has a governor"):
        bench(
            bundle, target.model_copy(update={"control": Control(governor="performance")}), runs=1
        )


def test_further_runs_are_kept_apart_from_the_latency_samples(tmp_path: Path) -> None:
    bundle, target = with_program(tmp_path)
    measurement = bench(
        bundle,
        target,
        runs=2,
        warmup_min_seconds=0,
        min_seconds=0,
        extras=Extras(profile=True, sustained_seconds=20),
    )
    [result] = measurement.artifacts
    assert [len(run.steady_ns) for run in result.runs] == [64, 64]
    assert result.profile
    assert [(row.name, row.share) for row in result.profile.operators] == [
        ("Convolution (NHWC, F32) IGEMM #1", 0.75),
        ("Mean (ND) #1", 0.25),
    ]
    assert result.sustained
    assert (result.sustained.burst_ns, result.sustained.sustained_ns) == (2e6, 4e6)
    assert len(result.sustained.curve) == 20
    assert result.sustained.curve[0] == (1.0, 2e6, 100.0)
    assert Measurement.model_validate_json(measurement.model_dump_json()) == measurement
    plain = json.loads(json.dumps(measurement.as_dict(), allow_nan=False))["artifacts"][0]
    assert (
        plain["sustained"]["sustained_ns"],
        len(plain["sustained"]["curve"]),
        "windows" in plain["sustained"],
    ) == (4e6, 20, False)


def test_a_further_run_that_fails_leaves_the_measurement(tmp_path: Path) -> None:
    bundle, target = with_program(tmp_path)
    program = Path(str(target.runners.executorch.program))
    program.write_text(
        program.read_text().replace("exec", 'case "$*" in *profile*) exit 4 ;; esac\nexec')
    )
    partial_measurements: list[Measurement] = []
    with pytest.raises(
        RunnerError, match=r"desk: fp32\.pte, profile: the runner ended with exit code 4"
    ):
        bench(
            bundle,
            target,
            runs=2,
            warmup_min_seconds=0,
            min_seconds=0,
            extras=Extras(profile=True),
            keep=partial_measurements.append,
        )
    assert len(partial_measurements[0].artifacts[0].complete_runs) == 2
    assert partial_measurements[0].artifacts[0].profile is None
    assert "exit code 4" in partial_measurements[0].failure


def test_a_session_end_to_end(bundle: Bundle, tmp_path: Path) -> None:
    texts: list[str] = []
    placed = place(bundle, tmp_path, medians_ns={"fp32.pte": 4_000_000, "int8.tflite": 1_000_000})
    ten = SETTINGS.model_copy(update={"runs": 10})
    measurement = run(
        bundle, placed, ten, progress=lambda task, done, total, text="": texts.append(text)
    )
    assert [text.split(",")[0] for text in texts[:4]] == [
        "fp32.pte",
        "int8.tflite",
        "fp32.pte",
        "int8.tflite",
    ]
    assert len(texts) == 21
    assert not measurement.quick
    assert measurement.valid
    assert measurement.failure == ""
    assert measurement.target == "desk"
    assert measurement.device.cpus
    assert measurement.bundle_id == bundle.manifest.id
    summary = measurement.summaries["fp32.pte"]
    assert summary.p50.value == pytest.approx(4e6, rel=0.03)
    assert summary.p50.low is not None
    assert summary.p50.high is not None
    assert summary.p50.low <= summary.p50.value <= summary.p50.high
    assert summary.samples == 640
    assert summary.p90 is not None
    assert summary.p99 is None
    assert (summary.start_ms, summary.load_ms, summary.first_ms) == (20.0, 7.0, 12.0)
    assert summary.peak_bytes == 9 << 20
    assert summary.memory_bytes == {
        "baseline": 2 << 20,
        "loaded": 3 << 20,
        "first": 4 << 20,
        "steady": 4 << 20,
        "end": 4 << 20,
    }
    assert measurement.p50_ms("int8.tflite") == pytest.approx(1.0, rel=0.03)
    ratio = measurement.speedup("fp32.pte", "int8.tflite")
    assert ratio is not None
    assert ratio.mid == pytest.approx(4, rel=0.05)
    assert ratio.low < ratio.mid < ratio.high
    assert measurement.peak_memory_bytes("int8.tflite") == 9 << 20
    assert [check.equal for result in measurement.artifacts for check in result.outputs] == [
        True,
        True,
    ]
    assert {run.index for run in measurement.artifacts[0].runs} == set(range(10))
    assert measurement.artifacts[0].runs[3].before == measurement.artifacts[1].runs[2].after


def test_json_round_trip_and_plain_dict(bundle: Bundle, tmp_path: Path) -> None:
    measurement = run(bundle, place(bundle, tmp_path))
    assert Measurement.model_validate_json(measurement.model_dump_json()) == measurement
    plain = json.loads(json.dumps(measurement.as_dict(), allow_nan=False))
    assert plain["quick"] is True
    assert plain["artifacts"][0]["artifact"] == "fp32.pte"
    assert plain["artifacts"][0]["summary"]["p50"]["low_ms"] is None
    assert "steady_ns" not in json.dumps(plain)


def test_a_quick_measurement_is_shown_and_not_judged(bundle: Bundle, tmp_path: Path) -> None:
    measurement = run(bundle, place(bundle, tmp_path))
    assert measurement.quick
    assert [note.code for note in measurement.notes if note.artifact == "fp32.pte"] == ["quick"]
    assert measurement.p50_ms("fp32.pte") is None
    assert measurement.speedup("fp32.pte", "int8.tflite") is None
    assert measurement.unjudged("fp32.pte") == "quick: 2 of 10 runs"
    assert measurement.latency_ratio("fp32.pte", "int8.tflite") is not None
    assert measurement.peak_memory_bytes("fp32.pte") == 9 << 20
    assert measurement.p50_ms("nothing.pte") is None


def test_meaningless_timings_are_labelled_and_not_judged(bundle: Bundle, tmp_path: Path) -> None:
    target = TARGET.model_copy(
        update={"timings": "meaningless", "timings_reason": "runs under qemu"}
    )
    measurement = run(
        bundle, place(bundle, tmp_path), SETTINGS.model_copy(update={"runs": 10}), target=target
    )
    assert measurement.timings == "meaningless"
    assert measurement.notes[0].text == "latencies mean nothing here: runs under qemu"
    assert measurement.p50_ms("fp32.pte") is None
    assert measurement.unjudged("fp32.pte") == "timings are meaningless: runs under qemu"


@pytest.mark.parametrize("bad", [np.nan, np.inf, -1000.0])
def test_wrong_outputs_make_the_numbers_invalid(bundle: Bundle, tmp_path: Path, bad: float) -> None:
    placed = place(bundle, tmp_path)
    outputs_of(placed[0], [bad, *range(2, 13)])
    measurement = run(bundle, placed, SETTINGS.model_copy(update={"runs": 10}))
    assert not measurement.valid
    assert [
        (note.level, note.code) for note in measurement.notes if note.artifact == "fp32.pte"
    ] == [("invalid", "outputs")]
    assert measurement.p50_ms("fp32.pte") is None
    assert measurement.peak_memory_bytes("fp32.pte") is None
    assert measurement.p50_ms("int8.tflite") is not None


def test_one_step_of_the_output_scale_is_no_difference(bundle: Bundle, tmp_path: Path) -> None:
    placed = place(bundle, tmp_path)
    assert placed[1].artifact.reference_outputs is not None
    reference = np.frombuffer(
        bundle.file(placed[1].artifact.reference_outputs).read_bytes(), dtype=np.int8
    )
    outputs_of(placed[1], reference + np.eye(1, 12, dtype=np.int8)[0])
    measurement = run(bundle, placed)
    check = measurement.artifacts[1].outputs[0]
    assert check.max_abs_error == 0.5
    assert not check.equal
    assert measurement.valid


@pytest.mark.parametrize(
    ("behaviour", "error", "words"),
    [
        ("crash", RunnerError, "SIGABRT: free(): invalid pointer"),
        ("segv", RunnerError, "SIGSEGV"),
        ("kill", RunnerError, "SIGKILL"),
        ("says", RunnerError, "cannot load the model: \ufffd[31mbad magic"),
        ("rubbish", ResultError, "line 1 of the runner's output"),
        ("nonce", ResultError, "nonce of another run"),
        ("tensors", ResultError, "other inputs than the bundle says: float32[1, 3]"),
        ("short", ResultError, "holds 47 bytes, the reference 48"),
        ("drop", ResultError, "no outputs"),
    ],
)
def test_a_misbehaving_runner_is_named(
    bundle: Bundle, tmp_path: Path, behaviour: str, error: type[EdgekitError], words: str
) -> None:
    partial_measurements: list[Measurement] = []
    with pytest.raises(error) as raised:
        run(
            bundle,
            place(bundle, tmp_path, {"fp32.pte": behaviour}),
            keep=partial_measurements.append,
        )
    assert raised.value.message.startswith("desk: fp32.pte, run 1 of 2: ")
    assert words in raised.value.message
    assert "\x1b" not in raised.value.message
    assert partial_measurements[0].failure == raised.value.message
    assert partial_measurements[0].summaries == {}


def test_a_hang_is_killed_and_named(bundle: Bundle, tmp_path: Path) -> None:
    impatient = TARGET.model_copy(
        update={"timeouts": Timeouts(run_seconds=3, no_progress_seconds=1)}
    )
    for behaviour in ("hang", "silent"):
        started = time.monotonic()
        with pytest.raises(
            RunnerError, match=r"desk: int8\.tflite, run 1 of 2: the runner did not finish"
        ):
            run(bundle, place(bundle, tmp_path, {"int8.tflite": behaviour}), target=impatient)
        assert time.monotonic() - started < 10


def test_endless_output_is_cut(bundle: Bundle, tmp_path: Path) -> None:
    impatient = TARGET.model_copy(
        update={"timeouts": Timeouts(run_seconds=2, no_progress_seconds=2)}
    )
    with pytest.raises(RunnerError, match="did not finish"):
        run(bundle, place(bundle, tmp_path, {"fp32.pte": "endless"}), target=impatient)


def test_fifty_megabytes_of_stderr_do_no_harm(bundle: Bundle, tmp_path: Path) -> None:
    assert run(
        bundle,
        place(bundle, tmp_path, {"fp32.pte": "noisy"}),
        SETTINGS.model_copy(update={"runs": 1}),
    ).valid


def test_results_before_a_crash_are_kept_and_marked(bundle: Bundle, tmp_path: Path) -> None:
    """Partial results of the crashed run are there, incomplete; whole runs before it count."""
    placed = place(bundle, tmp_path, {"int8.tflite": "crash"})
    partial_measurements: list[Measurement] = []
    with pytest.raises(RunnerError):
        run(bundle, placed, keep=partial_measurements.append)
    fp32, int8 = partial_measurements[0].artifacts
    assert len(fp32.complete_runs) == 1
    assert [run.complete for run in int8.runs] == [False]
    assert len(int8.runs[0].steady_ns) == 64
    assert not partial_measurements[0].valid
    assert "1 of 1 runs did not finish" in str(partial_measurements[0].notes)
    assert (
        Measurement.model_validate_json(partial_measurements[0].model_dump_json())
        == partial_measurements[0]
    )


def test_a_store_that_fails_does_not_hide_the_failure(bundle: Bundle, tmp_path: Path) -> None:
    def refuse(partial: Measurement) -> None:
        raise StoreError("the disk is full")

    with pytest.raises(RunnerError) as raised:
        run(bundle, place(bundle, tmp_path, {"fp32.pte": "crash"}), keep=refuse)
    assert raised.value.hint.endswith("the partial measurement was not stored: the disk is full")


@pytest.mark.parametrize(
    "setting",
    [
        {"runs": 0},
        {"threads": 0},
        {"max_seconds": 1e9},
        {"min_seconds": float("nan")},
        {"min_iterations": -1},
    ],
)
def test_settings_out_of_range_are_a_usage_error(bundle: Bundle, setting: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=rf"bench: {next(iter(setting))}: "):
        bench(bundle, TARGET, **setting)


def test_a_missing_program_is_the_devices_fault(bundle: Bundle, tmp_path: Path) -> None:
    placed = [
        replace(artifact, command=("/nonexistent/runner",)) for artifact in place(bundle, tmp_path)
    ]
    with pytest.raises(DeviceError, match=r"fp32\.pte, run 1 of 2"):
        run(bundle, placed)


def test_ctrl_c_keeps_what_was_measured(bundle: Bundle, tmp_path: Path) -> None:
    partial_measurements: list[Measurement] = []
    timer = threading.Timer(
        0.5, signal.pthread_kill, [threading.main_thread().ident, signal.SIGINT]
    )

    def progress(task: str, done: float, total: float, text: str = "") -> None:
        if text.startswith("int8"):
            timer.start()

    with pytest.raises(KeyboardInterrupt):
        run(
            bundle,
            place(bundle, tmp_path, {"int8.tflite": "hang"}),
            progress=progress,
            keep=partial_measurements.append,
        )
    timer.join()
    assert partial_measurements[0].failure == "interrupted"
    assert len(partial_measurements[0].artifacts[0].complete_runs) == 1


class Vanishing(LocalDevice):
    """A device that cannot be reached any more after `calls` programs; before that, it is this
    machine, with `boot_id` for its boot."""

    def __init__(self, calls: int) -> None:
        super().__init__("desk")
        self.calls = calls

    def run(self, argv: Sequence[str], **options: Any) -> CompletedProgram:
        self.calls -= 1
        if self.calls < 0:
            raise TransportError(f"{self.name}: lost the connection", hint="check the network")
        return super().run(argv, **options)


class Rebooting(LocalDevice):
    """A device that has another boot id every time it is asked."""

    asked = 0

    def run(self, argv: Sequence[str], **options: Any) -> CompletedProgram:
        done = super().run(argv, **options)
        Rebooting.asked += 1
        lines = [line for line in done.stdout.splitlines() if b"boot_id:" not in line]
        if argv[0] != "sh":
            return done
        return replace(
            done,
            stdout=b"\n".join(
                [*lines, b"/proc/sys/kernel/random/boot_id:boot-%d" % Rebooting.asked, b""]
            ),
        )


@pytest.mark.parametrize("calls", [1, 2])
def test_a_device_that_is_gone_is_a_transport_error(
    bundle: Bundle, tmp_path: Path, calls: int
) -> None:
    partial_measurements: list[Measurement] = []
    with pytest.raises(TransportError, match=r"desk: fp32\.pte, run 1 of 2: lost the connection"):
        run(
            bundle,
            place(bundle, tmp_path),
            device=Vanishing(calls),
            keep=partial_measurements.append,
        )
    assert partial_measurements[0].device.cpus


def test_a_reboot_is_noticed(bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(RunnerError, match="rebooted"):
        run(bundle, place(bundle, tmp_path), device=Rebooting("desk"))


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (
            0,
            1,
            (
                "the kernel killed the runner because the device ran out of memory; 5 MiB were"
                " available before the run"
            ),
        ),
        (1, 1, "killed from outside"),
        (None, None, "most likely because the device ran out of memory"),
    ],
)
def test_an_out_of_memory_kill_is_named_as_such(
    before: int | None, after: int | None, words: str
) -> None:
    states = (DeviceState(oom_kills=before, available_bytes=5 << 20), DeviceState(oom_kills=after))
    for exit_code, number in ((None, 9), (137, None)):
        done = CompletedProgram(
            argv=("runner",),
            exit_code=exit_code,
            signal=number,
            stdout=b"",
            stderr=b"",
            seconds=1.0,
        )
        assert words in failed(done, None, *states).message


def test_a_device_that_started_anew_and_still_told_how_the_runner_ended() -> None:
    done = CompletedProgram(
        argv=("runner",), exit_code=137, signal=None, stdout=b"", stderr=b"", seconds=1.0
    )
    states = (DeviceState(boot_id="before"), DeviceState(boot_id="after"))
    assert "the device rebooted during the run" in failed(done, None, *states).message


def test_outputs_are_split_and_dequantized() -> None:
    specs = (
        TensorSpec(name="a", dtype="int8", shape=(1, 2), scale=0.5, zero_point=-3),
        TensorSpec(name="b", dtype="float32", shape=(1,)),
    )
    data = b"".join(
        np.array([q, q + 1], np.int8).tobytes() + np.float32(x).tobytes()
        for q, x in ((-3, 1.5), (7, -2.0))
    )
    quantized, real = real_values(data, specs, 2)
    assert quantized.tolist() == [[0.0, 0.5], [5.0, 5.5]]
    assert real.tolist() == [[1.5], [-2.0]]
    with pytest.raises(ResultError, match="11 bytes of outputs where 2 samples of 6"):
        real_values(data[:-1], specs, 2)
