"""Bundles of opaque bytes and measurements of them, for tests of what comes after measuring."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from edgekit.bundle.directory import Bundle, bundle_id, describe_file, open_bundle, write_manifest
from edgekit.bundle.manifest import Artifact, Manifest, TensorSpec
from edgekit.cancel import Cancel
from edgekit.devices.fact_parsing import parse_facts
from edgekit.devices.facts import DeviceState
from edgekit.devices.target import Target
from edgekit.measure import session
from edgekit.measure.interleaving import Keep, keep_nothing
from edgekit.measure.measurement import Measurement
from edgekit.measure.protocol_lines import HelloValues, MemoryMark
from edgekit.measure.runs import ArtifactResult, MeasuredRun, OutputCheck
from edgekit.measure.session import NO_EXTRAS, Extras, Side
from edgekit.measure.settings import Settings, settings_with
from edgekit.measure.validity import artifact_notes
from edgekit.metrics import MetricValue, proportion_value
from edgekit.progress import Progress, silent
from edgekit.tasks.classification import TOP1

SAMPLES = 4
CAPTURED = Path(__file__).parents[1] / "captured"
SPECS: dict[str, dict[str, Any]] = {
    "fp32.pte": {
        "backend": "xnnpack",
        "runtime": "executorch",
        "output": TensorSpec(name="logits", dtype="float32", shape=(1, 3)),
    },
    "fp32.tflite": {
        "backend": "litert",
        "runtime": "litert",
        "output": TensorSpec(name="logits", dtype="float32", shape=(1, 3)),
    },
    "int8.tflite": {
        "backend": "litert",
        "runtime": "litert",
        "output": TensorSpec(name="logits", dtype="int8", shape=(1, 3), scale=0.5, zero_point=-3),
    },
}


def top1(right: int, samples: int) -> MetricValue:
    """So many samples whose top class is right."""
    return proportion_value(TOP1, right, samples)


def make_artifact(directory: Path, key: str, text: str = "model") -> Artifact:
    """Files of an artifact of opaque bytes whose reference outputs are small numbers, and its
    description."""
    output, variant = SPECS[key]["output"], key.partition(".")[0]
    values = np.arange(SAMPLES * 3, dtype=np.float32) + 1
    stored = values if output.scale is None else np.round(values / output.scale) + output.zero_point
    contents = {
        key: f"{text} {key}".encode() * 50,
        f"reference/{key}.inputs.bin": bytes(SAMPLES * 8),
        f"reference/{key}.outputs.bin": stored.astype(output.dtype).tobytes(),
    }
    for name, content in contents.items():
        (directory / name).write_bytes(content)
    model, inputs, outputs = (describe_file(directory / name, name) for name in contents)
    return Artifact.model_validate(
        {
            "variant": variant,
            "backend": SPECS[key]["backend"],
            "runtime": SPECS[key]["runtime"],
            "file": model,
            "inputs": [{"name": "x", "dtype": "float32", "shape": [1, 2]}],
            "outputs": [output],
            "reference_inputs": inputs,
            "reference_outputs": outputs,
            "reference_samples": SAMPLES,
            "delegation": {"delegate": "none", "delegated": {}, "fallback": {}},
            "verification": {
                "samples": 1,
                "max_abs_error": 0.0,
                "snr_db": None,
                "cosine": 1.0,
                "agreement_percent": 100.0,
                "metrics": [top1(920 if variant == "fp32" else 910, 1000)],
            },
        }
    )


def make_bundle(
    directory: Path,
    keys: Sequence[str] = ("fp32.pte", "int8.tflite"),
    *,
    text: str = "model",
    recipe: dict[str, Any] | None = None,
) -> Bundle:
    (directory / "reference").mkdir(parents=True)
    artifacts = tuple(make_artifact(directory, key, text) for key in keys)
    manifest = Manifest(
        id=bundle_id("0" * 64, artifacts),
        name="tiny",
        created="2026-01-01T00:00:00+00:00",
        recipe=recipe or {},
        task="classification",
        recipe_sha256="0" * 64,
        versions={},
        seed=0,
        git_revision=None,
        trace=(),
        artifacts=artifacts,
    )
    write_manifest(directory, manifest)
    return open_bundle(directory)


MARKS: tuple[Literal["baseline", "loaded", "first", "steady", "end"], ...] = (
    "baseline",
    "loaded",
    "first",
    "steady",
    "end",
)


def make_run(
    generator: np.random.Generator,
    index: int,
    median_ns: float,
    *,
    samples: int = 64,
    peak_bytes: int = 9 << 20,
) -> MeasuredRun:
    """A healthy run: 2 % scatter between runs, 1 % within."""
    level = median_ns * generator.normal(1, 0.02)
    memory = tuple(
        MemoryMark(
            mark=mark,
            rss_anon_bytes=(i + 1) << 20,
            rss_file_bytes=1 << 20,
            rss_shmem_bytes=0,
            peak_rss_bytes=2 << 20 if mark == "baseline" else peak_bytes,
        )
        for i, mark in enumerate(MARKS)
    )
    return MeasuredRun(
        index=index,
        started="2026-01-01T00:00:00.000+00:00",
        complete=True,
        start_ns=20_000_000,
        load_ns=7_000_000,
        first_ns=int(3 * median_ns),
        warmup_ns=(int(2 * median_ns),),
        steady_ns=tuple(int(ns) for ns in level * generator.normal(1, 0.01, samples)),
        overhead_ns_per_iteration=40.5,
        memory=memory,
        before=DeviceState(load_1min=0.1),
        after=DeviceState(load_1min=0.5),
    )


def make_result(
    artifact: Artifact, median_ns: float, runs: int, seed: int, **options: Any
) -> ArtifactResult:
    generator = np.random.default_rng(seed)
    runtime = artifact.runtime
    about = HelloValues(
        runtime=runtime,
        runtime_version="1.5.1",
        runner="native" if runtime == "executorch" else "ai_edge_litert",
        arch="aarch64",
        pid=1,
        threads=1,
        clock="CLOCK_MONOTONIC",
    )
    return ArtifactResult(
        artifact=artifact,
        runner=about,
        arena_bytes=None if runtime == "litert" else 640 << 10,
        outputs=tuple(
            OutputCheck(
                name=o.name, finite=True, equal=True, max_abs_error=0, snr_db=None, cosine=1
            )
            for o in artifact.outputs
        ),
        runs=tuple(make_run(generator, index, median_ns, **options) for index in range(runs)),
    )


def make_measurement(
    bundle: Bundle,
    *,
    medians_ns: Mapping[str, float] | None = None,
    runs: int = 10,
    number: int = 1,
    **values: Any,
) -> Measurement:
    """What a session on a Raspberry Pi could have given; `number` makes its id and its noise."""
    medians = medians_ns or {
        artifact.key: 1e6 * (i + 1) for i, artifact in enumerate(bundle.manifest.artifacts)
    }
    results = tuple(
        make_result(a, medians[a.key], runs, number * 100 + i)
        for i, a in enumerate(bundle.manifest.artifacts)
    )
    defaults = {
        "id": f"{number:032x}",
        "created": (
            f"2026-01-01T{number // 3600 % 24:02}:{number // 60 % 60:02}:{number % 60:02}.000+00:00"
        ),
        "seconds": 12.5,
        "edgekit_version": "0.1.0",
        "bundle_id": bundle.manifest.id,
        "bundle_name": bundle.manifest.name,
        "recipe_sha256": bundle.manifest.recipe_sha256,
        "target": "pi4",
        "target_kind": "ssh",
        "device": parse_facts((CAPTURED / "raspberry-pi-4" / "facts.txt").read_bytes()),
        "settings": Settings(
            runs=runs,
            warmup_min_seconds=0.2,
            min_iterations=64,
            min_seconds=0.5,
            max_seconds=60,
            threads=1,
        ),
        "artifacts": results,
        "notes": tuple(
            note
            for result in results
            for note in artifact_notes(result, snr_min_db=20, cosine_min=0.99)
        ),
    }
    return Measurement(**{**defaults, **values})


def bench(
    bundle: Bundle,
    target: Target,
    *,
    extras: Extras = NO_EXTRAS,
    keep: Keep = keep_nothing,
    progress: Progress = silent,
    cancel: Cancel | None = None,
    **settings: float,
) -> Measurement:
    """All artifacts of a bundle measured on a target, and nothing stored."""
    [measurement] = session.bench(
        [Side.whole(bundle)],
        target,
        settings_with(Settings(), settings),
        extras=extras,
        activate=True,
        keep=keep,
        progress=progress,
        cancel=cancel,
    )
    return measurement
