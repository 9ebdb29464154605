"""A full measurement of everything a page shows, and one from a device that lies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edgekit.bundle.directory import Bundle, bundle_id, open_bundle, write_manifest
from edgekit.bundle.manifest import ArtifactAgreement, Delegation, Operation, TraceRow
from edgekit.devices.facts import CpuTime
from edgekit.devices.probe import Probe
from edgekit.measure.extra_results import DeviceEvaluation, Energy, OperatorTime, Profile, Sustained
from edgekit.measure.measurement import Measurement
from edgekit.measure.protocol_lines import WindowValues
from edgekit.measure.runs import MeasuredRun
from tests.support.hostile import KEYS
from tests.support.measured import make_bundle, make_measurement, top1

PROBES = (
    Probe(
        kind="temperature_c",
        name="cpu-thermal 0",
        path="/sys/class/thermal/thermal_zone0/temp",
        scale=1e-3,
    ),
    Probe(
        kind="frequency_khz",
        name="policy0",
        path="/sys/devices/system/cpu/cpufreq/policy0/scaling_cur_freq",
    ),
)


def windows(count: int = 6) -> tuple[WindowValues, ...]:
    return tuple(
        WindowValues(
            at_ns=at * 10**9,
            iterations=at * 100,
            ns=(1_000_000 + at,),
            values=(50_000 + 100 * at, 1_800_000),
        )
        for at in range(count)
    )


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    """A bundle as a recipe makes it: trace, delegation with its order, a comparison, a budget."""
    made = make_bundle(tmp_path / "bundle")
    order = (
        Operation(operator="aten.convolution", layer="block1", delegate=0),
        Operation(operator="aten.topk", layer="head"),
    )
    split = Delegation(
        delegate="XnnpackBackend",
        delegated={"aten.convolution": 1},
        fallback={"aten.topk": 1},
        reasons={"aten.topk": "why"},
        sequence=order,
    )
    artifacts = tuple(
        artifact.model_copy(update={"delegation": split}) for artifact in made.manifest.artifacts
    )
    row = TraceRow(
        stage="fp32",
        kind="train",
        parent=None,
        parameters=1000,
        nonzero_fraction=1.0,
        macs=2000,
        bytes=4000,
        deflated_bytes=3900,
        metrics=(top1(92, 100),),
        seconds=1.5,
    )
    recipe = {
        "edgekit": 1,
        "name": "tiny",
        "model": {"name": "tiny_cnn"},
        "input": {"shape": [1, 8, 8]},
        "data": {"name": "digits"},
    }
    recipe |= {
        "stages": [{"stage": "train", "export": "fp32"}],
        "budget": {"variants": {"fp32": {"top1_min_percent": 99.0}}},
    }
    compared = ArtifactAgreement(
        a=KEYS[0],
        b=KEYS[1],
        samples=1000,
        agreement_percent=99.0,
        agreement_label="same top-1",
        snr_db=30.0,
    )
    new = {
        "artifacts": artifacts,
        "id": bundle_id("0" * 64, artifacts),
        "trace": (row,),
        "recipe": recipe,
        "comparisons": (compared,),
    }
    write_manifest(made.path, made.manifest.model_copy(update=new))
    return open_bundle(made.path)


@pytest.fixture
def measurement(bundle: Bundle) -> Measurement:
    """With windows, operators, a long run, accuracy and energy."""
    plain = make_measurement(bundle)
    return plain.model_copy(
        update={
            "artifacts": tuple(observed(result) for result in plain.artifacts),
            "probes": PROBES,
        }
    )


def observed(result: Any) -> Any:
    rows = tuple(
        OperatorTime(
            name=f"Convolution #{i}",
            layer=f"block{i}",
            delegated=i != 3,
            mean_ns=1000.0 * i,
            share=i / 210,
        )
        for i in range(1, 21)
    )
    profile = (
        Profile(inferences=64, median_ns=2e5, operators=rows)
        if result.key.endswith(".pte")
        else Profile(unavailable="no profiler in LiteRT")
    )
    results = {
        "runs": tuple(run.model_copy(update=watched(run)) for run in result.runs),
        "profile": profile,
        "sustained": Sustained(seconds=6, windows=windows()),
        "evaluation": DeviceEvaluation(
            samples=100,
            metrics=(top1(91, 100),),
            agreement_percent=100.0,
            max_abs_error=0.0,
            snr_db=None,
        ),
        "energy": Energy(unavailable="no sensor"),
    }
    return result.model_copy(update=results)


def watched(run: MeasuredRun) -> dict[str, Any]:
    started = f"2026-01-01T00:00:{run.index:02}.000+00:00"
    return {
        "started": started,
        "windows": windows(3),
        "cpu_ns": 5 * 10**8,
        "device_cpu": CpuTime(busy_s=1.0, idle_s=3.0),
    }
