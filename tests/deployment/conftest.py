"""Bundles of opaque bytes, the store they are deployed to, and shells like those of small
boards."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.tiers import cannot_run


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "board" / "edgekit"


FILE_TOOLS = [
    "cat",
    "chmod",
    "df",
    "find",
    "ln",
    "ls",
    "mkdir",
    "mv",
    "readlink",
    "rm",
    "sync",
    "tar",
    "touch",
]
TEXT_TOOLS = ["grep", "sha256sum", "sort", "tail", "wc", "xargs"]
PROCESS_TOOLS = ["flock", "setsid", "sleep"]
TOOLS = [*FILE_TOOLS, *TEXT_TOOLS, *PROCESS_TOOLS]


def use_busybox(directory: Path, busybox: str) -> None:
    for tool in [*TOOLS, "sh"]:
        (directory / tool).symlink_to(busybox)


def use_toybox(directory: Path, toybox: str) -> None:
    """Android's tools and its shell, mksh."""
    for tool in TOOLS:
        (directory / tool).symlink_to(toybox)
    shell = shutil.which("mksh")
    assert shell
    (directory / "sh").symlink_to(shell)


SHELLS: dict[str, Callable[[Path, str], None]] = {"busybox": use_busybox, "toybox": use_toybox}


@pytest.fixture(params=["this machine", *SHELLS])
def shell(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Programs are looked up in a folder with nothing but this implementation of the tools that
    deployment may use."""
    if request.param in SHELLS:
        program = shutil.which(request.param)
        if not program or (request.param == "toybox" and not shutil.which("mksh")):
            cannot_run(f"needs {request.param}: apt-get install busybox toybox mksh")
        directory = tmp_path / "bin"
        directory.mkdir()
        SHELLS[request.param](directory, program)
        monkeypatch.setenv("PATH", str(directory))
    return str(request.param)
