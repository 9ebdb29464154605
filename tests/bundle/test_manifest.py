"""A bundle is only opened when it is whole, unaltered and follows the format."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edgekit.bundle.directory import CONTENT_SHA256, bundle_id, content_sha256, open_bundle
from edgekit.errors import ResultError, UsageError
from tests.support.measured import make_bundle


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return make_bundle(tmp_path / "bundle", ["fp32.pte"]).path


def test_opens_what_was_written(bundle: Path) -> None:
    opened = open_bundle(bundle)
    assert [a.key for a in opened.manifest.artifacts] == ["fp32.pte"]
    assert [f.name for f in opened.files()] == [
        "fp32.pte",
        "reference/fp32.pte.inputs.bin",
        "reference/fp32.pte.outputs.bin",
    ]
    assert (
        opened.manifest.artifacts[0].file.deflated_bytes < opened.manifest.artifacts[0].file.bytes
    )


def test_a_flipped_bit_is_found(bundle: Path) -> None:
    content = bytearray((bundle / "fp32.pte").read_bytes())
    content[7] ^= 1
    (bundle / "fp32.pte").write_bytes(content)
    with pytest.raises(ResultError, match=r"fp32\.pte: does not match its hash"):
        open_bundle(bundle)


def test_a_missing_file_is_named(bundle: Path) -> None:
    (bundle / "fp32.pte").unlink()
    with pytest.raises(ResultError, match=r"fp32\.pte: missing"):
        open_bundle(bundle)


def test_a_symlink_is_not_a_file_of_the_bundle(bundle: Path, tmp_path: Path) -> None:
    moved = (bundle / "fp32.pte").rename(tmp_path / "elsewhere")
    (bundle / "fp32.pte").symlink_to(moved)
    with pytest.raises(ResultError, match="not a plain file"):
        open_bundle(bundle)


def test_a_surplus_file_is_named(bundle: Path) -> None:
    (bundle / "extra.so").write_bytes(b"")
    with pytest.raises(ResultError, match=r"does not name: extra\.so"):
        open_bundle(bundle)


@pytest.mark.parametrize(
    "name",
    ["../../etc/passwd", "/etc/passwd", "a/b", "-rf", "", "x" * 200, "a\nb", "reference/../x"],
)
def test_a_name_that_leads_elsewhere_is_refused(bundle: Path, name: str) -> None:
    manifest = json.loads((bundle / "manifest.json").read_text())
    manifest["artifacts"][0]["file"]["name"] = name
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ResultError, match="not a valid manifest"):
        open_bundle(bundle)


@pytest.mark.parametrize("what", ["artifact", "name"])
def test_what_is_listed_twice_is_refused(bundle: Path, what: str) -> None:
    manifest = json.loads((bundle / "manifest.json").read_text())
    again = json.loads(json.dumps(manifest["artifacts"][0]))
    if what == "name":
        again |= {"variant": "int8", "reference_outputs": again["file"] | {"sha256": "f" * 64}}
    manifest["artifacts"].append(again)
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ResultError, match="listed twice"):
        open_bundle(bundle)


def test_a_dynamic_size_is_of_an_axis_that_is_there(bundle: Path) -> None:
    manifest = json.loads((bundle / "manifest.json").read_text())
    manifest["artifacts"][0]["inputs"][0]["dynamic"] = [{"axis": 2, "max": 9}]
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ResultError, match="an axis that the tensor does not have"):
        open_bundle(bundle)


def test_a_huge_manifest_is_not_read(bundle: Path) -> None:
    with (bundle / "manifest.json").open("r+b") as stream:
        stream.truncate(2 << 30)
    with pytest.raises(ResultError, match="larger than 64 MiB") as raised:
        open_bundle(bundle)
    assert raised.value.exit_code == 9


@pytest.mark.parametrize("size", [1 << 40, -1, 1e308, "7"])
def test_a_file_of_another_size_is_not_even_hashed(bundle: Path, size: object) -> None:
    manifest = json.loads((bundle / "manifest.json").read_text())
    manifest["artifacts"][0]["file"]["bytes"] = size
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ResultError, match=r"does not match its hash|not a valid manifest"):
        open_bundle(bundle)


def test_a_changed_hash_changes_the_id(bundle: Path) -> None:
    manifest = json.loads((bundle / "manifest.json").read_text())
    del manifest[CONTENT_SHA256]
    manifest["artifacts"][0]["file"]["sha256"] = "f" * 64
    manifest[CONTENT_SHA256] = content_sha256(manifest)
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ResultError, match="its id does not follow"):
        open_bundle(bundle)


def test_every_number_and_key_that_is_altered_is_noticed(bundle: Path) -> None:
    """Case 67 of the faults: each value changed, each key renamed, taken out or added."""
    file = bundle / "manifest.json"
    whole = json.loads(file.read_text())
    first_of_format2 = f"manifest without {CONTENT_SHA256}"
    alterations = [(where, other) for where, other in altered(whole) if where != first_of_format2]
    assert len(alterations) > 100
    for where, manifest in alterations:
        assert manifest != whole, where
        file.write_text(json.dumps(manifest))
        with pytest.raises(ResultError) as raised:
            open_bundle(bundle)
        assert raised.value.exit_code == 9, where
    file.write_text(json.dumps(whole))
    open_bundle(bundle)


def test_an_earlier_manifest_without_a_hash_is_read_with_a_word(
    bundle: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = bundle / "manifest.json"
    values = json.loads(file.read_text())
    del values[CONTENT_SHA256]
    file.write_text(json.dumps(values))
    open_bundle(bundle)
    assert "of an earlier edgekit, where an altered number is not noticed" in caplog.text


def altered(value: Any, where: str = "manifest") -> Iterator[tuple[str, Any]]:
    """Copies of JSON data, each with one change, and where it is."""
    if isinstance(value, dict):
        yield f"{where} with one key more", {**value, "surplus": 1}
        for key, inner in value.items():
            others = {name: other for name, other in value.items() if name != key}
            yield f"{where} without {key}", others
            yield f"{where} with {key} renamed", {**others, f"{key}_": inner}
            for place, changed in altered(inner, f"{where}.{key}"):
                yield place, {**value, key: changed}
    elif isinstance(value, list):
        yield f"{where} with one more", [*value, value[-1] if value else 1]
        for index, inner in enumerate(value):
            for place, changed in altered(inner, f"{where}[{index}]"):
                yield place, [*value[:index], changed, *value[index + 1 :]]
    elif isinstance(value, bool):
        yield where, not value
    elif isinstance(value, str):
        yield where, f"{value}0"
    else:
        yield where, 0 if value is None else value + 1


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "null",
        "{",
        "[" * 50_000,
        '{"format": 3}',
        '{"format": 2}',
        '{"format": 1, "surprise": 1}',
    ],
)
def test_garbage_is_not_a_manifest(bundle: Path, content: str) -> None:
    (bundle / "manifest.json").write_text(content)
    with pytest.raises(ResultError, match="not a valid manifest"):
        open_bundle(bundle)


def test_a_directory_without_manifest_is_not_a_bundle(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not a bundle"):
        open_bundle(tmp_path)


def test_the_id_ignores_when_and_how_long(bundle: Path, tmp_path: Path) -> None:
    first = open_bundle(bundle).manifest
    again = first.model_copy(update={"created": "2030-01-01T00:00:00+00:00"})
    assert bundle_id(again.recipe_sha256, again.artifacts) == first.id
    assert bundle_id("1" * 64, again.artifacts) != first.id
