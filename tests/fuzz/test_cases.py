"""Damaged inputs of every kind: edgekit refuses them in its own words, or reads them. The same
cases in each run; `python -m tools.fuzz` has as many others as one likes."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from edgekit.errors import UsageError
from tools.fuzz.cases import Fault, Outcome, run_case
from tools.fuzz.kinds import KINDS, Kind

SEED = 1
CASES = 150
QUICK = [name for name in KINDS if name != "bench"]


@pytest.mark.parametrize("name", QUICK)
def test_damaged_inputs(name: str, tmp_path: Path) -> None:
    outcomes = [run_case(KINDS[name], SEED, case, tmp_path / "case") for case in range(CASES)]
    faults = {case: outcome for case, outcome in enumerate(outcomes) if isinstance(outcome, Fault)}
    assert not faults
    assert len({outcome.name for outcome in outcomes}) > 1 or name == "known-hosts"


@pytest.mark.nightly
@pytest.mark.torch
def test_damaged_models_that_a_runtime_loads(tmp_path: Path) -> None:
    outcomes = [run_case(KINDS["bench"], SEED, case, tmp_path / "case") for case in range(30)]
    assert not [outcome for outcome in outcomes if isinstance(outcome, Fault)]


@pytest.mark.parametrize("name", [name for name in QUICK if name != "adb-devices"])
def test_what_is_not_damaged_is_read(name: str, tmp_path: Path) -> None:
    for number, data in enumerate(KINDS[name].seeds()):
        directory = tmp_path / str(number)
        directory.mkdir()
        KINDS[name].read(data, directory)


def test_the_same_number_is_the_same_case(tmp_path: Path) -> None:
    inputs: list[bytes] = []

    def remember(data: bytes, directory: Path) -> None:
        inputs.append(data)

    kind = Kind("recipe", KINDS["recipe"].seeds, remember)
    for case in (7, 7, 8):
        run_case(kind, SEED, case, tmp_path / "case")
    assert inputs[0] == inputs[1] != inputs[2]


def test_what_counts_as_a_fault(tmp_path: Path) -> None:
    def raises(data: bytes, directory: Path) -> None:
        raise KeyError("a traceback")

    def hangs(data: bytes, directory: Path) -> None:
        while True:
            try:
                time.sleep(10)
            except Exception:
                continue

    def refuses(data: bytes, directory: Path) -> None:
        raise UsageError("no such thing")

    def outcome(read: object, limit_s: float = 5) -> Outcome:
        kind = Kind("recipe", lambda: [b"seed"], read, limit_s=limit_s)  # type: ignore[arg-type]
        return run_case(kind, SEED, 0, tmp_path / "case")

    assert outcome(refuses) == Outcome("UsageError")
    for read, what in ((raises, "KeyError"), (hangs, "TooSlow: more than 0.2 s")):
        fault = outcome(read, limit_s=0.2)
        assert isinstance(fault, Fault)
        assert what in fault.what
