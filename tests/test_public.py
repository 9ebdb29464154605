"""The public API."""

from __future__ import annotations

import subprocess
import sys

import edgekit


def test_every_public_name_is_there_and_documented() -> None:
    assert set(edgekit.__all__) <= set(dir(edgekit))
    for name in edgekit.__all__:
        value = getattr(edgekit, name)
        assert name == "__version__" or (value.__name__ == name and value.__doc__)


def test_importing_costs_nothing_and_no_name_needs_torch() -> None:
    code = (
        "import sys, edgekit; assert 'numpy' not in sys.modules; [getattr(edgekit, n) for n in"
        " edgekit.__all__]; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_unknown_name() -> None:
    assert not hasattr(edgekit, "no_such_name")
