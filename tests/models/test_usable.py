"""Models that cannot be used are refused before anything is trained, by lint and by build alike."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import edgekit
from edgekit.errors import ModelError
from edgekit.models.create import create_model
from edgekit.models.usable import left_out_while_training, own_answers, usable_outputs
from tests.support.compress_nets import batch, named

pytestmark = pytest.mark.torch

X = batch(2, 4)


class Ring(nn.Module):
    """A keyword spotter that keeps what it heard in a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("ring", torch.zeros(1, 4))
        self.fc = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        ring = self.get_buffer("ring")
        ring.copy_(torch.cat([ring[:, 1:], x.mean(-1).sum().view(1, 1)], 1))
        out: Tensor = self.fc(x + ring)
        return out


class Counter(nn.Module):
    """A buffer that is put in the place of the one before."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        self.calls = self.get_buffer("calls") + 1
        return x


class Hidden(nn.Module):
    """A state that is no buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.state: Tensor | float = 0.0

    def forward(self, x: Tensor) -> Tensor:
        self.state = torch.tanh(x + self.state)
        return self.state


class Noise(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.dropout(x, 0.5, training=True)


class Cached(nn.Module):
    """What it keeps does not change its answers."""

    def forward(self, x: Tensor) -> Tensor:
        self.last = x
        return x.softmax(-1)


class Auxiliary(nn.Module):
    def __init__(self, names: bool = False) -> None:
        super().__init__()
        self.head, self.aux, self.names = nn.Linear(4, 2), nn.Linear(4, 2), names

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, ...] | dict[str, Tensor]:
        out: Tensor = self.head(x)
        if not self.training:
            return out
        return {"logits": out, "aux": self.aux(x)} if self.names else (out, self.aux(x))


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Ring(), "forward changes its buffer ring"),
        (nn.Sequential(Counter()), r"forward changes its buffer 0\.calls"),
        (Hidden(), "differently the second time"),
        (Noise(), "differently the second time"),
    ],
)
def test_what_an_answer_may_not_depend_on(model: nn.Module, message: str) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        usable_outputs(model, named(X), "net")
    assert "from_output" in caught.value.hint


def test_batch_norm_and_what_is_only_kept_are_no_state() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout(), Cached()).train()
    assert list(usable_outputs(model, named(X), "net")) == ["output_0"]


def test_outputs_that_only_training_has_are_left_out() -> None:
    model = Auxiliary().eval()
    assert left_out_while_training(model, named(X)) == ("output_1",)
    outputs = {"output_0": X, "output_1": X}
    assert list(own_answers(outputs, ("output_0",))) == ["output_0"]
    with pytest.raises(ModelError, match="answers with logits, aux while it trains, and with out"):
        left_out_while_training(Auxiliary(names=True).eval(), named(X))
    assert not model.training


def test_an_error_without_a_message_is_named_by_its_class() -> None:
    class Refuses(nn.Module):
        def forward(self, image: Tensor) -> Tensor:
            if self.training:
                raise NotImplementedError
            return image

    with pytest.raises(ModelError, match="does not run in training mode: NotImplementedError"):
        left_out_while_training(Refuses(), named(batch(2, 3)))


def test_googlenet_has_two_more_while_it_trains() -> None:
    model = create_model("googlenet", {"num_classes": 3, "init_weights": False}, seed=0).eval()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    assert left_out_while_training(model, named(batch(2, 3, 64, 64))) == ("output_1", "output_2")
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


RECIPE = """\
edgekit: 2
name: net
model: {name: "NETS:MODEL"WEIGHTS}
inputs: {x: {shape: [1, 8, 8]}}
data: {name: digits}
export: {backends: [litert]}
stages:
  - {stage: train, epochs: 0.1, export: fp32}
"""
NETS = """\
import torch
from torch import nn

class Base(nn.Module):
    def __init__(self, out=10):
        super().__init__()
        self.fc, self.aux = nn.Linear(64, out), nn.Linear(64, 10)
        self.register_buffer("ring", torch.zeros(64))

class Ring(Base):
    def forward(self, x):
        self.ring.mul_(0.5).add_(x.flatten(1).mean(0))
        return self.fc(x.flatten(1) + self.ring)

class Aux(Base):
    def forward(self, x):
        y = self.fc(x.flatten(1))
        return (y, self.aux(x.flatten(1))) if self.training else y

class Maps(Base):
    def forward(self, x):
        return [x, x.mean((2, 3))]

class One(Base):
    def __init__(self):
        super().__init__(1)
    def forward(self, x):
        return self.fc(x.flatten(1))
"""


def recipe(tmp_path: Path, model: str, weights: str = "") -> Path:
    """Beside a module of its own, as modules are imported once."""
    module = f"nets_{tmp_path.name}".replace("-", "_")
    (tmp_path / f"{module}.py").write_text(NETS)
    text = RECIPE.replace("NETS:MODEL", f"{module}:{model}").replace("WEIGHTS", weights)
    (tmp_path / "net.yaml").write_text(text)
    return tmp_path / "net.yaml"


@pytest.mark.parametrize(
    ("model", "code", "message"),
    [
        ("Ring", "model", "changes its buffer ring"),
        ("Maps", "task", ""),
        ("One", "task", ""),
    ],
)
def test_lint_and_build_refuse_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: str, code: str, message: str
) -> None:
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path / "cache"))
    path = recipe(tmp_path, model)
    findings = [each for each in edgekit.lint(path) if each.severity == "error"]
    assert [each.code for each in findings] == [code]
    assert message in findings[0].message
    with pytest.raises(ModelError) as caught:
        edgekit.build(path, output=tmp_path / "out")
    assert message in caught.value.message


def test_lint_opens_the_checkpoint(tmp_path: Path) -> None:
    texts: list[str] = []
    path = recipe(tmp_path, "Aux", ", weights: w.pth")

    def lint() -> list[tuple[str, str, int | None]]:
        findings = edgekit.lint(
            path, progress=lambda task, done, total, text="": texts.append(text)
        )
        return [(each.code, each.severity, each.origin.line) for each in findings]

    assert lint() == [("weights", "error", 3)]
    torch.save({"fc.weight": torch.ones(3, 3)}, tmp_path / "w.pth")
    assert lint() == [("weights", "error", 3)]
    state = {"fc.weight": torch.ones(10, 64), "fc.bias": torch.ones(10)}
    state |= {"aux.weight": torch.ones(10, 64), "aux.bias": torch.ones(10)}
    state |= {"ring": torch.zeros(64)}
    torch.save({f"model.{name}": value for name, value in state.items()}, tmp_path / "w.pth")
    assert set(lint()) == {("weights-prefix", "note", 3), ("auxiliary-outputs", "note", 3)}
    assert texts[0] == "the model"
    assert texts[-1] == "done"
