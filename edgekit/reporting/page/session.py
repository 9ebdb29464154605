"""What one session was: the device, the settings, and what a reader must know of its numbers."""

from __future__ import annotations

from edgekit.measure.measurement import Measurement, MeasurementNote
from edgekit.reporting import numbers
from edgekit.reporting.page.values import Facts, Notes
from edgekit.sanitize import printable

LEVELS = ("invalid", "warning", "unknown", "note")


def device_facts(measurement: Measurement) -> Facts:
    """Machine, system, settings and runtimes, as the device said them."""
    device = measurement.device
    settings = measurement.settings
    state = next((run.before for result in measurement.artifacts for run in result.runs), None)
    clocks = [c for c in state.clocks if c.max_khz] if state else []
    runners = dict.fromkeys(
        f"{result.runner.runtime} {result.runner.runtime_version} ({result.runner.runner})"
        for result in measurement.artifacts
        if result.runner
    )
    controlled = measurement.controlled
    pairs = {
        "target": f"{measurement.target} ({measurement.target_kind})",
        "machine": device.machine,
        "system": device.system,
        "kernel": device.kernel,
        "processor": ", ".join(
            part
            for part in (device.cpu, device.arch, f"{device.cpus} cores" if device.cpus else None)
            if part
        ),
        "memory": None if device.memory_bytes is None else numbers.size(device.memory_bytes),
        "clocks": "; ".join(
            f"{c.policy} {(c.min_khz or 0) / 1e3:.0f}–{(c.max_khz or 0) / 1e3:.0f} MHz,"
            f" {c.governor or 'governor unknown'}"
            for c in clocks
        ),
        "temperature before": (
            ", ".join(
                f"{name} {value:.1f} °C" for name, value in list(state.temperatures_c.items())[:6]
            )
            if state
            else None
        ),
        "load before": (
            None if state is None or state.load_1min is None else f"{state.load_1min:.2f}"
        ),
        "runtimes": "; ".join(runners),
        "runs": (
            f"{settings.runs} processes per artifact, {settings.threads}"
            f" thread{'s' * (settings.threads > 1)}, interleaved"
        ),
        "a run": (
            f"warm-up ≥ {settings.warmup_min_seconds:g} s, then ≥ {settings.min_iterations}"
            f" inferences and ≥ {settings.min_seconds:g} s"
        ),
        "changed by edgekit": (
            ", ".join(
                part
                for part in (
                    f"governor {controlled.governor}" if controlled.governor else "",
                    f"cores {', '.join(map(str, controlled.cpus))}" if controlled.cpus else "",
                    (
                        f"cooled below {controlled.cool_below_c:g} °C, waited"
                        f" {controlled.cooled_seconds:.0f} s"
                        if controlled.cool_below_c is not None
                        else ""
                    ),
                )
                if part
            )
            or "nothing"
        ),
        "measured": (
            f"{measurement.created[:16].replace('T', ' ')} UTC, {measurement.seconds:.0f} s"
        ),
    }
    return Facts(
        tuple(
            (name, printable(value) if value else "the device does not report it")
            for name, value in pairs.items()
        ),
        "Device and session",
    )


def validity(measurement: Measurement) -> Notes:
    """The worst first; one line for what several artifacts share."""
    lines = (
        [("invalid", printable(f"ended early: {measurement.failure}", limit=300))]
        if measurement.failure
        else []
    )
    grouped: dict[tuple[str, str], list[MeasurementNote]] = {}
    for note in measurement.notes:
        grouped.setdefault((note.level, note.text.removeprefix(f"{note.artifact}: ")), []).append(
            note
        )
    for (level, text), members in sorted(
        grouped.items(), key=lambda item: LEVELS.index(item[0][0])
    ):
        about = [note.artifact for note in members if note.artifact]
        whose = f"{', '.join(about)}: " if about else ""
        if len(about) == len(measurement.artifacts) > 1:
            whose = "all artifacts: "
        lines.append((level, printable(whose + text, limit=300)))
    return Notes(
        tuple(lines) or (("ok", "nothing speaks against these numbers"),),
        "Do these numbers count?",
    )
