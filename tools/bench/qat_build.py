"""The QAT build of MobileNetV2 at 224 × 224 to both formats: edgekit's command, all included, against the libraries' calls as they come.

Run: .venv/bin/python tools/bench/qat_build.py [ROUNDS]        (about four minutes a round on two cores)

Both sides start from the same untrained network, see the same samples, train two QAT steps, and must give the same bytes; the libraries' `.tflite`
is compared after edgekit's own lossless rewriting (shorter names, equal vectors once), which is the only step that it lacks. edgekit's side is the
whole command with an empty cache: starting Python, tracing, training, converting, exporting, verifying, re-reading and bundling. The libraries' side is
one process that does what their documents show, and nothing else.
"""

from __future__ import annotations

import hashlib
import json
import sys
import tempfile
from pathlib import Path

from paired import command_seconds, interleaved, report

from edgekit.export.compact_tflite import compact

RECIPE = """
edgekit: 1
name: qat-build
model: {name: "torchvision.models:mobilenet_v2", args: {num_classes: 10}}
input: {shape: [3, 224, 224]}
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
    return torch.rand(16, 3, 224, 224, generator=g), torch.arange(16) % 10, torch.rand(4, 3, 224, 224, generator=g), torch.arange(4) % 10
'''

LIBRARIES = '''
"""The same model, from the state edgekit trained, through the libraries' own calls."""
import copy, sys
import torch
from safetensors.torch import load_file
import torchao.quantization.pt2e as pt2e
import torchvision
from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import XNNPACKQuantizer, get_symmetric_quantization_config
from executorch.exir import to_edge_transform_and_lower
import litert_torch
from litert_torch.quantize.pt2e_quantizer import PT2EQuantizer, get_symmetric_quantization_config as litert_config
from litert_torch.quantize.quant_config import QuantConfig
from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_qat_pt2e

state, out = sys.argv[1:]
torch.manual_seed(0)
model = torchvision.models.mobilenet_v2(num_classes=10).train()
x = torch.rand(2, 3, 224, 224)
graph = torch.export.export(model, (x,), dynamic_shapes=({0: torch.export.Dim("b", min=1, max=1024)},)).module()
graph = prepare_qat_pt2e(graph, XNNPACKQuantizer().set_global(get_symmetric_quantization_config(is_per_channel=True, is_qat=True)))
optimizer = torch.optim.AdamW(graph.parameters(), lr=1e-4)
for _ in range(2):
    optimizer.zero_grad()
    torch.nn.functional.cross_entropy(graph(torch.rand(8, 3, 224, 224)), torch.arange(8)).backward()
    optimizer.step()
loaded = graph.load_state_dict({key: value for key, value in load_file(state).items() if key in graph.state_dict()}, strict=False)
assert not [key for key in loaded.missing_keys if not key.endswith("num_batches_tracked")], loaded
pt2e.move_exported_model_to_eval(graph)
one = (x[:1],)
folded = convert_pt2e(copy.deepcopy(graph))
unfolded = convert_pt2e(graph, fold_quantize=False)
program = to_edge_transform_and_lower(torch.export.export(folded, one), partitioner=[XnnpackPartitioner()]).to_executorch()
open(out + "/int8.pte", "wb").write(program.buffer)
config = QuantConfig(pt2e_quantizer=PT2EQuantizer().set_global(litert_config(is_per_channel=True, is_dynamic=False)))
litert_torch.convert(unfolded, one, quant_config=config).export(out + "/int8.tflite")
'''


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:12]


def main(rounds: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        for file, content in {"recipe.yaml": RECIPE, "noise.py": NOISE, "libraries.py": LIBRARIES}.items():
            (work / file).write_text(content)

        def edgekit() -> float:
            cache = tempfile.mkdtemp(dir=work)
            environment = {"EDGEKIT_CACHE": cache}
            return command_seconds([sys.executable, "-m", "edgekit.cli", "build", str(work / "recipe.yaml"), "-o", str(work / "out")], environment)

        def libraries() -> float:
            fixed = {"PYTHONHASHSEED": "0"}  # as edgekit sets it: the exporters write sets in the order of their hashes
            return command_seconds([sys.executable, str(work / "libraries.py"), str(state), str(work)], fixed)

        edgekit()
        stages = [json.loads((p / "trace.json").read_text())["kind"] == "quantize" and p for p in work.glob("*/stages/*")]
        state = next(p for p in stages if p) / "weights.safetensors"
        values = interleaved({"libraries": libraries, "edgekit build": edgekit}, rounds=rounds, warmup=0)
        report("QAT build of MobileNetV2 224, .pte and .tflite", values, base="libraries", unit="s", target="ratio at most 0.6, equal bytes")
        bundle = next((work / "out").iterdir())
        for file in ("int8.pte", "int8.tflite"):
            plain = (work / file).read_bytes()
            ours, theirs = sha256((bundle / file).read_bytes()), sha256(compact(plain) if file.endswith(".tflite") else plain)
            print(f"  {file}: edgekit {ours}, libraries {theirs}: {'equal' if ours == theirs else 'DIFFERENT'}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
