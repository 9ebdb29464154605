"""`edgekit.selftest`: an artifact against itself on a target, and how often the rules err on what
was measured there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from edgekit.boards.deploying import AnyTarget
from edgekit.devices.target_files import as_target
from edgekit.errors import UsageError
from edgekit.measure import session
from edgekit.measure.measurement import Measurement
from edgekit.measure.session import Side
from edgekit.progress import Progress, silent
from edgekit.stats.compare import FULL_RUNS
from edgekit.stats.errors import POWER_RUNS, ErrorRates, error_rates
from edgekit.workflow.inputs import AnyBundle, bench_settings, keep_in, opened_bundle

MOST_FALSE_POSITIVES = 0.05
LEAST_POWER = 0.8


@dataclass(frozen=True)
class SelfTest:
    """The two measurements of one artifact, and the rates."""

    artifact: str
    a: Measurement
    b: Measurement
    rates: ErrorRates

    @property
    def ok(self) -> bool:
        """At most 5 % false positives. The power is not asked for: on a noisy device it takes more
        runs."""
        return self.rates.false_positive_rate <= MOST_FALSE_POSITIVES

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        values = {"ok": self.ok, "artifact": self.artifact, **asdict(self.rates)}
        return values | {"a": self.a.as_dict(), "b": self.b.as_dict()}


def selftest(
    bundle: AnyBundle,
    target: AnyTarget = "local",
    *,
    artifact: str | None = None,
    runs: int = POWER_RUNS,
    resamples: int = 1000,
    settings: Mapping[str, float] | None = None,
    store: bool = True,
    progress: Progress = silent,
) -> SelfTest:
    """Measure an artifact (by default the bundle's first) in turn with itself, `runs` processes a
    side, store both measurements, and resample what the rules make of them.
    """
    if runs < FULL_RUNS:
        raise UsageError(f"{runs} runs are too few for a self-test", hint=f"at least {FULL_RUNS}")
    board = as_target(target)
    with opened_bundle(bundle) as opened:
        key = artifact or opened.manifest.artifacts[0].key
        side = Side(opened, (key,))
        measured_a, measured_b = session.bench(
            (side, side),
            board,
            bench_settings(opened, {**(settings or {}), "runs": runs}),
            keep=keep_in(store),
            progress=progress,
        )
    rates = error_rates(
        measured_a.artifacts[0].run_medians_ns,
        measured_b.artifacts[0].run_medians_ns,
        resamples=resamples,
    )
    return SelfTest(key, measured_a, measured_b, rates)
