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
from edgekit.workflow.inputs import AnyBundle, bench_settings, opened_bundle
from edgekit.workflow.storing import Storing

MOST_FALSE_POSITIVES = 0.05
LEAST_POWER = 0.8


@dataclass(frozen=True)
class SelfTestResult:
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
) -> SelfTestResult:
    """Measure an artifact in turn with itself, store both measurements, and say how often the
    rules of `compare` and `gate` would err on them.

    Args:
        bundle: A bundle, its directory, or a model file.
        target: A target, as a value, a name or a file.
        artifact: The key of the artifact. Default: the bundle's first.
        runs: Fresh processes a side, at least 10.
        resamples: How often the rules are tried on what was measured.
        settings: Settings of the session to replace; the others come from the bundle's recipe.
        store: Whether the measurements go to the results database.
        progress: Told where the work is.

    Returns:
        Both measurements and the rates of errors.

    Raises:
        UsageError: Fewer than 10 runs, or no such artifact.
        EdgekitError: As `bench` raises it.

    Example:
        >>> edgekit.selftest("net", "desk", runs=10, resamples=100).ok
        True
    """
    if runs < FULL_RUNS:
        raise UsageError(f"{runs} runs are too few for a self-test", hint=f"at least {FULL_RUNS}")
    board = as_target(target)
    storing = Storing(store)
    with opened_bundle(bundle) as opened:
        key = artifact or opened.manifest.artifacts[0].key
        side = Side(opened, (key,))
        measured_a, measured_b = session.bench(
            (side, side),
            board,
            bench_settings(opened, {**(settings or {}), "runs": runs}),
            keep=storing.keep,
            progress=progress,
        )
    rates = error_rates(
        measured_a.artifacts[0].run_medians_ns,
        measured_b.artifacts[0].run_medians_ns,
        resamples=resamples,
    )
    return storing.ended(SelfTestResult(key, measured_a, measured_b, rates))
