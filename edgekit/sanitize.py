"""Text from devices and files, made harmless where a person or a spreadsheet reads it. Owns no
layout."""

from __future__ import annotations

import os
import re
import unicodedata

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
SECRET_VARIABLE = re.compile(
    r"PASS(WORD|WD|PHRASE)|SECRET|TOKEN|API_?KEY|CREDENTIAL|^EDGEKIT_DB$", re.IGNORECASE
)
"""Names of environment variables that hold secrets."""
SHORTEST_SECRET = 6
PASSWORD_IN_URL = re.compile(r"(?<=://)([^/\s:@]*):[^/\s@]+@")


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


def without_secrets(text: str) -> str:
    """The text without the values of environment variables that hold secrets, and without passwords
    in URLs."""
    for name, value in os.environ.items():
        if SECRET_VARIABLE.search(name) and len(value) >= SHORTEST_SECRET:
            text = text.replace(value, f"<{name}>")
    return PASSWORD_IN_URL.sub(r"\1:<password>@", text)
