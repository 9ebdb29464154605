"""Tables as CSV: features and targets by their columns, and every wrong cell by line and column."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from edgekit.data.dataset import Dataset
from edgekit.data.load import load_dataset
from edgekit.data.outline import outline_of
from edgekit.data.source import Outline
from edgekit.errors import ModelError
from tests.support.splits import arrays, one_input, only, targets

pytestmark = pytest.mark.torch

HEADER = "age,height,kind,weight\n"
LINES = "".join(f"{n},{100 + n},{'dog' if n % 2 else 'cat'},{n / 2}\n" for n in range(20))


@pytest.fixture
def table(tmp_path: Path) -> Path:
    (tmp_path / "table.csv").write_text(HEADER + LINES)
    return tmp_path / "table.csv"


def load(table: Path, shape: tuple[int, ...] = (2,), seed: int = 0, **args: Any) -> Dataset:
    settings = {"path": table.name, "target": "weight", "features": ["age", "height"]} | args
    return load_dataset("csv", settings, inputs=one_input(shape), seed=seed, base=table.parent)


def test_numbers_are_targets_of_their_own(table: Path) -> None:
    data = load(table)
    assert (len(data.train), len(data.test), data.classes) == (16, 4, ())
    for split in (data.train, data.test):
        inputs = only(arrays(split).inputs)
        assert inputs.dtype == targets(split).dtype == torch.float32
        assert torch.equal(inputs[:, 1], inputs[:, 0] + 100)
        assert torch.equal(targets(split), inputs[:, 0] / 2)
    every = torch.cat([targets(data.train), targets(data.test)])
    assert sorted(every.tolist()) == [n / 2 for n in range(20)]
    assert torch.equal(targets(load(table).test), targets(data.test))
    assert not torch.equal(targets(load(table, seed=1).test), targets(data.test))


def test_several_targets_and_another_shape(table: Path) -> None:
    data = load(table, (1, 1, 1), target=["weight", "height"], features=["age"])
    assert targets(data.train).shape == (16, 2)
    assert only(arrays(data.train).inputs).shape == (16, 1, 1, 1)


def test_text_is_a_class(table: Path) -> None:
    data = load(table, (3,), target="kind", features=None)
    assert data.classes == ("cat", "dog")
    assert torch.bincount(targets(data.test)).tolist() == [2, 2]
    ages = only(arrays(data.train).inputs)[:, 0]
    assert torch.equal(targets(data.train), ages.long() % 2)
    ordered = load(table, target="kind", classes=["dog", "cat"])
    assert ordered.classes == ("dog", "cat")


def test_numbers_as_classes(table: Path) -> None:
    lines = "".join(f"{n},{n % 2}\n" for n in range(10))
    table.write_text("\ufeffx,y\r\n" + lines.replace("\n", "\r\n"), encoding="utf-8")
    data = load(table, (1,), target="y", features=["x"], classes=[0, 1])
    assert data.classes == ("0", "1")
    assert targets(data.train).dtype == torch.int64


@pytest.mark.parametrize(
    ("line", "args", "message"),
    [
        ("1,tall,cat,3", {}, "line 22, column height: 'tall' is no finite number"),
        ("1,,cat,3", {}, "line 22, column height: '' is no finite number"),
        ("1,2,cat,nan", {}, "line 22, column weight: 'nan' is no finite number"),
        ("1,inf,cat,2", {}, "line 22, column height: 'inf' is no finite number"),
        ("1,2,cat,heavy", {}, "line 22, column weight: 'heavy' is no finite number"),
        ("1,2,cat", {}, "line 22: 3 cells, but the header has 4"),
        ("1,2,,3", {"target": "kind"}, "line 22, column kind: '' is no class among cat, dog"),
        ("1,2,eel,3", {"target": "kind", "classes": ["cat", "dog"]},
         "column kind: 'eel' is no class among cat, dog"),
    ],
)  # fmt: skip
def test_a_wrong_cell_is_named(line: str, args: dict[str, Any], message: str, table: Path) -> None:
    table.write_text(f"{HEADER}{LINES}\n{line}\n".replace("\n\n", "\n"))
    with pytest.raises(ModelError, match=message) as caught:
        load(table, **args)
    assert caught.value.exit_code == 3


def test_tables_that_do_not_fit(table: Path) -> None:
    with pytest.raises(ModelError, match=r"2 columns of features, but the recipe's input is 3"):
        load(table, (3,))
    with pytest.raises(ModelError, match="there is no column wieght") as caught:
        load(table, target="wieght")
    assert caught.value.hint == "the table has age, height, kind, weight"
    with pytest.raises(ModelError, match=r"nowhere\.csv: cannot be read: No such file"):
        load(table, path="nowhere.csv")
    with pytest.raises(ModelError, match="20 samples cannot be split for testing by 0"):
        load(table, test_fraction=0)
    for content, message in (
        (HEADER, "there are no samples"),
        ("a,a\n1,2\n", "the first line must name each column"),
        ("", "the first line must name each column"),
        (HEADER + '1,"2', "cannot be read: unexpected end of data"),
    ):
        table.write_text(content)
        with pytest.raises(ModelError, match=message):
            load(table)
    table.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ModelError, match=r"table\.csv: cannot be read"):
        load(table)


def test_outlines(table: Path) -> None:
    path = {"path": "table.csv"}
    for target, expected in (
        ("kind", Outline((3,), classes=2)),
        ("weight", Outline((3,))),
        (["weight", "age"], Outline((2,))),
    ):
        assert outline_of("csv", path | {"target": target}, table.parent) == expected
