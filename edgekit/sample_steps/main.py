"""One run of the program on a board: the plan comes on standard input, as JSON, and the times of
both steps go out.

The plan names the files of stored inputs and outputs, says how their tensors are stored, what the
inputs are made of, and which decoding makes answers of the outputs; without one there is no second
step. Python packages in `site/python.zip` beside the program come first, as for the LiteRT
runner."""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Mapping
from typing import Any

from .protocol import Protocol

EXIT_LOAD, EXIT_EXECUTION, EXIT_IO = 3, 4, 5


def main() -> int:
    plan = json.load(sys.stdin)
    protocol = Protocol(plan["nonce"])
    try:
        if plan["cpus"]:
            os.sched_setaffinity(0, plan["cpus"])
        import_numpy()
        time_steps(plan, protocol)
    except ImportError as error:
        return failed(protocol, EXIT_LOAD, f"numpy does not import: {error}")
    except OSError as error:
        return failed(protocol, EXIT_IO, str(error))
    except Exception as error:
        return failed(protocol, EXIT_EXECUTION, f"{type(error).__name__}: {error}")
    protocol.send("end", ok=True)
    return 0


def failed(protocol: Protocol, code: int, message: str) -> int:
    sys.stderr.write(f"sample_steps: {message}\n")
    protocol.send("error", code=code, message=message[:1000])
    return code


def import_numpy() -> None:
    beside = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    packages = os.path.join(beside, "site", "python.zip")
    if os.path.isfile(packages):
        sys.path.insert(0, packages)
        importlib.import_module("edgekit_packed")
    importlib.import_module("numpy")


def time_steps(plan: Mapping[str, Any], protocol: Protocol) -> None:
    """Time what is done to the stored samples before and after an inference."""
    from .decoding.lookup import decoder  # from here on numpy is there
    from .preparing import DescribedInput, raw_samples, whole_input
    from .tensors import StoredTensor, real_values, samples_in
    from .timing import times_ns

    inputs = [StoredTensor(**spec) for spec in plan["inputs"]]
    described = [DescribedInput(**spec) for spec in plan["described"]]
    raw = raw_samples(read(plan["inputs_file"]), inputs, described)
    protocol.send_times("pre", times_ns(lambda sample: whole_input(sample, inputs, described), raw))
    if plan["decoding"] is None:
        return
    outputs = [StoredTensor(**spec) for spec in plan["outputs"]]
    decode = decoder(**plan["decoding"])
    stored = list(samples_in(read(plan["outputs_file"]), outputs))
    protocol.send_times(
        "post", times_ns(lambda sample: decode(real_values(sample, outputs)), stored)
    )


def read(path: str) -> bytes:
    with open(path, "rb") as stream:
        return stream.read()
