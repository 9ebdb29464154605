"""A stage's result as a value and as a directory. Owns how a compressed model is written down so
that it can be rebuilt without running any code from the file: tensors in safetensors, the recipe
for the architecture in JSON.

    weights.safetensors   the state of the model, or of its prepared graph (fake-quant and
                          observer state included)
    masks.safetensors     0/1 masks of unstructured pruning, if any
    checkpoint.json       which model, which channels were pruned, how it is quantized, and the
                          versions that its modules gave their part of the state
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from edgekit.compress.lookup import load_method
from edgekit.compress.prune import channel_removal
from edgekit.compress.quantize.graph_state import graph_state, load_graph_state
from edgekit.compress.scheme import Scheme
from edgekit.models.calling import Inputs
from edgekit.models.create import create_model
from edgekit.models.state import load_state, module_versions


@dataclass(frozen=True)
class ModelSpec:
    """How to build the original network: enough for `create_model`. `base` is the recipe's
    directory, where local modules are found."""

    name: str
    args: Mapping[str, Any]
    seed: int
    base: Path


@dataclass(frozen=True)
class Quantization:
    """How a checkpoint is quantized. `method` is its name in a recipe; `settings` are what the
    method needs to rebuild its graph, as plain JSON values."""

    method: str
    scheme: Scheme
    keep_float: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Checkpoint:
    """A model between two stages. `model` is an eager module, or the prepared graph where the
    quantization's scheme is in the graph."""

    spec: ModelSpec
    model: nn.Module
    pruning_history: tuple[Any, ...] = ()
    masks: Mapping[str, Tensor] = field(default_factory=dict)
    quantization: Quantization | None = None


def save(checkpoint: Checkpoint, directory: Path) -> None:
    """Write the three files into an existing directory."""
    state = graph_state(checkpoint.model)
    save_file(
        {name: tensor.contiguous().clone() for name, tensor in state.items()},
        directory / "weights.safetensors",
    )
    if checkpoint.masks:
        save_file(
            {name: mask.contiguous() for name, mask in checkpoint.masks.items()},
            directory / "masks.safetensors",
        )
    quantization = checkpoint.quantization
    description = {
        "model": {
            "name": checkpoint.spec.name,
            "args": dict(checkpoint.spec.args),
            "seed": checkpoint.spec.seed,
        },
        "pruning_history": checkpoint.pruning_history,
        "module_versions": module_versions(checkpoint.model),
        "quantization": None if quantization is None else dataclasses.asdict(quantization),
    }
    (directory / "checkpoint.json").write_text(json.dumps(description), encoding="utf-8")


def load(directory: Path, example: Inputs, *, base: Path) -> Checkpoint:
    """Rebuild what `save` wrote: the same network, channels, graph and numbers, bit for bit.

    `example` is a batch by input name; `base` is where modules that lie beside the recipe are found
    now."""
    description = json.loads((directory / "checkpoint.json").read_text(encoding="utf-8"))
    spec = ModelSpec(**description["model"], base=base)
    model = create_model(spec.name, spec.args, seed=spec.seed, base=spec.base)
    if description["pruning_history"]:
        channel_removal.replay(model, example, description["pruning_history"])
    state = load_file(directory / "weights.safetensors")
    quantization = _quantization(description["quantization"])
    if quantization is not None and quantization.scheme.in_graph:
        method = load_method("quantize", quantization.method, base)
        assert method.rebuild is not None  # its scheme is in the graph
        graph = method.rebuild(model, example, quantization)
        load_graph_state(graph, state)
        model = graph
    else:
        load_state(model, state, description["module_versions"])
    masks_file = directory / "masks.safetensors"
    return Checkpoint(
        spec,
        model,
        tuple(description["pruning_history"]),
        load_file(masks_file) if masks_file.exists() else {},
        quantization,
    )


def _quantization(fields: dict[str, Any] | None) -> Quantization | None:
    if fields is None:
        return None
    return Quantization(
        fields["method"],
        Scheme(**fields["scheme"]),
        tuple(fields["keep_float"]),
        fields["settings"],
    )
