"""The fake runner where the unprivileged user of a board can start it."""

from __future__ import annotations

import json
import shlex
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edgekit.bundle.directory import Bundle

PYTHON = "/usr/bin/python3"  # that of the tests may lie where only root reaches


@contextmanager
def on_the_board(bundle: Bundle, behaviour: str = "good", *, first: str = ":") -> Iterator[str]:
    """A program that runs the shell command `first`, and then behaves as a runner of the bundle's
    first artifact; see fake_runner.py."""
    artifact = bundle.manifest.artifacts[0]
    assert artifact.reference_outputs
    with tempfile.TemporaryDirectory(prefix="edgekit-runner-") as name:
        directory = Path(name)
        directory.chmod(0o755)
        script, computed, program = (
            directory / "fake_runner.py",
            directory / "computed.bin",
            directory / "runner",
        )
        shutil.copyfile(Path(__file__).with_name("fake_runner.py"), script)
        shutil.copyfile(bundle.file(artifact.reference_outputs), computed)
        specs = {
            kind: [
                {"name": s.name, "dtype": s.dtype, "shape": s.shape}
                for s in getattr(artifact, kind)
            ]
            for kind in ("inputs", "outputs")
        }
        Path(f"{computed}.tensors.json").write_text(json.dumps(specs))
        program.write_text(
            f"#!/bin/sh\n{first}\nexec"
            f' {shlex.join([PYTHON, str(script), behaviour, "2000000", str(computed)])} "$@"\n'
        )
        program.chmod(0o755)
        yield str(program)
