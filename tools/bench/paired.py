"""Paired timing for the scripts beside this file: alternatives run in turn, A B A B …, and are
compared by the ratio of their medians.

A machine that speeds up or slows down does so for both, so the ratio holds where single times do
not. Nothing here judges: a script states its target."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence

Measure = Callable[[], float]
ROUNDS = "EDGEKIT_BENCH_ROUNDS"
"""An environment variable: so many rounds, and no warm-up, to see that a bench runs."""


def interleaved(
    alternatives: Mapping[str, Measure], *, rounds: int, warmup: int = 1
) -> dict[str, list[float]]:
    """Values of each alternative, `rounds` of them, the alternatives taken in turn. `warmup`
    further rounds come first and are dropped."""
    if ROUNDS in os.environ:
        rounds, warmup = int(os.environ[ROUNDS]), 0
    values: dict[str, list[float]] = {name: [] for name in alternatives}
    for round_ in range(-warmup, rounds):
        for name, measure in alternatives.items():
            value = measure()
            if round_ >= 0:
                values[name].append(value)
        print(f"round {round_ + 1} of {rounds}", end="\r", file=sys.stderr)
    return values


def command_seconds(argv: Sequence[str], env: Mapping[str, str] | None = None) -> float:
    """Wall seconds of a command that must succeed; its output is dropped."""
    started = time.perf_counter()
    done = subprocess.run(
        argv,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**os.environ, **(env or {})},
        check=False,
    )
    if done.returncode:
        raise SystemExit(
            f"{argv[0]} exited with {done.returncode}:"
            f" {done.stderr.decode(errors='replace')[-2000:]}"
        )
    return time.perf_counter() - started


def report(
    title: str, values: Mapping[str, Sequence[float]], *, base: str, unit: str, target: str
) -> None:
    """A table on stdout: median, least and greatest of each alternative, and its ratio to `base`
    with the spread of the per-round ratios."""
    print(
        f"{title}\n  {platform.machine()}, {os.cpu_count()} cores, Python"
        f" {platform.python_version()}; target: {target}"
    )
    for name, series in values.items():
        ratios = sorted(a / b for a, b in zip(series, values[base], strict=True))
        ratio = statistics.median(series) / statistics.median(values[base])
        spread = (
            ""
            if name == base
            else f"   ratio {ratio:.3f} (per round {ratios[0]:.3f} to {ratios[-1]:.3f})"
        )
        print(
            f"  {name:32s} median {statistics.median(series):10.4g} {unit} ({min(series):.4g} to"
            f" {max(series):.4g}, n={len(series)}){spread}"
        )
    print(
        json.dumps(
            {
                "title": title,
                "unit": unit,
                "base": base,
                "values": {name: list(series) for name, series in values.items()},
            }
        )
    )
