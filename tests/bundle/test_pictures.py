"""The file of pictures: what is written is read, whatever else is refused, and bundles without it
stay as they are."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.bundle.directory import describe_file, open_bundle, write_manifest
from edgekit.bundle.pictures import (
    MAX_CELLS,
    MAX_SIDE,
    CountTable,
    Mask,
    Numbers,
    Pixels,
    read_pictures,
)
from edgekit.errors import ResultError
from tests.support.drawn import KINDS, drawn_pictures, drawn_sample
from tests.support.measured import make_bundle

TABLE = CountTable.of(np.array([[3, 1], [0, 2]]))


def written(directory: Path) -> Path:
    samples = [drawn_sample(marks, number) for number, marks in enumerate(KINDS.values())]
    file = directory / "pictures.json"
    file.write_text(drawn_pictures(*samples, tables={"fp32.pte": TABLE}).model_dump_json())
    return file


def test_what_is_written_is_read(tmp_path: Path) -> None:
    pictures = read_pictures(written(tmp_path))
    assert [sample.truth for sample in pictures.samples] == list(KINDS.values())
    assert pictures.tables["fp32.pte"].cells == ((0, 0, 3), (1, 1, 2), (0, 1, 1))
    image = pictures.samples[0].image
    assert image
    assert image.array().tolist() == np.arange(256).reshape(16, 16).tolist()


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 3), (MAX_SIDE, 1)])
def test_pixels_come_back(shape: tuple[int, ...]) -> None:
    array = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    np.testing.assert_array_equal(Pixels.of(array).array(), array)


def test_large_masks_and_long_answers_are_cut() -> None:
    mask = Mask.of(np.full((1000, 300), 700))
    assert (mask.pixels.height, mask.pixels.width) == (250, 75)
    assert (mask.pixels.array() == 255).all()
    assert len(Numbers(values=tuple(range(1000))).values) == 8
    assert len(CountTable.of(np.ones((200, 200), dtype=int)).cells) == MAX_CELLS


def changed(key: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(data: dict[str, Any]) -> None:
        data["samples"][0][key] = value

    return change


def bomb(data: dict[str, Any]) -> None:
    deflated = base64.b64encode(zlib.compress(bytes(100 << 20))).decode()
    data["samples"][0]["image"]["deflated"] = deflated


def cut_off(data: dict[str, Any]) -> None:
    data["samples"][0]["image"]["height"] = 17


def outside(data: dict[str, Any]) -> None:
    data["tables"]["fp32.pte"]["cells"] = [[2, 0, 1]]


@pytest.mark.parametrize(
    "change",
    [
        bomb,
        cut_off,
        outside,
        changed("image", {"height": 1, "width": 1, "deflated": "<svg>"}),
        changed("image", {"height": 1, "width": 100_000, "deflated": ""}),
        changed("truth", {"kind": "script", "text": "x"}),
        changed("script", "x"),
        changed("number", -1),
        changed("signals", [[float("nan"), 1.0]]),
        changed("answers", {str(number): {"kind": "boxes", "boxes": []} for number in range(9)}),
    ],
)
def test_what_is_not_such_a_file_is_refused(
    tmp_path: Path, change: Callable[[dict[str, Any]], None]
) -> None:
    file = written(tmp_path)
    data = json.loads(file.read_text())
    change(data)
    file.write_text(json.dumps(data))
    with pytest.raises(ResultError, match=r"pictures\.json: not what a report can show") as raised:
        read_pictures(file)
    assert raised.value.hint == "build the bundle again"


@pytest.mark.parametrize("data", [b"", b"\x80", b"[" * 100_000, b'{"format": 2}'])
def test_garbage_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "pictures.json").write_bytes(data)
    with pytest.raises(ResultError):
        read_pictures(tmp_path / "pictures.json")


def test_a_bundle_holds_it_by_its_hash_and_keeps_it_from_devices(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "bundle")
    assert bundle.manifest.pictures is None
    described = describe_file(written(bundle.path), "pictures.json")
    write_manifest(bundle.path, bundle.manifest.model_copy(update={"pictures": described}))
    opened = open_bundle(bundle.path)
    assert opened.manifest.id == bundle.manifest.id
    assert described in opened.all_files()
    assert described not in opened.files()
    (bundle.path / "pictures.json").write_text("{}")
    with pytest.raises(ResultError, match="does not match its hash"):
        open_bundle(bundle.path)
