"""Speech in noise: the same from a seed, with exact labels and the noise that was asked for."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.data.espeak import PROGRAM
from edgekit.data.source import InputSpec, Request
from edgekit.data.speech_in_noise import load
from edgekit.errors import ModelError
from tests.support.tiers import cannot_run

CONTEXT, CHUNK = 64, 512


@pytest.fixture
def program() -> None:
    if shutil.which(PROGRAM) is None:
        cannot_run(f"apt-get install {PROGRAM}")


def made(seed: int = 0, shape: tuple[int, ...] = (CONTEXT + CHUNK,), **args: Any) -> Any:
    request = Request({"chunk": InputSpec(shape)}, seed=seed, base=Path())
    return load(request, **{"context": CONTEXT, "seconds": 3.0, "train": 1, "test": 2} | args)


@pytest.mark.usefixtures("program")
def test_series_of_overlapping_chunks() -> None:
    train, train_targets, test, test_targets, classes = made()
    steps = 3 * 16_000 // CHUNK
    assert (train.shape, test.shape) == ((1, steps, 576), (2, steps, 576))
    assert (train_targets.shape, test_targets.shape) == ((1, steps, 1), (2, steps, 1))
    assert (train.dtype, classes) == (np.float32, ("speech",))
    assert np.abs(test).max() <= 1
    assert np.array_equal(test[:, 1:, :CONTEXT], test[:, :-1, CHUNK:])
    assert not test[:, 0, :CONTEXT].any()


@pytest.mark.usefixtures("program")
def test_a_seed_gives_the_same_series_and_another_seed_others() -> None:
    first, again, other = made(), made(), made(seed=1)
    for a, b in zip(first[:4], again[:4], strict=True):
        assert np.array_equal(a, b)
    assert not np.array_equal(first[2], other[2])


@pytest.mark.usefixtures("program")
def test_speech_is_where_it_was_spoken() -> None:
    """Without audible noise the chunks of speech are the loud ones; each series begins with a
    pause."""
    _, _, test, targets, _ = made(snr_db=[100])
    power = (test[:, :, CONTEXT:].astype(float) ** 2).mean(2)
    is_speech = targets[:, :, 0] == 1
    assert 0.2 < is_speech.mean() < 0.9
    assert not is_speech[:, :8].any()
    for number in range(2):
        loud, quiet = power[number][is_speech[number]], power[number][~is_speech[number]]
        assert loud.min() > quiet.max()


@pytest.mark.usefixtures("program")
@pytest.mark.parametrize("snr_db", [0, 20])
def test_noise_is_as_loud_as_asked(snr_db: float) -> None:
    """By the power of the pauses, which are noise alone, and that of speech with noise."""
    _, _, test, targets, _ = made(snr_db=[snr_db])
    power = (test[:, :, CONTEXT:].astype(float) ** 2).mean(2)
    for number in range(2):
        is_speech = targets[number, :, 0] == 1
        noise = power[number][~is_speech].mean()
        ratio = (power[number][is_speech].mean() - noise) / noise
        assert 10 * np.log10(ratio) == pytest.approx(snr_db, abs=2.5)


@pytest.mark.parametrize(
    "wrong",
    [
        {"shape": (1, 576)},
        {"context": 576},
        {"context": -1},
        {"seconds": 0.01},
        {"snr_db": []},
    ],
)
def test_what_cannot_be_made(wrong: dict[str, Any]) -> None:
    with pytest.raises(ModelError, match="data speech_in_noise"):
        made(**wrong)


def test_without_the_program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ModelError, match="espeak-ng, which speaks, is not installed") as caught:
        made()
    assert caught.value.hint == "sudo apt-get install espeak-ng"
