"""Small content travels many files in one stream: what arrives, at which sizes, and what a cut in
the middle of the stream leaves."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from edgekit.deployment import provision
from edgekit.deployment.content import Content
from edgekit.deployment.object_scripts import UNPACK
from edgekit.deployment.packs import PACK_BYTES, PACKED_BYTES, packs
from edgekit.devices import CompletedProgram
from edgekit.devices.local import LocalDevice
from edgekit.errors import DeviceError, TransportError, UsageError
from edgekit.runners.runtime import Runtime, describe_file
from tests.support.bundles import noise
from tests.support.deployments import contents

SIZES = [0, 1, 511, 512, 513, PACKED_BYTES - 1, PACKED_BYTES, PACKED_BYTES + 1]
NAMES = ["plain", "with space", "deep/er/and deeper", "-n", "käse", "long/" + "n" * 200, "x" * 150]


def runtime(directory: Path, files: dict[str, bytes], mode: int = 0o644) -> Runtime:
    directory.mkdir()
    described = []
    for number, (name, data) in enumerate(files.items()):
        path = directory / str(number)
        path.write_bytes(data)
        described.append(describe_file(path, name, mode))
    return Runtime("litert", "1", "any", tuple(described), ("{directory}",))


def test_every_size_and_name(shell: str, store: Path, tmp_path: Path) -> None:
    files = {f"size {size}": noise(str(size), size) for size in SIZES} | {
        name: name.encode() for name in NAMES
    }
    [place] = provision(LocalDevice(), str(store), runtime(tmp_path / "files", files))
    assert contents(Path(place)) == files
    assert all(
        path.is_symlink()
        for path in Path(place).rglob("*")
        if path.is_file() and path.name != ".objects"
    )


def test_an_empty_file_alone(shell: str, store: Path, tmp_path: Path) -> None:
    [place] = provision(LocalDevice(), str(store), runtime(tmp_path / "files", {"empty": b""}))
    assert contents(Path(place)) == {"empty": b""}


def test_programs_can_be_started(shell: str, store: Path, tmp_path: Path) -> None:
    [place] = provision(
        LocalDevice(), str(store), runtime(tmp_path / "files", {"run": b"#!/bin/sh\n"}, mode=0o755)
    )
    assert os.access(f"{place}/run", os.X_OK)


class Counting(LocalDevice):
    """Counts the programs that are started for a deployment."""

    started = 0

    def run(self, argv: Any, **options: Any) -> CompletedProgram:
        self.started += 1
        return super().run(argv, **options)


def test_a_thousand_files_take_as_many_programs_as_one(store: Path, tmp_path: Path) -> None:
    single_file, thousand_files = Counting(), Counting()
    provision(single_file, f"{store}/one", runtime(tmp_path / "one", {"a": b"a"}))
    files = {f"{i % 7}/{i}": noise(str(i), 100) for i in range(1000)}
    [place] = provision(thousand_files, f"{store}/many", runtime(tmp_path / "many", files))
    assert contents(Path(place)) == files
    assert thousand_files.started == single_file.started


class Cutting(LocalDevice):
    """Loses the connection in the middle of an archive."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self.at = at

    def run(self, argv: Any, *, stdin: bytes = b"", **options: Any) -> CompletedProgram:
        if argv[2] != UNPACK:
            return super().run(argv, stdin=stdin, **options)
        super().run(argv, stdin=stdin[: self.at], **options)
        raise TransportError("the connection was lost")


@pytest.mark.parametrize("at", [0, 100, 512, 700, 512 * 7, 512 * 9 + 1, 512 * 21 + 300])
def test_a_cut_stream(shell: str, at: int, store: Path, tmp_path: Path) -> None:
    """Whole files that arrived are not sent again, and no part of a file ever counts."""
    files = {f"f{i}": noise(str(i), 1000) for i in range(8)}
    runtime_files = runtime(tmp_path / "files", files)
    with pytest.raises(TransportError):
        provision(Cutting(at), str(store), runtime_files)
    whole = [
        path
        for path in (store / "staging").iterdir()
        if path.is_file() and path.stat().st_size == 1000
    ]
    sent: list[float] = []
    [place] = provision(
        LocalDevice(),
        str(store),
        runtime_files,
        progress=lambda task, done, total, text="": sent.append(total),
    )
    assert contents(Path(place)) == files
    assert sent[-1] == 1000 * (8 - len(whole))


def test_a_disk_that_fills_up_is_named_and_freed(tiny_disk: Path, tmp_path: Path) -> None:
    class Optimistic(LocalDevice):
        def run(self, argv: Any, **options: Any) -> CompletedProgram:
            done = super().run(argv, **options)
            return CompletedProgram(
                **{**vars(done), "stdout": done.stdout.replace(b"free ", b"free 9999")}
            )

    with pytest.raises(DeviceError, match="No space left on device"):
        provision(
            Optimistic(),
            str(tiny_disk),
            runtime(tmp_path / "files", {str(i): noise(str(i), 200_000) for i in range(9)}),
        )
    assert not list((tiny_disk / "staging").iterdir())


def test_archives_are_bounded(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(PACKED_BYTES))
    content = [Content(tmp_path / "file", f"{i:064x}", PACKED_BYTES) for i in range(50)]
    made = list(packs(content))
    assert [item for pack in made for item in pack.content] == content
    assert all(len(pack.archive) <= PACK_BYTES + 2 * PACKED_BYTES for pack in made)


@pytest.mark.parametrize("size", [9, 11])
def test_a_file_that_changed_meanwhile(size: int, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(size))
    with pytest.raises(UsageError, match="changed"):
        list(packs([Content(tmp_path / "file", "0" * 64, 10)]))
