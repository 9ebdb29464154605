"""Arrays in .npz files: mapped or read, in memory or streamed, and files that do not fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from edgekit.data import npz
from edgekit.data.dataset import ArraySplit, Dataset, in_turn
from edgekit.data.load import load_dataset
from edgekit.data.outline import outline_of
from edgekit.data.source import InputSpec, Outline
from edgekit.data.streaming import StreamedSplit
from edgekit.errors import ModelError
from tests.support.splits import arrays, one_input, only, targets

pytestmark = pytest.mark.torch

X = np.arange(12 * 3 * 5, dtype=np.float32).reshape(12, 3, 5)
Y = np.arange(12) % 4
ALL: dict[str, Any] = {"x_train": X, "y_train": Y, "x_test": X[:4], "y_test": Y[:4]}


def load(base: Path, shape: tuple[int, ...] = (3, 5), workers: int = 0, **args: Any) -> Dataset:
    return load_dataset("npz", args, inputs=one_input(shape), seed=0, base=base, workers=workers)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_one_file_of_both(save: Any, tmp_path: Path) -> None:
    save(tmp_path / "all.npz", **ALL)
    data = load(tmp_path, path="all.npz")
    assert torch.equal(only(arrays(data.train).inputs), torch.tensor(X))
    assert torch.equal(targets(data.test), torch.tensor(Y[:4]))
    assert data.classes == ("0", "1", "2", "3")
    mapped = isinstance(npz.read_arrays(tmp_path / "all.npz", ["x_train"])["x_train"], np.memmap)
    assert mapped == (save is np.savez)


def test_a_file_for_each_with_other_keys(tmp_path: Path) -> None:
    for part in ("a", "b"):
        np.savez(tmp_path / f"{part}.npz", series=np.asfortranarray(X), size=X.mean((1, 2)))
    args: dict[str, Any] = {"train": "a.npz", "test": "b.npz", "inputs": "series", "target": "size"}
    data = load(tmp_path, **args)
    assert torch.equal(only(arrays(data.train).inputs), torch.tensor(X))
    assert (targets(data.train).dtype, data.classes) == (torch.float32, ())
    assert outline_of("npz", args, tmp_path) == Outline((3, 5))
    unlabelled = load(tmp_path, **args | {"target": None})
    assert not unlabelled.train.labelled


def test_several_inputs(tmp_path: Path) -> None:
    np.savez(tmp_path / "all.npz", **ALL, ids_train=Y[:, None], ids_test=Y[:4, None])
    data = load_dataset(
        "npz",
        {"path": "all.npz", "inputs": {"image": "x", "ids": "ids"}},
        inputs={"image": InputSpec((3, 5)), "ids": InputSpec((1,), "int64")},
        seed=0,
        base=tmp_path,
    )
    assert arrays(data.train).inputs["ids"].tolist() == Y[:, None].tolist()


@pytest.mark.parametrize("workers", [0, 2])
def test_large_files_are_streamed(
    workers: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.savez(tmp_path / "all.npz", **ALL)
    in_memory = load(tmp_path, path="all.npz")
    assert isinstance(in_memory.train, ArraySplit)
    monkeypatch.setattr(npz, "LARGE_BYTES", 100)
    data = load(tmp_path, path="all.npz", workers=workers)
    assert isinstance(data.train, StreamedSplit)
    assert (data.classes, data.train.class_count) == (in_memory.classes, 4)
    batches = list(data.train.batches(in_turn(12, 5)))
    read = torch.cat([batch.inputs["input"] for batch in batches])
    assert torch.equal(read, torch.tensor(X))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"x_train": X, "x_test": X}, r"all\.npz: there is no array y_train"),
        (ALL | {"y_train": Y[:5]}, "not one for each sample: x_train 12, y_train 5"),
        (ALL | {"x_train": X * np.nan}, "sample 0 holds NaN or infinity"),
        (ALL | {"x_train": X[:, :2]}, "a sample is 2×5, but the recipe's input is 3×5"),
        (ALL | {"x_train": np.array([{}], object)}, "holds objects, which may be code"),
        (ALL | {"y_train": np.array(3)}, "y_train is a single number"),
    ],
)
def test_arrays_that_do_not_fit(content: Any, message: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "all.npz", **content)
    with pytest.raises(ModelError, match=message) as caught:
        load(tmp_path, path="all.npz")
    assert caught.value.exit_code == 3


def test_files_that_do_not_fit(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=X, y=Y)
    wrong: list[dict[str, Any]] = [{}, {"path": "a.npz", "train": "a.npz"}, {"train": "a.npz"}]
    for args in wrong:
        with pytest.raises(ModelError, match="samples is missing, or given twice"):
            load(tmp_path, **args)
    with pytest.raises(ModelError, match=r"nowhere\.npz: cannot be read: No such file"):
        load(tmp_path, path="nowhere.npz")
    np.savez_compressed(tmp_path / "all.npz", **ALL)
    whole = (tmp_path / "all.npz").read_bytes()
    for content in (b"", whole[: len(whole) // 2], whole[:60] + b"\0" * 40 + whole[100:]):
        (tmp_path / "all.npz").write_bytes(content)
        with pytest.raises(ModelError, match=r"all\.npz: cannot be read"):
            load(tmp_path, path="all.npz")
