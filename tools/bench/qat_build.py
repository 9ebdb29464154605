"""The QAT build of MobileNetV2 to both formats: edgekit's command, all included, against the
libraries' calls as they come.

Run: .venv/bin/python tools/bench/qat_build.py [ROUNDS] [SIDE]

Images are 224 × 224 if not told otherwise; a round takes about three minutes on two cores.

Both sides start from the same untrained network and train two QAT steps on random samples.
edgekit's side is the whole command with an empty cache: starting Python, tracing, training,
converting, exporting, verifying, re-reading and bundling. The libraries' side is one process that
does what their documents show, and nothing else. Where edgekit is faster it must not compute
something else: what it trained is exported once more, untimed, with every shortcut taken out (the
libraries' own tracing, patterns and passes), and the files are compared byte by byte. The
libraries' side itself gives other files: it leaves the running statistics of every batch norm in
the .pte, and scales of weights from before the last step."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from paired import command_seconds, interleaved, report

RECIPE = """
edgekit: 1
name: qat-build
model: {name: "torchvision.models:mobilenet_v2", args: {num_classes: 10}}
input: {shape: [3, SIDE, SIDE]}
data: {name: "noise:images"}
verify: {samples: 2, snr_min_db: -100, cosine_min: -1, top1_agreement_min_percent: 0}
stages:
  - {stage: import, name: start}
  - {stage: quantize, method: qat, export: int8, train: {epochs: 1, batch_size: 8, lr: 0.0001}}
"""

NOISE = '''
"""Samples without meaning: what is timed does not depend on them."""
import torch

def images():
    g = torch.Generator().manual_seed(0)
    train = torch.rand(16, 3, SIDE, SIDE, generator=g)
    test = torch.rand(4, 3, SIDE, SIDE, generator=g)
    return train, torch.arange(16) % 10, test, torch.arange(4) % 10
'''

LIBRARIES = '''
"""The same model through the libraries' own calls."""
import copy, sys
import torch
import torchao.quantization.pt2e as pt2e
import torchvision
from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import (
    XNNPACKQuantizer, get_symmetric_quantization_config
)
from executorch.exir import to_edge_transform_and_lower
import litert_torch
from litert_torch.quantize.pt2e_quantizer import PT2EQuantizer
from litert_torch.quantize.pt2e_quantizer import get_symmetric_quantization_config as litert_config
from litert_torch.quantize.quant_config import QuantConfig
from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_qat_pt2e

out = sys.argv[1]
torch.manual_seed(0)
model = torchvision.models.mobilenet_v2(num_classes=10).train()
x = torch.rand(2, 3, SIDE, SIDE)
any_batch = ({0: torch.export.Dim("b", min=1, max=1024)},)
graph = torch.export.export(model, (x,), dynamic_shapes=any_batch).module()
config = get_symmetric_quantization_config(is_per_channel=True, is_qat=True)
graph = prepare_qat_pt2e(graph, XNNPACKQuantizer().set_global(config))
optimizer = torch.optim.AdamW(graph.parameters(), lr=1e-4)
for _ in range(2):
    optimizer.zero_grad()
    outputs = graph(torch.rand(8, 3, SIDE, SIDE))
    torch.nn.functional.cross_entropy(outputs, torch.arange(8)).backward()
    optimizer.step()
pt2e.move_exported_model_to_eval(graph)
one = (x[:1],)
folded = convert_pt2e(copy.deepcopy(graph))
unfolded = convert_pt2e(graph, fold_quantize=False)
exported = torch.export.export(folded, one)
program = to_edge_transform_and_lower(exported, partitioner=[XnnpackPartitioner()]).to_executorch()
open(out + "/int8.pte", "wb").write(program.buffer)
quantizer = PT2EQuantizer().set_global(litert_config(is_per_channel=True, is_dynamic=False))
config = QuantConfig(pt2e_quantizer=quantizer)
litert_torch.convert(unfolded, one, quant_config=config).export(out + "/int8.tflite")
'''


PLAIN = '''
"""What edgekit trained, exported again without its shortcuts."""
import sys
from pathlib import Path
import torch
from edgekit.compress import checkpoint
from edgekit.patches.speed import lowering, qat
lowering.usable = qat.usable = lambda: False
from edgekit.backends.lookup import load_backend
from edgekit.compress.scheme import Scheme

stage, out = map(Path, sys.argv[1:])
for name, backend in (("int8.pte", "xnnpack"), ("int8.tflite", "litert")):
    trained = checkpoint.load(stage, {"input": torch.zeros(2, 3, SIDE, SIDE)}, base=out)
    example = {"input": torch.zeros(1, 3, SIDE, SIDE)}
    scheme = Scheme("int8", "static", in_graph=True)
    lowered = load_backend(backend).lower(trained.model, example, scheme=scheme, keep_float=())
    (out / name).write_bytes(lowered.data)
'''


def main(rounds: int = 3, side: int = 224) -> None:
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        for file, content in {
            "recipe.yaml": RECIPE,
            "noise.py": NOISE,
            "libraries.py": LIBRARIES,
            "plain.py": PLAIN,
        }.items():
            (work / file).write_text(content.replace("SIDE", str(side)))

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

        def libraries() -> float:
            return command_seconds([sys.executable, str(work / "libraries.py"), str(work)])

        values = interleaved(
            {"libraries": libraries, "edgekit build": edgekit}, rounds=rounds, warmup=0
        )
        report(
            f"QAT build of MobileNetV2 {side}, .pte and .tflite",
            values,
            base="libraries",
            unit="s",
            target="ratio at most 0.6, equal bytes",
        )
        stage = next(
            path.parent
            for path in work.glob("*/stages/*/trace.json")
            if json.loads(path.read_text())["kind"] == "quantize"
        )
        fixed = {
            "PYTHONHASHSEED": "0"
        }  # as edgekit sets it: the exporters write sets in the order of their hashes
        command_seconds([sys.executable, str(work / "plain.py"), str(stage), str(work)], fixed)
        bundle = next((work / "out").iterdir())
        for file in ("int8.pte", "int8.tflite"):
            equal = (bundle / file).read_bytes() == (work / file).read_bytes()
            print(
                f"  {file}: {'equal to' if equal else 'DIFFERENT from'} the one made without"
                f" shortcuts, {(bundle / file).stat().st_size} bytes"
            )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
