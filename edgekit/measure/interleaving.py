"""Artifacts that are on a device already → measurements: fresh processes in turn, their outputs
compared, the device's state between them.

Artifacts are interleaved over runs (A B C A B C …), each run a fresh process with a nonce of its
own, so that a device that warms up or a neighbour that starts working meets all artifacts alike.
With several bundles, the same artifact of each runs one after the other, and who begins changes
from round to round.

Owns the order and the loop. What is gathered, and what it becomes, is records.py's."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import zip_longest

from edgekit.bundle.directory import Bundle
from edgekit.devices import Device
from edgekit.devices.control import cool_down
from edgekit.devices.fact_scripts import collect_both, collect_state
from edgekit.devices.facts import DeviceState
from edgekit.devices.target import Target
from edgekit.errors import EdgekitError
from edgekit.measure import other_runners
from edgekit.measure.measurement import Measurement
from edgekit.measure.probes import device_probes
from edgekit.measure.protocol import RunnerRun
from edgekit.measure.records import (
    BundleRecord,
    DeviceRecord,
    measurements_of,
    run_of,
    utc_now,
)
from edgekit.measure.run_failures import reboot_error, rebooted
from edgekit.measure.runner_process import Placed, attempt, read_outputs, watching
from edgekit.measure.settings import Settings
from edgekit.progress import Progress, silent

PROBE_EVERY_S = 0.5
"""How often a runner reads clocks and temperatures between inferences."""

Keep = Callable[[Measurement], object]
"""Receives a measurement, whole or as far as it went before its session ended early."""


def keep_nothing(measurement: Measurement) -> None:
    """For callers that need only what is returned."""


@dataclass(frozen=True)
class _Turn:
    """One process to come: of which bundle and artifact, and in which round."""

    record: BundleRecord
    placed: Placed
    index: int
    name: str


def measure_in_turn(
    sides: Sequence[tuple[Bundle, Sequence[Placed]]],
    target: Target,
    device: Device,
    settings: Settings,
    *,
    before_run: Callable[[], None],
    keep: Keep = keep_nothing,
    progress: Progress = silent,
) -> tuple[Measurement, ...]:
    """Measure artifacts of one or several bundles, `settings.runs` processes each; one measurement
    a bundle. Whatever ends it early, `keep` gets what was measured until then before the error is
    raised.

    Raises RunnerError, ResultError, TransportError and DeviceError that name the device, the
    artifact and the run; KeyboardInterrupt."""
    facts, first_state = collect_both(device)
    board = DeviceRecord(facts, [first_state], device_probes(first_state))
    records = [BundleRecord(bundle, placed) for bundle, placed in sides]
    turns = list(_turns(records, settings.runs))
    task = f"measure on {target.name}"
    try:
        for number, turn in enumerate(turns):
            progress(task, number, len(turns), turn.name)
            before_run()
            with _named(f"{device.name}: {turn.name}"):
                before, started = _cooled_state(board, target, device), utc_now()
                timeouts = target.timeouts
                if turn.placed.runner_kind == "edgekit":
                    ended = attempt(
                        device,
                        turn.placed,
                        settings,
                        before,
                        timeout_s=timeouts.run_seconds,
                        no_progress_s=timeouts.no_progress_seconds,
                        more=watching(board.probes, target.control.cpus, every_s=PROBE_EVERY_S),
                    )
                else:
                    ended = other_runners.attempt(
                        device,
                        turn.placed.runner_kind,
                        turn.placed,
                        settings,
                        before,
                        timeout_s=timeouts.run_seconds,
                    )
                # Kept before an error is raised: what a crashed runner printed counts, too.
                turn.record.add_run(
                    turn.placed, run_of(turn.index, started, ended.run, before, None)
                )
                if ended.error:
                    raise ended.error
                _compare_outputs(turn, device, ended.run)
                after = _state_after(before, device)
            board.states.append(after)
            turn.record.complete_run(
                turn.placed, run_of(turn.index, started, ended.run, before, after)
            )
    except (EdgekitError, KeyboardInterrupt) as error:
        failure = str(error) or "interrupted"
        for measurement in measurements_of(records, board, target, settings, failure=failure):
            hand_over(keep, measurement, error)
        raise
    progress(task, len(turns), len(turns))
    return measurements_of(records, board, target, settings)


def hand_over(keep: Keep, measurement: Measurement, error: BaseException) -> None:
    """Let the caller keep a partial measurement. That it cannot must not hide why the session
    ended."""
    try:
        keep(measurement)
    except EdgekitError as not_kept:
        if not isinstance(error, EdgekitError):
            raise
        reason = f"the partial measurement was not stored: {not_kept.message}"
        error.hint = "; ".join(filter(None, (error.hint, reason)))


def _turns(records: Sequence[BundleRecord], runs: int) -> Iterator[_Turn]:
    """Every process of the session in its order."""
    sides = [[(record, placed) for placed in record.placed] for record in records]
    rows = list(zip_longest(*sides))
    for index in range(runs):
        for row in rows:
            in_order = row if index % 2 == 0 else row[::-1]
            for record, placed in filter(None, in_order):
                bundle_id = record.bundle.manifest.id
                whose = f" of {bundle_id[:12]}" if len(records) > 1 else ""
                name = f"{placed.artifact.key}{whose}, run {index + 1} of {runs}"
                yield _Turn(record, placed, index, name)


@contextmanager
def _named(where: str) -> Iterator[None]:
    """Errors of the block say where they happened."""
    try:
        yield
    except EdgekitError as error:
        raise type(error)(
            f"{where}: {error.message}", hint=error.hint, details=error.details
        ) from error


def _cooled_state(board: DeviceRecord, target: Target, device: Device) -> DeviceState:
    """The device's state before a run, after a wait for it to cool where the target asks for
    one."""
    asked = target.control.cool_down
    if asked is None:
        return board.states[-1]
    waited, state = cool_down(
        device, board.states, asked.below_c, asked.timeout_seconds, zone=asked.zone
    )
    board.waits.append(waited)
    return state


def _compare_outputs(turn: _Turn, device: Device, report: RunnerRun) -> None:
    """With the bundle's reference, where there is one and the runner writes outputs."""
    turn.record.reports[turn.placed.artifact.key] = report
    reference = turn.placed.artifact.reference_outputs
    if turn.placed.runner_kind != "edgekit" or reference is None:
        return
    expected = turn.record.bundle.file(reference).read_bytes()
    compared, values = read_outputs(device, turn.placed, report, expected)
    turn.record.add_outputs(turn.placed, compared, values)


def _state_after(before: DeviceState, device: Device) -> DeviceState:
    """The device's state after a run. Raises RunnerError when it started anew meanwhile."""
    after = collect_state(device)
    if rebooted(before, after):
        raise reboot_error()
    return after
