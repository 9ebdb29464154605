"""The two runtimes side by side: one checkpoint as `.pte` and `.tflite`, latency, memory, size,
accuracy, and how far their answers are apart."""

from __future__ import annotations

from collections.abc import Iterator

from edgekit.bundle.manifest import Comparison, Manifest
from edgekit.measure.measurement import ArtifactResult, Measurement
from edgekit.reporting import numbers
from edgekit.reporting.page.build import decibels, percent
from edgekit.reporting.page.latency import marked_cell
from edgekit.reporting.page.style import flag, mark
from edgekit.reporting.page.values import Absent, Block, Cell, Table, cells, with_interval
from edgekit.reporting.terminal import DASH


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
    useless, rows = mark(measurement), []
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
        "top-1 (95 %)",
    )
    measured = all(result.accuracy for pair in pairs for result in pair)
    caption = (
        "One checkpoint, two files, their runs in turn on the same device. 95 % intervals. Top-1"
        f" on the {'device' if measured else 'build host'}. "
    )
    yield Table(columns, tuple(rows), names=2, caption=caption + flag(measurement))
    wanted = [{one.key, other.key} for one, other in pairs]
    found = [
        _agreement(pair, "on the device, reference samples")
        for pair in measurement.runtimes
        if {pair.a, pair.b} in wanted
    ]
    found += [
        _agreement(pair, "on the build host, test set")
        for pair in (manifest.comparisons if manifest else ())
        if {pair.a, pair.b} in wanted
    ]
    if found:
        yield Table(
            ("pair", "where", "samples", "same top-1", "SNR"),
            tuple(found),
            names=2,
            title="Do the two files give the same answers?",
        )
    else:
        yield Absent(
            "how far the answers of the two files are apart",
            "it is in the bundle, and none was given",
            "edgekit report BUNDLE",
        )


def _agreement(pair: Comparison, where: str) -> tuple[Cell, ...]:
    same = f"{100 * pair.same_top1 / pair.samples:.2f} %" if pair.samples else None
    return cells(f"{pair.a} and {pair.b}", where, str(pair.samples), same, decibels(pair.snr_db))


def _is_pair(pte: ArtifactResult, lite: ArtifactResult) -> bool:
    return (pte.artifact.format, lite.artifact.format) == (
        "executorch",
        "litert",
    ) and pte.artifact.variant == lite.artifact.variant


def _sides(measurement: Measurement, result: ArtifactResult) -> list[Cell]:
    found, useless = measurement.summaries.get(result.key), mark(measurement)
    steady = found.memory_kinds.get("steady") if found else None
    times = [
        with_interval(numbers.estimate_ms(found.p50 if found else None)),
        Cell(numbers.milliseconds(found.load_ms if found else None)),
    ]
    return [
        *(marked_cell(cell, useless, dim=bool(useless)) for cell in times),
        Cell(numbers.size(steady.beyond_baseline if steady else None)),
        Cell(numbers.size(found.peak_bytes if found else None)),
        Cell(numbers.size(result.artifact.file.bytes)),
        percent(numbers.top1(*_top1(result))),
    ]


def _top1(result: ArtifactResult) -> tuple[int | None, int | None]:
    """Right answers of how many: on the device where that was measured, else on the build host."""
    if result.accuracy and result.accuracy.top1_correct is not None:
        return result.accuracy.top1_correct, result.accuracy.samples
    return result.artifact.verification.top1_correct, result.artifact.verification.top1_total


def _percent(result: ArtifactResult) -> float | None:
    right, total = _top1(result)
    return 100 * right / total if right is not None and total else None


def _ratios(measurement: Measurement, one: ArtifactResult, other: ArtifactResult) -> list[Cell]:
    def times(first: float | None, second: float | None) -> Cell:
        return Cell(f"{first / second:.2f}×" if first and second and second > 0 else DASH)

    found = [measurement.summaries.get(result.key) for result in (one, other)]
    steady = [summary.memory_kinds.get("steady") if summary else None for summary in found]
    beyond = [use.beyond_baseline if use else None for use in steady]
    accuracies = [_percent(result) for result in (one, other)]
    points = (
        None if accuracies[0] is None or accuracies[1] is None else accuracies[0] - accuracies[1]
    )
    return [
        times(*[summary.load_ms if summary else None for summary in found]),
        times(*beyond),
        times(*[summary.peak_bytes if summary else None for summary in found]),
        times(one.artifact.file.bytes, other.artifact.file.bytes),
        Cell(DASH if points is None else f"{points:+.2f} points"),
    ]
