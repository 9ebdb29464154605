"""Python packages for a board in few files: what is pure Python in one zip, compiled ahead, beside
it the shared libraries.

A board then reads some twenty files instead of a thousand, and compiles nothing when it imports
them. What only developers of the packages need is left out. The module `on_board/packed.py`, which
goes into the zip, makes Python find the extension modules."""

from __future__ import annotations

import hashlib
import re
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

from edgekit.devices.local import LocalDevice
from edgekit.errors import RunnerError
from edgekit.progress import Progress
from edgekit.sanitize import printable

PACKED = Path(__file__).parent / "on_board" / "packed.py"
ZIP = "python.zip"
SHARED = re.compile(r"\.so(\.[0-9.]+)?$")
DROPPED = re.compile(
    # development, converters and ahead-of-time compilers
    r"(^|/)(tests?|f2py|distutils|typing|_pyinstaller|include|_tests)/|^ai_edge_litert/[^/]+/"
    # the compiled-model API and its GPU backend, which the interpreter does not load
    r"|^ai_edge_litert/lib(LiteRt|.*Accelerator)[^/]*\.so$"
    r"|_tests?\.|/_simd\.|/lib[^/]*\.a$|\.(pyi|pxd|h|ini|typed)$|\.dist-info/(RECORD|WHEEL|INSTALLER|.*\.txt)$|\.data/"
)
COMPILE_TIMEOUT_S = 600.0


def pack(wheels: Sequence[Path], python: str, site: Path, progress: Progress) -> None:
    """Unpack `wheels` for a board's Python into `site`: python.zip and shared libraries. Raises
    RunnerError: not a wheel.

    Compiling ahead takes a Python of the same minor version on this machine; without one the board
    compiles at each start, which is said."""
    with tempfile.TemporaryDirectory(prefix="edgekit-site-") as scratch:
        source = Path(scratch)
        for wheel in wheels:
            _unpack(wheel, source)
        shutil.copyfile(PACKED, source / "edgekit_packed.py")
        compiled = _compile(source, python, progress)
        site.mkdir()
        with zipfile.ZipFile(site / ZIP, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in sorted(path for path in source.rglob("*") if path.is_file()):
                name = path.relative_to(source).as_posix()
                if SHARED.search(name):
                    (site / name).parent.mkdir(parents=True, exist_ok=True)
                    path.rename(site / name)
                elif not (compiled and path.suffix == ".py"):
                    entry = zipfile.ZipInfo(name)
                    archive.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED)


def packing_digest() -> str:
    """A hash of what decides how packages are packed, for the cache."""
    return hashlib.sha256(Path(__file__).read_bytes() + PACKED.read_bytes()).hexdigest()


def _unpack(wheel: Path, into: Path) -> None:
    try:
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(
                into, [name for name in archive.namelist() if not DROPPED.search(name)]
            )
    except (zipfile.BadZipFile, OSError) as error:
        raise RunnerError(
            f"{wheel}: {printable(str(error))}", hint="delete it; it is fetched again"
        ) from None


def _compile(source: Path, python: str, progress: Progress) -> bool:
    """Put a .pyc beside every module (`-b`), which does not ask for the source's time stamp. False
    if no Python here can."""
    this = f"{sys.version_info[0]}.{sys.version_info[1]}"
    program = sys.executable if python == this else shutil.which(f"python{python}")
    if program is None:
        progress(f"no python{python} here: the device compiles its packages at each start", 1, 1)
        return False
    argv = [
        program,
        "-I",
        "-m",
        "compileall",
        "-q",
        "-b",
        "--invalidation-mode",
        "unchecked-hash",
        "-s",
        str(source),
        str(source),
    ]
    return LocalDevice("this machine").run(argv, timeout_s=COMPILE_TIMEOUT_S).ok
