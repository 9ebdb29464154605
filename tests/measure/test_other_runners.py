"""The user's own executor_runner and benchmark_model: what they print, and what a measurement makes
of it."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest

from edgekit.bundle.directory import Bundle
from edgekit.bundle.manifest import Artifact
from edgekit.devices.target import LocalTarget
from edgekit.devices.target_files import load_target
from edgekit.errors import EdgekitError, ResultError, RunnerError, UsageError
from edgekit.measure.other_runners import parse_benchmark_model, parse_executor_runner
from edgekit.measure.session import Extras
from tests.support.measured import bench, make_bundle

CAPTURED = Path(__file__).parents[1] / "captured" / "other-runners"
INPUT = {"name": "x", "dtype": "float32", "shape": [1, 2]}
RUN = {"runs": 2, "warmup_min_seconds": 0, "min_seconds": 0}


def read(name: str) -> str:
    return (CAPTURED / name).read_text()


def test_executor_runner_says_the_total() -> None:
    old = parse_executor_runner(read("executor_runner-0.4.txt"))
    assert (old.iterations, old.mean_ns, old.load_ns, old.samples_ns) == (64, 3_000_000, None, ())


def test_newer_ones_say_each_time() -> None:
    new = parse_executor_runner(read("executor_runner-1.x.txt"))
    assert (new.iterations, new.load_ns, new.first_ns) == (64, 7_250_000, 4_500_000)
    assert new.samples_ns == (4_500_000, *[3_000_000] * 63)
    assert new.mean_ns == pytest.approx(sum(new.samples_ns) / 64)


def test_benchmark_model_says_means() -> None:
    old, new = (
        parse_benchmark_model(read(f"benchmark_model-{version}.txt")) for version in ("2.5", "2.17")
    )
    assert (old.iterations, old.mean_ns, old.load_ns, old.first_ns) == (
        131,
        3_832_750,
        6_125_000,
        5_210_000,
    )
    assert (new.iterations, new.mean_ns) == (64, 1_240_270_000)


@pytest.mark.parametrize("name", [path.name for path in sorted(CAPTURED.glob("*.txt"))])
def test_output_cut_anywhere_is_whole_or_refused(name: str) -> None:
    text = read(name)
    parse = parse_executor_runner if name.startswith("executor") else parse_benchmark_model
    whole = parse(text)
    for end in range(0, len(text), 7):
        try:
            parsed = parse(text[:end])
        except ResultError:
            continue
        assert parsed.iterations == whole.iterations


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Model executed successfully.",
        "Model executed successfully 0 time(s) in 1.0 ms",
        "Model executed successfully 2 time(s) in 9999999999999.0 ms",
        "Iteration 1 of 2: 1.0 ms\nModel executed successfully 2 time(s) in 2.0 ms",
        (
            "count=1 curr=5\nInference timings in us: Init: 1, First inference: 1, Warmup (avg): 1,"
            " Inference (avg): 1e99"
        ),
        (
            "Inference timings in us: Init: nan, First inference: -1, Warmup (avg): 1, Inference"
            " (avg): 1"
        ),
    ],
)
def test_what_is_not_plausible_is_refused(text: str) -> None:
    for parse in (parse_executor_runner, parse_benchmark_model):
        with pytest.raises(ResultError):
            parse(text)


@pytest.fixture
def target(tmp_path: Path) -> LocalTarget:
    """This machine, with programs that print what such runners print and note how they were
    called."""
    runners = {}
    for name, kind, captured in (
        ("executorch", "executor_runner", "executor_runner-1.x"),
        ("litert", "benchmark_model", "benchmark_model-2.5"),
    ):
        program = tmp_path / kind
        noted, printed = (
            shlex.quote(str(tmp_path / f"{kind}.argv")),
            shlex.quote(str(CAPTURED / f"{captured}.txt")),
        )
        program.write_text(f'#!/bin/sh\necho "$@" >>{noted}\ncat {printed} >&2\n')
        program.chmod(0o755)
        runners[name] = {"kind": kind, "program": str(program)}
    return LocalTarget.model_validate(
        {
            "edgekit": 1,
            "name": "desk",
            "kind": "local",
            "workdir": str(tmp_path / "store"),
            "runners": runners,
        }
    )


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return make_bundle(tmp_path / "bundle")


def test_a_measurement_names_them_and_never_counts(
    bundle: Bundle, target: LocalTarget, tmp_path: Path
) -> None:
    measurement = bench(bundle, target, **RUN)  # type: ignore[arg-type]
    assert {result.runner_kind for result in measurement.artifacts} <= {
        "executor_runner",
        "benchmark_model",
    }
    for result in measurement.artifacts:
        p50 = measurement.summaries[result.key].p50.value
        assert p50 == (3_000_000 if result.runner_kind == "executor_runner" else 3_832_750)
        noted = (tmp_path / f"{result.runner_kind}.argv").read_text()
        assert f"/{result.artifact.file.name}" in noted
    assert not measurement.valid
    assert any(note.code == "runner_kind" and note.level == "invalid" for note in measurement.notes)
    assert measurement.model_validate_json(measurement.model_dump_json()) == measurement


def test_one_that_fails_is_named(bundle: Bundle, target: LocalTarget, tmp_path: Path) -> None:
    for kind in ("executor_runner", "benchmark_model"):
        (tmp_path / kind).write_text("#!/bin/sh\necho 'cannot load the model' >&2\nexit 3\n")
    with pytest.raises(RunnerError, match="exit code 3") as raised:
        bench(bundle, target, **RUN)  # type: ignore[arg-type]
    assert "cannot load the model" in str(raised.value)


def test_they_measure_latency_only(bundle: Bundle, target: LocalTarget) -> None:
    with pytest.raises(UsageError, match="latency only"):
        bench(bundle, target, extras=Extras(profile=True), **RUN)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "is_refused"),
    [
        ({"signature": "step"}, True),
        ({"inputs": [{**INPUT, "dynamic": [{"axis": 1, "max": 3}]}]}, True),
        ({"inputs": [{**INPUT, "dynamic": [{"axis": 1, "max": 2}]}]}, False),
    ],
)
def test_they_take_no_signature_and_no_shape(
    bundle: Bundle, target: LocalTarget, changes: dict[str, Any], is_refused: bool
) -> None:
    """A program that was never told of it must not measure something else."""
    first, *others = bundle.manifest.artifacts
    changed = Artifact.model_validate({**first.model_dump(), **changes})
    manifest = bundle.manifest.model_copy(update={"artifacts": (changed, *others)})
    call = bundle.model_copy(update={"manifest": manifest})
    if is_refused:
        with pytest.raises(UsageError, match="does not take a signature or a shape"):
            bench(call, target, **RUN)  # type: ignore[arg-type]
    else:
        assert bench(call, target, **RUN).artifacts  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "runners",
    [
        "{executorch: {kind: executor_runner}}",
        "{litert: {kind: benchmark_model}}",
        "{litert: {program: /bin/x}}",
    ],
)
def test_a_kind_needs_a_program(runners: str, tmp_path: Path) -> None:
    path = tmp_path / "desk.yaml"
    path.write_text(f"edgekit: 1\nname: desk\nkind: local\nrunners: {runners}\n")
    with pytest.raises(EdgekitError, match="program"):
        load_target(path)
