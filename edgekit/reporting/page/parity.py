"""The two runtimes side by side: one checkpoint as `.pte` and `.tflite`, latency, memory, size,
headline metric, and how far their answers are apart."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from edgekit.bundle.manifest import ArtifactAgreement, Manifest
from edgekit.measure.measurement import Measurement
from edgekit.measure.runs import ArtifactResult
from edgekit.metrics import headline, named_metric
from edgekit.reporting import numbers
from edgekit.reporting.page.build import answer_columns, decibels, metric_cell, metric_heading
from edgekit.reporting.page.latency import marked_cell
from edgekit.reporting.page.observed import times_by_module
from edgekit.reporting.page.style import flag, mark
from edgekit.reporting.page.values import Absent, Block, Cell, Table, cells, with_interval
from edgekit.reporting.tables import DASH
from edgekit.sanitize import printable
from edgekit.verdict.metrics import known

MODULES = 12
"""Of the profiles of a pair, those that take most of the time."""


def parity_blocks(measurement: Measurement, manifest: Manifest | None) -> Iterator[Block]:
    """The same variant in both runtimes, measured in turn on one device. A ratio above 1:
    ExecuTorch takes that much longer."""
    pairs = [
        (pte, lite)
        for pte in measurement.artifacts
        for lite in measurement.artifacts
        if _is_pair(pte, lite)
    ]
    if not pairs:
        yield Absent(
            "the two runtimes side by side",
            "no variant was measured in both formats",
            "edgekit run RECIPE",
        )
        return
    useless = mark(measurement)
    rows = []
    headlines = [headline(known(result)) for pair in pairs for result in pair]
    metric = next(filter(None, headlines), None)
    for pair in pairs:
        quantities = [_sides(measurement, result) for result in pair]
        names = ("ExecuTorch .pte", "LiteRT .tflite")
        rows += [
            cells(result.artifact.variant, name, *side)
            for result, name, side in zip(pair, names, quantities, strict=True)
        ]
        ratio = with_interval(numbers.ratio(measurement.latency_ratio(pair[0].key, pair[1].key)))
        rows.append(
            cells(
                Cell(""),
                Cell("first ÷ second", tone="dim"),
                marked_cell(ratio, useless, dim=bool(useless)),
                *_ratios(measurement, *pair),
            )
        )
    columns = (
        "variant",
        "runtime",
        "p50 ms",
        "load ms",
        "memory beyond empty",
        "peak memory",
        "size",
        metric_heading(metric),
    )
    measured = all(result.evaluation for pair in pairs for result in pair)
    caption = (
        "One checkpoint, two files, their runs in turn on the same device. 95 % intervals."
        f" {metric.label if metric else 'Metrics'} on the"
        f" {'device' if measured else 'build host'}. "
    )
    yield Table(columns, tuple(rows), names=2, caption=caption + flag(measurement))
    yield from _profiles(pairs, useless)
    paired_keys = [{pte.key, lite.key} for pte, lite in pairs]
    compared = [(pair, "on the device, reference samples") for pair in measurement.runtimes]
    compared += [
        (pair, "on the build host, test set") for pair in (manifest.comparisons if manifest else ())
    ]
    compared = [(pair, where) for pair, where in compared if {pair.a, pair.b} in paired_keys]
    if compared:
        answers = answer_columns([pair for pair, _ in compared])
        yield Table(
            ("pair", "where", "samples", *answers, "SNR"),
            tuple(_agreement(pair, where, answers) for pair, where in compared),
            names=2,
            title="Do the two files give the same answers?",
        )
    else:
        yield Absent(
            "how far the answers of the two files are apart",
            "it is in the bundle, and no bundle was given",
            "edgekit report BUNDLE",
        )


def _profiles(
    pairs: Sequence[tuple[ArtifactResult, ArtifactResult]], useless: str
) -> Iterator[Block]:
    """Where both runtimes were profiled: the modules that take most of the time, side by side."""
    rows: list[tuple[Cell, ...]] = []
    remarks = []
    for pair in pairs:
        profiles = [result.profile for result in pair]
        if not all(profile and profile.operators for profile in profiles):
            continue
        times = [times_by_module(result) for result in pair]
        total = {
            name: sum(side.get(name, 0.0) for side in times) for side in times for name in side
        }
        for name in sorted(total, key=lambda name: -total[name])[:MODULES]:
            values = [numbers.significant(side[name]) if name in side else DASH for side in times]
            rows.append(cells(pair[0].artifact.variant, printable(name, limit=60), *values))
        remarks += [
            f"{result.key} is {result.profile.below_resolution}."
            for result in pair
            if result.profile and result.profile.below_resolution
        ]
    if rows:
        caption = "Means of an inference with the profiler on, which slows it. " + " ".join(remarks)
        yield Table(
            ("variant", "module or operator", f".pte µs{useless}", f".tflite µs{useless}"),
            tuple(rows),
            names=2,
            title="Where the time goes in each",
            caption=printable(caption, limit=600),
        )


def _agreement(pair: ArtifactAgreement, where: str, answers: Sequence[str]) -> tuple[Cell, ...]:
    same = [numbers.percent(pair.agreement_percent) for _ in answers]
    return cells(f"{pair.a} and {pair.b}", where, str(pair.samples), *same, decibels(pair.snr_db))


def _is_pair(pte: ArtifactResult, lite: ArtifactResult) -> bool:
    """Two artifacts of one variant for two runtimes, in the order of the runtimes' names."""
    return (
        pte.artifact.variant == lite.artifact.variant
        and pte.artifact.runtime < lite.artifact.runtime
    )


def _sides(measurement: Measurement, result: ArtifactResult) -> list[Cell]:
    summary = measurement.summaries.get(result.key)
    useless = mark(measurement)
    steady = summary.memory_kinds.get("steady") if summary else None
    times = [
        with_interval(numbers.estimate_ms(summary.p50 if summary else None)),
        Cell(numbers.milliseconds(summary.load_ms if summary else None)),
    ]
    return [
        *(marked_cell(cell, useless, dim=bool(useless)) for cell in times),
        Cell(numbers.size(steady.beyond_baseline if steady else None)),
        Cell(numbers.size(summary.peak_bytes if summary else None)),
        Cell(numbers.size(result.artifact.file.bytes)),
        metric_cell(headline(known(result))),
    ]


def _ratios(
    measurement: Measurement, first_result: ArtifactResult, second_result: ArtifactResult
) -> list[Cell]:
    def times(first: float | None, second: float | None) -> Cell:
        return Cell(f"{first / second:.2f}×" if first and second and second > 0 else DASH)

    summaries = [measurement.summaries.get(result.key) for result in (first_result, second_result)]
    steady = [summary.memory_kinds.get("steady") if summary else None for summary in summaries]
    beyond = [use.beyond_baseline if use else None for use in steady]
    return [
        times(*[summary.load_ms if summary else None for summary in summaries]),
        times(*beyond),
        times(*[summary.peak_bytes if summary else None for summary in summaries]),
        times(first_result.artifact.file.bytes, second_result.artifact.file.bytes),
        Cell(_metric_difference(first_result, second_result)),
    ]


def _metric_difference(result: ArtifactResult, against: ArtifactResult) -> str:
    metric = headline(known(result))
    reference = named_metric(known(against), metric.name) if metric else None
    if metric is None or reference is None:
        return DASH
    shown = f"{metric.value - reference.value:+.{metric.decimals}f}"
    return numbers.with_unit(shown, metric.difference_unit)
