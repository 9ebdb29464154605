"""`edgekit.compare`: which of two is faster, smaller, lighter, more accurate. Measures both in
turn, or reads two stored measurements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from edgekit.boards.deploying import AnyTarget
from edgekit.bundle.directory import Bundle
from edgekit.bundle.manifest import ArtifactAgreement
from edgekit.devices.target_files import as_target
from edgekit.errors import UsageError
from edgekit.measure import session
from edgekit.measure.measurement import Measurement
from edgekit.measure.session import Extras, Side
from edgekit.progress import Progress, silent
from edgekit.verdict.paired import Deadline, Pair, observe
from edgekit.verdict.rules import Finding, compared
from edgekit.workflow.inputs import AnyBundle, bench_settings, opened_bundle
from edgekit.workflow.storing import Storing

MARGIN_PERCENT = 5.0
NOT_INTERLEAVED = "not interleaved: not proof"


@dataclass(frozen=True)
class CompareResult:
    """Two measurements and what follows from them. `caveat` is why that is no proof; empty when it
    is one.

    `agreement` says how far the answers of artifacts of one bundle that were compared agree on the
    build host."""

    a: Measurement
    b: Measurement
    findings: tuple[Finding, ...]
    margin_percent: float
    caveat: str = ""
    agreement: tuple[ArtifactAgreement, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "a": self.a.as_dict(),
            "b": self.b.as_dict(),
            "findings": [asdict(finding) for finding in self.findings],
            "margin_percent": self.margin_percent,
            "caveat": self.caveat,
            "agreement": [comparison.model_dump() for comparison in self.agreement],
        }


def compare(
    a: AnyBundle,
    b: AnyBundle | None = None,
    target: AnyTarget = "local",
    *,
    pairs: Sequence[Pair] | None = None,
    settings: Mapping[str, float] | None = None,
    margin_percent: float = MARGIN_PERCENT,
    accuracy_samples: int | None = None,
    store: bool = True,
    progress: Progress = silent,
) -> CompareResult:
    """Measure two bundles in turn in one session on one target, store both measurements, and say
    how `b` differs from `a`; without `b`, how each `.tflite` of `a` differs from its `.pte`.

    No bundle becomes the device's current one.

    Args:
        a: A bundle, its directory, or a model file.
        b: What `a` is compared with.
        target: A target, as a value, a name or a file.
        pairs: Keys of the artifacts to compare, such as `[("fp32.pte", "int8.pte")]`. Default: the
            artifacts that both bundles have.
        settings: Settings of the session to replace; the others come from the recipe of `b`.
        margin_percent: Differences up to this count as none. A metric has its own margin.
        accuracy_samples: Also the task's metrics on the device, on this many samples.
        store: Whether the measurements go to the results database.
        progress: Told where the work is.

    Returns:
        Both measurements and a finding for each pair and quantity.

    Raises:
        UsageError: Nothing to compare.
        EdgekitError: As `bench` raises it.

    Example:
        >>> compared = edgekit.compare("net", "slow", "desk")
        >>> [finding.verdict for finding in compared.findings if finding.metric == "latency_p50"]
        ['worse']
    """
    board = as_target(target)
    storing = Storing(store)
    with opened_bundle(a) as first, opened_bundle(first if b is None else b) as second:
        if pairs is None:
            pairs = own_pairs(first) if b is None else common_pairs(first, second)
        sides = (
            Side(first, tuple(dict.fromkeys(key for key, _ in pairs))),
            Side(second, tuple(dict.fromkeys(key for _, key in pairs))),
        )
        measured_a, measured_b = session.bench(
            sides,
            board,
            bench_settings(second, settings),
            extras=Extras(evaluation_samples=accuracy_samples),
            keep=storing.keep,
            progress=progress,
        )
        agreement = _agreement(first, pairs) if first.manifest.id == second.manifest.id else ()
    findings = _findings(measured_a, measured_b, pairs, margin_percent)
    return storing.ended(
        CompareResult(measured_a, measured_b, findings, margin_percent, agreement=agreement)
    )


def _agreement(bundle: Bundle, pairs: Sequence[Pair]) -> tuple[ArtifactAgreement, ...]:
    """What the build host found of artifacts of one bundle that are compared."""
    compared_keys = [set(pair) for pair in pairs]
    return tuple(
        comparison
        for comparison in bundle.manifest.comparisons
        if {comparison.a, comparison.b} in compared_keys
    )


def _findings(
    a: Measurement, b: Measurement, pairs: Sequence[Pair], margin_percent: float
) -> tuple[Finding, ...]:
    deadline_ms = b.settings.deadline_ms or a.settings.deadline_ms
    deadline = None if deadline_ms is None else Deadline(deadline_ms)
    return compared(
        tuple(observe(a, b, pairs, deadline=deadline)),
        margin_ratio=1 + margin_percent / 100,
    )


def compare_stored(
    a: Measurement,
    b: Measurement,
    *,
    pairs: Sequence[Pair] | None = None,
    margin_percent: float = MARGIN_PERCENT,
) -> CompareResult:
    """How measurement `b` differs from `a`, without measuring.

    Unless both are of one session, the result says that it is no proof: the device was not in the
    same state, and builds that are measured one after the other are told apart far too often.

    Args:
        a: A measurement.
        b: What `a` is compared with.
        pairs: Keys of the artifacts to compare. Default: those that both have.
        margin_percent: Differences up to this count as none.

    Returns:
        A finding for each pair and quantity, and a caveat where it is no proof.

    Raises:
        UsageError: No artifact in common.

    Example:
        >>> settings = {"runs": 2}
        >>> first = edgekit.bench("net", "desk", settings=settings)["desk"]
        >>> second = edgekit.bench("net", "desk", settings=settings)["desk"]
        >>> edgekit.compare_stored(first, second).caveat
        'not interleaved: not proof'
    """
    if pairs is None:
        pairs = _stored_pairs(a, b)
    interleaved = a.session == b.session != "" and a.id != b.id
    caveat = "" if interleaved else NOT_INTERLEAVED
    if _device(a) != _device(b):
        caveat = f"{NOT_INTERLEAVED}; and they are of different targets"
    findings = _findings(a, b, pairs, margin_percent)
    return CompareResult(a, b, findings, margin_percent, caveat=caveat)


def _device(measurement: Measurement) -> tuple[str | None, str | None, str]:
    return measurement.device.machine, measurement.device.cpu, measurement.target


def own_pairs(bundle: Bundle) -> tuple[Pair, ...]:
    """The `.pte` and the `.tflite` of each variant. Raises UsageError when no variant has both."""
    artifacts = bundle.manifest.artifacts
    variants = dict.fromkeys(artifact.variant for artifact in artifacts)
    pairs = tuple(
        (first.key, second.key)
        for variant in variants
        for first in artifacts
        for second in artifacts
        if first.variant == second.variant == variant and first.runtime < second.runtime
    )
    if not pairs:
        raise UsageError(
            f"{bundle.path}: no variant is there both as .pte and as .tflite",
            hint="name what to compare it with",
        )
    return pairs


def common_pairs(a: Bundle, b: Bundle) -> tuple[Pair, ...]:
    """The artifacts that both bundles have by the same key; of two bundles of a single artifact
    these. Raises UsageError when there are none."""
    return _common(
        [artifact.key for artifact in a.manifest.artifacts],
        [artifact.key for artifact in b.manifest.artifacts],
    )


def _stored_pairs(a: Measurement, b: Measurement) -> tuple[Pair, ...]:
    """Artifacts of the same key; where there are none, the two formats of a variant, as a
    comparison of a bundle with itself measures them."""
    keys_a = [result.key for result in a.artifacts]
    keys_b = [result.key for result in b.artifacts]
    same_variant = tuple(
        (first.key, second.key)
        for first in a.artifacts
        for second in b.artifacts
        if first.artifact.variant == second.artifact.variant
    )
    if same_variant and not set(keys_a) & set(keys_b):
        return same_variant
    return _common(keys_a, keys_b)


def _common(first: Sequence[str], second: Sequence[str]) -> tuple[Pair, ...]:
    if len(first) == len(second) == 1:
        return ((first[0], second[0]),)
    both = tuple((key, key) for key in first if key in second)
    if not both:
        raise UsageError(
            f"no artifact in common: {', '.join(first)} and {', '.join(second)}",
            hint="name one of each, such as BUNDLE:int8.tflite",
        )
    return both
