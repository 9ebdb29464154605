"""Passes over a folder of images that does not fit in memory: edgekit's streamed batches against
torch's own DataLoader over the same files, and against edgekit's batches from memory. Then the
memory of training, calibration and evaluation in a build from that folder.

Run: .venv/bin/python tools/bench/streaming.py [IMAGES] [ROUNDS] [READ]

A pass reads READ of the images (default: all), drawn from the whole folder; the build trains on as
many, and evaluates on a tenth of them. What its exports take has nothing to do with the number of
images, and is told apart.

Each turn is a fresh process that reads shuffled batches of 64, normalised, with two workers, and
trains nothing, so that reading is all there is to time. Time starts before the first batch, so that
holding images in memory costs their decoding; a second pass in the same process is timed apart.
Memory is the greatest share of the process and its workers together (PSS, asked for every 20
batches). The images are 64 pictures of 224 × 224 under many names (hard links):
each is decoded. From memory it reads 5,000 of them at most, 150 kB each."""

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
EXPORTS = b"edgekit.export.fork_server"
RECIPE = """
edgekit: 2
name: streamed
model: {{name: "torchvision.models:mobilenet_v2", args: {{num_classes: 2, width_mult: 0.35}}}}
inputs: {{image: {{shape: [3, 224, 224]}}}}
data: {{name: image_folder, args: {{path: {folder}, stream: true}}, workers: 2}}
verify: {{samples: 8, snr_min_db: -100, cosine_min: -1, agreement_min_percent: 0}}
stages:
  - {{stage: train, export: fp32, epochs: {epochs}, batch_size: 32}}
  - {{stage: quantize, method: ptq, export: int8}}
"""


def make_images(folder: Path, count: int, tests: int) -> None:
    """`count` training images in two classes below `folder`, and `tests` of the test set."""
    import numpy as np
    from PIL import Image

    originals = folder.with_name("originals")  # beside them, as it is no class
    originals.mkdir()
    random = np.random.default_rng(0)
    for number in range(PICTURES):
        coarse = random.integers(0, 256, (28, 28, 3), dtype=np.uint8)
        picture = Image.fromarray(coarse).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
        picture.save(originals / f"{number}.jpg", quality=90)
    for split, images in (("train", count), ("test", tests)):
        for number in range(images):
            place = folder / split / f"class{number % 2}"
            place.mkdir(parents=True, exist_ok=True)
            os.link(originals / f"{number % PICTURES}.jpg", place / f"{number}.jpg")


def edgekit_passes(folder: Path, read: int, *, stream: bool) -> Iterable[Iterable[Any]]:
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
        order = torch.split(torch.randperm(len(train))[:read], BATCH)
        yield (normalise(batch.inputs, specs) for batch in train.batches(order, seed=epoch))


def torch_passes(folder: Path, read: int) -> Iterable[Iterable[Any]]:
    import torch
    from torch.utils.data import DataLoader, RandomSampler
    from torchvision.datasets import ImageFolder
    from torchvision.transforms import v2

    steps = [v2.ToImage(), v2.Resize(SIDE), v2.CenterCrop(SIDE)]
    images = ImageFolder(str(folder / "train"), transform=v2.Compose(steps))
    scaled = v2.Compose([v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD)])
    for _ in range(2):
        sampler = RandomSampler(images, num_samples=read)
        loader = DataLoader(images, BATCH, sampler=sampler, num_workers=WORKERS)
        yield (scaled(batch) for batch, _ in loader)


def measure(side: str, folder: Path, read: int) -> None:
    """One side, in this process. Prints seconds by pass and the greatest memory in bytes."""
    import torchvision.datasets  # noqa: F401  # what both sides import is not timed

    import edgekit.data.load  # noqa: F401

    seconds, most_bytes = [], 0
    started = time.perf_counter()
    passes = (
        torch_passes(folder, read)
        if side == TORCH
        else edgekit_passes(folder, read, stream=side == STREAMED)
    )
    for batches in passes:
        for number, _ in enumerate(batches):
            if number % 20 == 0:
                most_bytes = max(most_bytes, own_and_workers_bytes())
        seconds.append(time.perf_counter() - started)
        started = time.perf_counter()
    print(json.dumps({"seconds": seconds, "bytes": most_bytes}))


def own_and_workers_bytes() -> int:
    """The memory of this process and its children."""
    return tree_bytes(os.getpid())


def tree_bytes(process: int, *, without: bytes | None = None) -> int:
    """The proportional set size of a process and all below it, without those whose command line
    has `without`; of one that has gone, 0."""
    place = Path(f"/proc/{process}")
    try:
        if without in (place / "cmdline").read_bytes().split(b"\0"):
            return 0
        lines = (place / "smaps_rollup").read_text().splitlines()
        children = (place / f"task/{process}/children").read_text().split()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    kilobytes = next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return 1024 * kilobytes + sum(tree_bytes(int(child), without=without) for child in children)


def build(folder: Path, read: int, images: int) -> tuple[float, float, float]:
    """Seconds of a build, and the greatest memory in MB, twice a second: without its exports, and
    with them."""
    recipe = folder.with_name("streamed.yaml")
    recipe.write_text(RECIPE.format(folder=folder, epochs=read / images))
    command = [
        sys.executable,
        "-m",
        "edgekit.cli",
        "build",
        str(recipe),
        "-o",
        str(folder.with_name("out")),
    ]
    environment = {**os.environ, "EDGEKIT_CACHE": str(folder.with_name("cache"))}
    started, stages_bytes, most_bytes = time.perf_counter(), 0, 0
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as process:
        while process.poll() is None:
            stages_bytes = max(stages_bytes, tree_bytes(process.pid, without=EXPORTS))
            most_bytes = max(most_bytes, tree_bytes(process.pid))
            time.sleep(0.5)
    if process.returncode:
        raise SystemExit(f"the build ended with {process.returncode}")
    return time.perf_counter() - started, stages_bytes / 1e6, most_bytes / 1e6


def main() -> None:
    images = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    read = int(sys.argv[3]) if len(sys.argv) > 3 else images
    memory: dict[str, list[float]] = {}
    second: dict[str, list[float]] = {}

    def turn(side: str, folder: Path) -> float:
        command = [sys.executable, __file__, "--side", side, str(folder), str(read)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        measured = json.loads(done.stdout.splitlines()[-1])
        memory.setdefault(side, []).append(measured["bytes"] / 1e6)
        second.setdefault(side, []).append(measured["seconds"][1])
        return float(measured["seconds"][0])

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "images"
        make_images(folder, images, tests=max(4, read // 10))
        sides = [STREAMED, TORCH] + ([IN_MEMORY] if images <= MOST_IN_MEMORY else [])
        alternatives = {side: lambda side=side: turn(side, folder) for side in sides}
        first = interleaved(alternatives, rounds=rounds, warmup=0)
        build_seconds, stages_mb, most_mb = build(folder, read, images)
    title = f"{read} of {images} images of {SIDE} x {SIDE}, {WORKERS} workers"
    report(f"{title}: first pass", first, base=TORCH, unit="s", target="streamed <= 1.05")
    report(f"{title}: second pass", second, base=TORCH, unit="s", target="streamed <= 1.05")
    report(f"{title}: memory", memory, base=TORCH, unit="MB", target="streamed <= 1500 MB")
    print(
        f"a build of {build_seconds:.0f} s: at most {stages_mb:.0f} MB for training, calibration"
        f" and evaluation (target <= 1500 MB); {most_mb:.0f} MB with the exports"
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--side"]:
        measure(sys.argv[2], Path(sys.argv[3]), int(sys.argv[4]))
    else:
        main()
