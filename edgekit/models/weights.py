"""Weights from files that may come from anywhere. Owns reading them without running code, and
checking them against the network before a single one is changed. Formats: safetensors, and
`torch.save` checkpoints of tensors; what else a file holds is refused, not interpreted."""

from __future__ import annotations

import pickle
import warnings
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from edgekit.errors import ModelError

NESTS = ("state_dict", "model_state_dict", "model")
"""Keys under which training programs keep the weights beside other state."""

SAFE_WAYS = (
    "save the weights with safetensors.torch.save_file, or torch.save(model.state_dict(), path)"
)
SHOWN = 10


def load_weights(model: nn.Module, path: Path) -> None:
    """Load weights into a model, all of them or none. No code from the file is run.

    Accepts `.safetensors` and `torch.save` files holding a state dict, also nested under
    `state_dict`, `model_state_dict` or `model`, and with the `module.` prefix of DataParallel.
    Values are cast to the model's floating type.

    Raises ModelError: unreadable, empty or truncated; holds code or an exported program; missing,
    surplus or wrongly shaped tensors (all named, the first ten of each); NaN or infinite values.
    """
    state = _state_dict(_read(path), path)
    _check_names(model, state, path)
    _check_values(model, state, path)
    # The names are checked; only counters of batch norm, absent in old files, may be missing.
    model.load_state_dict(state, strict=False)


def _read(path: Path) -> Any:
    try:
        if path.stat().st_size == 0:
            raise ModelError(f"{path}: the weights file is empty", hint="copy it again")
        with path.open("rb") as stream:
            head = stream.read(9)
        return load_file(path) if head[8:] == b"{" else _read_torch(path)
    except SafetensorError as error:
        raise ModelError(
            f"{path}: not a complete safetensors file: {error}",
            hint="copy it again; it may be truncated",
        ) from None
    except OSError as error:
        raise ModelError(f"{path}: cannot read the weights: {error.strerror or error}") from None


def _read_torch(path: Path) -> Any:
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            names = [name.partition("/")[2] for name in archive.namelist()]
        if "data.pkl" not in names or any(name.startswith("code/") for name in names):
            kind = "a TorchScript program" if "data.pkl" in names else "an exported program (.pt2)"
            raise ModelError(
                f"{path}: {kind}, not weights; refused, because loading one can run code",
                hint=SAFE_WAYS,
            )
    try:
        with warnings.catch_warnings(
            action="ignore"
        ):  # about the pickle protocol: of no use to whoever got the file
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        message = (
            f"{path}: not only tensors, but code, objects or another kind of file; refused, nothing"
            " of it was run"
        )
        raise ModelError(
            message, hint=f"{SAFE_WAYS}; if it was, copy it again: it may be truncated"
        ) from None
    except Exception:  # damaged bytes make the reader raise anything
        raise ModelError(
            f"{path}: not a torch checkpoint, or not a complete one",
            hint="copy it again; it may be truncated",
        ) from None


def _state_dict(content: Any, path: Path) -> dict[str, Tensor]:
    """The tensors by name, out of their nest and without the prefix of DataParallel."""
    for nest in NESTS:
        if isinstance(content, Mapping) and isinstance(content.get(nest), Mapping):
            content = content[nest]
            break
    if not isinstance(content, Mapping) or not content:
        raise ModelError(f"{path}: holds no weights, but {type(content).__name__}", hint=SAFE_WAYS)
    others = [str(name) for name, value in content.items() if not isinstance(value, Tensor)]
    if others:
        raise ModelError(f"{path}: besides tensors it holds {_some(others)}", hint=SAFE_WAYS)
    names = [str(name) for name in content]
    prefix = "module." if all(name.startswith("module.") for name in names) else ""
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in zip(names, content.values(), strict=True)
    }


def _check_names(model: nn.Module, state: Mapping[str, Tensor], path: Path) -> None:
    own = model.state_dict()
    missing = [
        name for name in own if name not in state and not name.endswith("num_batches_tracked")
    ]
    surplus = [name for name in state if name not in own]
    common = own.keys() & state.keys()
    shapes = [
        f"{n} is {tuple(state[n].shape)}, not {tuple(own[n].shape)}"
        for n in own
        if n in common and state[n].shape != own[n].shape
    ]
    kinds = [
        f"{n} is {state[n].dtype}"
        for n in own
        if n in common and own[n].is_floating_point() and not state[n].is_floating_point()
    ]
    names_by_problem = (
        ("missing", missing),
        ("not in the model", surplus),
        ("wrong shape", shapes),
        ("not floating point", kinds),
    )
    problems = [f"{what}: {_some(names)}" for what, names in names_by_problem if names]
    if problems:
        hint = "check model.name and model.args: these are weights of another network"
        raise ModelError(f"{path}: does not fit the model; {'; '.join(problems)}", hint=hint)


def _check_values(model: nn.Module, state: Mapping[str, Tensor], path: Path) -> None:
    bad = [
        name
        for name, tensor in state.items()
        if tensor.is_floating_point() and not torch.isfinite(tensor).all()
    ]
    if bad:
        raise ModelError(
            f"{path}: NaN or infinite values in {_some(bad)}",
            hint="the training that made it diverged; take an earlier checkpoint",
        )


def _some(names: Iterable[str]) -> str:
    listed = list(names)
    rest = f" and {len(listed) - SHOWN} more" if len(listed) > SHOWN else ""
    return ", ".join(listed[:SHOWN]) + rest
