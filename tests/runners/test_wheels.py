"""Fetching for boards, with the real pip and a folder of wheels."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from edgekit.errors import RunnerError
from edgekit.progress import silent
from edgekit.runners.wheels import fetch_wheels, platform_tags
from tests.support.wheelhouse import make_wheel, only_index

TAG = "cp311-cp311-manylinux_2_28_aarch64"


def fetch(
    tmp_path: Path,
    *requirements: str,
    python: str = "3.11",
    glibc: str = "2.36",
    arch: str = "aarch64",
) -> list[str]:
    wheels = fetch_wheels(
        requirements,
        arch=arch,
        python=python,
        glibc=glibc,
        cache=tmp_path / "cache",
        progress=silent,
    )
    return [path.name for path in wheels]


def test_fetched_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    only_index(tmp_path / "index", monkeypatch)
    wheel = make_wheel(tmp_path / "index", "thing-1.0", TAG, {"thing.py": ""})
    assert fetch(tmp_path, "thing") == [wheel.name]
    wheel.unlink()
    assert fetch(tmp_path, "thing") == [wheel.name]


@pytest.mark.parametrize("damage", ["flipped", "cut", "missing"])
def test_a_damaged_wheel_is_fetched_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    only_index(tmp_path / "index", monkeypatch)
    whole = make_wheel(tmp_path / "index", "thing-1.0", TAG, {"thing.py": "x = 1\n" * 99})
    fetch(tmp_path, "thing")
    [in_cache] = (tmp_path / "cache").rglob("*.whl")
    content = bytearray(whole.read_bytes())
    content[60] ^= 1
    if damage == "missing":
        in_cache.unlink()
    else:
        in_cache.write_bytes(content if damage == "flipped" else content[:-9])
    assert fetch(tmp_path, "thing") == [whole.name]
    assert "is damaged and is fetched anew" in caplog.text
    assert in_cache.read_bytes() == whole.read_bytes()


@pytest.mark.parametrize(
    ("glibc", "python", "arch"),
    [("2.27", "3.11", "aarch64"), ("2.36", "3.9", "aarch64"), ("2.36", "3.11", "armv7l")],
)
def test_a_wheel_that_does_not_fit(
    glibc: str, python: str, arch: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    only_index(tmp_path / "index", monkeypatch)
    make_wheel(tmp_path / "index", "thing-1.0", TAG, {"thing.py": ""})
    with pytest.raises(
        RunnerError,
        match=rf"cannot fetch thing for Python {python} on {arch}: No matching distribution",
    ) as raised:
        fetch(tmp_path, "thing", glibc=glibc, python=python, arch=arch)
    assert "--offline-cache" in raised.value.hint
    assert list((tmp_path / "cache" / "wheels").iterdir()) == []


def test_without_pip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, package=None: None if name == "pip" else find_spec(name, package),
    )
    with pytest.raises(RunnerError, match="pip is not installed here") as raised:
        fetch(tmp_path, "thing")
    assert raised.value.hint.endswith("-m ensurepip")


def test_tags() -> None:
    assert platform_tags("aarch64", "2.18") == [
        "manylinux_2_18_aarch64",
        "manylinux_2_17_aarch64",
        "manylinux2014_aarch64",
    ]
    with pytest.raises(RunnerError, match=r"glibc 3\.1"):
        platform_tags("aarch64", "3.1")
