"""What int8 costs one layer: the value. How it is measured is in sensitivity.py, which needs torch;
this module does not, so that whoever only reads the result stays light."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class LayerSensitivity:
    """`name` is a layer, or an operator without weights as `LAYER: operator`; `weights` how many it
    has. SNR in dB at the network's output, against the same network in float; infinite where
    nothing is lost."""

    name: str
    weights: int
    alone_db: float
    without_db: float
