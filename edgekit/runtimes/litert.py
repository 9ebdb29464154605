"""The LiteRT runtime: edgekit's runner script for a Python that has ai-edge-litert (or tflite-runtime)."""

from __future__ import annotations

import importlib.util
from importlib import metadata
from pathlib import Path

from edgekit.errors import RunnerError
from edgekit.progress import Progress
from edgekit.runtimes import DIRECTORY, Platform, Runtime, describe_file, host_platform

RUNNER = Path(__file__).parents[1] / "runner" / "litert_runner.py"
PACKAGES = {"ai_edge_litert": "ai-edge-litert", "tflite_runtime": "tflite-runtime"}
"""Modules and their distributions, in the order the runner prefers them."""


def provide(platform: Platform, progress: Progress) -> Runtime:
    if not platform.is_host:
        raise RunnerError(f"no LiteRT runtime for another machine ({platform.arch})", hint="measure .tflite files on this machine")
    return litert_runtime(platform)


def litert_runtime(platform: Platform | None = None) -> Runtime:
    """The runner for this machine's own Python, with the package that is installed in it. Raises RunnerError: none is."""
    platform = platform or host_platform()
    package = next((name for name in PACKAGES if importlib.util.find_spec(name)), None)
    if package is None or platform.python is None:
        raise RunnerError("LiteRT is not installed", hint="pip install 'edgekit[export]', or pip install ai-edge-litert")
    script = describe_file(RUNNER, RUNNER.name, 0o644)
    command = (platform.python, "-I", f"{DIRECTORY}/{script.name}")
    return Runtime("litert", metadata.version(PACKAGES[package]), platform.arch, (script,), command)
