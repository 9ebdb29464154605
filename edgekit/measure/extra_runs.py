"""Further runs of artifacts that are on a device, each a process of its own after the measurement:
where the time goes, and how long it holds.

Owns these runs; what they mean for a reader is in observations.py, what the runner is told in
invocation.py."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from pydantic import BaseModel

from edgekit.bundle.directory import Bundle
from edgekit.devices import Device
from edgekit.devices.fact_scripts import collect_state
from edgekit.devices.probe import Probe
from edgekit.devices.target import Target
from edgekit.errors import EdgekitError
from edgekit.measure.extra_results import Profile, Sustained
from edgekit.measure.profiling import profile_of
from edgekit.measure.protocol import Mode
from edgekit.measure.runner_process import Attempt, Placed, attempt, watching
from edgekit.measure.settings import Settings
from edgekit.measure.tflite_operations import tflite_operations
from edgekit.measure.throttling import throttling

Pass = Callable[["Bench", Placed], BaseModel]
PROFILED_INFERENCES = 256
WINDOW_S = 1.0
OPERATIONS = {"litert": tflite_operations}
"""By runtime, what tells operators and modules from a file, where the exporter did not write them
down."""


@dataclass(frozen=True)
class Bench:
    """Where and how artifacts run: what every pass needs."""

    target: Target
    device: Device
    settings: Settings
    probes: tuple[Probe, ...]
    before_run: Callable[[], None]

    def run(
        self,
        placed: Placed,
        mode: Mode,
        settings: Settings,
        what: str,
        *,
        seconds: float = 0.0,
        every_s: float = 0.0,
    ) -> Attempt:
        """One process in a mode, without an error. Raises what went wrong, named by device,
        artifact and pass; `seconds` are what it takes beside the usual."""
        timeouts = self.target.timeouts
        watch = watching(self.probes if every_s else (), self.target.control.cpus, every_s=every_s)
        if every_s and not self.probes:
            watch += ["--window-ns", str(round(every_s * 1e9))]
        self.before_run()
        with self.naming(placed, what):
            made = attempt(
                *(self.device, placed, settings, collect_state(self.device)),
                timeout_s=timeouts.run_seconds + seconds,
                no_progress_s=timeouts.no_progress_seconds,
                mode=mode,
                more=watch,
            )
            if made.error:
                raise made.error
        return made

    @contextmanager
    def naming(self, placed: Placed, what: str) -> Iterator[None]:
        """What goes wrong within it names the device, the artifact and the pass."""
        try:
            yield
        except EdgekitError as error:
            raise type(error)(
                f"{self.device.name}: {placed.artifact.key}, {what}: {error.message}",
                hint=error.hint,
                details=error.details,
            ) from error


def profile(bench: Bench, placed: Placed, *, bundle: Bundle) -> Profile:
    """Time by operator."""
    if placed.python_because:
        reason = (
            f"edgekit's runner in Python has no profiler; it runs here as {placed.python_because}"
        )
        return Profile(unavailable=reason)
    settings = bench.settings.model_copy(update={"min_iterations": PROFILED_INFERENCES})
    run = bench.run(placed, "profile", settings, "profile").run
    artifact = placed.artifact
    sequence = artifact.delegation.sequence
    if not sequence and artifact.runtime in OPERATIONS:
        content = bundle.file(artifact.file).read_bytes()
        sequence = OPERATIONS[artifact.runtime](content, run.operators)
    return profile_of(run, sequence)


def sustain(bench: Bench, placed: Placed, seconds: float) -> Sustained:
    """Inference after inference for so long, from a device as it is after the measurement (or
    cooled down to what the target says)."""
    settings = bench.settings.model_copy(
        update={
            "warmup_min_seconds": 0.0,
            "min_seconds": seconds,
            "max_seconds": seconds,
            "min_iterations": 1,
        }
    )
    before = collect_state(bench.device)
    run = bench.run(
        placed,
        "sustain",
        settings,
        f"sustained for {seconds:g} s",
        seconds=seconds,
        every_s=WINDOW_S,
    ).run
    return Sustained(
        seconds=seconds,
        windows=run.windows,
        throttled=throttling(before, collect_state(bench.device)),
    )
