"""What modules say of their state beside the tensors is kept, for every module that reads it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from edgekit.compress import checkpoint as checkpoints
from edgekit.compress.checkpoint import Checkpoint, ModelSpec
from edgekit.errors import ModelError
from edgekit.models.create import create_model
from edgekit.models.state import load_state, module_versions
from edgekit.models.weights import load_weights

pytestmark = pytest.mark.torch


class Versioned(nn.Module):
    """Reads its state as its version says, as MNASNet and batch norm do."""

    _version = 2

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(3))

    def _load_from_state_dict(
        self, state: dict[str, Any], prefix: str, local_metadata: Mapping[str, Any], *rest: Any
    ) -> None:
        if local_metadata.get("version") not in (1, 2):
            raise ValueError(f"version should be 1 or 2 instead of {local_metadata.get('version')}")
        if local_metadata["version"] == 1:  # half of what it is now
            state[f"{prefix}scale"] = 2 * state[f"{prefix}scale"]
        super()._load_from_state_dict(state, prefix, local_metadata, *rest)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale


class Extra(nn.Module):
    """Keeps what is no tensor in its state."""

    def get_extra_state(self) -> Any:
        return {"seen": 3}

    def set_extra_state(self, state: Any) -> None: ...


def net() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 3), Versioned(), nn.BatchNorm1d(3))


def test_versions_are_kept_in_the_checkpoint_of_a_stage(tmp_path: Path) -> None:
    """torchvision's MNASNet refuses a state without its version."""
    model = create_model("mnasnet0_5", {"num_classes": 4}, seed=1)
    spec = ModelSpec("mnasnet0_5", {"num_classes": 4}, 0, tmp_path)
    checkpoints.save(Checkpoint(spec, model), tmp_path)
    loaded = checkpoints.load(tmp_path, {"image": torch.ones(2, 3, 32, 32)}, base=tmp_path)
    assert module_versions(loaded.model) == module_versions(model)
    assert module_versions(model)[""] == {"version": 2}
    assert all(
        torch.equal(tensor, model.state_dict()[name])
        for name, tensor in loaded.model.state_dict().items()
    )


def test_a_file_with_old_versions_is_read_as_they_say(tmp_path: Path) -> None:
    old = net().state_dict()
    old._metadata["1"]["version"] = 1  # type: ignore[attr-defined]
    torch.save({"state_dict": old}, tmp_path / "old.pth")
    prefixed = nn.ModuleDict({"model": net()}).state_dict()
    prefixed._metadata["model.1"]["version"] = 1  # type: ignore[attr-defined]
    torch.save(prefixed, tmp_path / "prefixed.pth")
    for name in ("old.pth", "prefixed.pth"):
        model = net()
        load_weights(model, tmp_path / name)
        assert model.get_parameter("1.scale").tolist() == [2, 2, 2], name


def test_a_file_without_versions_is_of_the_same_network(tmp_path: Path) -> None:
    save_file(net().state_dict(), tmp_path / "w.safetensors")
    model = net()
    load_weights(model, tmp_path / "w.safetensors")
    assert model.get_parameter("1.scale").tolist() == [1, 1, 1]


def test_what_a_module_refuses_is_one_error() -> None:
    with pytest.raises(ModelError, match="does not take the weights: version should be 1 or 2"):
        load_state(net(), net().state_dict(), {"1": {"version": 7}})


def test_state_that_is_no_tensor_is_named(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(2, 2), Extra())
    with pytest.raises(ModelError, match=r"no tensor: 1\._extra_state"):
        checkpoints.save(Checkpoint(ModelSpec("net", {}, 0, tmp_path), model), tmp_path)
