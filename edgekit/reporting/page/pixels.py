"""Small images as PNG inside the page, and the colours of classes on them."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.errors import UsageError
from edgekit.installing import install_command

PALETTE = (
    "#e69f00",
    "#56b4e9",
    "#d55e00",
    "#009e73",
    "#f0e442",
    "#cc79a7",
    "#0072b2",
    "#ffffff",
)
"""Told apart by the colour-blind (Okabe & Ito, "Color universal design", 2008), with white for
black, as many images are dark. They lie on images, so they are the same in light and dark."""
IGNORED = 255
OPACITY = 150
"""Of a mask, of 255."""


def colour_of(number: int) -> str:
    """The colour of a class, from the first on again after the last."""
    return PALETTE[number % len(PALETTE)]


def mask_colour(number: int) -> str:
    """As `colour_of`, for masks: the first class leaves the image as it is, as it is the background
    more often than not."""
    if number == IGNORED:
        return "#000000"
    return colour_of(number - 1) if number else "none"


def image_uri(pixels: NDArray[np.uint8]) -> str:
    """Of an image of shape (H, W) or (H, W, 3)."""
    return _uri(pixels)


def mask_uri(classes: NDArray[np.uint8]) -> str:
    """Of class numbers of shape (H, W): a colour for each, through which the image is seen."""
    colours = np.zeros((256, 4), dtype=np.uint8)
    for number in range(1, 256):
        colours[number] = (*bytes.fromhex(mask_colour(number)[1:]), OPACITY)
    return _uri(colours[classes])


def _uri(pixels: NDArray[np.uint8]) -> str:
    stream = io.BytesIO()
    _pillow().fromarray(pixels).save(stream, format="PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(stream.getvalue()).decode()}"


def _pillow() -> Any:
    try:
        from PIL import Image
    except ImportError:
        raise UsageError(
            "the report's pictures need Pillow, which is not installed",
            hint=install_command("report"),
        ) from None
    return Image
