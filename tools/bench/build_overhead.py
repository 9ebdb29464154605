"""What edgekit's build costs beside the same work written out by hand: train, quantize from
calibration samples, export both variants to both formats, and check each exported file on the whole
test set.

Run: .venv/bin/python tools/bench/build_overhead.py [ROUNDS] [IMAGES]

A round takes about six minutes on two cores; with fewer IMAGES less, but then starting Python and
exporting weigh more.

Both sides train MLPerf Tiny's ResNet-8 for one epoch on Fashion-MNIST, on all 60,000 images if not
told otherwise. edgekit's side is the whole command with an empty cache, in as many processes as it
likes; the other is one script that does the steps one after the other and keeps nothing."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from paired import command_seconds, interleaved, report

RECIPE = """
edgekit: 1
name: build-overhead
model: {name: resnet8, args: {num_classes: 10, in_channels: 1}}
input: {shape: [1, 32, 32], mean: [0.286], std: [0.353]}
data: {name: fashion_mnist, args: {train: IMAGES}}
stages:
  - {stage: train, export: fp32, epochs: 1, batch_size: 128, lr: 0.003}
  - {stage: quantize, method: ptq, export: int8, calibration_samples: 512}
"""

BY_HAND = """
import copy, gzip, sys
import numpy as np, torch
from torch import nn
from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e
from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import (
    XNNPACKQuantizer, get_symmetric_quantization_config
)
from executorch.exir import to_edge_transform_and_lower
from executorch.runtime import Runtime
import litert_torch
from ai_edge_litert.interpreter import Interpreter
from litert_torch.quantize.pt2e_quantizer import PT2EQuantizer
from litert_torch.quantize.pt2e_quantizer import get_symmetric_quantization_config as litert_config
from litert_torch.quantize.quant_config import QuantConfig
from edgekit.models.built_in import resnet8

out = sys.argv[1]

def read(name, skip):
    data = gzip.open(f"/usr/share/datasets/fashion-mnist/{name}-ubyte.gz").read()
    return np.frombuffer(data, np.uint8, offset=skip)

def images(name):
    pixels = torch.tensor(read(name, 16)).view(-1, 1, 28, 28).float()
    pixels = pixels.div(255).sub(0.286).div(0.353)
    return nn.functional.pad(pixels, (2,) * 4, value=-0.286 / 0.353)

x, y = images("train-images-idx3"), torch.tensor(read("train-labels-idx1", 8)).long()
x, y = x[:IMAGES], y[:IMAGES]
x_test, y_test = images("t10k-images-idx3"), torch.tensor(read("t10k-labels-idx1", 8)).long()
torch.manual_seed(0)
model = resnet8(10, 1).to(memory_format=torch.channels_last).train()
batches = torch.randperm(len(x)).split(128)
optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.0)
schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, len(batches))
for rows in batches:
    optimizer.zero_grad()
    outputs = model(x[rows].contiguous(memory_format=torch.channels_last))
    nn.functional.cross_entropy(outputs, y[rows]).backward()
    optimizer.step()
    schedule.step()
model = model.eval().to(memory_format=torch.contiguous_format)
with torch.no_grad():
    predicted = torch.cat([model(b) for b in x_test.split(256)]).argmax(1)
    print("eager", (predicted == y_test).float().mean().item())

def pte(graph, name):
    exported = torch.export.export(graph, (x[:1],))
    lowered = to_edge_transform_and_lower(exported, partitioner=[XnnpackPartitioner()])
    program = lowered.to_executorch()
    open(f"{out}/{name}", "wb").write(program.buffer)
    method = Runtime.get().load_program(f"{out}/{name}").load_method("forward")
    predicted = [method.execute([image[None]])[0].argmax().item() for image in x_test]
    print(name, np.mean(np.equal(predicted, y_test.numpy())))

def tflite(graph, name, **options):
    litert_torch.convert(graph, (x[:1],), **options).export(f"{out}/{name}")
    run = Interpreter(f"{out}/{name}", num_threads=2)
    run.allocate_tensors()
    source, sink = run.get_input_details()[0], run.get_output_details()[0]
    samples = x_test.numpy()
    if source["dtype"] == np.int8:
        scale, zero = source["quantization"]
        samples = np.clip(np.round(samples / scale) + zero, -128, 127).astype(np.int8)
    right = 0
    for image, label in zip(samples, y_test.tolist()):
        run.set_tensor(source["index"], image[None])
        run.invoke()
        right += run.get_tensor(sink["index"]).argmax() == label
    print(name, right / len(samples))

pte(model, "fp32.pte")
tflite(model, "fp32.tflite")
any_batch = ({0: torch.export.Dim("b", min=1, max=1024)},)
graph = torch.export.export(model, (x[:2],), dynamic_shapes=any_batch).module()
config = get_symmetric_quantization_config(is_per_channel=True)
graph = prepare_pt2e(graph, XNNPACKQuantizer().set_global(config))
with torch.no_grad():
    for batch in x[:512].split(32):
        graph(batch)
pte(convert_pt2e(copy.deepcopy(graph)), "int8.pte")
quantizer = PT2EQuantizer().set_global(litert_config(is_per_channel=True, is_dynamic=False))
config = QuantConfig(pt2e_quantizer=quantizer)
tflite(convert_pt2e(graph, fold_quantize=False), "int8.tflite", quant_config=config)
"""


def main(rounds: int = 3, images: int = 60_000) -> None:
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        (work / "recipe.yaml").write_text(RECIPE.replace("IMAGES", str(images)))
        (work / "by_hand.py").write_text(BY_HAND.replace("IMAGES", str(images)))

        def edgekit() -> float:
            environment = {"EDGEKIT_CACHE": tempfile.mkdtemp(dir=work)}
            return command_seconds(
                [
                    sys.executable,
                    "-m",
                    "edgekit.cli",
                    "build",
                    str(work / "recipe.yaml"),
                    "-o",
                    str(work / "out"),
                ],
                environment,
            )

        by_hand = [sys.executable, str(work / "by_hand.py"), str(work)]
        values = interleaved(
            {"by hand": lambda: command_seconds(by_hand), "edgekit build": edgekit},
            rounds=rounds,
            warmup=0,
        )
        report(
            "build of ResNet-8, fp32 and int8, both formats",
            values,
            base="by hand",
            unit="s",
            target="ratio at most 1.05",
        )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
