"""When the warm-up is over: both runners judge a leg of it alike."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from edgekit.runners.litert import RUNNER
from edgekit.runners.on_board.litert_runner import times
from edgekit.runners.on_board.litert_runner.protocol import Protocol
from edgekit.runners.on_board.litert_runner.times import Leg, Times
from tests.support.tiers import cannot_run

LATER = 1 << 62
LEGS = {
    "steady": ([100, 101, 99, 900, 100] * 4, [101, 100, 99, 100, 100] * 4, True),
    "still faster": ([120] * 8, [100] * 8, False),
    "slower": ([100] * 8, [106] * 8, False),
    "a twentieth": ([100] * 8, [105] * 8, True),
    "too short to tell": ([120] * 9, [100] * 3, True),
    "nothing": ([], [], True),
}
PROGRAM = """
#include <iostream>
#include "times.hpp"
int main() {
  using namespace edgekit;
  Protocol protocol("00");
  int64_t ns, now;
  Times times(protocol, "warmup");
  Leg leg(times, int64_t{1} << 60);
  while (std::cin >> ns >> now) leg.add(ns, now);
  std::cerr << leg.steady() << leg.count() << std::endl;
}
"""


@pytest.fixture(scope="module")
def native(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program that reads times and moments, and says whether they are a steady leg, and of how
    many."""
    directory = tmp_path_factory.mktemp("leg")
    (directory / "leg.cpp").write_text(PROGRAM)
    argv = [
        "g++",
        "-std=c++17",
        "-O0",
        f"-I{RUNNER.parent / 'native' / 'core'}",
        "leg.cpp",
        "-o",
        "leg",
    ]
    try:
        done = subprocess.run(argv, cwd=directory, capture_output=True, text=True)
    except FileNotFoundError:
        cannot_run("no C++ compiler: apt-get install g++")
    assert done.returncode == 0, done.stderr
    return directory / "leg"


@pytest.mark.parametrize(("first", "second", "steady"), LEGS.values(), ids=LEGS)
def test_a_leg(
    first: list[int], second: list[int], steady: bool, native: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(times, "SILENCE_NS", 1 << 63)
    monkeypatch.setattr(Protocol, "__init__", lambda self, nonce: None)
    leg = Leg(Times(Protocol(""), "warmup"), 1 << 60)
    iterations = [(ns, 0) for ns in first] + [(ns, LATER) for ns in second]
    for ns, now in iterations:
        leg.add(ns, now)
    assert (leg.steady(), leg.count) == (steady, len(iterations))
    completed = subprocess.run(
        [str(native)],
        input="\n".join(f"{ns} {now}" for ns, now in iterations),
        capture_output=True,
        text=True,
        check=True,
    )
    assert completed.stderr.split()[-1] == f"{int(steady)}{len(iterations)}"
