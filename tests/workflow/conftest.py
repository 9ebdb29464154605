"""Two builds of one small model on this machine, under a runner that says how long they take."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path

import pytest

from edgekit.bundle.manifest import Bundle
from edgekit.devices.target import LocalTarget
from tests.measured import make_bundle

RUNNER = Path(__file__).parents[1] / "fake_runner.py"
QUICK = {"warmup_min_seconds": 0, "min_seconds": 0}


@pytest.fixture
def fast(tmp_path: Path) -> Bundle:
    return make_bundle(tmp_path / "fast", ["fp32.pte"])


@pytest.fixture
def slow(tmp_path: Path) -> Bundle:
    """Twice as slow as `fast`."""
    return make_bundle(tmp_path / "slow", ["fp32.pte"], text="slow!")


@pytest.fixture
def desk(tmp_path: Path, fast: Bundle) -> Path:
    """The file of a target: this machine with a fake runner for .pte files."""
    return make_desk(tmp_path, fast)


def make_desk(tmp_path: Path, bundle: Bundle, behaviour: str = "good") -> Path:
    artifact = bundle.manifest.artifacts[0]
    assert artifact.reference_outputs
    tensors = {
        kind: [
            {"name": s.name, "dtype": s.dtype, "shape": s.shape} for s in getattr(artifact, kind)
        ]
        for kind in ("inputs", "outputs")
    }
    computed, program = tmp_path / "computed.bin", tmp_path / "runner"
    computed.write_bytes(bundle.file(artifact.reference_outputs).read_bytes())
    (tmp_path / "computed.bin.tensors.json").write_text(json.dumps(tensors))
    program.write_text(
        "#!/bin/sh\nexec"
        f' {shlex.join([sys.executable, str(RUNNER), behaviour, "2000000", str(computed)])} "$@"\n'
    )
    program.chmod(0o755)
    file = tmp_path / "desk.yaml"
    file.write_text(
        f"edgekit: 1\nname: desk\nkind: local\nworkdir: {tmp_path}/device\nrunners: {{executorch:"
        f" {{program: {program}}}}}\ntimeouts: {{run_seconds: 20, no_progress_seconds: 10}}\n"
    )
    return file


def as_local(file: Path) -> LocalTarget:
    from edgekit.devices.target_files import load_target

    target = load_target(file)
    assert isinstance(target, LocalTarget)
    return target
