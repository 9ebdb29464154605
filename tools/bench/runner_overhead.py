"""Do edgekit's runners measure what the runtimes themselves measure? p50 of one inference,
edgekit's runner against the usual way, on MobileNetV2.

    python tools/bench/runner_overhead.py [--rounds 15] [--seconds 0.6] [--quantile 0.5]
                                          [--models DIR]

.pte: the native runner against executorch.runtime in Python (which needs torch). .tflite: the
LiteRT runner against a bare Interpreter loop that sets the input and invokes, and
`litert-benchmark` (CompiledModel, from the ai-edge-litert wheel). One thread each, in turn A B A B;
the target is a ratio of 1.00 ± 0.02. Every turn is a fresh process: where the weights happen to lie
in memory makes one process 1 % slower than another for all of its life, and a single long-lived one
as the base shifts every ratio by that. Inputs are random. --models keeps the exported models (two
minutes to make) for the next time. On a machine that others use, medians hold their work too: a low
--quantile compares the runs that were left alone."""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from paired import interleaved, report

from edgekit.measure.protocol import parse_runner_output
from edgekit.runners.litert import RUNNER, litert_runtime
from edgekit.runners.litert_native import native_litert
from edgekit.runners.native import native_runner

NONCE = "00"
TARGET = "1.00 ± 0.02"
MODELS = ("fp32.pte", "int8.pte", "fp32.tflite", "int8.tflite")

EXECUTORCH_PYTHON = """
import sys, time, torch
from executorch.runtime import Runtime
from executorch.extension.pybindings.portable_lib import _unsafe_reset_threadpool
_unsafe_reset_threadpool(1)
method = Runtime.get().load_program(sys.argv[1]).load_method("forward")
x = [torch.rand(1, 3, 224, 224) * 2 - 1]
run = lambda: method.execute(x)
"""
LITERT_INTERPRETER = """
import sys, time, numpy
from ai_edge_litert.interpreter import Interpreter
model = Interpreter(model_path=sys.argv[1], num_threads=1)
model.allocate_tensors()
given = model.get_input_details()[0]
x = (numpy.random.rand(*given["shape"]) * 2 - 1).astype(given["dtype"])
def run():
    model.set_tensor(given["index"], x)
    model.invoke()
"""
LOOP = """
def times(seconds):
    until, values = time.monotonic() + seconds, []
    while time.monotonic() < until:
        start = time.monotonic_ns()
        run()
        values.append(time.monotonic_ns() - start)
    return values
times(float(sys.argv[2]) / 2)
print(json.dumps(times(float(sys.argv[2]))))
"""


def loop_ns(setup: str, model: Path, seconds: float) -> list[int]:
    """A Python process that sets up a model, warms up, and prints the times of some inferences."""
    argv = [sys.executable, "-c", "import json\n" + setup + LOOP, str(model), str(seconds)]
    return list(
        json.loads(
            subprocess.run(
                argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True
            ).stdout
        )
    )


def edgekit_ns(argv: tuple[str, ...], model: Path, seconds: float) -> tuple[int, ...]:
    times = ("--warmup-min-ns", str(int(seconds / 2 * 1e9)), "--min-ns", str(int(seconds * 1e9)))
    done = subprocess.run(
        [*argv, "--model", str(model), "--nonce", NONCE, *times],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    return parse_runner_output(done.stdout, nonce=NONCE).steady_ns


def litert_benchmark_ms(model: Path, runs: int, statistic: str) -> float:
    with tempfile.NamedTemporaryFile(suffix=".json") as result:
        program = str(Path(sys.executable).with_name("litert-benchmark"))
        argv = [
            program,
            "--model",
            str(model),
            "--num_runs",
            str(runs),
            "--warmup_runs",
            str(runs // 2),
            "--result_json",
            result.name,
        ]
        subprocess.run(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
        return float(json.load(result)["latency"][statistic])


def make_models(directory: Path) -> None:
    """MobileNetV2 at 224 with random weights and settled batch norms: float and int8 (PT2E,
    per-channel weights), for both runtimes."""
    import litert_torch
    import torch
    import torchvision
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import XNNPACKQuantizer
    from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import (
        get_symmetric_quantization_config as xnnpack_config,
    )
    from executorch.exir import to_edge_transform_and_lower
    from litert_torch.quantize.pt2e_quantizer import PT2EQuantizer
    from litert_torch.quantize.pt2e_quantizer import (
        get_symmetric_quantization_config as litert_config,
    )
    from litert_torch.quantize.quant_config import QuantConfig
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

    torch.manual_seed(0)
    torch.set_num_threads(1)
    model = torchvision.models.mobilenet_v2(weights=None).train()
    with torch.no_grad():
        for _ in range(4):
            model(torch.rand(4, 3, 224, 224) * 2 - 1)
    model.eval()
    x = (torch.rand(1, 3, 224, 224) * 2 - 1,)

    def write_pte(graph: torch.nn.Module, name: str) -> None:
        program = to_edge_transform_and_lower(
            torch.export.export(graph, x), partitioner=[XnnpackPartitioner()]
        ).to_executorch()
        (directory / name).write_bytes(program.buffer)

    def quantized(quantizer: object, **conversion: bool) -> Any:
        graph = prepare_pt2e(torch.export.export(model, x).module(), quantizer)
        graph(*x)
        return convert_pt2e(graph, **conversion)

    write_pte(model, "fp32.pte")
    litert_torch.convert(model, x).export(str(directory / "fp32.tflite"))
    write_pte(
        quantized(XNNPACKQuantizer().set_global(xnnpack_config(is_per_channel=True))), "int8.pte"
    )
    quantizer = PT2EQuantizer().set_global(litert_config(is_per_channel=True, is_dynamic=False))
    graph = quantized(quantizer, fold_quantize=False)
    litert_torch.convert(graph, x, quant_config=QuantConfig(pt2e_quantizer=quantizer)).export(
        str(directory / "int8.tflite")
    )


def compare(models: Path, rounds: int, seconds: float, quantile: float) -> None:
    def at_quantile_ms(times: Callable[[], Sequence[int]]) -> float:
        values = sorted(times())
        return values[int(quantile * (len(values) - 1))] / 1e6

    native = native_runner()
    executorch = native.argv(str(native.files[0].path.parent))
    litert = litert_runtime().argv(str(RUNNER.parent))
    without_python = native_litert()
    litert_native = without_python.argv(str(without_python.files[0].path.parent))
    for name in ("fp32.pte", "int8.pte"):
        ways = {
            "executorch.runtime (Python)": partial(
                at_quantile_ms, partial(loop_ns, EXECUTORCH_PYTHON, models / name, seconds)
            ),
            "edgekit native runner": partial(
                at_quantile_ms, partial(edgekit_ns, executorch, models / name, seconds)
            ),
        }
        values = interleaved(ways, rounds=rounds)
        report(
            f"MobileNetV2 {name}, quantile {quantile}",
            values,
            base="executorch.runtime (Python)",
            unit="ms",
            target=TARGET,
        )
    statistic = {0.05: "p5_ms", 0.5: "median_ms"}[quantile]
    for name in ("fp32.tflite", "int8.tflite"):
        runs = max(
            10, int(seconds * 1e9 / statistics.median(edgekit_ns(litert, models / name, 0.5)))
        )
        ways = {
            "litert-benchmark": partial(litert_benchmark_ms, models / name, runs, statistic),
            "Interpreter loop": partial(
                at_quantile_ms, partial(loop_ns, LITERT_INTERPRETER, models / name, seconds)
            ),
            "edgekit native runner": partial(
                at_quantile_ms, partial(edgekit_ns, litert_native, models / name, seconds)
            ),
            "edgekit runner in Python": partial(
                at_quantile_ms, partial(edgekit_ns, litert, models / name, seconds)
            ),
        }
        values = interleaved(ways, rounds=rounds)
        report(
            f"MobileNetV2 {name}, quantile {quantile}",
            values,
            base="Interpreter loop",
            unit="ms",
            target=TARGET,
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument(
        "--seconds",
        type=float,
        default=0.6,
        help="measured per turn, after a warm-up of half of that",
    )
    parser.add_argument("--quantile", type=float, choices=(0.05, 0.5), default=0.5)
    parser.add_argument("--models", type=Path, help="where the models are kept")
    parser.add_argument("--make", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.make:
        make_models(arguments.make)
        return
    with tempfile.TemporaryDirectory() as scratch:
        models = (arguments.models or Path(scratch)).absolute()
        models.mkdir(parents=True, exist_ok=True)
        if not all((models / name).exists() for name in MODELS):
            subprocess.run(
                [sys.executable, __file__, "--make", str(models)],
                check=True,
                env={**os.environ, "OMP_NUM_THREADS": "1"},
            )
        compare(models, arguments.rounds, arguments.seconds, arguments.quantile)


if __name__ == "__main__":
    main()
