"""The sections of a page in their order, from a bundle, its measurements and their history. Pure:
values in, values out."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from edgekit.bundle.directory import Bundle
from edgekit.bundle.manifest import Artifact
from edgekit.bundle.pictures import Pictures
from edgekit.measure.measurement import Measurement
from edgekit.reporting.against_baseline import baseline_variant
from edgekit.reporting.page import (
    answers,
    build,
    distribution,
    history,
    latency,
    memory,
    observed,
    overview,
    parity,
    session,
    timeline,
    verdicts,
)
from edgekit.reporting.page.style import flag
from edgekit.reporting.page.values import Absent, Block, Figure, Heading, Section
from edgekit.sanitize import printable
from edgekit.verdict.budget import JudgedLimit

if TYPE_CHECKING:
    from edgekit.store.results import HistoryEntry


@dataclass(frozen=True)
class Page:
    """What the template draws. `verdict` is `good`, `bad`, or empty where nothing was judged;
    `flags` are what must be known before all else."""

    title: str
    subtitle: str
    verdict: str
    verdict_text: str
    flags: tuple[str, ...]
    sections: tuple[Section, ...]


def page(
    bundle: Bundle | None,
    measurements: Sequence[Measurement],
    judged: Sequence[JudgedLimit] | None,
    past: Mapping[str, Sequence[HistoryEntry]],
    beside: Mapping[str, Sequence[Measurement]],
    pictures: Pictures | None = None,
) -> Page:
    """By measurement id: `past` is what the database knows of the same name on the same target,
    `beside` what was measured in turn with it. `pictures` are those of the bundle."""
    as_measured = measurements
    measurements = told_apart(measurements)
    manifest = bundle.manifest if bundle else None
    artifacts = manifest.artifacts if manifest else _artifacts(measurements)
    baseline = artifacts[0].variant if artifacts else ""
    if manifest:
        baseline = baseline_variant(manifest)
    sections = [
        Section(
            "glance", "At a glance", tuple(_glance(artifacts, baseline, measurements, judged)), ""
        ),
        build.budget_section(judged),
        *verdicts.verdict_sections(bundle, measurements, beside),
        *_answers(bundle, pictures),
        build.trace_section(manifest.trace if manifest else None),
        build.artifacts_section(artifacts, baseline, manifest),
        *_measured(
            bundle,
            measurements,
            [build.bench_command(shown, bundle.path if bundle else None) for shown in as_measured],
            baseline,
            past,
        ),
        build.delegation_section(artifacts),
        build.reproduce_section(manifest, bundle.path if bundle else None, as_measured),
    ]
    names = dict.fromkeys(
        [manifest.name] if manifest else [measurement.bundle_name for measurement in measurements]
    )
    where = (
        ", ".join(dict.fromkeys(measurement.target for measurement in measurements))
        or "not measured on a target yet"
    )
    identity = f"bundle {manifest.id[:12]}" if manifest else "from stored measurements"
    flags = tuple(
        dict.fromkeys(
            printable(f"{m.target}: {flag(m)}", limit=300) for m in measurements if flag(m)
        )
    )
    return Page(
        printable(", ".join(names)),
        printable(f"{identity} · {where}"),
        *_verdict(judged),
        flags,
        tuple(numbered(sections)),
    )


def told_apart(measurements: Sequence[Measurement]) -> list[Measurement]:
    """The same, with the start of its id behind the name of a target that several were measured
    on."""
    targets = [measurement.target for measurement in measurements]
    return [
        (
            measurement.model_copy(update={"target": f"{measurement.target} {measurement.id[:6]}"})
            if targets.count(measurement.target) > 1
            else measurement
        )
        for measurement in measurements
    ]


def _artifacts(measurements: Sequence[Measurement]) -> tuple[Artifact, ...]:
    """Those of all measurements, each key once."""
    return tuple(
        {
            result.key: result.artifact
            for measurement in measurements
            for result in measurement.artifacts
        }.values()
    )


def _verdict(judged: Sequence[JudgedLimit] | None) -> tuple[str, str]:
    if not judged:
        return "", "no budget judged"
    missed = sum(1 for verdict in judged if not verdict.ok)
    return (
        ("bad", f"budget not met: {missed} of {len(judged)} limits")
        if missed
        else ("good", f"budget met: {len(judged)} of {len(judged)} limits")
    )


def _glance(
    artifacts: Sequence[Artifact],
    baseline: str,
    measurements: Sequence[Measurement],
    judged: Sequence[JudgedLimit] | None,
) -> Iterator[Block]:
    yield overview.glance_table(artifacts, baseline, measurements, build.met_by_key(judged or ()))
    for measurement in measurements:
        yield overview.pareto_figure(measurement)


def _answers(bundle: Bundle | None, pictures: Pictures | None) -> Iterator[Section]:
    """Of a bundle that a recipe made: others have no task."""
    if bundle and bundle.manifest.recipe:
        yield answers.answers_section(pictures, bundle.manifest.classes)


def _measured(
    bundle: Bundle | None,
    measurements: Sequence[Measurement],
    commands: Sequence[str],
    baseline: str,
    past: Mapping[str, Sequence[HistoryEntry]],
) -> Iterator[Section]:
    if not measurements:
        command = (
            f"edgekit bench {shlex.quote(str(bundle.path))} --target local"
            if bundle
            else "edgekit bench BUNDLE --target local"
        )
        absent = Absent(
            "latency, memory and everything else on a device",
            "the results hold no measurement of this bundle",
            command,
        )
        yield Section("measured", "On a device", (absent,))
    for measurement, command in zip(measurements, commands, strict=True):
        where = printable(measurement.target)
        warning = flag(measurement)
        yield Section(
            "validity",
            f"Measured on {where}",
            (session.validity(measurement), session.device_facts(measurement)),
        )
        blocks = (
            latency.latency_table(measurement, baseline),
            *latency.deadline_tables(measurement),
            *distribution.distribution_figures(measurement),
            timeline.timeline_figure(measurement),
        )
        yield Section(
            "latency", f"Latency on {where}", (Heading("", warning), *blocks) if warning else blocks
        )
        yield Section("memory", f"Memory on {where}", memory.memory_blocks(measurement))
        yield Section(
            "runtimes",
            f"The two runtimes on {where}",
            tuple(parity.parity_blocks(measurement, bundle.manifest if bundle else None)),
        )
        yield Section(
            "operators",
            f"Time by operator on {where}",
            tuple(observed.operator_blocks(measurement, command)),
        )
        others: list[Block] = [
            *observed.sustained_blocks(measurement, command),
            observed.outputs_table(measurement),
            observed.evaluation_block(measurement, command),
            observed.pipeline_block(measurement, command),
            observed.energy_block(measurement, command),
            history.history_figure(measurement, past.get(measurement.id, ())),
        ]
        yield Section("more", f"Endurance, agreement, history on {where}", tuple(others))


def numbered(sections: Sequence[Section]) -> Iterator[Section]:
    """Sections and figures with names of their own, so that anchors lead to one place."""
    seen: dict[str, int] = {}

    def own(name: str) -> str:
        seen[name] = seen.get(name, 0) + 1
        return name if seen[name] == 1 else f"{name}-{seen[name]}"

    for section in sections:
        blocks = tuple(
            replace(block, name="figure-" + own(block.name)) if isinstance(block, Figure) else block
            for block in section.blocks
        )
        yield replace(section, name=own(section.name), blocks=blocks)
