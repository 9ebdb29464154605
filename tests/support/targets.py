"""Files of targets."""

from __future__ import annotations

from pathlib import Path

from edgekit.devices.target import SshTarget


def write_target(target: SshTarget) -> Path:
    """Its file in ./targets."""
    Path("targets").mkdir(exist_ok=True)
    path = Path("targets") / f"{target.name}.yaml"
    path.write_text(target.model_dump_json(exclude_none=True, exclude_unset=True))
    return path
