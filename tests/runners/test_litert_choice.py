"""Which runner a `.tflite` gets: read from its bytes, said with a reason, and never silently the
other one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from edgekit.errors import RunnerError
from edgekit.runners import litert
from edgekit.runners.litert_choice import for_file, why_python
from edgekit.runners.runtime import host_platform, runtime_for, runtimes_for
from tests.support.tflite_traps import FOR_PYTHON, RUNNABLE

pytestmark = pytest.mark.torch


@pytest.mark.parametrize("name", FOR_PYTHON)
def test_what_needs_python_is_read_from_the_file(name: str, tmp_path: Path) -> None:
    make, reason = FOR_PYTHON[name]
    data = make()
    assert why_python(data) == reason
    model = tmp_path / "model.tflite"
    model.write_bytes(data)
    runtime = runtimes_for({model: "litert"}, host_platform())[model]
    assert runtime.because == reason
    assert runtime.argv("/x")[-1] == "/x/litert_runner/__main__.py"
    with pytest.raises(RunnerError, match=reason) as refused:
        for_file(replace(host_platform(), litert_runner="native"), model)
    assert "kind: auto" in refused.value.hint


@pytest.mark.parametrize("name", RUNNABLE)
def test_what_runs_in_both_is_native(name: str) -> None:
    assert why_python(RUNNABLE[name]()) == ""


@pytest.mark.parametrize("data", [b"", b"TFL3", b"\xff" * 64], ids=len)
def test_what_is_no_model_is_left_to_the_runner(data: bytes) -> None:
    assert why_python(data) == ""


def test_auto_says_why_it_took_python(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(*_: object) -> None:
        raise RunnerError("no C++ compiler for x86_64", hint="install g++")

    monkeypatch.setattr(litert, "provide_native", refuses)
    assert runtime_for("litert", host_platform()).because == "no C++ compiler for x86_64"
    with pytest.raises(RunnerError, match=r"no C\+\+ compiler"):
        runtime_for("litert", replace(host_platform(), litert_runner="native"))


def test_the_target_may_ask_for_python() -> None:
    runtime = runtime_for("litert", replace(host_platform(), litert_runner="python"))
    assert runtime.because == "the target asks for it"
    runtime = runtime_for("litert", replace(host_platform(), litert_package="ai_edge_litert"))
    assert runtime.because == "the target asks for ai_edge_litert"
