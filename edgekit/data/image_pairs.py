"""Images with a file beside each, in folders of their own: PATH/train/images and PATH/train/masks,
or PATH/images/train and PATH/masks/train; test, val and the like likewise. Owns finding the files
and the names of classes; what is in a file is the source's. Imports no torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from edgekit.data.images import SUFFIXES
from edgekit.data.split_folders import (
    HELD_OUT,
    TRAIN,
    FolderContents,
    files_below,
    other_files,
    split_folders,
)
from edgekit.errors import ModelError

Pairs = list[tuple[Path, Path]]
"""Images, and where the file that belongs to each is, or would be."""


def image_pairs(root: Path, beside: str, suffix: str, source: str) -> tuple[Pairs, Pairs]:
    """Images for training and for testing with their files, which lie in folders called `beside`
    and end in `suffix`. Raises ModelError: a folder or the images are not there."""
    train, test = _places(root, beside, source)
    return _in_folder(*train, suffix, source), _in_folder(*test, suffix, source)


def pairs_contents(root: Path, beside: str, source: str) -> FolderContents:
    """How many images there are, and what lies among them. Raises ModelError as `image_pairs`."""
    count, others = 0, Counter[str]()
    for images, _ in _places(root, beside, source):
        files, of_folder = files_below(images, SUFFIXES)
        count += len(files)
        others.update(of_folder)
    return FolderContents(count, (), other_files(others))


def class_names(root: Path, classes: Sequence[str] | None, source: str) -> tuple[str, ...]:
    """The classes in the order of their numbers: as given, or from classes.txt (one on each line),
    or from `names` of data.yaml. Raises ModelError where there are none."""
    names = classes if classes is not None else _written_names(root)
    if not names or isinstance(names, str):
        raise ModelError(
            f"data {source}: the names of the classes are missing",
            hint=f"give data.args.classes, or write them into {root / 'classes.txt'}",
        )
    return tuple(map(str, names))


def _places(root: Path, beside: str, source: str) -> tuple[tuple[Path, Path], tuple[Path, Path]]:
    """Where the images for training are, and what belongs to them; the same for testing."""
    if not root.is_dir():
        raise ModelError(
            f"data {source}: no such folder {root}",
            hint="data.args.path is relative to the recipe",
        )
    return _place(root, TRAIN, beside, source), _place(root, HELD_OUT, beside, source)


def _place(root: Path, names: Sequence[str], beside: str, source: str) -> tuple[Path, Path]:
    for split in split_folders(root, names):
        if (split / "images").is_dir():
            return split / "images", split / beside
    if (root / "images").is_dir():
        for images in split_folders(root / "images", names):
            return images, root / beside / images.name
    raise ModelError(
        f"data {source}: there is no folder {root / names[0] / 'images'}",
        hint=f"images lie in train/images and test/images, and what belongs to them in {beside};"
        f" test may be called {', '.join(HELD_OUT[1:])}",
    )


def _in_folder(images: Path, others: Path, suffix: str, source: str) -> Pairs:
    files, _ = files_below(images, SUFFIXES)
    if not files:
        raise ModelError(
            f"data {source}: no images below {images}", hint=f"images end in {', '.join(SUFFIXES)}"
        )
    return [(file, (others / file.relative_to(images)).with_suffix(suffix)) for file in files]


def _written_names(root: Path) -> Sequence[Any]:
    listed, described = root / "classes.txt", root / "data.yaml"
    try:
        if listed.is_file():
            lines = listed.read_text(encoding="utf-8").splitlines()
            return [line.strip() for line in lines if line.strip()]
        if described.is_file():
            return _names(YAML(typ="safe").load(described.read_text(encoding="utf-8")), described)
    except (OSError, ValueError, YAMLError) as error:
        reason = str(error).splitlines()[0]
        raise ModelError(f"the names of the classes cannot be read in {root}: {reason}") from None
    return []


def _names(content: Any, file: Path) -> Sequence[Any]:
    """`names` is a list, or a mapping from the numbers 0, 1, … to names."""
    names = content.get("names") if isinstance(content, Mapping) else None
    if isinstance(names, Mapping) and list(names) == list(range(len(names))):
        return list(names.values())
    if not isinstance(names, list):
        raise ModelError(f"{file}: names is neither a list nor a mapping from 0, 1, …")
    return names
