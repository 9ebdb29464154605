"""Recordings in folders: real WAV files, whole and damaged, of another rate and in stereo."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from edgekit.data.dataset import Dataset, in_turn
from edgekit.data.load import load_dataset
from edgekit.data.outline import outline_of
from edgekit.data.source import Outline
from edgekit.errors import ModelError
from edgekit.installing import install_command
from tests.support.splits import one_input

pytestmark = pytest.mark.torch

RATE = 8000


def write(file: Path, values: Any, rate: int = RATE) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(file, np.asarray(values, np.float32), rate, subtype="PCM_16")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(6):
        for level, word in ((0.25, "no"), (0.5, "yes")):
            write(tmp_path / "words" / "train" / word / f"{number}.wav", [level] * 100)
    write(tmp_path / "words" / "test" / "yes" / "a.WAV", [0.5] * 100)
    return tmp_path / "words"


def load(folder: Path, shape: tuple[int, ...] = (1, 100), workers: int = 0, **args: Any) -> Dataset:
    return load_dataset(
        "wav_folder",
        {"path": folder.name, "rate": RATE} | args,
        inputs=one_input(shape),
        seed=0,
        base=folder.parent,
        workers=workers,
    )


@pytest.mark.parametrize("workers", [0, 2])
def test_a_folder_for_each_word(workers: int, folder: Path) -> None:
    data = load(folder, workers=workers)
    assert data.classes == ("no", "yes")
    assert (len(data.train), len(data.test), data.train.class_count) == (12, 1, 2)
    for batch in data.train.batches(in_turn(12, 5)):
        assert batch.targets is not None
        assert batch.inputs["input"].dtype == torch.float32
        levels = 0.25 + 0.25 * batch.targets[:, None, None]
        assert torch.equal(batch.inputs["input"], levels.expand(-1, 1, 100))


def test_a_recording_is_cut_or_filled_up_on_both_sides(folder: Path) -> None:
    steps = np.arange(101) / 128
    write(folder / "train" / "no" / "0.wav", steps)
    longer = load(folder, (1, 90)).train.take(slice(1)).inputs["input"]
    assert torch.equal(longer[0, 0], torch.tensor(steps[5:95], dtype=torch.float32))
    shorter = load(folder, (1, 1, 104)).train.take(slice(1)).inputs["input"]
    assert shorter.shape == (1, 1, 1, 104)
    assert shorter.flatten().tolist() == [0, *steps.tolist(), 0, 0]


def test_channels_are_averaged(folder: Path) -> None:
    write(folder / "train" / "no" / "0.wav", [[0.5, 0.25]] * 100)
    values = load(folder).train.take(slice(1)).inputs["input"]
    assert torch.equal(values, torch.full((1, 1, 100), 0.375))


def test_one_folder_is_split_by_class(folder: Path) -> None:
    data = load(folder, path="words/train", test_fraction=0.5)
    assert (len(data.train), len(data.test), data.classes) == (6, 6, ("no", "yes"))


@pytest.mark.parametrize("workers", [0, 2])
def test_a_recording_that_does_not_fit_is_named(workers: int, folder: Path) -> None:
    file = folder / "train" / "yes" / "1.wav"

    def fault() -> str:
        with pytest.raises(ModelError, match=r"train split, sample 7: .*yes/1\.wav") as caught:
            list(load(folder, workers=workers).train.batches(in_turn(12, 5)))
        assert caught.value.exit_code == 3
        return caught.value.message

    write(file, [0.5] * 100, rate=16000)
    assert "recorded at 16000 Hz, but data.args.rate is 8000 Hz" in fault()
    write(file, np.zeros(0))
    assert "the recording is empty" in fault()
    for content in (b"", b"RIFF", b"<html>"):
        file.write_bytes(content)
        assert "damaged recording" in fault()


def test_folders_without_recordings(folder: Path) -> None:
    with pytest.raises(ModelError, match="data wav_folder: no such folder"):
        load(folder, path="nowhere")
    (folder / "test" / "yes" / "a.WAV").unlink()
    with pytest.raises(ModelError, match="no files of its kind below") as caught:
        load(folder)
    assert ".wav" in caught.value.hint
    with pytest.raises(ModelError, match="missing a required argument: 'rate'"):
        load_dataset("wav_folder", {"path": "x"}, inputs=one_input((1, 9)), seed=0)


def test_an_outline_is_a_second_of_each_class(folder: Path) -> None:
    args = {"path": "words", "rate": RATE}
    assert outline_of("wav_folder", args, folder.parent) == Outline((1, RATE), classes=2)


def test_without_the_package_that_reads_recordings(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "soundfile" else real(name)
    )
    with pytest.raises(ModelError, match="soundfile, which reads recordings, is not") as caught:
        load(folder)
    assert caught.value.hint == install_command("audio")
