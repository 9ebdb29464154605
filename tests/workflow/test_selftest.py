"""An artifact against itself, over the whole way."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import edgekit
from edgekit import store
from edgekit.bundle.directory import Bundle
from edgekit.cli import run
from edgekit.errors import UsageError
from tests.support.desk import QUICK


def test_an_artifact_against_itself(fast: Bundle, desk: Path) -> None:
    result = edgekit.selftest(fast, str(desk), runs=12, resamples=100, settings=QUICK)
    assert result.artifact == "fp32.pte"
    assert (result.rates.rounds, result.rates.resamples) == (12, 100)
    assert result.a.session == result.b.session
    assert result.ok
    assert result.rates.power > 0.9
    with pytest.raises(UsageError, match="too few"):
        edgekit.selftest(fast, str(desk), runs=9)


def test_the_command(
    fast: Bundle, desk: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("EDGEKIT_DB", str(desk.parent / "results.db"))
    assert run(["selftest", str(fast.path)]) == 2
    assert (
        run(
            [
                "selftest",
                str(fast.path),
                "--aa",
                "--target",
                str(desk),
                "--runs",
                "10",
                "--resamples",
                "100",
            ]
        )
        == 0
    )
    assert "identical builds told apart: 0.0 %" in capsys.readouterr().out
    assert (
        run(
            [
                "selftest",
                str(fast.path),
                "--aa",
                "--target",
                str(desk),
                "--runs",
                "10",
                "--resamples",
                "100",
                "--json",
            ]
        )
        == 0
    )
    assert json.loads(capsys.readouterr().out)["ok"]
    with store.open_store() as opened:
        assert len(opened.rows()) == 4
