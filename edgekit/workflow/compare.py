"""`edgekit.compare`: which of two is faster, smaller, lighter, more accurate. Measures both in
turn, or reads two stored measurements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from edgekit.bundle.manifest import Bundle, Comparison
from edgekit.devices.target import Target
from edgekit.devices.target_files import as_target
from edgekit.errors import UsageError
from edgekit.measure.interleaving import Partial
from edgekit.measure.measurement import Measurement
from edgekit.measure.session import Side, bench_together
from edgekit.progress import Progress, silent
from edgekit.recipe.stored import stored_sections
from edgekit.verdict.paired import Pair, observe
from edgekit.verdict.rules import Finding, compared

MARGIN_PERCENT = 5.0
NOT_INTERLEAVED = "not interleaved: not proof"


@dataclass(frozen=True)
class Compared:
    """Two measurements and what follows from them. `caveat` is why that is no proof; empty when it
    is one.

    `agreement` says how far the answers of artifacts of one bundle that were compared agree on the
    build host."""

    a: Measurement
    b: Measurement
    findings: tuple[Finding, ...]
    margin_percent: float
    caveat: str = ""
    agreement: tuple[Comparison, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "a": self.a.as_dict(),
            "b": self.b.as_dict(),
            "findings": [asdict(finding) for finding in self.findings],
            "margin_percent": self.margin_percent,
            "caveat": self.caveat,
            "agreement": [one.model_dump() for one in self.agreement],
        }


def compare(
    a: Bundle,
    b: Bundle | None = None,
    target: Target | str = "local",
    *,
    pairs: Sequence[Pair] | None = None,
    settings: Mapping[str, float] | None = None,
    margin_percent: float = MARGIN_PERCENT,
    accuracy_samples: int | None = None,
    progress: Progress = silent,
    on_partial: Partial | None = None,
) -> Compared:
    """Measure two bundles in turn in one session on one device, and say how `b` differs from `a`;
    without `b`, how each `.tflite` of `a` differs from its `.pte`.

    `pairs` are keys of artifacts; by default those that both bundles have. `settings` are those of
    edgekit.recipe.limits.Bench, by default the second bundle's recipe's. Differences up to
    `margin_percent`, of a metric up to its own margin, count as none. No bundle becomes the device's
    current one.

    Raises UsageError (nothing to compare), and what `bench` raises.
    """
    second = a if b is None else b
    wanted = tuple(pairs) if pairs else own_pairs(a) if b is None else common_pairs(a, b)
    sides = (
        Side(a, tuple(dict.fromkeys(first for first, _ in wanted))),
        Side(second, tuple(dict.fromkeys(key for _, key in wanted))),
    )
    measured_a, measured_b = bench_together(
        *(sides, as_target(target)),
        **bench_settings(second, settings),
        accuracy_samples=accuracy_samples,
        progress=progress,
        on_partial=on_partial,
    )
    findings = compared(
        tuple(observe(measured_a, measured_b, wanted)),
        margin_ratio=1 + margin_percent / 100,
    )
    known = (
        [one for one in a.manifest.comparisons if {one.a, one.b} in map(set, wanted)]
        if a.manifest.id == second.manifest.id
        else []
    )
    return Compared(measured_a, measured_b, findings, margin_percent, agreement=tuple(known))


def compare_stored(
    a: Measurement,
    b: Measurement,
    *,
    pairs: Sequence[Pair] | None = None,
    margin_percent: float = MARGIN_PERCENT,
) -> Compared:
    """How measurement `b` differs from `a`, without measuring. Unless both are of one session, the
    result says that it is no proof: the device was not in the same state, and builds measured one
    after the other are told apart far too often.

    Raises UsageError (no artifact in common).
    """
    wanted = tuple(pairs) if pairs else _stored_pairs(a, b)
    interleaved = a.session == b.session != "" and a.id != b.id
    caveat = "" if interleaved else NOT_INTERLEAVED
    if (a.device.machine, a.device.cpu, a.target) != (b.device.machine, b.device.cpu, b.target):
        caveat = f"{NOT_INTERLEAVED}; and they are of different targets"
    findings = compared(
        tuple(observe(a, b, wanted)),
        margin_ratio=1 + margin_percent / 100,
    )
    return Compared(a, b, findings, margin_percent, caveat=caveat)


def own_pairs(bundle: Bundle) -> tuple[Pair, ...]:
    """The `.pte` and the `.tflite` of each variant. Raises UsageError when no variant has both."""
    by_format = {
        (artifact.variant, artifact.format): artifact.key for artifact in bundle.manifest.artifacts
    }
    variants = dict.fromkeys(artifact.variant for artifact in bundle.manifest.artifacts)
    found = [
        (by_format.get((name, "executorch")), by_format.get((name, "litert"))) for name in variants
    ]
    pairs = tuple((pte, tflite) for pte, tflite in found if pte and tflite)
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
    keys = [[result.key for result in one.artifacts] for one in (a, b)]
    formats = tuple(
        (one.key, other.key)
        for one in a.artifacts
        for other in b.artifacts
        if one.artifact.variant == other.artifact.variant
    )
    return formats if formats and not set(keys[0]) & set(keys[1]) else _common(*keys)


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


def bench_settings(bundle: Bundle, given: Mapping[str, float] | None) -> dict[str, Any]:
    """How a bundle is measured: what is given, else what its recipe says, else the defaults."""
    return {**stored_sections(bundle.manifest.recipe).bench.model_dump(), **(given or {})}
