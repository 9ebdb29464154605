"""Text from devices and files, made harmless where a person or a spreadsheet reads it. Owns no
layout."""

from __future__ import annotations

import unicodedata

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


def printable(text: str, *, limit: int = 200) -> str:
    """One line of at most `limit` characters without control, direction-changing or other invisible
    characters (Unicode categories C*, Zl, Zp).

    Terminal escapes become visible rubbish. Rich markup is not touched: print with `rich.text.Text`
    or `rich.markup.escape`."""
    shown = "".join(
        (
            REPLACEMENT
            if unicodedata.category(c)[0] == "C" or unicodedata.category(c) in ("Zl", "Zp")
            else c
        )
        for c in text[: limit + 1]
    )
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


def csv_cell(value: object) -> object:
    """A value for a CSV file: text that a spreadsheet would run as a formula gets a leading
    apostrophe (OWASP, CSV injection)."""
    if not isinstance(value, str):
        return value
    text = printable(value, limit=10_000)
    return (
        f"'{text}"
        if value.startswith(FORMULA_STARTS) or text.lstrip().startswith(FORMULA_STARTS)
        else text
    )
