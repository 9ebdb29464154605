"""Measuring never changes what is live on a board: neither the bundle that runs there nor the one
that a rollback brings back."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import edgekit
from edgekit.bundle.directory import Bundle
from edgekit.cli import run
from tests.support.measured import make_bundle
from tests.support.small_models import write_pte

COMMANDS = {
    "bench": ["bench", "{a}", "--runs", "1"],
    "bench of the live one": ["bench", "{live}", "--runs", "1"],
    "bench of the previous one": ["bench", "{previous}", "--runs", "1"],
    "bench of a stray file": ["bench", "{stray}", "--runs", "1"],
    "compare": ["compare", "{a}", "{b}", "--runs", "1"],
    "gate": ["gate", "{a}", "--baseline", "{b}"],
    "selftest": ["selftest", "{a}", "--aa", "--runs", "10", "--resamples", "100"],
}


def links(device: Path) -> dict[str, str]:
    return {name: os.readlink(device / name) for name in ("current", "previous")}


@pytest.mark.parametrize("command", COMMANDS)
def test_measuring_leaves_it(
    command: str, fast: Bundle, slow: Bundle, desk: Path, tmp_path: Path
) -> None:
    previous, live = (
        make_bundle(tmp_path / name, ["fp32.pte"], text=name) for name in ("previous", "live")
    )
    for bundle in (previous, live):
        edgekit.deploy(bundle, str(desk))
    stray = tmp_path / "stray.pte"
    stray.write_bytes(write_pte([(1, 2)], [(1, 3)]))
    paths = {"a": fast.path, "b": slow.path, "live": live.path, "previous": previous.path}
    argv = [part.format(**paths, stray=stray) for part in COMMANDS[command]]
    before = links(tmp_path / "device")
    code = run([*argv, "--target", str(desk)])
    assert code in (0, 1), "few runs decide nothing, and are no mistake"
    assert links(tmp_path / "device") == before
    trees = sorted(f"bundles/{tree.name}" for tree in (tmp_path / "device" / "bundles").iterdir())
    assert trees == sorted(before.values()), "what was sent to be measured is gone"
    assert edgekit.verify(str(desk)).bundle.startswith(live.manifest.id[:12])
    assert edgekit.rollback(str(desk)).bundle.startswith(previous.manifest.id[:12])
