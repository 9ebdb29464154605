"""Sessions of measuring on this machine, under a runner that misbehaves as it is told to."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.bundle.directory import Bundle, open_bundle, write_manifest
from edgekit.devices.local import LocalDevice
from edgekit.devices.target import LocalTarget
from edgekit.devices.target_sections import Timeouts
from edgekit.measure.interleaving import measure_in_turn
from edgekit.measure.measurement import Measurement
from edgekit.measure.runner_process import Placed
from edgekit.measure.settings import Settings
from edgekit.pipeline.evaluation import write_evaluation
from tests.support.measured import make_bundle

RUNNER = Path(__file__).with_name("fake_runner.py")

TARGET = LocalTarget(
    edgekit=1, name="desk", kind="local", timeouts=Timeouts(run_seconds=20, no_progress_seconds=10)
)

SETTINGS = Settings(
    runs=2, warmup_min_seconds=0, min_iterations=64, min_seconds=0, max_seconds=1, threads=1
)


def place(
    bundle: Bundle,
    scratch: Path,
    behaviours: dict[str, str] | None = None,
    medians_ns: dict[str, int] | None = None,
) -> list[Placed]:
    """Each artifact with a fake runner that copies its reference outputs, as if it had computed
    them."""
    placed = []
    for artifact in bundle.manifest.artifacts:
        model, key = scratch / artifact.key, artifact.key
        model.write_bytes(bundle.file(artifact.file).read_bytes())
        tensors = {
            kind: [
                {"name": s.name, "dtype": s.dtype, "shape": s.shape}
                for s in getattr(artifact, kind)
            ]
            for kind in ("inputs", "outputs")
        }
        (scratch / f"{key}.computed.bin.tensors.json").write_text(json.dumps(tensors))
        computed = scratch / f"{key}.computed.bin"
        assert artifact.reference_outputs
        computed.write_bytes(bundle.file(artifact.reference_outputs).read_bytes())
        median_ns = (medians_ns or {}).get(key, 2_000_000)
        command = (
            sys.executable,
            str(RUNNER),
            (behaviours or {}).get(key, "good"),
            str(median_ns),
            str(computed),
        )
        assert artifact.reference_inputs
        inputs = str(bundle.file(artifact.reference_inputs))
        placed.append(
            Placed(artifact, command, str(model), inputs, str(scratch / f"{key}.outputs.bin"))
        )
    return placed


def run(
    bundle: Bundle, placed: list[Placed], settings: Settings = SETTINGS, **options: Any
) -> Measurement:
    [measurement] = measure_in_turn(
        [(bundle, placed)],
        options.pop("target", TARGET),
        options.pop("device", LocalDevice("desk")),
        settings,
        before_run=lambda: None,
        **options,
    )
    return measurement


def with_program(tmp_path: Path, behaviour: str = "good") -> tuple[Bundle, LocalTarget]:
    """A bundle of one .pte, and this machine with a fake runner as the user's own program for
    it."""
    bundle = make_bundle(tmp_path / "bundle", ["fp32.pte"])
    program = tmp_path / "runner"
    program.write_text(
        f"#!/bin/sh\nexec {shlex.join(place(bundle, tmp_path, {'fp32.pte': behaviour})[0].command)}"
        ' "$@"\n'
    )
    program.chmod(0o755)
    runners = {"executorch": {"program": str(program)}}
    return bundle, LocalTarget.model_validate(
        {
            "edgekit": 1,
            "name": "desk",
            "kind": "local",
            "workdir": str(tmp_path / "device"),
            "runners": runners,
        }
    )


def outputs_of(placed: Placed, values: Any) -> None:
    """Let the runner of this artifact compute `values` instead of the reference."""
    Path(placed.command[-1]).write_bytes(
        np.asarray(values, dtype=placed.artifact.outputs[0].dtype).tobytes()
    )


INPUTS = np.array([[3, 1], [1, 3], [-1, -2], [2, 2], [0.5, 4]], dtype=np.float32)

LABELS = np.array([0, 0, 2, 0, 1], dtype=np.int32)

SCORES = np.column_stack([INPUTS, np.zeros(len(INPUTS), dtype=np.float32)])


def with_evaluation(
    bundle: Bundle, labels: np.ndarray | None = LABELS, outputs: np.ndarray = SCORES
) -> Bundle:
    samples = ({"x": INPUTS}, labels)
    evaluation_set = write_evaluation(bundle.path, samples, {"fp32.pte": {"logits": outputs}})
    write_manifest(bundle.path, bundle.manifest.model_copy(update={"evaluation": evaluation_set}))
    return open_bundle(bundle.path)
