"""Progress where nobody draws."""

from __future__ import annotations

import pytest

from edgekit.cli import live


def test_a_pipe_gets_a_line_now_and_then_and_one_at_the_end(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = 0.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    with live.live_progress(quiet=False) as progress:
        for step in range(100):
            now = float(step)
            progress("train", step, 100, f"epoch {step}")
        progress("train", 100, 100, "92 %")
        progress("train", 100, 100, "again")
        progress("survey", 0, 0)
        now += live.LOG_EVERY_S
        progress("survey", 3, 0)
    assert capsys.readouterr().err.splitlines() == [
        "train: 30 of 100 epoch 30",
        "train: 60 of 100 epoch 60",
        "train: 90 of 100 epoch 90",
        "train: 92 %",
        "survey: 3",
    ]


def test_quiet_is_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    with live.live_progress(quiet=True) as progress:
        progress("train", 1, 1)
    assert capsys.readouterr() == ("", "")
