"""Image datasets: from scikit-learn, from Debian, from a folder. All uint8 of shape (N, channels,
height, width); smaller images are never blurred up to size but padded with black."""

from __future__ import annotations

import gzip
import math
import os
import struct
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import platformdirs
import torch
from PIL import Image, ImageOps
from torch import Tensor

from edgekit.data.dataset import Wanted, shuffled, times
from edgekit.errors import ModelError
from edgekit.registry.fingerprint import FASHION_MNIST

Images = tuple[Tensor, Tensor | None, Tensor, Tensor | None, tuple[str, ...]]

FASHION_CLASSES = (
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
FASHION_PARTS = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
IMAGE_SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")


def digits(wanted: Wanted, *, test_fraction: float = 0.25) -> Images:
    """scikit-learn's 1,797 handwritten digits of 8×8 grey pixels, split by class and seed."""
    from sklearn.datasets import load_digits

    found = load_digits()
    pixels = torch.from_numpy(np.rint(found.images * (255 / 16)).astype(np.uint8)).unsqueeze(1)
    labels = torch.from_numpy(found.target)
    train, test = _stratified(labels, test_fraction, wanted.seed, "digits")
    images = pad_to(pixels, wanted.shape, "digits")
    return (
        images[train],
        labels[train],
        images[test],
        labels[test],
        tuple(map(str, found.target_names)),
    )


def fashion_mnist(wanted: Wanted, *, path: str | None = None) -> Images:
    """Fashion-MNIST (Xiao et al. 2017, arXiv:1708.07747): 60,000 + 10,000 grey images of 28×28,
    padded with black to the input's size.

    Read from `path` if given, else from Debian's package dataset-fashion-mnist if installed, else
    downloaded by torchvision into the user's cache. Raises ModelError with the remedy when none of
    it works."""
    folder = wanted.base / path if path is not None else FASHION_MNIST
    if path is None and not folder.is_dir():
        folder = _downloaded_fashion_mnist()
    parts = [_read_idx(folder / name) for name in FASHION_PARTS]
    images = [pad_to(pixels.unsqueeze(1), wanted.shape, "fashion_mnist") for pixels in parts[::2]]
    return images[0], parts[1], images[1], parts[3], FASHION_CLASSES


def sample_photos(wanted: Wanted, *, train: int = 256, test: int = 64) -> Images:
    """Crops of scikit-learn's two photographs, a temple and a flower: real pixels without labels,
    for calibration and label-free checks.

    Each is a random crop of 20 to 100 % of a photograph, resized, flipped or not, with changed
    light and colour."""
    from sklearn.datasets import load_sample_images
    from torchvision.transforms import v2

    if len(wanted.shape) != 3 or wanted.shape[0] != 3:
        raise ModelError(
            "data sample_photos: the photographs have 3 channels, but input.shape is"
            f" {times(wanted.shape)}"
        )
    photos = [
        torch.tensor(photo).permute(2, 0, 1).contiguous() for photo in load_sample_images().images
    ]
    vary = v2.Compose(
        [
            v2.RandomResizedCrop(wanted.shape[1:], scale=(0.2, 1.0), antialias=True),
            v2.RandomHorizontalFlip(),
            v2.ColorJitter(brightness=0.3, contrast=0.3, saturation=0.3),
        ]
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(wanted.seed)
        crops = torch.stack([vary(photos[i % 2]) for i in range(train + test)])
    return crops[:train], None, crops[train:], None, ()


def image_folder(wanted: Wanted, *, path: str, test_fraction: float = 0.2) -> Images:
    """Your own images, a folder per class: PATH/train/CLASS/*.jpg beside PATH/test/… or PATH/val/…,
    or PATH/CLASS/*.jpg, split by class and seed.

    Each image is turned upright, resized so that it covers the input, and cropped at the centre;
    grey for one channel, RGB for three. All of them are held in memory, one byte per value. Raises
    ModelError: no such folder, no images, damaged images (by name), too little memory."""
    root = wanted.base / path
    if len(wanted.shape) != 3 or wanted.shape[0] not in (1, 3):
        raise ModelError(
            "data image_folder: images have 1 or 3 channels, but input.shape is"
            f" {times(wanted.shape)}"
        )
    if not root.is_dir():
        raise ModelError(
            f"data image_folder: no such folder {root}",
            hint="data.args.path is relative to the recipe",
        )
    held_out = next((root / name for name in ("test", "val") if (root / name).is_dir()), None)
    if (root / "train").is_dir() and held_out is not None:
        classes = _class_folders(root / "train")
        train, test = _listing(root / "train", classes), _listing(held_out, classes)
    else:
        classes = _class_folders(root)
        found = _listing(root, classes)
        labels = torch.tensor([label for _, label in found])
        train, test = (
            [found[i] for i in rows]
            for rows in _stratified(labels, test_fraction, wanted.seed, "image_folder")
        )
    chosen = [
        _first(files, limit, wanted.seed)
        for files, limit in ((train, wanted.train_limit), (test, wanted.test_limit))
    ]
    _check_memory(sum(map(len, chosen)), wanted.shape)
    images = _decoded([path for files in chosen for path, _ in files], wanted.shape)
    labels = torch.tensor([label for files in chosen for _, label in files])
    cut = len(chosen[0])
    return images[:cut], labels[:cut], images[cut:], labels[cut:], classes


def pad_to(images: Tensor, shape: Sequence[int], name: str) -> Tensor:
    """Images of shape (N, C, h, w) centred on black of the height and width of `shape`. Raises
    ModelError for a smaller or different kind of shape."""
    height, width = images.shape[-2:]
    if len(shape) != 3 or shape[1] < height or shape[2] < width:
        have = times(tuple(images.shape[1:]))
        raise ModelError(
            f"data {name}: a sample is {have}, but input.shape is {times(shape)}",
            hint="images are padded, never shrunk",
        )
    top, left = (shape[1] - height) // 2, (shape[2] - width) // 2
    return torch.nn.functional.pad(
        images, (left, shape[2] - width - left, top, shape[1] - height - top)
    )


def _read_idx(path: Path) -> Tensor:
    """The array of an IDX file, gzipped or not: uint8 images, or labels as int64."""
    try:
        packed = path.with_name(f"{path.name}.gz")
        content = gzip.decompress(packed.read_bytes()) if packed.is_file() else path.read_bytes()
    except (OSError, EOFError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ModelError(
            f"data fashion_mnist: cannot read {path}(.gz): {reason}", hint=_FASHION_REMEDY
        ) from None
    try:
        (dimensions,) = struct.unpack_from(">3xB", content)
        sizes = struct.unpack_from(f">{dimensions}I", content, 4)
        values = np.frombuffer(content, np.uint8, offset=4 + 4 * dimensions).reshape(sizes)
    except (struct.error, ValueError, IndexError):
        raise ModelError(
            f"data fashion_mnist: {path} is damaged or not an IDX file", hint=_FASHION_REMEDY
        ) from None
    array = torch.from_numpy(values.copy())
    return array.to(torch.int64) if dimensions == 1 else array


_FASHION_REMEDY = (
    "apt-get install dataset-fashion-mnist, or set data.args.path to a folder with the four"
    " *-ubyte.gz files"
)


def _downloaded_fashion_mnist() -> Path:
    from torchvision.datasets import FashionMNIST

    root = Path(platformdirs.user_cache_dir("edgekit")) / "datasets"
    try:
        FashionMNIST(str(root), download=True)
    except Exception as error:  # torchvision passes on whatever the network raises
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ModelError(
            f"data fashion_mnist is not installed and cannot be downloaded: {reason}",
            hint=_FASHION_REMEDY,
        ) from None
    return root / "FashionMNIST" / "raw"


def _stratified(
    labels: Tensor, test_fraction: float, seed: int, name: str
) -> tuple[list[int], list[int]]:
    """Rows for training and for testing, each class in the same proportion."""
    from sklearn.model_selection import train_test_split

    try:
        train, test = train_test_split(
            np.arange(len(labels)),
            test_size=test_fraction,
            stratify=labels.numpy(),
            random_state=seed,
        )
    except ValueError as error:
        raise ModelError(
            f"data {name}: cannot be split for testing: {error}",
            hint="check test_fraction and the number of images per class",
        ) from None
    return train.tolist(), test.tolist()


def _class_folders(root: Path) -> tuple[str, ...]:
    classes = tuple(
        sorted(
            entry.name
            for entry in root.iterdir()
            if entry.is_dir() and not entry.name.startswith(".")
        )
    )
    if not classes:
        raise ModelError(
            f"data image_folder: no folders in {root}",
            hint="put the images of each class into a folder named after it",
        )
    return classes


def _listing(root: Path, classes: Sequence[str]) -> list[tuple[Path, int]]:
    strange = sorted(
        entry.name
        for entry in root.iterdir()
        if entry.is_dir() and not entry.name.startswith(".") and entry.name not in classes
    )
    if strange:
        raise ModelError(
            f"data image_folder: {root} has classes that train/ has not: {', '.join(strange[:10])}"
        )
    found = [
        (file, label)
        for label, name in enumerate(classes)
        if (root / name).is_dir()
        for file in sorted((root / name).rglob("*"))
        if file.suffix.lower() in IMAGE_SUFFIXES
    ]
    if not found:
        raise ModelError(
            f"data image_folder: no images below {root}",
            hint=f"images end in {', '.join(IMAGE_SUFFIXES)}",
        )
    return found


def _first(files: list[tuple[Path, int]], limit: int | None, seed: int) -> list[tuple[Path, int]]:
    return (
        files
        if limit is None or limit >= len(files)
        else [files[i] for i in shuffled(len(files), seed)[:limit].tolist()]
    )


def _check_memory(count: int, shape: Sequence[int]) -> None:
    needed, installed = (
        count * math.prod(shape) / 1e6,
        os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e6,
    )
    if needed > installed / 2:
        message = (
            f"data image_folder: {count:,} images of {times(shape)} need {needed:,.0f} MB, more"
            " than half of this machine's memory"
        )
        raise ModelError(message, hint="set data.train_limit and data.test_limit")


def _decoded(paths: Sequence[Path], shape: Sequence[int]) -> Tensor:
    """All images, decoded by as many threads as there are cores. Raises ModelError with the names
    of those that cannot be decoded."""
    images = torch.empty((len(paths), *shape), dtype=torch.uint8)
    fit = _fit_to(shape)

    def decode(row: int) -> str | None:
        try:
            with Image.open(paths[row]) as image:
                images[row] = fit(
                    ImageOps.exif_transpose(image).convert("L" if shape[0] == 1 else "RGB")
                )
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            return f"{paths[row]} ({str(error).splitlines()[0]})"
        return None

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        damaged = [name for name in pool.map(decode, range(len(paths))) if name]
    if damaged:
        more = f" and {len(damaged) - 10} more" if len(damaged) > 10 else ""
        raise ModelError(
            f"data image_folder: damaged images: {', '.join(damaged[:10])}{more}",
            hint="remove or replace them",
        )
    return images


def _fit_to(shape: Sequence[int]) -> Callable[[Image.Image], Tensor]:
    """Resize to cover the input's height and width, then crop at the centre."""
    from torchvision.transforms.v2 import functional

    height, width = shape[1:]

    def fit(image: Image.Image) -> Tensor:
        ratio = max(height / image.height, width / image.width)
        size = [max(height, round(image.height * ratio)), max(width, round(image.width * ratio))]
        return functional.center_crop(
            functional.resize(functional.pil_to_tensor(image), size, antialias=True),
            [height, width],
        )

    return fit
