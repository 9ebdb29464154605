"""An image and what is known of it come to lie in the same place."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from edgekit.data.letterbox import IGNORED, letterbox

pytestmark = pytest.mark.torch

SIZES = [(40, 60), (60, 40), (7, 200), (32, 48), (100, 100), (1, 1)]


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_the_whole_image_is_there_in_its_own_aspect(height: int, width: int) -> None:
    place = letterbox(height, width, (1, 32, 48))
    assert place.inner_height == 32 or place.inner_width == 48
    scale = min(32 / height, 48 / width)
    assert abs(place.inner_height - height * scale) <= 0.5 or place.inner_height == 1
    assert abs(place.inner_width - width * scale) <= 0.5
    white = place.image(torch.full((1, height, width), 255, dtype=torch.uint8))[0]
    assert white.shape == (32, 48)
    assert int(white.sum()) == 255 * place.inner_height * place.inner_width


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_a_box_goes_where_its_pixels_go(height: int, width: int) -> None:
    place = letterbox(height, width, (3, 32, 48))
    x1, y1, x2, y2 = place.boxes(np.array([[0, 0, width, height]]))[0]
    assert (x1, y1) == (place.left, place.top)
    assert (x2, y2) == (place.left + place.inner_width, place.top + place.inner_height)


def test_a_white_rectangle_its_box_and_its_mask_agree() -> None:
    pixels = torch.zeros((1, 40, 60), dtype=torch.uint8)
    pixels[:, 10:30, 20:40] = 255
    place = letterbox(40, 60, (1, 80, 160))
    [[x1, y1, x2, y2]] = place.boxes(np.array([[20, 10, 40, 30]])).astype(int)
    image = place.image(pixels)[0]
    mask = place.mask((pixels[0] > 0).to(torch.uint8).numpy())
    assert (x1, y1, x2, y2) == (60, 20, 100, 60)
    assert bool((image[y1 + 2 : y2 - 2, x1 + 2 : x2 - 2] == 255).all())
    assert int(image.sum()) == pytest.approx(255 * (x2 - x1) * (y2 - y1), rel=0.05)
    assert (mask[y1:y2, x1:x2] == 1).all()
    assert (mask == 1).sum() == (x2 - x1) * (y2 - y1)


def test_what_is_around_the_image_is_ignored() -> None:
    mask = letterbox(10, 20, (1, 20, 20)).mask(np.zeros((10, 20), np.uint8))
    assert (mask[:5] == IGNORED).all()
    assert (mask[15:] == IGNORED).all()
    assert (mask[5:15] == 0).all()
