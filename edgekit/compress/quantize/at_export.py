"""Quantization that a backend does while it writes the file: the checkpoint stays a float model and
says what is to become of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING

from edgekit.compress.method import Result
from edgekit.compress.scheme import Scheme
from edgekit.compress.sections import QuantizeBase

if TYPE_CHECKING:
    from edgekit.compress.checkpoint import Checkpoint
    from edgekit.compress.context import StageContext

Run = Callable[["StageContext", "Checkpoint", QuantizeBase], Result]


def quantized_at_export(scheme: Scheme) -> Run:
    """The `run` of a method whose backends quantize to `scheme`."""

    def run(context: StageContext, checkpoint: Checkpoint, section: QuantizeBase) -> Result:
        from edgekit.compress.checkpoint import Quantization

        quantization = Quantization(section.method, scheme, section.keep_float)
        return dataclasses.replace(checkpoint, quantization=quantization), ()

    return run
