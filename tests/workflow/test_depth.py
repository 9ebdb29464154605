"""From a command to the runner's process it is at most six calls."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import Any

import pytest

from edgekit.bundle.directory import Bundle
from edgekit.cli import run
from edgekit.devices import CompletedProgram
from edgekit.devices.local import LocalDevice


def test_six_calls_from_the_command_to_the_process(
    fast: Bundle, desk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    start = LocalDevice.run

    def noted(device: LocalDevice, argv: Any, **options: Any) -> CompletedProgram:
        if "--model" in argv:
            frames = [Path(frame.filename) for frame in traceback.extract_stack()]
            inside = [file for file in frames if "edgekit" in file.parts[-3:-1]]
            calls[:] = [f"{file.parent.name}/{file.name}" for file in inside]
        return start(device, argv, **options)

    monkeypatch.setattr(LocalDevice, "run", noted)
    assert run(["bench", str(fast.path), "--target", str(desk), "--runs", "1"]) == 0
    assert calls[calls.index("cli/bench.py") :] == [
        "cli/bench.py",
        "workflow/bench.py",
        "workflow/fleet.py",
        "measure/session.py",
        "measure/interleaving.py",
        "measure/runner_process.py",
    ], "and the sixth call is the device's"
