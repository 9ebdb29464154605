"""Where the time goes from torchvision's SSDLite, LR-ASPP and DeepLabV3 (on MobileNetV3) to int8
files, and how much of lowering edgekit's shortcuts save.

Run: .venv/bin/python tools/bench/dense_models.py [ssdlite|lraspp|deeplab]

All three take about twenty minutes on two cores, most of it SSDLite.

First one build of each, fp32 and int8 in both formats, with an empty cache: seconds by stage, and
by step of each export. Two exports run at a time, as in every build. Then the int8 network is
lowered for both backends in a process of its own, with the shortcuts and without them, and the
files are compared byte by byte.

The weights are random. The statistics of batch norm are those of two photographs: without them the
outputs have no range that int8 could hold."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import edgekit

RECIPE = """
edgekit: 2
name: {name}
model: {{name: "dense:{name}"}}
inputs: {{image: {{shape: [3, {side}, {side}]}}}}
data: {{name: sample_photos, args: {{train: 32, test: 8}}}}
verify: {{samples: 8}}
stages:
  - {{stage: import, export: fp32}}
  - {{stage: quantize, method: ptq, export: int8}}
"""
SIDES = {"ssdlite": 320, "lraspp": 160, "deeplab": 160}
NETWORKS = '''
import torch
from sklearn.datasets import load_sample_images
from torch import nn
from torchvision.models import detection, segmentation

RANDOM = {"weights": None, "weights_backbone": None}


class Detector(nn.Module):
    """What is exported of a detector: anchors and the choice among boxes stay on the host."""

    def __init__(self, detector):
        super().__init__()
        self.backbone, self.head = detector.backbone, detector.head

    def forward(self, image):
        raw = self.head(list(self.backbone(image).values()))
        return {"boxes": raw["bbox_regression"], "scores": raw["cls_logits"]}


def ssdlite():
    detector = detection.ssdlite320_mobilenet_v3_large(**RANDOM, num_classes=21)
    return with_statistics(Detector(detector), 320)


def lraspp():
    return with_statistics(segmentation.lraspp_mobilenet_v3_large(**RANDOM), 160)


def deeplab():
    return with_statistics(segmentation.deeplabv3_mobilenet_v3_large(**RANDOM), 160)


def with_statistics(model, side):
    photos = torch.stack([torch.tensor(photo) for photo in load_sample_images().images])
    photos = nn.functional.interpolate(photos.permute(0, 3, 1, 2) / 255.0, (side, side))
    model.train()
    with torch.no_grad():
        for _ in range(20):
            model(photos)
    return model
'''
LOWER = '''
"""Seconds that one backend takes to lower the network of a stage; the file goes to OUTPUT."""
import sys, time
from pathlib import Path
import torch
from edgekit.backends.lookup import load_backend
from edgekit.compress import checkpoint
from edgekit.compress.scheme import Scheme
from edgekit.patches.speed import lowering

stage, base, backend, side, shortcuts, output = sys.argv[1:]
if shortcuts == "without":
    lowering.usable = lambda: False
image = torch.zeros(1, 3, int(side), int(side))
network = checkpoint.load(Path(stage), {"image": torch.cat([image, image])}, base=Path(base)).model
started = time.perf_counter()
scheme = Scheme("int8", "static", in_graph=True)
file = load_backend(backend).lower(network, {"image": image}, scheme=scheme, keep_float=())
print(time.perf_counter() - started)
Path(output).write_bytes(file.data)
'''


def build(name: str, work: Path) -> None:
    """Build one model and print where its time went."""
    recipe = work / f"{name}.yaml"
    recipe.write_text(RECIPE.format(name=name, side=SIDES[name]))
    started = time.perf_counter()
    result = edgekit.build(recipe, output=work / "out")
    print(f"{name} at {SIDES[name]} × {SIDES[name]}: {time.perf_counter() - started:.1f} s")
    for row in result.trace:
        print(f"  stage {row.stage:28s} {row.seconds:7.1f} s")
    for artifact, steps in result.export_seconds.items():
        by_step = ", ".join(f"{step} {seconds:.1f}" for step, seconds in steps.items())
        print(f"  export {artifact:27s} {sum(steps.values()):7.1f} s   ({by_step})")
    print(json.dumps({"name": name, "exports": result.export_seconds}))


def compare_lowering(name: str, work: Path) -> None:
    """Lower the int8 network with the shortcuts and without them, in turn."""
    stage = int8_stage(name, work)
    for backend in ("xnnpack", "litert"):
        seconds, files = {}, {}
        for shortcuts in ("without", "with"):
            file = work / f"{name}.{backend}.{shortcuts}"
            seconds[shortcuts] = lowering_seconds(name, stage, backend, shortcuts, file)
            files[shortcuts] = file.read_bytes()
        equal = "equal" if files["with"] == files["without"] else "DIFFERENT"
        print(
            f"  lowering to {backend}: {seconds['with']:.1f} s, without shortcuts"
            f" {seconds['without']:.1f} s: ratio {seconds['with'] / seconds['without']:.2f},"
            f" {equal} bytes"
        )


def int8_stage(name: str, work: Path) -> Path:
    """The directory of the quantized stage in the cache, the last that was written."""
    traces = sorted(work.glob("cache/stages/*/trace.json"), key=lambda path: path.stat().st_mtime)
    return next(
        trace.parent
        for trace in reversed(traces)
        if json.loads(trace.read_text())["kind"] == "quantize"
    )


def lowering_seconds(name: str, stage: Path, backend: str, shortcuts: str, output: Path) -> float:
    script = output.parent / "lower.py"
    script.write_text(LOWER)
    arguments = [str(stage), str(output.parent), backend, str(SIDES[name]), shortcuts, str(output)]
    # The exporters write sets in the order of their hashes; edgekit fixes it, too.
    done = subprocess.run(
        [sys.executable, str(script), *arguments],
        env={**os.environ, "PYTHONHASHSEED": "0"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return float(done.stdout.split()[-1])


def main(names: list[str]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        work = Path(directory)
        (work / "dense.py").write_text(NETWORKS)
        os.environ["EDGEKIT_CACHE"] = str(work / "cache")
        for name in names:
            build(name, work)
            compare_lowering(name, work)


if __name__ == "__main__":
    main(sys.argv[1:] or list(SIDES))
