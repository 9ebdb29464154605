"""What becomes of a network of each family of torchvision's classifiers, with random weights and a
small input: as fp32, int8 by calibration, int8 by training, and pruned and trained, in each format.

    python -m tests.support.families NAME …    writes the rows of these networks into families.json
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
from pathlib import Path

import edgekit
from edgekit.errors import EdgekitError

TABLE = Path(__file__).with_name("families.json")
SIZES = {
    "alexnet": 64,
    "convnext_tiny": 32,
    "densenet121": 32,
    "efficientnet_b0": 32,
    "efficientnet_v2_s": 32,
    "googlenet": 32,
    "inception_v3": 75,
    "maxvit_t": 224,
    "mnasnet0_5": 32,
    "mobilenet_v2": 32,
    "mobilenet_v3_small": 32,
    "regnet_x_400mf": 32,
    "regnet_y_400mf": 32,
    "resnet18": 32,
    "resnext50_32x4d": 32,
    "shufflenet_v2_x0_5": 32,
    "squeezenet1_1": 32,
    "swin_t": 32,
    "swin_v2_t": 64,
    "vgg11": 32,
    "vit_b_16": 224,
    "wide_resnet50_2": 32,
}
"""One of each family, and the length of the side of its images."""
DATA = """\
import torch

def samples(size):
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(16, 3, size, size, generator=generator)
    return images, torch.arange(16) % 4, images, torch.arange(16) % 4
"""
RECIPE = """\
edgekit: 2
name: NAME
model: {name: NAME, args: {num_classes: 4}}
inputs: {image: {shape: [3, SIZE, SIZE]}}
data: {name: "family_data:samples", args: {size: SIZE}}
export: {backends: [BACKEND], pictures: 0}
verify: {samples: 4, snr_min_db: 3, cosine_min: 0.5, agreement_min_percent: 0}
stages:
  - {stage: import, name: whole}
"""
INT8 = {
    "ptq": "  - {stage: quantize, method: ptq, calibration_samples: 8, export: v}\n",
    "qat": (
        "  - {stage: quantize, method: qat, export: v,"
        " train: {epochs: 1, batch_size: 8, lr: 0.00001}}\n"
    ),
}
STAGES = {
    "fp32": "  - {stage: finetune, epochs: 0.1, lr: 0.00001, batch_size: 8, export: v}\n",
    "ptq": INT8["ptq"],
    "qat": INT8["qat"],
    "pruned-qat": "  - {stage: prune, method: structured, ratio: 0.3}\n" + INT8["qat"],
}
BACKENDS = ("xnnpack", "litert")
BUILT = "built"


def cells() -> list[str]:
    """A scheme and a backend, as the table names them."""
    return [f"{scheme} {backend}" for scheme in STAGES for backend in BACKENDS]


def result(name: str, cell: str) -> str:
    """What a network comes to in a scheme and a format: BUILT, or the message of the refusal."""
    scheme, backend = cell.split()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "family_data.py").write_text(DATA)
        return _result(folder, name, backend, STAGES[scheme])


def _result(folder: Path, name: str, backend: str, stages: str) -> str:
    recipe = folder / "net.yaml"
    text = RECIPE.replace("NAME", name).replace("SIZE", str(SIZES[name]))
    recipe.write_text(text.replace("BACKEND", backend) + stages)
    try:
        edgekit.build(recipe, output=folder / "out", parallel_exports=1)
    except EdgekitError as error:
        return _elsewhere(error.message)
    return BUILT


def _elsewhere(message: str) -> str:
    """A message as another machine gives it: without its paths, and without learned numbers."""
    without_paths = re.sub(r"/\S*/site-packages/", "", message)
    return re.sub(r"\d+\.\d{3,}", "N", without_paths)


def table() -> dict[str, dict[str, str]]:
    rows: dict[str, dict[str, str]] = json.loads(TABLE.read_text(encoding="utf-8"))
    return rows


if __name__ == "__main__":
    rows = table() if TABLE.exists() else {}
    for family in sys.argv[1:] or SIZES:
        for place in cells():
            rows.setdefault(family, {})[place] = result(family, place)
            TABLE.write_text(json.dumps(rows, indent=1, sort_keys=True) + "\n", encoding="utf-8")
            print(family, place, rows[family][place], flush=True)
