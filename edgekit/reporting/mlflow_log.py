"""Measurements as runs of MLflow: one run an artifact of a measurement, with its numbers as metrics
and the rest as parameters."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from edgekit.errors import StoreError, UsageError
from edgekit.installing import install_command
from edgekit.measure.measurement import Measurement
from edgekit.reporting.export import rows
from edgekit.sanitize import printable

METRIC_STARTS = ("metric_", "device_metric_")
METRIC_ENDS = ("_ms", "_ns", "bytes", "_joules", "runs", "samples")
TAG = "edgekit.measurement"


def log_mlflow(
    measurements: Iterable[Measurement],
    *,
    experiment: str = "edgekit",
    tracking_uri: str | None = None,
) -> int:
    """Log measurements to MLflow, one run an artifact. What is there already is left as it is.
    Needs the extra `mlflow`.

    Args:
        measurements: What to log.
        experiment: The experiment's name; it is created where there is none.
        tracking_uri: Where MLflow keeps its runs. Default: what MLflow itself uses.

    Returns:
        How many runs are new.

    Raises:
        UsageError: mlflow is not installed.
        StoreError: The tracking server refuses.

    Example:
        >>> measurements = edgekit.bench("net", "desk", settings={"runs": 1})
        >>> edgekit.log_mlflow(measurements.values(), tracking_uri="sqlite:///mlflow.db")
        1
    """
    try:
        from mlflow.exceptions import MlflowException
        from mlflow.tracking import MlflowClient
    except ImportError:
        raise UsageError(
            "logging to MLflow needs mlflow, which is not installed",
            hint=install_command("mlflow"),
        ) from None
    made = 0
    try:
        client = MlflowClient(tracking_uri=tracking_uri)
        known = client.get_experiment_by_name(experiment)
        place = known.experiment_id if known else client.create_experiment(experiment)
        for measurement in measurements:
            if client.search_runs([place], f"tags.`{TAG}` = '{measurement.id}'", max_results=1):
                continue
            for row in rows(measurement):
                start = int(datetime.fromisoformat(measurement.created).timestamp() * 1000)
                run = client.create_run(
                    place,
                    start_time=start,
                    tags={TAG: measurement.id},
                    run_name=f"{measurement.bundle_name} {row['artifact']}",
                )
                for key, value in row.items():
                    numeric = key.startswith(METRIC_STARTS) or key.endswith(METRIC_ENDS)
                    if numeric and value is not None:
                        client.log_metric(run.info.run_id, key, float(value), timestamp=start)
                    elif not numeric:
                        client.log_param(run.info.run_id, key, printable(str(value)))
                client.set_terminated(
                    run.info.run_id, end_time=start + int(measurement.seconds * 1000)
                )
                made += 1
    except MlflowException as error:
        raise StoreError(
            f"MLflow: {printable(error.message)}",
            hint="check MLFLOW_TRACKING_URI, or give --tracking-uri",
        ) from None
    return made
