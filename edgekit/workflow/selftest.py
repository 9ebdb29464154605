"""`edgekit.selftest`: an artifact against itself on a target, and how often the rules err on what
was measured there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from edgekit.bundle.manifest import Bundle
from edgekit.devices.target import Target
from edgekit.devices.target_files import as_target
from edgekit.errors import UsageError
from edgekit.measure.interleaving import Partial
from edgekit.measure.measurement import Measurement
from edgekit.measure.session import Side, bench_together
from edgekit.progress import Progress, silent
from edgekit.stats.compare import FULL_RUNS
from edgekit.stats.errors import POWER_RUNS, ErrorRates, error_rates
from edgekit.workflow.compare import bench_settings

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
    bundle: Bundle,
    target: Target | str = "local",
    *,
    artifact: str | None = None,
    runs: int = POWER_RUNS,
    resamples: int = 1000,
    settings: Mapping[str, float] | None = None,
    progress: Progress = silent,
    on_partial: Partial | None = None,
) -> SelfTest:
    """Measure an artifact (by default the bundle's first) in turn with itself, `runs` processes a
    side, and resample what the rules make of it.

    Raises UsageError (fewer than 10 runs, no such artifact), and what `bench` raises.
    """
    if runs < FULL_RUNS:
        raise UsageError(f"{runs} runs are too few for a self-test", hint=f"at least {FULL_RUNS}")
    key = artifact or bundle.manifest.artifacts[0].key
    side = Side(bundle, (key,))
    how = bench_settings(bundle, {**(settings or {}), "runs": runs})
    a, b = bench_together(
        (side, side), as_target(target), **how, progress=progress, on_partial=on_partial
    )
    rates = error_rates(
        a.artifacts[0].run_medians_ns, b.artifacts[0].run_medians_ns, resamples=resamples
    )
    return SelfTest(key, a, b, rates)
