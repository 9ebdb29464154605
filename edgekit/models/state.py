"""The state of a module: its tensors, and what its modules say of them beside. A module gives its
part of the state a version, and reads old versions in another way (`local_metadata`): MNASNet and
batch norm do. Owns keeping and giving back both."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from edgekit.errors import ModelError
from edgekit.prose import some

Versions = Mapping[str, Mapping[str, Any]]
"""By the name of the module, "" for the model itself: `{"version": 2}`, and whatever else a module
of the user's own keeps there. Plain JSON values."""


def module_versions(model: nn.Module) -> Versions:
    """What the modules of a model say of their state now. Raises ModelError for values that are no
    plain JSON."""
    versions: Versions = getattr(model.state_dict(), "_metadata", {})
    for name, values in versions.items():
        try:
            json.dumps(dict(values))
        except (TypeError, ValueError):
            raise ModelError(
                f"{name or 'the model'}: it keeps metadata in its state that is no plain value",
                hint="put tensors into buffers, and only numbers and text into the metadata",
            ) from None
    return {name: dict(values) for name, values in versions.items()}


def require_tensors(state: Mapping[str, Any]) -> None:
    """Raises ModelError for state that cannot be kept beside weights, such as what
    `get_extra_state` may return."""
    others = [name for name, value in state.items() if not isinstance(value, Tensor)]
    if others:
        raise ModelError(
            f"the model keeps state that is no tensor: {some(others)}",
            hint="return a tensor from get_extra_state, or keep it out of the state",
        )


def load_state(
    model: nn.Module, state: Mapping[str, Tensor], versions: Versions, *, strict: bool = True
) -> None:
    """Put tensors, with the versions that they were written with, into a model.

    Raises ModelError for whatever a module of the model has against them."""
    versioned = OrderedDict(state)
    versioned._metadata = OrderedDict(versions)  # type: ignore[attr-defined]
    try:
        model.load_state_dict(versioned, strict=strict)
    except Exception as error:  # modules read their state with code of their own
        reason = " ".join(str(error).split())[:300]
        raise ModelError(
            f"the model does not take the weights: {reason}",
            hint="were they written with another version of the network's code?",
        ) from error
