"""One pass over a folder of images that does not fit in memory: edgekit's streamed batches against
torch's own DataLoader over the same files, and against edgekit's batches from memory.

Run: .venv/bin/python tools/bench/streaming.py [IMAGES] [ROUNDS]

Each turn is a fresh process that reads shuffled batches of 64, normalised, with two workers, and
trains nothing, so that reading is all there is to time. Time starts before the first batch, so that
holding images in memory costs their decoding; a second pass in the same process is timed apart.
Memory is the greatest share of the process and its workers together (PSS, asked for every 20
batches). The images are 64 pictures of 224 × 224 under many names (hard links):
every one is decoded. From memory it reads 5,000 of them at most, 150 kB each."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from paired import interleaved, report

SIDE, BATCH, WORKERS, PICTURES = 224, 64, 2, 64
MOST_IN_MEMORY = 5000
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
STREAMED, TORCH, IN_MEMORY = "edgekit, streamed", "torch's DataLoader", "edgekit, in memory"


def make_images(folder: Path, count: int) -> None:
    """`count` training images in two classes, and four test images."""
    import numpy as np
    from PIL import Image

    originals = folder / "originals"
    originals.mkdir()
    random = np.random.default_rng(0)
    for number in range(PICTURES):
        coarse = random.integers(0, 256, (28, 28, 3), dtype=np.uint8)
        picture = Image.fromarray(coarse).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
        picture.save(originals / f"{number}.jpg", quality=90)
    for split, images in (("train", count), ("test", 4)):
        for number in range(images):
            place = folder / split / f"class{number % 2}"
            place.mkdir(parents=True, exist_ok=True)
            os.link(originals / f"{number % PICTURES}.jpg", place / f"{number}.jpg")


def edgekit_passes(folder: Path, *, stream: bool) -> Iterable[Iterable[Any]]:
    import torch

    from edgekit.data.dataset import normalise
    from edgekit.data.load import load_dataset
    from edgekit.data.source import InputSpec

    specs = {"image": InputSpec((3, SIDE, SIDE), mean=MEAN, std=STD)}
    arguments = {"path": str(folder), "stream": stream}
    train = load_dataset(
        "image_folder", arguments, inputs=specs, seed=0, workers=WORKERS if stream else 0
    ).train
    for epoch in range(2):
        order = torch.split(torch.randperm(len(train)), BATCH)
        yield (normalise(batch.inputs, specs) for batch in train.batches(order, seed=epoch))


def torch_passes(folder: Path) -> Iterable[Iterable[Any]]:
    import torch
    from torch.utils.data import DataLoader
    from torchvision.datasets import ImageFolder
    from torchvision.transforms import v2

    steps = [v2.ToImage(), v2.Resize(SIDE), v2.CenterCrop(SIDE)]
    images = ImageFolder(str(folder / "train"), transform=v2.Compose(steps))
    scaled = v2.Compose([v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD)])
    for _ in range(2):
        loader = DataLoader(images, BATCH, shuffle=True, num_workers=WORKERS)
        yield (scaled(batch) for batch, _ in loader)


def measure(side: str, folder: Path) -> None:
    """One side, in this process. Prints seconds by pass and the greatest memory in bytes."""
    import torchvision.datasets  # noqa: F401  # what both sides import is not timed

    import edgekit.data.load  # noqa: F401

    seconds, most_bytes = [], 0
    started = time.perf_counter()
    passes = (
        torch_passes(folder) if side == TORCH else edgekit_passes(folder, stream=side == STREAMED)
    )
    for batches in passes:
        for number, _ in enumerate(batches):
            if number % 20 == 0:
                most_bytes = max(most_bytes, own_and_workers_bytes())
        seconds.append(time.perf_counter() - started)
        started = time.perf_counter()
    print(json.dumps({"seconds": seconds, "bytes": most_bytes}))


def own_and_workers_bytes() -> int:
    """The proportional set size of this process and its children."""
    own = os.getpid()
    children = Path(f"/proc/{own}/task/{own}/children").read_text().split()
    total = 0
    for process in (own, *children):
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
        total += next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return 1024 * total


def main() -> None:
    images = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    memory: dict[str, list[float]] = {}
    second: dict[str, list[float]] = {}

    def turn(side: str, folder: Path) -> float:
        command = [sys.executable, __file__, "--side", side, str(folder)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        measured = json.loads(done.stdout.splitlines()[-1])
        memory.setdefault(side, []).append(measured["bytes"] / 1e6)
        second.setdefault(side, []).append(measured["seconds"][1])
        return float(measured["seconds"][0])

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        make_images(folder, images)
        sides = [STREAMED, TORCH] + ([IN_MEMORY] if images <= MOST_IN_MEMORY else [])
        alternatives = {side: lambda side=side: turn(side, folder) for side in sides}
        first = interleaved(alternatives, rounds=rounds, warmup=0)
    title = f"{images} images of {SIDE} x {SIDE}, {WORKERS} workers"
    report(f"{title}: first pass", first, base=TORCH, unit="s", target="streamed <= 1.05")
    report(f"{title}: second pass", second, base=TORCH, unit="s", target="streamed <= 1.05")
    report(f"{title}: memory", memory, base=TORCH, unit="MB", target="streamed <= 1500 MB")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--side"]:
        measure(sys.argv[2], Path(sys.argv[3]))
    else:
        main()
