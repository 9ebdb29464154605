"""A measurement from a device that lies."""

from __future__ import annotations

from edgekit.bundle.manifest import Delegation
from edgekit.measure.extra_results import OperatorTime, Profile
from edgekit.measure.measurement import Measurement, MeasurementNote

KEYS = ("fp32.pte", "int8.tflite")

HOSTILE = (
    "<script>document.title='owned'</script><img src='{url}'>\x1b[31m</script>${{1+1}}<a"
    " href='{url}'>x</a>=cmd|'/c calc'!A0"
)


def hostile(measurement: Measurement, url: str) -> Measurement:
    """The same with a hostile text wherever a device or a target's file has one. Some of it is more
    than the wire lets through."""
    text = HOSTILE.format(url=url)
    results = []
    for result in measurement.artifacts:
        file = result.artifact.file
        artifact = result.artifact.model_copy(
            update={
                "variant": f"{result.artifact.variant}{text}",
                "file": file.model_copy(update={"name": f"{text}{file.name}"}),
            }
        )
        split = Delegation(
            delegate=text, delegated={text: 2}, fallback={text + "!": 1}, reasons={text + "!": text}
        )
        artifact = artifact.model_copy(update={"delegation": split})
        runner = result.runner and result.runner.model_copy(
            update={"runtime_version": text, "arch": text}
        )
        profile = Profile(
            inferences=1,
            median_ns=1e5,
            operators=(
                OperatorTime(name=text, layer=text, delegated=False, mean_ns=5e3, share=1.0),
            ),
        )
        outputs = tuple(check.model_copy(update={"name": text}) for check in result.outputs)
        results.append(
            result.model_copy(
                update={
                    "artifact": artifact,
                    "runner": runner,
                    "profile": profile,
                    "outputs": outputs,
                }
            )
        )
    device = measurement.device.model_copy(
        update={"machine": text, "system": text, "kernel": text, "cpu": text}
    )
    probes = tuple(probe.model_copy(update={"name": text}) for probe in measurement.probes)
    notes = (
        MeasurementNote(level="warning", code="x", text=text),
        MeasurementNote(level="invalid", code="y", text=text, artifact=KEYS[0]),
    )
    names = {
        "target": text,
        "bundle_name": text,
        "failure": text,
        "timings": "meaningless",
        "timings_reason": text,
    }
    return measurement.model_copy(
        update={
            "artifacts": tuple(results),
            "device": device,
            "probes": probes,
            "notes": notes,
            **names,
        }
    )
