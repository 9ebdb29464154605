"""Patterns of names in OpenSSH's files: `*`, `?`, and `!` for what a list leaves out. Source:
ssh_config(5), PATTERNS."""

from __future__ import annotations

import re
from collections.abc import Iterable

_SPECIAL = {"*": ".*", "?": "."}


def matches(text: str, pattern: str) -> bool:
    expression = "".join(_SPECIAL.get(c) or re.escape(c) for c in pattern)
    return re.fullmatch(expression, text, re.DOTALL) is not None


def listed(text: str, patterns: Iterable[str]) -> bool:
    """Whether a list names it. What a pattern with `!` fits is left out, whatever others say."""
    included = False
    for pattern in patterns:
        if pattern.startswith("!") and matches(text, pattern[1:]):
            return False
        included = included or matches(text, pattern)
    return included
