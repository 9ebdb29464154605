"""What shared libraries and programs need of a machine's C and C++ libraries, read from their ELF
files: the symbol versions that the dynamic loader asks for (Linux Standard Base, "Symbol
Versioning"). The tag of a wheel may promise less than its files need.

Owns reading and comparing. Processor features do not stand in these files: the libraries choose
their kernels when they run."""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO

from packaging.version import Version

from edgekit.errors import RunnerError
from edgekit.runners.python_packing import DROPPED, SHARED
from edgekit.sanitize import printable

Versions = Mapping[str, str]
"""The newest version by kind, such as {"GLIBC": "2.34", "GLIBCXX": "3.4.30"}."""

SYMBOL_VERSION = re.compile(r"(GLIBC|GLIBCXX|CXXABI)_([0-9]{1,3}(?:\.[0-9]{1,3}){1,3})")
SYSTEM_LIBRARY = re.compile(
    r"lib(c|m|dl|rt|pthread|stdc\+\+|gcc_s)\.so\.[0-9]+|ld-linux[a-z0-9_.-]*"
)
"""What a machine must have. Other libraries come with the files that need them."""

PINNED_NEEDS: Mapping[tuple[str, str], Versions] = {
    ("executorch", "aarch64"): {"GLIBC": "2.27", "GLIBCXX": "3.4.22", "CXXABI": "1.3.11"},
    ("executorch", "x86_64"): {"GLIBC": "2.27", "GLIBCXX": "3.4.22", "CXXABI": "1.3.11"},
    ("litert", "aarch64"): {"GLIBC": "2.34", "GLIBCXX": "3.4.30", "CXXABI": "1.3.13"},
    ("litert", "x86_64"): {"GLIBC": "2.27", "GLIBCXX": "3.4.22", "CXXABI": "1.3.11"},
}
"""By runtime and architecture, what the pinned versions need, so that a board can be judged before
their wheels are fetched. A test reads it from the wheels."""


def newest(names: Iterable[str]) -> dict[str, str]:
    """The newest version of each kind among names such as `GLIBCXX_3.4.30`; others are left
    out."""
    versions: dict[str, str] = {}
    for match in filter(None, map(SYMBOL_VERSION.fullmatch, names)):
        kind, version = match.groups()
        if kind not in versions or Version(versions[kind]) < Version(version):
            versions[kind] = version
    return versions


def needs_of_files(files: Iterable[Path]) -> dict[str, str]:
    """What ELF files need together; other files need nothing. Raises RunnerError: a damaged one."""
    names: set[str] = set()
    for path in files:
        with path.open("rb") as stream:
            names.update(_needed(stream, path.name))
    return newest(names)


def needs_of_wheel(wheel: Path) -> dict[str, str]:
    """What the shared libraries of a wheel need that a board gets. Raises RunnerError: damaged."""
    names: set[str] = set()
    try:
        with zipfile.ZipFile(wheel) as archive:
            for name in archive.namelist():
                if SHARED.search(name) and not DROPPED.search(name):
                    names.update(_needed(io.BytesIO(archive.read(name)), name))
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError) as error:
        raise RunnerError(
            f"{wheel.name}: {printable(str(error))}", hint="delete it; it is fetched again"
        ) from None
    return newest(names)


def unmet(needs: Versions, there: Mapping[str, str | None]) -> str:
    """What is needed and not there, in words; empty where all is, as far as it is known."""
    lacking = [
        f"{kind}_{version} (it has {has})"
        for kind, version in needs.items()
        if (has := there.get(kind)) is not None and Version(has) < Version(version)
    ]
    return " and ".join(lacking)


def _needed(stream: IO[bytes], name: str) -> Iterator[str]:
    """The versions of symbols that a file takes from the libraries of the system."""
    from elftools.common.exceptions import ELFError  # here: few commands read ELF files
    from elftools.elf.elffile import ELFFile
    from elftools.elf.gnuversions import GNUVerNeedSection

    if stream.read(4) != b"\x7fELF":
        return
    try:
        for section in ELFFile(stream).iter_sections():
            if isinstance(section, GNUVerNeedSection):
                for library, versions in section.iter_versions():
                    if SYSTEM_LIBRARY.fullmatch(library.name or ""):
                        yield from [version.name or "" for version in versions]
    except (ELFError, ValueError, KeyError, TypeError, UnicodeDecodeError, OverflowError) as error:
        raise RunnerError(
            f"{name}: not a whole ELF file: {printable(str(error))}",
            hint="delete edgekit's cache of runtimes and wheels; it is fetched again",
        ) from None
