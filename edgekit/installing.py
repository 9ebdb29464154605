"""How this edgekit was installed, and the command that adds one of its extras to it. The package is
called `edgekit-deploy`: on the public index, `edgekit` is somebody else's."""

from __future__ import annotations

import json
import shlex
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from edgekit.version import __version__

DISTRIBUTION = "edgekit-deploy"


def install_command(extra: str) -> str:
    """The command that adds an extra, from where edgekit itself came: a checkout, a file, a
    repository, or the index.

    >>> install_command("report").startswith("pip install ")
    True
    """
    try:
        text = metadata.distribution(DISTRIBUTION).read_text("direct_url.json")
    except metadata.PackageNotFoundError:  # run from a checkout that is not installed
        return _from_directory(Path(__file__).parents[1], extra, editable=True)
    if text is None:
        return _pip(f"{DISTRIBUTION}[{extra}]=={__version__}")
    return _from_url(json.loads(text), extra)


def _from_url(origin: dict[str, Any], extra: str) -> str:
    """Of what PEP 610 says that pip writes down."""
    url = str(origin["url"])
    if "vcs_info" in origin:
        vcs = origin["vcs_info"]
        return _pip(f"{DISTRIBUTION}[{extra}] @ {vcs['vcs']}+{url}@{vcs['commit_id']}")
    if not url.startswith("file:"):
        return _pip(f"{DISTRIBUTION}[{extra}] @ {url}")
    path = Path(unquote(urlsplit(url).path))
    if "dir_info" in origin:
        return _from_directory(path, extra, editable=bool(origin["dir_info"].get("editable")))
    return _pip(f"{path}[{extra}]")


def _from_directory(path: Path, extra: str, *, editable: bool) -> str:
    place = "." if path == Path.cwd() else str(path)
    return _pip(f"{place}[{extra}]", "-e" if editable else "")


def _pip(requirement: str, option: str = "") -> str:
    return " ".join(["pip install", *([option] if option else []), shlex.quote(requirement)])
