"""What is known of the built-in networks without building them: for `recipe new` and the cache.
Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Traits:
    """One built-in network.

    `series`: it takes series of shape (steps, features) and is told `features`; others take images.
    `channels`: the only number of channels it takes; None: it is told `in_channels`.
    `smallest_image`: smaller images would leave nothing of it.
    `suppliers`: distributions whose version decides what is built."""

    series: bool = False
    channels: int | None = None
    smallest_image: int = 0
    suppliers: tuple[str, ...] = ()


TRAITS = {
    "ds_cnn": Traits(smallest_image=49),
    "efficientnet_lite0": Traits(
        channels=3, smallest_image=64, suppliers=("efficientnet-lite-pytorch",)
    ),
    "lstm": Traits(series=True),
    "mobilenet_v1_025": Traits(smallest_image=32),
    "mobilenet_v2_small": Traits(smallest_image=32),
    "resnet8": Traits(smallest_image=32),
    "small_cnn": Traits(),
}
"""By the name in `edgekit.models.MODELS`."""
