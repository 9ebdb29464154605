"""An editable install, as those who work on edgekit or beside it have it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
BUILD = "from setuptools.build_meta import build_editable; build_editable('dist')"


def test_type_checkers_find_the_package(tmp_path: Path) -> None:
    """They follow a path, and no import hook, which is what setuptools makes by default."""
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    for name in ("__init__.py", "version.py", "py.typed"):
        (tmp_path / "edgekit").mkdir(exist_ok=True)
        shutil.copy(ROOT / "edgekit" / name, tmp_path / "edgekit")
    (tmp_path / "dist").mkdir()
    environment = {**os.environ, "PYTHONPATH": ""}
    command = [sys.executable, "-c", BUILD]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr[-2000:]
    [wheel] = (tmp_path / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        modules = [name for name in archive.namelist() if ".dist-info/" not in name]
        [path] = modules
        assert path.endswith(".pth")
        assert archive.read(path).decode().strip() == str(tmp_path)
