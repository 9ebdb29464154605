"""Tiny models in both formats, exported by the libraries themselves, with inputs and the outputs
that eager PyTorch gives for them."""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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


class Scaled(nn.Module):
    """Inputs and outputs whose names are not in the order of the alphabet, of which two are alike
    where there is a single token."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(8, 1)

    def forward(self, tokens: Tensor, scale: Tensor) -> dict[str, Tensor]:
        logits = self.linear(tokens) * scale
        return {"logits": logits, "best": logits.amax(1, keepdim=True) - 1}


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


TOKENS = {"prefill": 16, "step": 1}
"""Signatures of one model, or methods, by how many tokens they take."""


def write_signatures_tflite(path: Path) -> dict[str, list[Sample]]:
    """Samples of each signature, inputs and outputs in the order of their names."""
    import litert_torch

    model, inputs = _scaled()
    converter: Any = litert_torch
    for name, (tokens, scale) in inputs.items():
        sample = {"tokens": tokens, "scale": scale}
        converter = converter.signature(name, model, sample_kwargs=sample)
    with contextlib.redirect_stdout(io.StringIO()):
        converter.convert().export(str(path))
    samples = {}
    for name, (tokens, scale) in inputs.items():
        outputs = model(tokens, scale)
        listed = [outputs["best"].numpy(), outputs["logits"].numpy()]
        samples[name] = [Sample([scale.numpy(), tokens.numpy()], listed)]
    return samples


def write_methods_pte(path: Path) -> dict[str, list[Sample]]:
    """Samples of each method, inputs and outputs in the order of the model. Beside them there is a
    method that only returns a number, as language models have."""
    from executorch.exir import to_edge_transform_and_lower

    model, inputs = _scaled()
    programs = {name: torch.export.export(model, call) for name, call in inputs.items()}
    lowered = to_edge_transform_and_lower(programs, constant_methods={"get_vocabulary": 8})
    path.write_bytes(lowered.to_executorch().buffer)
    return {
        name: [Sample([each.numpy() for each in call], [y.numpy() for y in model(*call).values()])]
        for name, call in inputs.items()
    }


def _scaled() -> tuple[nn.Module, dict[str, tuple[Tensor, Tensor]]]:
    torch.manual_seed(7)
    model = Scaled().eval().requires_grad_(False)
    return model, {
        name: (torch.randn(1, count, 8), torch.randn(1, 1, 1)) for name, count in TOKENS.items()
    }


SIDES = ((32, 40), (48, 64), (96, 128))
"""Heights and widths of images that a model with dynamic sizes is tried with: the smallest, one
between, the largest."""


def write_dynamic_pte(path: Path, *, delegate: bool) -> dict[tuple[int, int], list[Sample]]:
    """A convolutional network for images of the sizes in SIDES, with samples of each. Its method is
    the only one that takes something."""
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower
    from torch.export import Dim, export

    torch.manual_seed(7)
    model = Convolution().features.eval().requires_grad_(False)
    (low, narrow), between, (high, wide) = SIDES
    free = {2: Dim("height", min=low, max=high), 3: Dim("width", min=narrow, max=wide)}
    program = export(model, (torch.randn(1, 3, *between),), dynamic_shapes=(free,))
    lowered = to_edge_transform_and_lower(
        program,
        partitioner=[XnnpackPartitioner()] if delegate else [],
        constant_methods={"get_classes": 8},
    )
    path.write_bytes(lowered.to_executorch().buffer)
    images = {sides: torch.randn(1, 3, *sides) for sides in SIDES}
    return {
        sides: [Sample([image.numpy()], [model(image).numpy()])] for sides, image in images.items()
    }


def write_free_tflite(source: Path, path: Path) -> None:
    """A `.tflite` whose first axis may have any size, as TensorFlow's converter writes it."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as tfl

    model = tfl.ModelT.InitFromPackedBuf(source.read_bytes())
    for tensor in model.subgraphs[0].tensors:
        tensor.shapeSignature = [-1, *tensor.shape[1:]]
    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), b"TFL3")
    path.write_bytes(builder.Output())


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
