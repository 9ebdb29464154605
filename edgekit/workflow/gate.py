"""`edgekit.gate`: may this bundle go out? It is measured in turn with its baseline, and every limit
of the recipe's `gate` section judged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from edgekit.bundle.manifest import Bundle
from edgekit.devices.target import Target
from edgekit.devices.target_files import as_target
from edgekit.errors import UsageError
from edgekit.measure.interleaving import Partial
from edgekit.measure.measurement import Measurement
from edgekit.measure.placement import artifacts_of
from edgekit.measure.session import Side, bench_together
from edgekit.progress import Progress, silent
from edgekit.recipe.limits import Gate
from edgekit.recipe.stored import stored_sections
from edgekit.stats.compare import FULL_RUNS
from edgekit.verdict.paired import observe
from edgekit.verdict.quantities import LATENCY_P50, LATENCY_P99, PEAK_MEMORY, SIZE
from edgekit.verdict.rules import Finding, gated
from edgekit.workflow.compare import bench_settings

MOST_SAMPLES = 1 << 24


@dataclass(frozen=True)
class Gated:
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
        worse, open_ = (
            [f"{f.pair} {f.metric}" for f in found] for found in (self.regressed, self.inconclusive)
        )
        parts = [f"worse than the baseline: {', '.join(worse)}"] if worse else []
        parts += [f"wrong outputs: {'; '.join(self.wrong)}"] if self.wrong else []
        parts += (
            [f"inconclusive, which is not a pass: {', '.join(open_)}"]
            if open_ and self.limits.inconclusive == "fail"
            else []
        )
        parts += (
            [f"inconclusive, let pass by the recipe: {', '.join(open_)}"]
            if open_ and self.limits.inconclusive == "pass"
            else []
        )
        parts += [f"not in the candidate: {', '.join(self.missing)}"] if self.missing else []
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
        open_metrics = [f for f in self.inconclusive if f.scale == "difference"]
        if open_metrics:
            parts.append(self._metric_remedy(open_metrics))
        return "; ".join(parts)

    def _metric_remedy(self, findings: Sequence[Finding]) -> str:
        labels = " and ".join(dict.fromkeys(finding.label for finding in findings))
        sides = (self.baseline, self.candidate)
        if all(result.evaluation for side in sides for result in side.artifacts):
            more = f"a larger export.evaluation_set in both recipes decides {labels}"
        else:
            more = (
                f"{labels}: with export.evaluation_set in the recipes of both bundles it is"
                " compared on the device sample by sample, which decides sooner"
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
    bundle: Bundle,
    baseline: Bundle,
    target: Target | str = "local",
    *,
    artifacts: Sequence[str] | None = None,
    limits: Gate | None = None,
    settings: Mapping[str, float] | None = None,
    progress: Progress = silent,
    on_partial: Partial | None = None,
) -> Gated:
    """Measure a bundle and its baseline in turn in one session, and judge whether the bundle is
    worse.

    `artifacts` are keys, by default all that both bundles have; `limits` are by default those of
    the bundle's recipe, and so are `settings` (edgekit.recipe.limits.Bench). Where both bundles
    hold an evaluation set, metrics are those on the device. `edgekit.open_baseline` opens a baseline
    by its name.

    Raises UsageError (fewer than 10 runs, nothing in common), and what `bench` raises. A bundle
    that does not pass is no exception."""
    judged = limits or stored_sections(bundle.manifest.recipe).gate
    how = bench_settings(bundle, settings)
    if how["runs"] < FULL_RUNS:
        raise UsageError(
            f"{how['runs']:g} runs are quick, and quick measurements never gate",
            hint=f"set bench.runs to at least {FULL_RUNS}, or --runs",
        )
    mine, theirs = (
        [artifact.key for artifact in one.manifest.artifacts] for one in (bundle, baseline)
    )
    if artifacts:
        for one in (bundle, baseline):
            artifacts_of(one, artifacts)
    wanted = tuple(key for key in mine if key in theirs and (not artifacts or key in artifacts))
    if not wanted:
        raise UsageError(
            f"no artifact in common: {', '.join(mine)} and {', '.join(theirs)}",
            hint="set another baseline",
        )
    both_evaluate = (
        bundle.manifest.evaluation is not None and baseline.manifest.evaluation is not None
    )
    before, after = bench_together(
        *((Side(baseline, wanted), Side(bundle, wanted)), as_target(target)),
        **how,
        accuracy_samples=(MOST_SAMPLES if both_evaluate and judges_metrics(judged) else None),
        progress=progress,
        on_partial=on_partial,
    )
    findings = gate_findings(before, after, wanted, judged)
    new, missing = (
        [key for key in mine if key not in theirs],
        [key for key in theirs if key not in mine],
    )
    return Gated(
        before,
        after,
        findings,
        judged,
        tuple(new) if not artifacts else (),
        tuple(missing) if not artifacts else (),
    )


def judged_again(candidate: Measurement, baseline: Measurement, limits: Gate) -> Gated:
    """The verdict on two stored measurements of one session, on the artifacts that both have.
    Raises UsageError: not of one session, nothing in common."""
    theirs = [result.key for result in baseline.artifacts]
    wanted = [result.key for result in candidate.artifacts if result.key in theirs]
    if not wanted or not candidate.session == baseline.session != "":
        raise UsageError(
            "these measurements were not made in turn, or have no artifact in common",
            hint="run `edgekit gate`",
        )
    return Gated(
        baseline,
        candidate,
        gate_findings(baseline, candidate, wanted, limits),
        limits,
    )


def gate_findings(
    baseline: Measurement, candidate: Measurement, keys: Sequence[str], limits: Gate
) -> tuple[Finding, ...]:
    """Every limit of a gate on artifacts that two measurements have.

    Metrics are those that the limits name; without any, the headline metric by its own margin."""
    named = [name for name, drop in limits.metrics.items() if drop is not None]
    observed = tuple(observe(baseline, candidate, [(key, key) for key in keys], named))
    by_name: dict[str, float | None] = {
        LATENCY_P50.name: limits.latency_p50_max_ratio,
        LATENCY_P99.name: limits.latency_p99_max_ratio,
        PEAK_MEMORY.name: limits.peak_memory_max_ratio,
        SIZE.name: limits.size_max_ratio,
    }
    if limits.metrics:
        by_name |= limits.metrics
    else:
        metrics = [one.quantity for one in observed if one.quantity.scale == "difference"]
        by_name |= {metric.name: metric.margin for metric in metrics[:1]}
    return gated(observed, by_name)


def judges_metrics(limits: Gate) -> bool:
    """Whether a gate judges any metric of the task: without a word about them, the headline one."""
    return not limits.metrics or any(drop is not None for drop in limits.metrics.values())
