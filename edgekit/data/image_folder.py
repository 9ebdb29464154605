"""Your own images, a folder for each class: PATH/train/CLASS/*.jpg beside PATH/test/… or
PATH/val/…, or PATH/CLASS/*.jpg, split by class and seed.

Owns the folders; how an image is decoded is in images.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edgekit.data.source import Outline, Request, Source, times
from edgekit.errors import ModelError

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")

Files = list[tuple[Path, int]]
"""Images and the numbers of their classes."""


def load(request: Request, *, path: str, test_fraction: float = 0.2) -> tuple[Any, ...]:
    """Each image is turned upright, resized so that it covers the input, and cropped at the centre;
    grey for one channel, RGB for three. All of them are held in memory, one byte for each value.

    Raises ModelError: no such folder, no images, damaged images (by name), too little memory."""
    import numpy as np

    from edgekit.data.dataset import shuffled
    from edgekit.data.images import check_memory, decoded

    if len(request.shape) != 3 or request.shape[0] not in (1, 3):
        raise ModelError(
            "data image_folder: images have 1 or 3 channels, but the recipe's input is"
            f" {times(request.shape)}"
        )
    train, test, classes = _split(_folder(path, request.base), test_fraction, request.seed)
    chosen = []
    for files, limit in ((train, request.train_limit), (test, request.test_limit)):
        if limit is not None and limit < len(files):
            files = [files[row] for row in shuffled(len(files), request.seed)[:limit].tolist()]
        chosen.append(files)
    check_memory(sum(map(len, chosen)), request.shape, "image_folder")
    images = decoded([file for files in chosen for file, _ in files], request.shape, "image_folder")
    labels = np.array([label for files in chosen for _, label in files])
    cut = len(chosen[0])
    return images[:cut], labels[:cut], images[cut:], labels[cut:], classes


def outline(args: Mapping[str, Any], base: Path) -> Outline | None:
    """Counts the folders of classes. None without a path; `load` says so."""
    path = args.get("path")
    if not isinstance(path, str):
        return None
    root = _folder(path, base)
    held_out = _held_out(root)
    if held_out is None:
        classes = _class_folders(root)
        _listing(root, classes)
    else:
        classes = _class_folders(root / "train")
        _listing(root / "train", classes)
        _listing(held_out, classes)
    return Outline((3, 32, 32), classes=len(classes))


def _folder(path: str, base: Path) -> Path:
    root = base / path
    if not root.is_dir():
        raise ModelError(
            f"data image_folder: no such folder {root}",
            hint="data.args.path is relative to the recipe",
        )
    return root


def _held_out(root: Path) -> Path | None:
    """The folder of the test images, where they lie apart from those for training."""
    if not (root / "train").is_dir():
        return None
    return next((root / name for name in ("test", "val") if (root / name).is_dir()), None)


def _split(root: Path, test_fraction: float, seed: int) -> tuple[Files, Files, tuple[str, ...]]:
    from edgekit.data.images import stratified

    held_out = _held_out(root)
    if held_out is not None:
        classes = _class_folders(root / "train")
        return _listing(root / "train", classes), _listing(held_out, classes), classes
    classes = _class_folders(root)
    files = _listing(root, classes)
    train_rows, test_rows = stratified(
        [label for _, label in files], test_fraction, seed, "image_folder"
    )
    train = [files[row] for row in train_rows]
    test = [files[row] for row in test_rows]
    return train, test, classes


def _class_folders(root: Path) -> tuple[str, ...]:
    classes = _folder_names(root)
    if not classes:
        raise ModelError(
            f"data image_folder: no folders in {root}",
            hint="put the images of each class into a folder named after it",
        )
    return classes


def _folder_names(root: Path) -> tuple[str, ...]:
    folders = (entry.name for entry in root.iterdir() if entry.is_dir())
    return tuple(sorted(name for name in folders if not name.startswith(".")))


def _listing(root: Path, classes: Sequence[str]) -> Files:
    strange = [name for name in _folder_names(root) if name not in classes]
    if strange:
        raise ModelError(
            f"data image_folder: {root} has classes that train/ has not: {', '.join(strange[:10])}"
        )
    files = [
        (file, label)
        for label, name in enumerate(classes)
        if (root / name).is_dir()
        for file in sorted((root / name).rglob("*"))
        if file.suffix.lower() in SUFFIXES
    ]
    if not files:
        raise ModelError(
            f"data image_folder: no images below {root}",
            hint=f"images end in {', '.join(SUFFIXES)}",
        )
    return files


IMAGE_FOLDER = Source(load=load, outline=outline)
