"""Progress where nobody draws."""

from __future__ import annotations

import re

import pytest
from rich.console import Console

from edgekit.cli import live
from edgekit.progress import silent


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


@pytest.mark.parametrize(("turn_s", "lines"), [(5.0, []), (97.0, ["about 5 minutes"])])
def test_quick_work_that_takes_long_says_so_after_its_first_step(
    turn_s: float,
    lines: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    now = 0.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    progress = live.telling_long_work(silent, 60.0)
    for turn in range(4):
        progress("measure on pi5", turn, 3, "int8.pte")
        now += turn_s
    shown = capsys.readouterr().err.splitlines()
    assert shown == [f"measure on pi5: this will take {text}" for text in lines]


def test_what_is_long_is_said_above_the_bars(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console(stderr=True, force_terminal=True, width=60)
    text = "classes: 0 cat (40 + 10), 1 dog (40 + 10); left out: 290 files .heic"
    for progress in live._drawn(console):
        progress("data photos", 1, 1, text)
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", capsys.readouterr().err)
    assert text in " ".join(shown.split())
