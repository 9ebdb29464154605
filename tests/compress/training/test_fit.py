"""The training loop on real digits: it learns, it resumes bit for bit, and it stops with a
reason."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.fx import GraphModule
from torch.nn import functional

from edgekit.compress.quantize import pt2e
from edgekit.compress.training.evaluate import evaluate, predict
from edgekit.compress.training.fit import (
    deterministic,
    steps_total,
)
from edgekit.compress.training.losses import Teacher
from edgekit.data.dataset import Dataset, Split
from edgekit.data.load import load_dataset
from edgekit.errors import ModelError
from edgekit.models.create import create_model
from edgekit.tasks.classification import CLASSIFICATION
from tests.support.splits import arrays, one_input
from tests.support.training import train

pytestmark = pytest.mark.torch


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load_dataset("digits", {}, inputs=one_input((1, 8, 8)), seed=0)


@pytest.fixture(scope="module")
def few(digits: Dataset) -> Split:
    return digits.train.limited(200, seed=0)


def cnn(seed: int = 0) -> nn.Module:
    return create_model("small_cnn", {"width": 8}, seed=seed)


def accuracy_percent(model: nn.Module, split: Split) -> float:
    return evaluate(model, split, CLASSIFICATION)[0].value


def scores(model: nn.Module, split: Split, **options: int) -> Tensor:
    return predict(model, split, **options)["output_0"]


def equal(a: nn.Module, b: nn.Module) -> bool:
    return all(
        torch.equal(x, y)
        for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    )


def test_a_small_network_learns_digits(digits: Dataset) -> None:
    model = create_model("small_cnn", {}, seed=0)
    assert accuracy_percent(model, digits.test) < 23
    report = train(model, digits.train, epochs=3)
    assert report.steps == 3 * 22
    assert report.final_loss < 0.3
    assert accuracy_percent(model, digits.test) > 95
    assert not model.training


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw", "rmsprop"])
def test_every_optimizer_lowers_the_loss(optimizer: str, few: Split) -> None:
    model = cnn()
    lr = 0.2 if optimizer == "sgd" else 5e-3
    first = train(copy.deepcopy(model), few, epochs=1, optimizer=optimizer, lr=1e-9).final_loss
    assert train(model, few, epochs=6, optimizer=optimizer, lr=lr).final_loss < 0.8 * first


def test_the_same_seed_gives_the_same_weights_another_gives_others(few: Split) -> None:
    models = [cnn() for _ in range(3)]
    torch.manual_seed(9)
    before = torch.get_rng_state()
    for model, seed in zip(models, (0, 0, 1), strict=True):
        train(model, few, seed=seed, augment=["RandomHorizontalFlip"])
    assert equal(models[0], models[1])
    assert not equal(models[0], models[2])
    assert torch.equal(before, torch.get_rng_state())


class Killed(Exception):
    """Stands for a kill: nothing in fit expects it."""


def raise_at(step: int) -> Callable[[float], None]:
    def hook(done: float, *rest: Any) -> None:
        if done == step:
            raise Killed

    return hook


def resumed(
    model: nn.Module, data: Split, path: Path, *, kill_at: int, **options: Any
) -> nn.Module:
    """Train, die at a step, and train a fresh copy from what was saved."""
    fresh = copy.deepcopy(model)
    with pytest.raises(Killed):
        train(model, data, resume_path=path, progress=raise_at(kill_at), **options)
    assert path.exists() == (kill_at > 4)
    steps_done: list[float] = []
    train(
        fresh,
        data,
        resume_path=path,
        progress=lambda done, total, text: steps_done.append(done),
        **options,
    )
    assert steps_done[0] == (kill_at - 1) // 4 * 4 + 1, "it goes on after the last finished epoch"
    assert not path.exists()
    return fresh


@pytest.mark.parametrize("optimizer", ["sgd", "adamw", "rmsprop"])
@pytest.mark.parametrize("kill_at", [3, 5, 11])
def test_killed_and_resumed_ends_with_the_same_weights_bit_for_bit(
    optimizer: str, kill_at: int, few: Split, tmp_path: Path
) -> None:
    """200 samples make four steps an epoch: killed within the first, second and third of two and
    three quarters."""
    options: dict[str, Any] = {
        "epochs": 2.75,
        "optimizer": optimizer,
        "lr": 0.01,
        "warmup_epochs": 0.5,
        "gradient_clip_norm": 1.0,
    }
    options |= {
        "augment": ["RandomHorizontalFlip", {"MixUp": {"alpha": 0.4}}],
        "label_smoothing": 0.1,
    }
    straight = create_model("ds_cnn", {"width": 8, "num_classes": 10}, seed=0)  # has dropout
    interrupted = copy.deepcopy(straight)
    assert train(straight, few, **options).steps == 11
    assert equal(
        straight, resumed(interrupted, few, tmp_path / "epoch.pt", kill_at=kill_at, **options)
    )


def test_a_graph_with_fake_quantization_resumes_bit_for_bit_too(few: Split, tmp_path: Path) -> None:
    def prepared() -> GraphModule:
        return pt2e.prepare_qat(cnn(), few.at(slice(0, 2)))

    def train_graph(graph: GraphModule, **options: Any) -> None:
        def mode(step: int) -> None:
            pt2e.set_qat_mode(
                graph, training=True, freeze_observers=step >= 8, freeze_batchnorm=step >= 4
            )

        train(
            graph, few, epochs=3, set_train_mode=mode, resume_path=tmp_path / "epoch.pt", **options
        )

    straight, killed, fresh = (prepared() for _ in range(3))
    train_graph(straight)
    with pytest.raises(Killed):
        train_graph(killed, after_step=raise_at(7))
    train_graph(fresh)
    assert equal(straight, fresh)
    assert not equal(straight, prepared())


def test_a_damaged_or_foreign_state_is_not_resumed(few: Split, tmp_path: Path) -> None:
    path = tmp_path / "epoch.pt"
    straight = cnn()
    train(straight, few)
    for content in (b"", b"garbage", b"PK\x03\x04"):
        path.write_bytes(content)
        model = cnn()
        train(model, few, resume_path=path)
        assert equal(straight, model)
    with pytest.raises(Killed):
        train(cnn(), few, epochs=3, lr=1e-4, resume_path=path, after_step=raise_at(5))
    assert path.exists()
    model = cnn()
    train(model, few, resume_path=path)
    assert equal(straight, model)


def test_the_saved_state_is_tensors_only(few: Split, tmp_path: Path) -> None:
    path = tmp_path / "epoch.pt"
    with pytest.raises(Killed):
        train(cnn(), few, epochs=2, resume_path=path, after_step=raise_at(5))
    assert torch.load(path, weights_only=True)["epochs"] == 1
    assert [file.name for file in tmp_path.iterdir()] == ["epoch.pt"]


def test_steps_share_the_samples_evenly(few: Split) -> None:
    sizes: list[int] = []

    class Watched(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Linear(64, 10)

        def forward(self, x: Tensor) -> Tensor:
            if torch.is_grad_enabled():
                sizes.append(len(x))
            return self.inner(x.flatten(1))

    train(Watched(), few, batch_size=64, epochs=1)
    assert sizes == [50, 50, 50, 50]
    assert steps_total(60_000, 128, 1) == 469
    assert steps_total(60_000, 128, 0.5) == 234
    assert steps_total(5, 64, 0.01) == 1
    assert steps_total(65, 64, 3) == 6


def test_hooks_are_called_with_steps_of_the_whole_training(few: Split) -> None:
    after: list[int] = []
    modes: list[int] = []
    texts: list[tuple[float, float, str]] = []
    model = cnn().train()
    train(
        model,
        few,
        epochs=2.5,
        after_step=after.append,
        set_train_mode=modes.append,
        progress=lambda done, total, text: texts.append((done, total, text)),
    )
    assert after == list(range(1, 11))
    assert modes == [0, 4, 8]
    assert texts[-1][:2] == (10, 10)
    assert texts[-1][2].startswith("loss ")
    assert model.training, "with set_train_mode the mode is the caller's"


def test_after_step_holds_masks(few: Split) -> None:
    model = cnn()
    weight = model.get_parameter("block2.0.weight")
    mask = (torch.rand(weight.shape, generator=torch.Generator().manual_seed(0)) > 0.5).float()

    def hold(step: int) -> None:
        with torch.no_grad():
            weight.mul_(mask)

    train(model, few, epochs=1, after_step=hold)
    assert int((weight[mask == 0] != 0).sum()) == 0
    assert model.get_parameter("block2.0.weight") is weight


def test_images_train_with_channels_last_and_leave_as_they_came(few: Split) -> None:
    channels_last: list[bool] = []
    model = cnn()
    model.get_submodule("block2").register_forward_hook(
        lambda m, i, out: channels_last.append(out.is_contiguous(memory_format=torch.channels_last))
    )
    train(model, few)
    assert all(channels_last)
    assert all(tensor.is_contiguous() for tensor in model.state_dict().values())


def test_a_model_that_views_its_feature_map_trains_too(few: Split) -> None:
    class Views(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(1, 4, 3, padding=1)
            self.head = nn.Linear(4 * 64, 10)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.conv(x).view(len(x), -1))

    assert train(Views(), few).steps == 4


class WithOwnStep(nn.Module):
    """Its loss is the task's, and an auxiliary head's."""

    def __init__(self, returned: Callable[[Tensor], Any] = lambda loss: loss) -> None:
        super().__init__()
        self.body, self.auxiliary = cnn(), nn.Linear(64, 10)
        self.returned = returned
        self.batches: list[int] = []

    def forward(self, image: Tensor) -> Tensor:
        scores: Tensor = self.body(image)
        return scores

    def training_step(self, batch: tuple[Tensor, Tensor], batch_number: int) -> Any:
        image, labels = batch
        self.batches.append(batch_number)
        guesses = self.auxiliary(image.flatten(1))
        loss = functional.cross_entropy(self(image), labels)
        return self.returned(loss + functional.cross_entropy(guesses, labels))


@pytest.mark.parametrize("returned", [lambda loss: loss, lambda loss: {"loss": loss}])
def test_a_model_with_a_training_step_computes_its_own_loss(
    returned: Callable[[Tensor], Any], few: Split
) -> None:
    model = WithOwnStep(returned)
    before = model.auxiliary.weight.clone()
    report = train(model, few, epochs=2)
    assert model.batches == list(range(report.steps))
    assert not torch.equal(before, model.auxiliary.weight)


def test_a_training_step_and_a_teacher(few: Split) -> None:
    model = WithOwnStep()
    train(model, few, teacher=Teacher(cnn(1), 4.0, 0.5))
    assert model.batches
    alone = WithOwnStep()
    train(alone, few, teacher=Teacher(cnn(1), 4.0, 1.0))
    assert not alone.batches


def test_a_training_step_without_a_loss(few: Split) -> None:
    with pytest.raises(ModelError, match="training_step returned a dict, and no loss") as caught:
        train(WithOwnStep(lambda loss: {"losses": loss}), few)
    assert "under `loss`" in caught.value.hint


def test_a_training_step_that_raises_is_named_with_its_line(few: Split) -> None:
    def no_loss(loss: Tensor) -> Any:
        raise KeyError("auxiliary")

    message = r"the model's training_step failed: KeyError: 'auxiliary' \(.*test_fit.py:\d+\)$"
    with pytest.raises(ModelError, match=message):
        train(WithOwnStep(no_loss), few)


def test_a_student_learns_from_its_teacher_alone(digits: Dataset) -> None:
    teacher = create_model("small_cnn", {}, seed=0)
    train(teacher, digits.train, epochs=3)
    before = copy.deepcopy(teacher)
    student = cnn(1)
    unlabelled = replace(arrays(digits.train), targets=None)
    train(student, unlabelled, epochs=4, lr=1e-2, teacher=Teacher(teacher, 4.0, 1.0))
    agreed = (
        (scores(student, digits.test).argmax(1) == scores(teacher, digits.test).argmax(1))
        .float()
        .mean()
    )
    assert agreed > 0.9
    assert equal(before, teacher)


def test_label_and_distillation_losses_are_weighted(few: Split) -> None:
    teacher = cnn(1).eval()
    losses = [
        train(cnn(), few, teacher=Teacher(teacher, 4.0, w), lr=1e-9).final_loss
        for w in (0.0, 0.5, 1.0)
    ]
    assert losses[1] == pytest.approx((losses[0] + losses[2]) / 2, rel=1e-3)
    assert train(cnn(), few, lr=1e-9).final_loss == pytest.approx(losses[0], rel=1e-6)


def test_a_series_classifier_learns() -> None:
    data = load_dataset("japanese_vowels", {}, inputs=one_input((29, 12)), seed=0)
    model = create_model("lstm", {"hidden": 32}, seed=0)
    train(model, data.train, epochs=12, batch_size=32, lr=1e-2, gradient_clip_norm=1.0)
    assert accuracy_percent(model, data.test) > 80


def test_a_diverging_training_says_where_and_what_to_do(few: Split) -> None:
    with pytest.raises(
        ModelError, match=r"training diverged: the loss is (nan|inf) in epoch \d, step \d+"
    ) as caught:
        train(cnn(), few, epochs=3, optimizer="sgd", lr=1e30)
    assert "lower lr (now 1e+30)" in caught.value.hint


def test_data_that_cannot_teach(few: Split) -> None:
    with pytest.raises(ModelError, match="training needs labels") as caught:
        train(cnn(), replace(arrays(few), targets=None))
    assert "teacher" in caught.value.hint
    with pytest.raises(ModelError, match="training needs labels"):
        train(cnn(), replace(arrays(few), targets=None), teacher=Teacher(cnn(), 4.0, 0.5))


def test_models_that_cannot_learn_it(few: Split) -> None:
    with pytest.raises(ModelError, match="the data has class 9, but the model only 4 outputs"):
        train(create_model("small_cnn", {"num_classes": 4}, seed=0), few)
    with pytest.raises(ModelError, match="a classifier returns"):
        train(nn.Conv2d(1, 2, 3), few)
    with pytest.raises(ModelError, match="no parameters"):
        train(nn.Flatten(), few)
    with pytest.raises(ModelError, match="the teacher returns"):
        train(
            cnn(),
            few,
            teacher=Teacher(create_model("small_cnn", {"num_classes": 11}, seed=0), 4.0, 0.5),
        )
    with pytest.raises(ModelError, match=r"training failed in epoch 1, step 1: mat1 and mat2"):
        train(nn.Sequential(nn.Flatten(), nn.Linear(5, 10)), few)


def test_mixing_works_when_the_model_has_more_classes_than_the_data(few: Split) -> None:
    model = create_model("small_cnn", {"num_classes": 13, "width": 8}, seed=0)
    assert math.isfinite(train(model, few, augment=[{"CutMix": {"alpha": 1.0}}]).final_loss)


def test_an_unknown_transform_stops_before_the_first_step(few: Split) -> None:
    with pytest.raises(ModelError, match="there is no transform"):
        train(cnn(), few, augment=["RandomFlip"])


def test_strict_determinism_is_switched_and_names_what_cannot_be(few: Split) -> None:
    class Undeterministic(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Linear(64, 10)

        def forward(self, x: Tensor) -> Tensor:
            rows = self.head(x.flatten(1))[:, None, None, :]
            return functional.max_unpool2d(rows, torch.arange(10).expand_as(rows), (1, 1))[:, 0, 0]

    try:
        deterministic(3, strict=True)
        assert torch.are_deterministic_algorithms_enabled()
        with pytest.raises(ModelError, match="training failed") as caught:
            train(Undeterministic(), few)
        assert "deterministic: false" in caught.value.hint
        deterministic(3, strict=False)
        assert not torch.are_deterministic_algorithms_enabled()
        first = torch.rand(2)
        deterministic(3, strict=False)
        assert torch.equal(first, torch.rand(2))
    finally:
        torch.use_deterministic_algorithms(False)


def test_predict_gives_every_sample_once_in_order(digits: Dataset) -> None:
    model = cnn().train()
    whole, parts = (
        scores(model, digits.test, batch_size=450),
        scores(model, digits.test, batch_size=7),
    )
    assert whole.shape == (450, 10)
    torch.testing.assert_close(whole, parts, rtol=1e-4, atol=1e-5)
    assert evaluate(model, replace(arrays(digits.test), targets=None), CLASSIFICATION) == ()
