"""Words in noise: the same for one seed, each voice in one split only, and what is refused."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from edgekit.data.dataset import Dataset
from edgekit.data.espeak import PROGRAM
from edgekit.data.load import load_dataset
from edgekit.data.outline import outline_of
from edgekit.data.source import Outline
from edgekit.data.spoken_words import RATE, TEST_VOICES, VOICES, coloured_noise, trimmed
from edgekit.errors import ModelError
from tests.support.splits import one_input
from tests.support.tiers import cannot_run

pytestmark = pytest.mark.torch
FEW: dict[str, Any] = {
    "words": ["yes", "no"],
    "others": ["seven"],
    "voices": ["en-us", "en-us+f2"],
    "test_voices": ["en-gb+m3"],
    "takes": 2,
    "train": 60,
    "test": 20,
}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module", autouse=True)
def program() -> None:
    if shutil.which(PROGRAM) is None:
        cannot_run(f"apt-get install {PROGRAM}")


def words(seed: int = 0, shape: tuple[int, ...] = (1, RATE), **args: Any) -> Dataset:
    return load_dataset("spoken_words", FEW | args, inputs=one_input(shape), seed=seed)


def test_a_second_follows_from_the_seed_and_its_number(cache: Path) -> None:
    data = words()
    assert (len(data.train), len(data.test)) == (60, 20)
    assert data.classes == ("yes", "no", "other words", "silence")
    batch = data.train.take(slice(0, 60))
    seconds = batch.inputs["input"]
    assert (seconds.shape, seconds.dtype) == ((60, 1, RATE), torch.float32)
    peaks = seconds.abs().amax(dim=(1, 2))
    assert 0.1 <= peaks.min() < 0.3 < 0.8 < peaks.max() <= 1
    assert batch.targets is not None
    assert set(batch.targets.tolist()) == {0, 1, 2, 3}
    assert torch.equal(words().train.take(slice(7, 8)).inputs["input"], seconds[7:8])
    assert not torch.equal(words(seed=1).train.take(slice(1)).inputs["input"], seconds[:1])
    assert len(list((cache / "recordings").iterdir())) == 4, "two splits of two seeds"


def test_what_was_spoken_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    first = words().train.take(slice(0, 8)).inputs["input"]
    monkeypatch.setattr("edgekit.data.spoken_words.speak", None)
    assert torch.equal(words().train.take(slice(0, 8)).inputs["input"], first)


def test_a_word_is_as_much_louder_than_the_noise_as_it_should_be() -> None:
    def energy(snr_db: int) -> Any:
        batch = words(snr_db=[snr_db, snr_db], others=[]).train.take(slice(0, 60))
        assert batch.targets is not None
        spoken = batch.inputs["input"][batch.targets < 2, 0].unfold(1, 800, 800)
        loudness = (spoken**2).mean(dim=2)
        return (loudness.quantile(0.1, dim=1) / loudness.amax(dim=1)).median()

    assert energy(60) < 1e-4 < 0.1 < energy(-20)


def test_no_voice_is_in_both_splits() -> None:
    assert not set(VOICES) & set(TEST_VOICES)
    variants = [{voice.partition("+")[2] for voice in voices} for voices in (VOICES, TEST_VOICES)]
    assert not variants[0] & variants[1]
    with pytest.raises(ModelError, match=r"for training and for testing: en-us$"):
        words(test_voices=["en-us"])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"words": []}, "there are no words to spot"),
        ({"words": ["yes", "yes"]}, "more than once: yes"),
        ({"others": ["no"]}, "more than once: no"),
        ({"voices": ["en-us+nosuch"]}, "no variant 'nosuch'"),
    ],
)
def test_what_cannot_be_spoken(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        words(**wrong)


def test_a_word_is_resampled_without_the_silence_around_it() -> None:
    tone = np.sin(np.arange(2205) * (2 * np.pi * 441 / 22050))
    recording = np.concatenate([np.zeros(5000), tone, np.zeros(3000)]).astype(np.float32)
    word = trimmed(recording, 22050)
    assert abs(len(word) - 1600) < 100
    spectrum = np.abs(np.fft.rfft(word, RATE))
    assert abs(int(spectrum.argmax()) - 441) <= 2


def test_noise_has_the_loudness_one() -> None:
    noise = coloured_noise(np.random.default_rng(0), RATE)
    assert np.mean(noise**2) == pytest.approx(1)


def test_an_outline_counts_the_classes() -> None:
    args = {"words": ["yes"], "others": ["no"]}
    assert outline_of("spoken_words", args, Path()) == Outline((1, RATE), classes=3)
    assert outline_of("spoken_words", {}, Path()) == Outline((1, RATE), classes=11)
