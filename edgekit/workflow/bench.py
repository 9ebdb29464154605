"""`edgekit.bench`: a bundle measured on one target or several at once, and stored."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from edgekit.errors import EdgekitError
from edgekit.measure import session
from edgekit.measure.measurement import Measurement
from edgekit.measure.session import Extras, Side
from edgekit.progress import Progress, silent
from edgekit.workflow.fleet import TargetsFailed, on_each
from edgekit.workflow.inputs import (
    AnyBundle,
    AnyTargets,
    bench_settings,
    opened_bundle,
    read_targets,
)
from edgekit.workflow.storing import Storing


class BenchFailed(TargetsFailed):
    """Some of several targets failed; `measurements` are those of the others, by target."""

    def __init__(
        self, failures: dict[str, EdgekitError], measurements: dict[str, Measurement]
    ) -> None:
        answers = {name: measurement.as_dict() for name, measurement in measurements.items()}
        super().__init__(failures, measurements, answers=answers)
        self.measurements = measurements


def bench(
    bundle: AnyBundle,
    targets: AnyTargets = "local",
    *,
    settings: Mapping[str, float] | None = None,
    profile: bool = False,
    sustained_seconds: float | None = None,
    accuracy_samples: int | None = None,
    energy: bool = False,
    pipeline: bool = False,
    store: bool = True,
    progress: Progress = silent,
) -> dict[str, Measurement]:
    """Send a bundle to each target, measure every artifact of it there, and store the results.

    The bundle that is live on a target stays so; what was sent for measuring is removed again.
    Several targets are measured at the same time, and one that fails does not stop the others. What
    was measured before a failure or Ctrl-C is stored, too, marked incomplete.

    Args:
        bundle: A bundle, its directory, or a `.tflite` or `.pte` file that edgekit did not build.
        targets: One target or several, each as a value, a name or a file.
        settings: Settings of the session to replace, such as `{"runs": 3}`; see `Settings`. The
            others come from the recipe in the bundle.
        profile: Also the time by operator.
        sustained_seconds: Also one run of this long, more than 0 and at most 3600 s.
        accuracy_samples: Also the task's metrics on the first samples of the bundle's evaluation
            set, at most all of them.
        energy: Also the energy of an inference, by the target's power sensor.
        pipeline: Also how long a sample takes before and after the inference; see `where`.
        store: Whether the measurements go to the results database. They are returned either way.
        progress: Told where the work is.

    Returns:
        The measurement of each target, by its name.

    Raises:
        UsageError: No such bundle, target or setting, or a value out of range.
        BenchFailed: Some of several targets failed; it holds the measurements of the others.
        StoreError: The results database cannot be used, which is found out before anything is
            measured.
        NotStored: It could not be used after that; `result` is what would have been returned.
        TransportError, IdentityError, DeviceError, BusyError: The device cannot be used.
        RunnerError, ResultError: A run failed, or what came back is not acceptable.

    Example:
        >>> measurements = edgekit.bench("net", "desk", settings={"runs": 2})
        >>> measurements["desk"].quick
        True
    """
    boards = read_targets(targets)
    storing = Storing(store)
    extras = Extras(profile, sustained_seconds, accuracy_samples, energy, pipeline)
    with opened_bundle(bundle) as opened:
        work = partial(
            session.bench,
            [Side.whole(opened)],
            settings=bench_settings(opened, settings),
            extras=extras,
            keep=storing.keep,
        )
        outcomes = on_each(boards, work, progress=progress)
    measurements = {name: measured for name, (measured,) in outcomes.done.items()}
    if outcomes.failures:
        raise storing.noted(BenchFailed(outcomes.failures, measurements))
    return storing.ended(measurements)
