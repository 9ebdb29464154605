"""What it costs to watch a device while it is measured, in percent of a core. Run: .venv/bin/python
tools/bench/watching.py MODEL.pte [MODEL.tflite]

The runners read probes twice a second between two inferences. Here they read 24 files of the kernel
after every inference, so that a reading's cost stands out: the time between inferences with and
without, interleaved, medians of the rounds. The state of the device is asked for after each run.
"""

from __future__ import annotations

import os
import resource
import statistics
import sys

from edgekit.devices.fact_scripts import collect_state
from edgekit.devices.local import LocalDevice
from edgekit.measure.interleaving import PROBE_EVERY_S
from edgekit.measure.protocol import parse_runner_output
from edgekit.runners.litert_native import native_litert
from edgekit.runners.native import native_runner

PROBES = [
    "/proc/sys/vm/overcommit_ratio",
    "/proc/loadavg",
    "/proc/sys/vm/swappiness",
    "/proc/uptime",
] * 6
ROUNDS, SECONDS = 7, 0.5
TARGET = "at most 1 % of a core"


def seconds_an_inference(argv: tuple[str, ...], model: str, window_ns: int) -> float:
    """Wall time from one inference to the next."""
    options = [
        "--model",
        model,
        "--nonce",
        "00",
        "--min-ns",
        str(round(SECONDS * 1e9)),
        "--max-ns",
        str(round(SECONDS * 1e9)),
    ]
    done = LocalDevice().run(
        [
            *argv,
            *options,
            "--mode",
            "sustain",
            "--window-ns",
            str(window_ns),
            "--probes",
            ":".join(PROBES),
        ],
        timeout_s=60,
    )
    windows = parse_runner_output(done.stdout, nonce="00", mode="sustain").windows
    return (windows[-1].at_ns - windows[0].at_ns) / 1e9 / windows[-1].iterations


def main() -> None:
    runners = {
        suffix: runtime.argv(str(runtime.files[0].path.parent))
        for suffix, runtime in ((".pte", native_runner()), (".tflite", native_litert()))
    }
    for model in map(os.path.abspath, sys.argv[1:]):
        argv = runners[os.path.splitext(model)[1]]
        pairs = [
            (seconds_an_inference(argv, model, 1), seconds_an_inference(argv, model, 10**9))
            for _ in range(ROUNDS)
        ]
        cost_s = statistics.median(watched - alone for watched, alone in pairs)
        share = 100 * cost_s / PROBE_EVERY_S
        print(
            f"{os.path.basename(model)}: {1e6 * cost_s:.0f} µs a reading of {len(PROBES)} files,"
            f" {share:.3f} % of a core (target: {TARGET})"
        )
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    for _ in range(20):
        collect_state(LocalDevice())
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent_ms = 1e3 * (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / 20
    print(f"state after a run: {spent_ms:.1f} ms of processor time, outside the run")


if __name__ == "__main__":
    main()
