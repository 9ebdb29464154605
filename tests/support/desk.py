"""A target: this machine under a runner that prints the times it was told to."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path

from edgekit.bundle.directory import Bundle

RUNNER = Path(__file__).with_name("fake_runner.py")

QUICK = {"warmup_min_seconds": 0, "min_seconds": 0}


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
