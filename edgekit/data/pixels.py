"""An image file as pixels of 8 bits, grey or RGB, of whatever depth and colours it is. Owns what
Pillow's modes mean; what becomes of the pixels is the source's business."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgekit.errors import ModelError

if TYPE_CHECKING:
    from PIL import Image

NO_RANGE = ("I", "F")
"""Modes of 32 bits, of which no file says what is black and what is white."""
TRANSPARENT = ("LA", "PA", "RGBA", "La", "RGBa")
SIXTEEN_BITS = ("PNG", "PPM")
"""Formats of whole numbers of at most 16 bits, which Pillow may open with 32."""


def opened(path: Path) -> Image.Image:
    """An image, decoded and turned upright. Raises ModelError that names a file which cannot be."""
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as image:
            upright = ImageOps.exif_transpose(image)
            if upright.mode == "I" and image.format in SIXTEEN_BITS:
                return upright.convert("I;16")
            return upright
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        reason = str(error).splitlines()[0]
        raise ModelError(f"damaged image {path} ({reason})", hint="remove or replace it") from None


def eight_bits(image: Image.Image, channels: int, path: Path) -> Image.Image:
    """The image in 8 bits, grey for one channel and RGB for three. Of 16 bits the upper 8 are
    taken, as of a colour image; what is transparent lets white through.

    Raises ModelError that names a file whose values cannot be told apart as black and white."""
    from PIL import Image

    mode = "L" if channels == 1 else "RGB"
    if image.mode in NO_RANGE:
        raise ModelError(
            f"{path}: 32 bits a pixel (Pillow's mode {image.mode}), and nothing says which value is"
            " white",
            hint="save it with 8 or 16 bits, or load such files with a source of your own",
        )
    if image.mode.startswith("I;16"):
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    try:
        if image.mode in TRANSPARENT or "transparency" in image.info:
            colours = image.convert("RGBA")
            white = Image.new("RGBA", image.size, "white")
            image = Image.alpha_composite(white, colours)
        if image.mode == "LAB":  # which Pillow converts to RGB alone
            image = image.convert("RGB")
        return image.convert(mode)
    except ValueError as error:
        raise ModelError(
            f"{path}: its colours (Pillow's mode {image.mode}) cannot be converted: {error}",
            hint="save it as RGB",
        ) from None
