"""Small wheels in a folder, which pip takes for its only index: the real client, and no network."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest


def make_wheel(folder: Path, name: str, tag: str, files: Mapping[str, bytes | str]) -> Path:
    """`name` is `distribution-version`, `tag` is `python-abi-platform`."""
    folder.mkdir(parents=True, exist_ok=True)
    distribution, _, version = name.rpartition("-")
    about = {
        f"{name}.dist-info/METADATA": (
            f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n"
        ),
        f"{name}.dist-info/WHEEL": f"Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: {tag}\n",
        f"{name}.dist-info/RECORD": "",
    }
    path = folder / f"{name}-{tag}.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for file, content in {**files, **about}.items():
            wheel.writestr(file, content)
    return path


def only_index(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let pip see nothing but the wheels in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
