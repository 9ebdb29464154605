"""The one place where a test says that it cannot run, so that no tier is lost unnoticed.

`EDGEKIT_TEST_TIERS` lists what this machine offers to tests, separated by commas. tools/test sets
it to what it could install or try out. A test that needs something on the list and does not find
it fails. Without the variable it is skipped."""

from __future__ import annotations

import importlib
import os
from typing import Any, Literal, NoReturn

import pytest

from edgekit.installing import install_command

Need = Literal["packages", "extras", "root", "mount", "debian12", "machine"]
"""What a test did not find: Debian packages, packages of the `test` extra, the rights of root, the
right to mount file systems, Debian 12 with its sources, or something that only some machines have.
The last is never on the list."""


def cannot_run(reason: str, need: Need = "packages") -> NoReturn:
    """Skip the test, or fail it where this machine offers what it needs. `reason` says how to
    enable it."""
    if need in os.environ.get("EDGEKIT_TEST_TIERS", "").split(","):
        pytest.fail(f"this machine should be able to run it: {reason}")
    pytest.skip(reason)


def require_root(purpose: str) -> None:
    """For tests that do what only root may, for example `mounts a tiny tmpfs`."""
    if os.geteuid() != 0:
        cannot_run(f"{purpose}: run as root", need="root")


def require_module(name: str, extra: str) -> Any:
    """The module, where the extra of edgekit that brings it is installed."""
    try:
        return importlib.import_module(name)
    except ImportError:
        cannot_run(install_command(extra), need="extras")
