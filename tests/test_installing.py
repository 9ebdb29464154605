"""The command that adds an extra fits how edgekit was installed."""

from __future__ import annotations

import json
import re
from importlib import metadata
from pathlib import Path

import pytest

from edgekit.installing import install_command
from edgekit.version import __version__

ROOT = Path(__file__).parents[1]


class Installed:
    """A distribution whose record says where it came from (PEP 610)."""

    def __init__(self, origin: dict[str, object] | None) -> None:
        self._origin = origin

    def read_text(self, name: str) -> str | None:
        assert name == "direct_url.json"
        return None if self._origin is None else json.dumps(self._origin)


@pytest.mark.parametrize(
    ("origin", "command"),
    [
        (None, f"pip install 'edgekit-deploy[report]=={__version__}'"),
        (
            {"url": "file:///src/my%20edgekit", "dir_info": {"editable": True}},
            "pip install -e '/src/my edgekit[report]'",
        ),
        ({"url": "file:///src/edgekit", "dir_info": {}}, "pip install '/src/edgekit[report]'"),
        (
            {"url": "file:///dist/edgekit_deploy-1.whl", "archive_info": {}},
            "pip install '/dist/edgekit_deploy-1.whl[report]'",
        ),
        (
            {"url": "https://host/edgekit_deploy-1.whl", "archive_info": {}},
            "pip install 'edgekit-deploy[report] @ https://host/edgekit_deploy-1.whl'",
        ),
        (
            {"url": "https://host/edgekit", "vcs_info": {"vcs": "git", "commit_id": "1a2b"}},
            "pip install 'edgekit-deploy[report] @ git+https://host/edgekit@1a2b'",
        ),
    ],
)
def test_where_it_came_from(
    origin: dict[str, object] | None, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.metadata.distribution", lambda name: Installed(origin))
    assert install_command("report") == command


def test_a_checkout_that_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Installed:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr("importlib.metadata.distribution", missing)
    monkeypatch.chdir(tmp_path)
    assert install_command("report") == f"pip install -e '{ROOT}[report]'"
    monkeypatch.chdir(ROOT)
    assert install_command("report") == "pip install -e '.[report]'"


@pytest.mark.parametrize(
    "path", sorted((ROOT / "edgekit").rglob("*.py")), ids=lambda path: path.stem
)
def test_no_text_names_a_strangers_package(path: Path) -> None:
    assert not re.search(r"""pip install ['"]?edgekit\b(?!-deploy)""", path.read_text())
