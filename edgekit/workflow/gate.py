"""`edgekit.gate`: may this bundle go out? It is measured in turn with its baseline, and every limit
of the recipe's `gate` section judged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edgekit.boards.deploying import AnyTarget
from edgekit.bundle.directory import Bundle
from edgekit.devices.target_files import as_target
from edgekit.errors import EdgekitError, UsageError
from edgekit.measure import session
from edgekit.measure.measurement import Measurement
from edgekit.measure.placement import artifacts_of
from edgekit.measure.session import ALL_SAMPLES, Extras, Side
from edgekit.progress import Progress, silent
from edgekit.recipe.limits import DEADLINE_RISE_POINTS, Gate
from edgekit.recipe.stored import stored_sections
from edgekit.stats.compare import FULL_RUNS
from edgekit.store.baselines import open_baseline
from edgekit.verdict.paired import Deadline, observe
from edgekit.verdict.quantities import (
    DEADLINE_MISSES,
    LATENCY_P50,
    LATENCY_P99,
    PEAK_MEMORY,
    SIZE,
)
from edgekit.verdict.rules import Finding, gated
from edgekit.workflow.inputs import AnyBundle, bench_settings, opened_bundle
from edgekit.workflow.storing import Storing


@dataclass(frozen=True)
class GateResult:
    """The verdict on a bundle. `new` and `missing` are artifacts of only the candidate and only the
    baseline; the latter are not proven, too."""

    baseline: Measurement
    candidate: Measurement
    findings: tuple[Finding, ...]
    limits: Gate
    new: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()

    @property
    def regressed(self) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.verdict == "regressed")

    @property
    def inconclusive(self) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.verdict == "inconclusive")

    @property
    def wrong(self) -> tuple[str, ...]:
        """What is wrong with the candidate's outputs on the device; whatever else was measured, it
        must not go out."""
        return tuple(
            note.text
            for note in self.candidate.notes
            if note.level == "invalid" and note.code == "outputs"
        )

    @property
    def passed(self) -> bool:
        undecided = bool(self.inconclusive or self.missing)
        return (
            not self.regressed
            and not self.wrong
            and not (undecided and self.limits.inconclusive == "fail")
        )

    @property
    def summary(self) -> str:
        """The verdict in one line."""
        worse = ", ".join(f"{finding.pair} {finding.metric}" for finding in self.regressed)
        undecided = ", ".join(f"{finding.pair} {finding.metric}" for finding in self.inconclusive)
        parts = []
        if worse:
            parts.append(f"worse than the baseline: {worse}")
        if self.wrong:
            parts.append(f"wrong outputs: {'; '.join(self.wrong)}")
        if undecided and self.limits.inconclusive == "fail":
            parts.append(f"inconclusive, which is not a pass: {undecided}")
        if undecided and self.limits.inconclusive == "pass":
            parts.append(f"inconclusive, let pass by the recipe: {undecided}")
        if self.missing:
            parts.append(f"not in the candidate: {', '.join(self.missing)}")
        return "; ".join(parts) or "no worse than the baseline"

    @property
    def remedy(self) -> str:
        """What would decide what is inconclusive; empty where nothing is, or where it regressed
        anyway."""
        if self.regressed or not self.inconclusive:
            return ""
        needed = max((finding.more_runs or 0 for finding in self.inconclusive), default=0)
        parts = (
            [f"--runs {self.candidate.settings.runs + needed} would probably decide"]
            if needed
            else []
        )
        open_shares = [finding for finding in self.inconclusive if finding.scale == "difference"]
        open_metrics = [each for each in open_shares if each.metric != DEADLINE_MISSES]
        if len(open_shares) > len(open_metrics):
            parts.append("more --runs or bench.min_iterations decide the deadline")
        if open_metrics:
            parts.append(self._metric_remedy(open_metrics))
        return "; ".join(parts)

    def _metric_remedy(self, findings: Sequence[Finding]) -> str:
        labels = " and ".join(dict.fromkeys(finding.label for finding in findings))
        results = (*self.baseline.artifacts, *self.candidate.artifacts)
        test_sets = {result.artifact.verification.data_sha256 for result in results}
        if all(result.evaluation for result in results):
            more = f"a larger export.evaluation_set in both recipes decides {labels}"
        elif len(test_sets) == 1 and "" not in test_sets:
            more = f"more test data decides {labels}"
        else:
            more = (
                f"{labels}: build both bundles with this edgekit, on the same test data: then it is"
                " compared sample by sample, which decides sooner"
            )
        names = " and ".join(dict.fromkeys(f"`{finding.metric}: null`" for finding in findings))
        return f"{more}; {names} in gate.metrics leaves it out"

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "passed": self.passed,
            "summary": self.summary,
            "remedy": self.remedy,
            "findings": [asdict(finding) for finding in self.findings],
            "limits": self.limits.model_dump(),
            "new": list(self.new),
            "missing": list(self.missing),
            "baseline": self.baseline.as_dict(),
            "candidate": self.candidate.as_dict(),
        }


def gate(
    bundle: AnyBundle,
    baseline: AnyBundle,
    target: AnyTarget = "local",
    *,
    artifacts: Sequence[str] | None = None,
    limits: Gate | None = None,
    settings: Mapping[str, float] | None = None,
    store: bool = True,
    progress: Progress = silent,
) -> GateResult:
    """Measure a bundle and its baseline in turn in one session, store both measurements, and judge
    whether the bundle is worse.

    A bundle that does not pass is no exception. Where both bundles hold an evaluation set, metrics
    are those on the device.

    Args:
        bundle: The candidate: a bundle, its directory, or a model file.
        baseline: The same, or a name that `set_baseline` gave.
        target: A target, as a value, a name or a file.
        artifacts: Keys of the artifacts to judge. Default: all that both bundles have.
        limits: Default: those of the candidate's recipe.
        settings: Settings of the session to replace; the others come from the candidate's recipe.
        store: Whether the measurements go to the results database.
        progress: Told where the work is.

    Returns:
        The verdict, with a finding for each artifact and limit.

    Raises:
        UsageError: Fewer than 10 runs, or nothing in common.
        EdgekitError: As `bench` raises it.

    Example:
        >>> limits = edgekit.Gate(latency_p50_max_ratio=1.1)
        >>> edgekit.gate("slow", "net", "desk", limits=limits).passed
        False
    """
    board = as_target(target)
    storing = Storing(store)
    with opened_bundle(bundle) as candidate, opened_bundle(_named(baseline)) as before:
        judged = limits or stored_sections(candidate.manifest.recipe).gate
        chosen = bench_settings(candidate, settings)
        if chosen.runs < FULL_RUNS:
            raise UsageError(
                f"{chosen.runs} runs are quick, and quick measurements never gate",
                hint=f"set bench.runs to at least {FULL_RUNS}, or --runs",
            )
        keys = _common_keys(candidate, before, artifacts)
        measured_before, measured_after = session.bench(
            (Side(before, keys), Side(candidate, keys)),
            board,
            chosen,
            extras=Extras(evaluation_samples=_evaluation_samples(candidate, before, judged)),
            keep=storing.keep,
            progress=progress,
        )
        new = () if artifacts else _only_in(candidate, before)
        missing = () if artifacts else _only_in(before, candidate)
    findings = gate_findings(measured_before, measured_after, keys, judged)
    return storing.ended(
        GateResult(measured_before, measured_after, findings, judged, new, missing)
    )


def judged_again(candidate: Measurement, baseline: Measurement, limits: Gate) -> GateResult:
    """The verdict on two stored measurements of one session, on the artifacts that both have.

    Raises UsageError: not of one session, nothing in common."""
    baseline_keys = [result.key for result in baseline.artifacts]
    keys = tuple(result.key for result in candidate.artifacts if result.key in baseline_keys)
    if not keys or not candidate.session == baseline.session != "":
        raise UsageError(
            "these measurements were not made in turn, or have no artifact in common",
            hint="run `edgekit gate`",
        )
    return GateResult(baseline, candidate, gate_findings(baseline, candidate, keys, limits), limits)


def gate_findings(
    baseline: Measurement, candidate: Measurement, keys: Sequence[str], limits: Gate
) -> tuple[Finding, ...]:
    """Every limit of a gate on artifacts that two measurements have.

    Metrics are those that the limits name; without any, the headline metric by its own margin."""
    named = [name for name, drop in limits.metrics.items() if drop is not None]
    deadline = _deadline(limits)
    pairs = [(key, key) for key in keys]
    observed = tuple(observe(baseline, candidate, pairs, named, deadline))
    by_name: dict[str, float | None] = {
        LATENCY_P50.name: limits.latency_p50_max_ratio,
        LATENCY_P99.name: limits.latency_p99_max_ratio,
        PEAK_MEMORY.name: limits.peak_memory_max_ratio,
        SIZE.name: limits.size_max_ratio,
        DEADLINE_MISSES: deadline.margin_points if deadline else None,
    }
    if limits.metrics:
        by_name |= limits.metrics
    else:
        differences = [each.quantity for each in observed if each.quantity.scale == "difference"]
        metrics = [quantity for quantity in differences if quantity.name != DEADLINE_MISSES]
        by_name |= {metric.name: metric.margin for metric in metrics[:1]}
    return gated(observed, by_name)


def _deadline(limits: Gate) -> Deadline | None:
    if limits.deadline_ms is None:
        return None
    points = limits.deadline_max_rise_points
    return Deadline(limits.deadline_ms, DEADLINE_RISE_POINTS if points is None else points)


def _named(baseline: AnyBundle) -> AnyBundle:
    """The bundle of a name that `set_baseline` gave. Where no baseline is called so, text is the
    path of a bundle, as it is at once where it looks like one."""
    if not isinstance(baseline, str):
        return baseline
    is_path = Path(baseline).exists()
    if is_path and ("/" in baseline or "." in baseline):
        return baseline
    try:
        return open_baseline(baseline)
    except EdgekitError:
        if is_path:
            return baseline
        raise


def _keys(bundle: Bundle) -> tuple[str, ...]:
    return tuple(artifact.key for artifact in bundle.manifest.artifacts)


def _common_keys(
    candidate: Bundle, baseline: Bundle, artifacts: Sequence[str] | None
) -> tuple[str, ...]:
    """The artifacts that are judged. Raises UsageError: one that was asked for is not in both, or
    nothing is."""
    if artifacts:
        artifacts_of(candidate, artifacts)
        artifacts_of(baseline, artifacts)
        return tuple(key for key in _keys(candidate) if key in artifacts)
    keys = tuple(key for key in _keys(candidate) if key in _keys(baseline))
    if not keys:
        raise UsageError(
            f"no artifact in common: {', '.join(_keys(candidate))} and"
            f" {', '.join(_keys(baseline))}",
            hint="set another baseline",
        )
    return keys


def _only_in(bundle: Bundle, other: Bundle) -> tuple[str, ...]:
    return tuple(key for key in _keys(bundle) if key not in _keys(other))


def _evaluation_samples(candidate: Bundle, baseline: Bundle, limits: Gate) -> int | None:
    """All samples where both bundles hold an evaluation set and any metric is judged: without a
    word about metrics, the headline one is."""
    both_hold_samples = candidate.manifest.evaluation and baseline.manifest.evaluation
    judges_metrics = not limits.metrics or any(drop is not None for drop in limits.metrics.values())
    return ALL_SAMPLES if both_hold_samples and judges_metrics else None
