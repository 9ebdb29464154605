"""Tests that need a machine's help: what they say when they cannot run, and when that is a
failure."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest


def cannot_run(reason: str) -> NoReturn:
    """Skip, saying how to enable it; fail where tools/test could install everything it wanted to,
    so that no tier is lost unnoticed."""
    if os.environ.get("EDGEKIT_TEST_TIERS") == "required":
        pytest.fail(f"this machine should be able to run it: {reason}")
    pytest.skip(reason)
