"""The program that times what is done to a sample beside the inference (edgekit.sample_steps): what
a device needs to run it, and its files there. Fetches nothing: numpy is that of the LiteRT runtime
where the device has it, else the device's own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from edgekit import sample_steps
from edgekit.runners.runtime import DIRECTORY, Platform, Runtime, RuntimeFile, describe_file
from edgekit.version import __version__

NAME = "sample_steps"
PROGRAM = Path(sample_steps.__path__[0])


def packages_of(runtimes: Iterable[Runtime]) -> tuple[RuntimeFile, ...]:
    """The Python packages that runtimes bring with them, numpy among them."""
    return tuple(
        file for runtime in runtimes for file in runtime.files if file.name.startswith("site/")
    )


def why_not(platform: Platform, packages: Sequence[RuntimeFile]) -> str:
    """Why a device cannot run the program; empty where it can."""
    if platform.python is None:
        return "there is no Python there"
    if not (platform.is_host or packages or platform.numpy):
        return (
            "there is no numpy there (apt-get install python3-numpy on the device, or measure a"
            " .tflite with it: LiteRT's runner brings numpy)"
        )
    return ""


def steps_runtime(platform: Platform, packages: Sequence[RuntimeFile]) -> Runtime:
    """The program with packages for a device that can run it."""
    assert platform.python
    sources = [
        describe_file(path, f"{NAME}/{path.relative_to(PROGRAM).as_posix()}", 0o755)
        for path in sorted(PROGRAM.rglob("*.py"))
    ]
    command = (platform.python, "-I", f"{DIRECTORY}/{NAME}/__main__.py")
    return Runtime(NAME, __version__, platform.arch, (*sources, *packages), command)
