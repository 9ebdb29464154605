"""What is known of the built-in networks without building them: for `recipe new` and the cache.
Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Traits:
    """One built-in network.

    `dimensions` of one sample: 3 for images, 2 for series of shape (steps, features), 1 for a row
    of features. A network of series or rows is told `features`.
    `channels`: the only number of channels it takes; None: it is told `in_channels`.
    `smallest_image`: smaller images would leave nothing of it.
    `recordings`: whether a sample is a recording, of shape (1, samples).
    `classes`: the only number of classes it has; None: it is told `num_classes`.
    `suppliers`: distributions whose version decides what is built."""

    dimensions: int = 3
    channels: int | None = None
    smallest_image: int = 0
    recordings: bool = False
    classes: int | None = None
    suppliers: tuple[str, ...] = ()


TRAITS = {
    "ds_cnn": Traits(smallest_image=49),
    "ds_cnn_audio": Traits(dimensions=2, channels=1, recordings=True),
    "efficientnet_lite0": Traits(
        channels=3, smallest_image=64, suppliers=("efficientnet-lite-pytorch",)
    ),
    "lstm": Traits(dimensions=2),
    "mlp": Traits(dimensions=1),
    "mobilenet_v1_025": Traits(smallest_image=32),
    "mobilenet_v2_small": Traits(smallest_image=32),
    "mtcnn_onet": Traits(channels=3, smallest_image=48, classes=2),
    "resnet8": Traits(smallest_image=32),
    "small_cnn": Traits(),
    "ssd_mobilenet_v2": Traits(smallest_image=32),
    "unet": Traits(smallest_image=16),
    "vit": Traits(smallest_image=8),
}
"""By the name in `edgekit.models.MODELS`."""
