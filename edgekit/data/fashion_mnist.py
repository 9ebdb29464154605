"""Fashion-MNIST (Xiao et al. 2017, arXiv:1708.07747): 60,000 + 10,000 grey images of 28×28, padded
with black to the input's size."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.data.source import Outline, Request, Source
from edgekit.errors import ModelError
from edgekit.places import cache_directory

DEBIAN_FOLDER = Path("/usr/share/datasets/fashion-mnist")
"""Where Debian's package dataset-fashion-mnist puts its files."""

CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
PARTS = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
REMEDY = (
    "apt-get install dataset-fashion-mnist, or set data.args.path to a folder with the four"
    " *-ubyte.gz files"
)


def load(request: Request, *, path: str | None = None) -> tuple[Any, ...]:
    """Read from `path` if given, else from Debian's package dataset-fashion-mnist if installed,
    else downloaded by torchvision into the user's cache.

    Raises ModelError with the remedy when none of it works."""
    from edgekit.data.images import pad_to

    (train, train_labels), (test, test_labels) = garments(
        request.base / path if path is not None else None
    )
    train = pad_to(train[:, None], request.shape, "fashion_mnist")
    test = pad_to(test[:, None], request.shape, "fashion_mnist")
    return train, train_labels, test, test_labels, CLASSES


Labelled = tuple[NDArray[np.uint8], NDArray[np.uint8]]
"""Images of shape (N, 28, 28) and the numbers of their classes."""


def garments(folder: Path | None) -> tuple[Labelled, Labelled]:
    """The images for training and those for testing; without a folder, from Debian's package or
    the download. Raises ModelError with the remedy when none of it works."""
    if folder is None:
        folder = DEBIAN_FOLDER if DEBIAN_FOLDER.is_dir() else _downloaded()
    train, train_labels, test, test_labels = [_read_idx(folder / name) for name in PARTS]
    return (train, train_labels), (test, test_labels)


def _read_idx(path: Path) -> NDArray[np.uint8]:
    """The array of an IDX file, gzipped or not."""
    try:
        packed = path.with_name(f"{path.name}.gz")
        content = gzip.decompress(packed.read_bytes()) if packed.is_file() else path.read_bytes()
    except (OSError, EOFError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ModelError(
            f"data fashion_mnist: cannot read {path}(.gz): {reason}", hint=REMEDY
        ) from None
    try:
        (dimensions,) = struct.unpack_from(">3xB", content)
        sizes = struct.unpack_from(f">{dimensions}I", content, 4)
        return np.frombuffer(content, np.uint8, offset=4 + 4 * dimensions).reshape(sizes).copy()
    except (struct.error, ValueError, IndexError):
        raise ModelError(
            f"data fashion_mnist: {path} is damaged or not an IDX file", hint=REMEDY
        ) from None


def _downloaded() -> Path:
    from torchvision.datasets import FashionMNIST

    root = cache_directory() / "datasets"
    try:
        FashionMNIST(str(root), download=True)
    except Exception as error:  # torchvision passes on whatever the network raises
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ModelError(
            f"data fashion_mnist is not installed and cannot be downloaded: {reason}", hint=REMEDY
        ) from None
    return root / "FashionMNIST" / "raw"


def outline(args: Mapping[str, Any], base: Path) -> Outline:
    return Outline((1, 32, 32), classes=len(CLASSES))


def files(args: Mapping[str, Any]) -> Sequence[Path]:
    return () if "path" in args else (DEBIAN_FOLDER,)


FASHION_MNIST = Source(load=load, outline=outline, files=files)
