"""Weights from files that may come from anywhere. Owns reading them without running code, and
checking them against the network before a single one is changed. Formats: safetensors, and
`torch.save` checkpoints of tensors; what else a file holds is refused, not interpreted."""

from __future__ import annotations

import pickle
import warnings
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from edgekit.errors import ModelError
from edgekit.models.state import Versions, load_state, module_versions

NESTS = ("state_dict", "model_state_dict", "model")
"""Keys under which training programs keep the weights beside other state."""

SAFE_WAYS = (
    "save the weights with safetensors.torch.save_file, or torch.save(model.state_dict(), path)"
)
COUNTERS = ("n_averaged",)
"""What torch's AveragedModel keeps beside the weights."""
BATCH_COUNTER = "num_batches_tracked"
SHOWN = 10
T = TypeVar("T")


def load_weights(model: nn.Module, path: Path) -> str:
    """Load weights into a model, all of them or none. No code from the file is run.

    Accepts `.safetensors` and `torch.save` files holding a state dict, also nested under
    `state_dict`, `model_state_dict` or `model`. A prefix that all names share, such as `module.`,
    `model.` or `_orig_mod.`, is taken off where the rest then fits. Values are cast to the model's
    floating type. Returns that prefix, "" where there is none.

    Raises ModelError: unreadable, empty or truncated; holds code or an exported program; missing,
    surplus or wrongly shaped tensors (all named, the first ten of each); NaN or infinite values.
    """
    state, versions = _state_dict(_read(path), path)
    prefix = _prefix(model, state)
    state = _without(prefix, state)
    _check_names(model, state, path)
    _check_values(model, state, path)
    # A file without versions was written by the same network, as far as anybody knows.
    known = _without(prefix, {f"{name}.": each for name, each in versions.items()})
    names = {name.removesuffix("."): each for name, each in known.items()}
    # The names are checked; only counters of batch norm, absent in old files, may be missing.
    load_state(model, state, names or module_versions(model), strict=False)
    return prefix


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


def _state_dict(content: Any, path: Path) -> tuple[dict[str, Tensor], Versions]:
    """The tensors by name, out of their nest, and the versions of the modules that wrote them."""
    for nest in NESTS:
        if isinstance(content, Mapping) and isinstance(content.get(nest), Mapping):
            content = content[nest]
            break
    if not isinstance(content, Mapping) or not content:
        raise ModelError(f"{path}: holds no weights, but {type(content).__name__}", hint=SAFE_WAYS)
    others = [str(name) for name, value in content.items() if not isinstance(value, Tensor)]
    if others:
        raise ModelError(f"{path}: besides tensors it holds {_some(others)}", hint=SAFE_WAYS)
    versions = getattr(content, "_metadata", None)
    state = {str(name): tensor for name, tensor in content.items()}
    return state, versions if isinstance(versions, Mapping) else {}


def _prefix(model: nn.Module, state: Mapping[str, Tensor]) -> str:
    """What all names begin with that those of the model do not, where the rest is the model's."""
    names = [name for name in state if name not in COUNTERS]
    own = {name for name in model.state_dict() if not name.endswith(BATCH_COUNTER)}
    for prefix in _shared_prefixes(names):
        rest = {name.removeprefix(prefix) for name in names}
        if own <= rest:
            return prefix
    return ""


def _shared_prefixes(names: Sequence[str]) -> Iterator[str]:
    """From none to the longest: "", "model.", "model.net."."""
    yield ""
    prefix = ""
    for parts in zip(*(name.split(".")[:-1] for name in names), strict=False):
        if len(set(parts)) > 1:
            return
        prefix += f"{parts[0]}."
        yield prefix


def _without(prefix: str, values: Mapping[str, T]) -> dict[str, T]:
    """By names without the prefix. What a wrapper counts besides is left out with its prefix."""
    if not prefix:
        return dict(values)
    return {
        name.removeprefix(prefix): value
        for name, value in values.items()
        if name.startswith(prefix)
    }


def _check_names(model: nn.Module, state: Mapping[str, Tensor], path: Path) -> None:
    own = model.state_dict()
    missing = [name for name in own if name not in state and not name.endswith(BATCH_COUNTER)]
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
        prefixes = list(_shared_prefixes(list(state)))
        if len(prefixes) > 1:
            hint += f"; all names begin with {prefixes[-1]}, also without it they do not fit"
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
