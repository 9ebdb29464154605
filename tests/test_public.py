"""The public API: its names, where they live, and that importing it costs nothing."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import edgekit

ALIASES = {"Target", "__version__"}
"""Names that are no function and no class."""


def test_every_public_name_is_there_and_documented() -> None:
    assert set(edgekit.__all__) <= set(dir(edgekit))
    for name in edgekit.__all__:
        value = getattr(edgekit, name)
        assert name in ALIASES or (value.__name__ == name and value.__doc__), name


def test_type_checkers_see_the_same_names() -> None:
    """The imports for type checkers and the table say the same."""
    tree = ast.parse(Path(edgekit.__file__).read_text())
    [block] = [node for node in tree.body if isinstance(node, ast.If)]
    imported = {
        alias.name: node.module
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert imported == edgekit.HOMES


def test_importing_costs_nothing_and_no_name_needs_torch() -> None:
    code = (
        "import sys, edgekit; assert 'numpy' not in sys.modules; assert 'pydantic' not in"
        " sys.modules; [getattr(edgekit, n) for n in edgekit.__all__]; assert 'torch' not in"
        " sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_unknown_name() -> None:
    assert not hasattr(edgekit, "no_such_name")
