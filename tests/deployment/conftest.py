"""Bundles of opaque bytes, the store they are deployed to, and shells like those of small
boards."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from edgekit.bundle.manifest import (
    Artifact,
    Bundle,
    Manifest,
    bundle_id,
    describe_file,
    open_bundle,
    write_manifest,
)
from tests.devices.conftest import tiny_disk as tiny_disk
from tests.tiers import cannot_run

LARGE_BYTES = 3 << 20
"""More than a transport's chunk, so that an upload can be cut in the middle of a file."""

Contents = dict[str, bytes]


def noise(seed: str, size: int) -> bytes:
    return hashlib.shake_256(seed.encode()).digest(size)


def write_bundle(
    directory: Path, seed: str, shared: bytes = b"", large_bytes: int = LARGE_BYTES
) -> Bundle:
    """A bundle with a large artifact made from `seed`, a small one of `shared`, and references."""
    models = {"fp32": noise(seed, large_bytes), "int8": shared or noise(f"small {seed}", 1000)}
    return opaque_bundle(
        directory,
        "opaque",
        ((variant, model, noise("inputs", 64), model[:8]) for variant, model in models.items()),
    )


def opaque_bundle(
    directory: Path, name: str, artifacts: Iterable[tuple[str, bytes, bytes, bytes]]
) -> Bundle:
    """A bundle of any bytes: of each artifact its variant, its model, and its reference inputs and
    outputs."""
    (directory / "reference").mkdir(parents=True)
    described = []
    for variant, model, given, expected in artifacts:
        names = {
            f"{variant}.pte": model,
            f"reference/{variant}.inputs.bin": given,
            f"reference/{variant}.outputs.bin": expected,
        }
        for file_name, content in names.items():
            (directory / file_name).write_bytes(content)
        file, inputs, outputs = (
            describe_file(directory / file_name, file_name) for file_name in names
        )
        described.append(
            Artifact.model_validate(
                {
                    "variant": variant,
                    "format": "executorch",
                    "file": file,
                    "inputs": [{"name": "x", "dtype": "float32", "shape": [1, 16]}],
                    "outputs": [{"name": "y", "dtype": "float32", "shape": [1, 2]}],
                    "reference_inputs": inputs,
                    "reference_outputs": outputs,
                    "reference_samples": 1,
                    "delegation": {"delegate": "none", "delegated": {}, "fallback": {}},
                    "verification": {
                        "samples": 1,
                        "max_abs_error": 0.0,
                        "snr_db": None,
                        "cosine": 1.0,
                        "top1_agreement_percent": 100.0,
                    },
                }
            )
        )
    fixed = {
        "recipe": {},
        "recipe_sha256": "0" * 64,
        "versions": {},
        "seed": 0,
        "git_revision": None,
        "trace": (),
    }
    identity = bundle_id("0" * 64, tuple(described))
    write_manifest(
        directory,
        Manifest.model_validate(
            {
                "id": identity,
                "name": name,
                "created": "2026-01-01",
                "artifacts": tuple(described),
                **fixed,
            }
        ),
    )
    return open_bundle(directory)


def contents(directory: Path) -> Contents:
    """All files below a directory, links followed."""
    files = {
        str(path.relative_to(directory)): path.read_bytes()
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }
    files.pop(".objects", None)
    return files


def live(store: Path) -> Contents | None:
    """What an application on the device sees that opens `current` now; None when nothing is
    deployed."""
    return contents((store / "current").resolve()) if (store / "current").is_symlink() else None


@pytest.fixture(scope="session")
def old(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_bundle(tmp_path_factory.mktemp("old") / "bundle", "old", shared=b"same in both")


@pytest.fixture(scope="session")
def new(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_bundle(tmp_path_factory.mktemp("new") / "bundle", "new", shared=b"same in both")


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


def run_python(
    code: str, *arguments: str, **environment: str
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        timeout=60,
    )
