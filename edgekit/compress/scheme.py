"""How a compressed model computes, in words that no method and no backend owns.

Owns the `Scheme` alone. A quantization method says which scheme its checkpoints have; export and
backends read it to know what to write into a file, and refuse what they cannot run. Imports
nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Activations = Literal["float", "dynamic", "static"]


@dataclass(frozen=True)
class Scheme:
    """The numbers a model computes with.

    `weights` is the dtype that weights are stored in: `float32`, `float16`, `int8` and so on.

    `activations` is what flows between the layers: `float`, integers whose scale is found while
    running (`dynamic`), or integers whose scale is fixed in the file (`static`).

    `in_graph` says who quantizes. True: the checkpoint's model is a prepared graph that already
    holds the scales; a backend converts it. False: the model is float, and a backend quantizes the
    weights while it writes the file.

    Layers that stay float by name (`keep_float`) are not part of it: they travel beside it."""

    weights: str = "float32"
    activations: Activations = "float"
    in_graph: bool = False


FLOAT = Scheme()
"""A model that is not quantized."""
