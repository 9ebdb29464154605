"""The native LiteRT runner on machines whose C library is none, or too old for LiteRT's: it brings
its own along, and runs with it."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Any

import pytest

from edgekit.deployment import provision
from edgekit.devices.local import LocalDevice
from edgekit.errors import RunnerError
from edgekit.measure.protocol import parse_runner_output
from edgekit.runners import litert_native as native_module
from edgekit.runners.litert_native import PINNED_VERSION, provide_native
from edgekit.runners.runtime import Platform, Runtime, runtime_for
from tests.support.runners import NONCE
from tests.support.wheelhouse import make_wheel, only_index

MACHINE = platform.machine()


@pytest.fixture
def compiled(litert_native: Runtime, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Runtime:
    """The runner of this session, for whatever machine."""
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(native_module, "native_litert", lambda *_, **__: litert_native)
    return litert_native


@pytest.mark.torch
def test_a_new_enough_library_is_used(compiled: Runtime) -> None:
    assert runtime_for("litert", Platform(MACHINE, glibc="2.36", glibcxx="3.4.30")) == compiled


@pytest.mark.torch
@pytest.mark.parametrize(
    "board",
    [Platform(MACHINE), Platform(MACHINE, glibc="2.20"), Platform(MACHINE, glibcxx="3.4.9")],
    ids=["a phone", "an old C library", "an old C++ library"],
)
def test_one_is_brought_along_and_runs(
    compiled: Runtime, board: Platform, models: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    runtime = runtime_for("litert", board)
    assert runtime.brings_c_library
    assert runtime.because == ""
    device = LocalDevice()
    argv = provision(device, str(tmp_path / "store"), runtime)
    assert "--library-path" in argv
    model = ("--model", str(models[0] / "convolution.tflite"))
    done = device.run([*argv, *model, "--nonce", NONCE], timeout_s=60)
    assert parse_runner_output(done.stdout, nonce=NONCE).complete


def test_32_bit_arm_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunnerError, match="aarch64 and x86_64") as refused:
        provide_native(Platform("armv7l", glibc="2.36"), tmp_path, lambda *_: None)
    assert "kind: python" in refused.value.hint


def test_another_release_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(native_module, "_installed", lambda: "2.4.0")
    monkeypatch.setattr("importlib.util.find_spec", lambda *_: Spec())
    with pytest.raises(RunnerError, match=r"made for ai-edge-litert 2\.3, installed is 2\.4\.0"):
        provide_native(Platform(MACHINE, is_host=True), tmp_path, lambda *_: None)


class Spec:
    submodule_search_locations = ("/nowhere",)


def test_a_wheel_without_the_library_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    other = "aarch64" if MACHINE == "x86_64" else "x86_64"
    only_index(tmp_path / "index", monkeypatch)
    make_wheel(
        tmp_path / "index",
        f"ai_edge_litert-{PINNED_VERSION}",
        "py3-none-any",
        {"ai_edge_litert/__init__.py": ""},
    )
    with pytest.raises(RunnerError, match=r"has no libLiteRt\.so"):
        provide_native(Platform(other, glibc="2.36"), tmp_path / "cache", lambda *_: None)
