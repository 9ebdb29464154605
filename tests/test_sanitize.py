"""Hostile text is harmless where people and spreadsheets read it."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.sanitize import csv_cell, printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Raspberry Pi 5 – Küche", "Raspberry Pi 5 – Küche"),
        ("a\x1b[2Jb", "a\ufffd[2Jb"),
        ("a\nb\r\tc\0", "a\ufffdb\ufffd\ufffdc\ufffd"),
        ("evil\u202egnp.exe", "evil\ufffdgnp.exe"),
        ("x\x9b31m\u2028y\u200b", "x\ufffd31m\ufffdy\ufffd"),
        ("\ud800", "\ufffd"),
    ],
)
def test_printable(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_long_text_is_cut() -> None:
    assert printable("x" * 201) == "x" * 199 + "…"
    assert printable("x" * 200) == "x" * 200


@given(st.text(max_size=300))
def test_nothing_that_steers_a_terminal_is_left(text: str) -> None:
    shown = printable(text)
    assert len(shown) <= 200
    assert not [c for c in shown if unicodedata.category(c).startswith("C") or c in "\u2028\u2029"]


@pytest.mark.parametrize(
    "text", ["=cmd|'/c calc'!A0", "+1", "-1+2", "@SUM(A1)", "\t=1", " =1", "\r=1"]
)
def test_formulas_are_text(text: str) -> None:
    assert str(csv_cell(text)).startswith("'")


@pytest.mark.parametrize("value", [-1.5, 3, None, True, "int8.tflite", "a=b"])
def test_other_cells_stay_as_they_are(value: object) -> None:
    assert csv_cell(value) == value
