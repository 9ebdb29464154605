"""The LiteRT runtime: edgekit's native runner (litert_native.py), or its runner in Python for a
Python that has ai-edge-litert (or tflite-runtime), which runs every file and needs more of a board.

The one in Python is, on this machine, its own Python with the package that is installed. A board
gets the package and numpy beside the runner, from wheels for its own Python that this machine
fetched, so that it needs neither pip nor internet."""

from __future__ import annotations

import importlib.util
import shutil
from dataclasses import replace
from importlib import metadata
from pathlib import Path

from edgekit.cache import content_key
from edgekit.errors import RunnerError, UsageError
from edgekit.installing import install_command
from edgekit.progress import Progress
from edgekit.runners.build_cache import building, is_ready, read_listing, write_listing
from edgekit.runners.litert_native import PINNED_VERSION, provide_native
from edgekit.runners.needs import PINNED_NEEDS, needs_of_wheel, unmet
from edgekit.runners.python_packing import pack, packing_digest
from edgekit.runners.runtime import DIRECTORY, Platform, Runtime, describe_file, host_platform
from edgekit.runners.wheels import fetch_wheels

RUNNER = Path(__file__).parent / "on_board" / "litert_runner"
START = f"{DIRECTORY}/{RUNNER.name}/__main__.py"
PACKAGES = {"ai_edge_litert": "ai-edge-litert", "tflite_runtime": "tflite-runtime"}
"""Modules and their distributions, in the order the runner prefers them."""
PINNED = f"ai-edge-litert=={PINNED_VERSION}"
"""As in the extra `export`: a board runs what the host verified with, where there is a wheel for
it."""
CHOICES = {
    "ai_edge_litert": ((PINNED, "numpy"), ("ai-edge-litert", "numpy")),
    "tflite_runtime": (("tflite-runtime", "numpy<2"),),
}
"""What to fetch for a package, the first that a board can run. tflite-runtime was built against
numpy 1."""


def provide(platform: Platform, cache: Path, progress: Progress) -> Runtime:
    """The native runner where it can be had, else the one in Python, which says why; or the one
    that the platform asks for. Raises RunnerError and UsageError."""
    if platform.litert_runner == "python":
        return _in_python(platform, "the target asks for it", cache, progress)
    if platform.litert_runner == "auto" and platform.litert_package != "auto":
        because = f"the target asks for {platform.litert_package}"
        return _in_python(platform, because, cache, progress)
    try:
        return provide_native(platform, cache, progress)
    except RunnerError as error:
        if platform.litert_runner == "native":
            raise
        try:
            return _in_python(platform, error.message, cache, progress)
        except RunnerError as without:
            raise RunnerError(
                f"{without.message}; and without Python: {error.message}",
                hint=f"{without.hint}; or {error.hint}" if error.hint else without.hint,
                details=without.details,
            ) from None


def _in_python(platform: Platform, because: str, cache: Path, progress: Progress) -> Runtime:
    runtime = (
        litert_runtime(platform) if platform.is_host else board_runtime(platform, cache, progress)
    )
    return replace(runtime, because=because)


def litert_runtime(platform: Platform | None = None) -> Runtime:
    """The runner for this machine's own Python, with the package that is installed in it. Raises
    UsageError: none is."""
    platform = platform or host_platform()
    package = next((name for name in PACKAGES if importlib.util.find_spec(name)), None)
    if package is None or platform.python is None:
        raise UsageError(
            "LiteRT is not installed",
            hint=f"{install_command('export')}, or pip install ai-edge-litert",
        )
    files = tuple(describe_file(path, f"{RUNNER.name}/{path.name}", 0o644) for path in _sources())
    command = (platform.python, "-I", START)
    return Runtime("litert", metadata.version(PACKAGES[package]), platform.arch, files, command)


def board_runtime(platform: Platform, cache: Path, progress: Progress) -> Runtime:
    """The runner with packages for another machine's Python. Raises RunnerError: no Python there,
    no wheels for it."""
    if platform.python is None or platform.python_version is None:
        raise RunnerError(
            "the device has no Python, which the LiteRT runner needs",
            hint="apt-get install python3 on the device, or measure .pte only",
        )
    if platform.glibc is None:
        raise RunnerError(
            "the device has no glibc, which LiteRT's wheels need",
            hint="measure .pte only, or use your own benchmark_model",
        )
    about = (
        platform.arch,
        platform.python_version,
        platform.glibc,
        platform.litert_package,
        platform.arch == "armv7l" and platform.numpy,
        # Boards that load the pinned one share it, whatever else their libraries are.
        bool(unmet(PINNED_NEEDS.get(("litert", platform.arch), {}), platform.libraries)),
    )
    key = content_key(CHOICES, packing_digest(), [path.read_text() for path in _sources()], about)
    home = cache / "runtimes" / f"litert-{platform.arch}-py{platform.python_version}-{key[:12]}"
    if not is_ready(home):
        wheels = _wheels(platform, platform.python_version, platform.glibc, cache, progress)
        with building(home, "packs the LiteRT runtime", progress) as build:
            if build is not None:
                pack(wheels, platform.python_version, build / "site", progress)
                (build / RUNNER.name).mkdir()
                for path in _sources():
                    shutil.copyfile(path, build / RUNNER.name / path.name)
                (build / "site" / "version").write_text(_version_of(wheels))
                write_listing(build)
    version = (home / "site" / "version").read_text()
    return Runtime(
        "litert",
        version,
        platform.arch,
        read_listing(home),
        (platform.python, "-I", START),
    )


def _sources() -> list[Path]:
    """The runner's modules, and nothing that Python put beside them."""
    return sorted(RUNNER.glob("*.py"))


def _wheels(
    platform: Platform, python: str, glibc: str, cache: Path, progress: Progress
) -> tuple[Path, ...]:
    """The first choice there are wheels for. On 32-bit ARM, for which the usual index has no numpy,
    the board's own numpy will do."""
    choices_of = (
        CHOICES
        if platform.litert_package == "auto"
        else {platform.litert_package: CHOICES[platform.litert_package]}
    )
    refused: list[RunnerError] = []
    for requirements in (choice for choices in choices_of.values() for choice in choices):
        own_numpy = (
            platform.arch == "armv7l"
            and platform.numpy is not None
            and ("numpy<2" not in requirements or platform.numpy.startswith("1."))
        )
        needed = [r for r in requirements if not (own_numpy and r.startswith("numpy"))]
        try:
            wheels = fetch_wheels(
                needed,
                arch=platform.arch,
                python=python,
                glibc=glibc,
                cache=cache,
                progress=progress,
            )
            _require_libraries(wheels, platform)
            return wheels
        except RunnerError as error:
            refused.append(error)
    message = (
        f"there is no LiteRT for Python {python} on {platform.arch} with glibc {glibc}:"
        f" {refused[-1].message}"
    )
    hint = (
        "apt-get install python3-numpy on the device (numpy 1)"
        if platform.arch == "armv7l"
        else refused[-1].hint
    )
    raise RunnerError(message, hint=hint, details={"tried": [error.message for error in refused]})


def _require_libraries(wheels: tuple[Path, ...], platform: Platform) -> None:
    """Raises RunnerError for the first wheel whose files need a newer C or C++ library, whatever
    its tag says."""
    for wheel in wheels:
        if lacking := unmet(needs_of_wheel(wheel), platform.libraries):
            name, version = wheel.name.split("-")[:2]
            raise RunnerError(
                f"{name} {version} needs {lacking} of the device's libraries",
                hint="update the system on the device, such as to Debian 12",
            )


def _version_of(wheels: tuple[Path, ...]) -> str:
    named = {path.name.split("-")[0]: path.name.split("-")[1] for path in wheels}
    return next(named[module] for module in PACKAGES if module in named)
