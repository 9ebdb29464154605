"""Paths with `~/` and `../` in recipes: each means one place, whoever reads it."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgekit.cli.recipe_new import _relative
from edgekit.data.fingerprint import dataset_fingerprint
from edgekit.data.outline import contents_of, outline_of
from edgekit.errors import UsageError
from edgekit.models.fingerprint import resolve_weights
from edgekit.recipe.load import load_recipe
from tests.support.recipes import BASE, write


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = tmp_path / "home"
    place.mkdir()
    monkeypatch.setenv("HOME", str(place))
    return place


def test_weights(home: Path, tmp_path: Path) -> None:
    (home / "net.pt").touch()
    assert resolve_weights("~/net.pt", tmp_path / "recipes") == home / "net.pt"
    assert resolve_weights("../home/net.pt", home) == home / "../home/net.pt"


@pytest.mark.parametrize("written", ["~/photos", "../home/photos"])
def test_a_folder_of_data(written: str, home: Path, tmp_path: Path) -> None:
    base = tmp_path / "recipes"
    base.mkdir()
    (home / "photos" / "cat").mkdir(parents=True)
    (home / "photos" / "cat" / "1.jpg").touch()
    args = {"path": written}
    outline = outline_of("image_folder", args, base)
    contents = contents_of("image_folder", args, base)
    assert outline is not None
    assert contents is not None
    assert (outline.classes, contents.files) == (1, 1)
    before = dataset_fingerprint("image_folder", args, base)
    (home / "photos" / "cat" / "2.jpg").touch()
    assert dataset_fingerprint("image_folder", args, base) != before


@pytest.mark.parametrize("written", ["~/base.yaml", "../home/base.yaml"])
def test_what_a_recipe_extends(written: str, home: Path, tmp_path: Path) -> None:
    write(home, BASE, "base.yaml")
    path = write(tmp_path / "recipes", f"extends: {written}\nname: child\n")
    assert load_recipe(path).recipe.name == "child"


@pytest.mark.parametrize("argument", ["train", "test", "train_annotations", "path"])
def test_every_argument_that_is_a_path_is_checked(argument: str, tmp_path: Path) -> None:
    data = f"{{name: npz, args: {{{argument}: $HOME/x.npz}}}}"
    path = write(tmp_path, BASE.replace("{name: fashion_mnist}", data))
    with pytest.raises(UsageError, match=rf" {argument}: .*variable \$HOME") as caught:
        load_recipe(path)
    assert "never expanded" in caught.value.message


def test_an_argument_that_is_no_path_is_left_alone(tmp_path: Path) -> None:
    data = "{name: csv, args: {path: x.csv, target: a$b}}"
    assert load_recipe(write(tmp_path, BASE.replace("{name: fashion_mnist}", data)))


def test_a_new_recipe_keeps_the_home_it_is_given(home: Path, tmp_path: Path) -> None:
    assert _relative("~/photos/", tmp_path / "deep" / "mine.yaml") == "~/photos/"
