"""Tiny models in both formats, exported by the libraries themselves, with inputs and the outputs
that eager PyTorch gives for them."""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

CLASSES = 10


@dataclass(frozen=True)
class Sample:
    """The raw bytes a runner reads and those it should write, up to the tolerance of another
    runtime."""

    inputs: list[np.ndarray]
    outputs: list[np.ndarray]

    @property
    def input_bytes(self) -> bytes:
        return b"".join(np.ascontiguousarray(value).tobytes() for value in self.inputs)


class Convolution(nn.Module):
    """One image in, class scores out; all of it goes to the delegate."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3, stride=2), nn.ReLU()
        )
        self.classifier = nn.Linear(8, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x).mean((2, 3)))


class TwoByTwo(nn.Module):
    """Two inputs of different types and two outputs of different types and sizes."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(7, 4)
        self.linear = nn.Linear(4, 6)

    def forward(self, x: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
        scores = self.linear(x + self.embedding(index))
        return scores, scores > 0


class Running(nn.Module):
    """A sum that goes on: its state is its first input and its second output."""

    def forward(self, state: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        total = state + x
        return 2 * total, total


MODELS: dict[str, tuple[type[nn.Module], list[tuple[int, ...]]]] = {
    "convolution": (Convolution, [(1, 3, 16, 16)]),
    "two": (TwoByTwo, [(1, 4), (1,)]),
    "running": (Running, [(1, 4), (1, 4)]),
}


def make(name: str, count: int = 5) -> tuple[nn.Module, list[Sample]]:
    torch.manual_seed(7)
    factory, shapes = MODELS[name]
    model = factory().eval()
    samples = []
    with torch.no_grad():
        for _ in range(count):
            inputs = [
                (
                    torch.randint(0, 7, shape, dtype=torch.int32)
                    if len(shape) == 1
                    else torch.randn(shape)
                )
                for shape in shapes
            ]
            outputs = model(*inputs)
            listed = outputs if isinstance(outputs, tuple) else (outputs,)
            samples.append(Sample([x.numpy() for x in inputs], [y.numpy() for y in listed]))
    return model, samples


def example(samples: list[Sample]) -> tuple[Tensor, ...]:
    return tuple(torch.from_numpy(value) for value in samples[0].inputs)


def write_pte(name: str, path: Path, *, delegate: bool = True) -> list[Sample]:
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower

    model, samples = make(name)
    program = torch.export.export(model, example(samples))
    lowered = to_edge_transform_and_lower(
        program, partitioner=[XnnpackPartitioner()] if delegate else []
    ).to_executorch()
    path.write_bytes(lowered.buffer)
    return samples


def write_tflite(name: str, path: Path) -> list[Sample]:
    import litert_torch

    model, samples = make(name)
    with contextlib.redirect_stdout(io.StringIO()):
        litert_torch.convert(model, example(samples)).export(str(path))
    return samples


def write_int8_tflite(path: Path) -> None:
    """A linear layer with int8 input and output."""
    import litert_torch
    from litert_torch.quantize.pt2e_quantizer import (
        PT2EQuantizer,
        get_symmetric_quantization_config,
    )
    from litert_torch.quantize.quant_config import QuantConfig
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

    torch.manual_seed(7)
    x = (torch.randn(1, 12),)
    quantizer = PT2EQuantizer().set_global(
        get_symmetric_quantization_config(is_per_channel=True, is_dynamic=False)
    )
    graph = prepare_pt2e(
        torch.export.export(nn.Sequential(nn.Linear(12, 6)).eval(), x).module(), quantizer
    )
    graph(*x)
    with contextlib.redirect_stdout(io.StringIO()):
        quantized = convert_pt2e(graph, fold_quantize=False)
        litert_torch.convert(
            quantized, x, quant_config=QuantConfig(pt2e_quantizer=quantizer)
        ).export(str(path))
