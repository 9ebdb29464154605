"""Pictures on the page: each kind of answer is drawn, hostile names stay text, and a bundle without
pictures says so."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgekit.bundle.directory import Bundle, describe_file, open_bundle, write_manifest
from edgekit.bundle.pictures import Classes, CountTable, Pictures
from edgekit.errors import ResultError
from edgekit.reporting.page import report
from edgekit.reporting.page.answers import answers_section
from edgekit.reporting.page.content import page
from edgekit.reporting.page.document import html
from edgekit.reporting.page.pixels import PALETTE
from edgekit.reporting.page.values import Gallery, Matrix, Picture, Table
from tests.support.drawn import KEYS, KINDS, drawn_pictures, drawn_sample
from tests.support.hostile import HOSTILE
from tests.support.parsed_page import ParsedPage

CLASSES = ("cat", "dog", "bird")


def parsed_page(
    bundle: Bundle, pictures: Pictures | None, classes: tuple[str, ...] = CLASSES
) -> ParsedPage:
    manifest = bundle.manifest.model_copy(update={"classes": classes})
    named = Bundle(path=bundle.path, manifest=manifest)
    return ParsedPage(html(page(named, [], None, {}, {}, pictures), made="2026-01-01"))


def pixels_of(uri: str) -> np.ndarray:
    data = base64.b64decode(uri.removeprefix("data:image/png;base64,"))
    return np.asarray(Image.open(io.BytesIO(data)))


def pictures_of(gallery: object) -> list[Picture]:
    assert isinstance(gallery, Gallery)
    return [panel.picture for card in gallery.cards for panel in card.panels if panel.picture]


TAGS = {"classes": "image", "numbers": "image", "boxes": "rect", "points": "path", "mask": "image"}
TEXTS = {"classes": "dog 90 %", "numbers": "-2.25 mm", "boxes": "dog 75 %", "mask": "bird"}


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_drawn(bundle: Bundle, kind: str) -> None:
    parsed = parsed_page(bundle, drawn_pictures(drawn_sample(KINDS[kind])))
    tags = [tag for tag, _ in parsed.tags]
    assert "Test sample 0" in parsed.text
    assert parsed.text.count("loss 0.5") == 2
    assert TAGS[kind] in tags
    assert tags.count("svg") == (1 if kind in ("classes", "numbers") else 3)
    assert TEXTS.get(kind, "") in parsed.text


def test_an_image_is_the_samples_and_a_mask_lies_over_it() -> None:
    section = answers_section(drawn_pictures(drawn_sample(KINDS["mask"])), CLASSES)
    image, mask = pictures_of(section.blocks[0])[0].layers
    assert pixels_of(image).tolist() == np.arange(256).reshape(16, 16).tolist()
    colours = pixels_of(mask)
    assert colours[0, 0, 3] == 0  # the first class leaves the image as it is
    assert "#" + bytes(colours[0, 15, :3]).hex() == PALETTE[0]
    assert "#" + bytes(colours[15, 15, :3]).hex() == PALETTE[1]
    assert section.blocks[0].legend == (  # type: ignore[union-attr]
        ("none", "cat"),
        (PALETTE[0], "dog"),
        (PALETTE[1], "bird"),
    )


def test_first_and_worst_samples_are_told_apart(bundle: Bundle) -> None:
    samples = [drawn_sample(KINDS["boxes"], number) for number in (0, 7)]
    text = parsed_page(bundle, drawn_pictures(*samples)).text
    assert "The first test samples" in text
    assert "Where int8.pte is most wrong, of 100 test samples (loss)" in text
    assert text.index("Test sample 0") < text.index("most wrong") < text.index("Test sample 7")


def test_a_series_is_a_line_and_a_row_of_numbers_only_its_values(bundle: Bundle) -> None:
    row = drawn_sample(KINDS["numbers"]).model_copy(update={"image": None})
    series = row.model_copy(update={"signals": ((0.0, 1.0, 0.5), (1.0, 1.0, 0.0))})
    tags = [tag for tag, _ in parsed_page(bundle, drawn_pictures(series)).tags]
    assert tags.count("polyline") == 2
    parsed = parsed_page(bundle, drawn_pictures(row))
    assert "svg" not in [tag for tag, _ in parsed.tags]
    assert "1.5 mm" in parsed.text


def test_a_flat_series_is_drawn(bundle: Bundle) -> None:
    flat = drawn_sample(KINDS["numbers"]).model_copy(
        update={"image": None, "signals": ((2.0, 2.0, 2.0),)}
    )
    assert "polyline" in [tag for tag, _ in parsed_page(bundle, drawn_pictures(flat)).tags]


def test_right_and_wrong_classes_look_different() -> None:
    sample = drawn_sample(KINDS["classes"])
    section = answers_section(drawn_pictures(sample), CLASSES)
    assert isinstance(section.blocks[0], Gallery)
    _, answer, _ = section.blocks[0].cards[0].panels
    assert [line.tone for line in answer.lines] == ["good", "good", "dim"]
    wrong = sample.model_copy(update={"truth": Classes(classes=())})
    section = answers_section(drawn_pictures(wrong), CLASSES)
    assert isinstance(section.blocks[0], Gallery)
    truth, answer, _ = section.blocks[0].cards[0].panels
    assert truth.lines[0].text == "none"
    assert [line.tone for line in answer.lines] == ["", "", "dim"]


def test_counts_are_a_shaded_matrix(bundle: Bundle) -> None:
    counts = np.array([[3, 1, 0], [0, 2000, 0], [1, 0, 0]])
    table = CountTable.of(counts, extra="nothing", columns="detected")
    pictures = drawn_pictures(tables={KEYS[0]: table})
    matrix = answers_section(pictures, CLASSES).blocks[0]
    assert isinstance(matrix, Matrix)
    assert matrix.columns == ("cat", "dog", "nothing")
    assert matrix.rows[0] == ("cat", (("3", 0.75, True), ("1", 0.25, False), ("", 0.0, False)))
    assert matrix.rows[1][1][1] == ("2,000", 1.0, True)
    assert "fp32.pte: true against detected" in parsed_page(bundle, pictures).text


def test_many_classes_are_their_most_frequent_mistakes() -> None:
    counts = np.diag(np.full(40, 9))
    counts[3, 4], counts[7, 5] = 6, 1
    table = answers_section(drawn_pictures(tables={KEYS[0]: CountTable.of(counts)}), ()).blocks[0]
    assert isinstance(table, Table)
    texts = [[cell.text for cell in row] for row in table.rows]
    assert texts == [["class 3", "class 4", "6", "40.0 %"], ["class 7", "class 5", "1", "10.0 %"]]


def test_hostile_names_stay_text(bundle: Bundle) -> None:
    text = HOSTILE.format(url="http://127.0.0.1:9/x")
    samples = [
        drawn_sample(marks, number).model_copy(update={"answers": {text: marks}})
        for number, marks in enumerate(KINDS.values())
    ]
    table = CountTable.of(np.array([[1]]), rows=text[:40], columns=text[:40], counted=text[:40])
    pictures = drawn_pictures(*samples, tables={text: table}).model_copy(
        update={"error_label": text, "worst_of": text}
    )
    parsed = parsed_page(bundle, pictures, (text, text, text))
    assert [tag for tag, _ in parsed.tags].count("script") == 3
    assert not [tag for tag, _ in parsed.tags if tag in ("a", "img") and tag == "img"]
    links = [attrs.get("href") or "" for tag, attrs in parsed.tags if tag in ("a", "image")]
    assert links
    assert all(link.startswith(("#", "data:image/png;base64,")) for link in links)
    assert not [name for _, attrs in parsed.tags for name in attrs if name.startswith("on")]
    assert "\x1b" not in parsed.text
    assert "<script>document.title" in parsed.text


def test_a_bundle_without_pictures_says_so(bundle: Bundle) -> None:
    text = parsed_page(bundle, None).text
    assert "Not here: what the model answers on samples" in text
    assert "edgekit build RECIPE" in text


def test_the_report_reads_them_from_the_bundle(bundle: Bundle, tmp_path: Path) -> None:
    file = bundle.path / "pictures.json"
    db = f"sqlite:///{tmp_path / 'results.db'}"
    for text in (drawn_pictures(drawn_sample(KINDS["boxes"])).model_dump_json(), "{}"):
        file.write_text(text)
        described = describe_file(file, file.name)
        write_manifest(bundle.path, bundle.manifest.model_copy(update={"pictures": described}))
        if text == "{}":
            with pytest.raises(ResultError, match="looked_at"):
                report(open_bundle(bundle.path), output=tmp_path / "page.html", db=db)
        else:
            made = report(open_bundle(bundle.path), output=tmp_path / "page.html", db=db)
            assert "Test sample 0" in made.read_text()
