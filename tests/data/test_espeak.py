"""Speech of the real espeak-ng, what it refuses, and what it would silently take for something
else."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.data.espeak import PROGRAM, speak
from edgekit.data.fingerprint import dataset_fingerprint
from edgekit.errors import ModelError
from tests.support.tiers import cannot_run

PLAIN: dict[str, Any] = {"voice": "en-us", "words_per_minute": 160, "pitch": 50}


@pytest.fixture
def program() -> None:
    if shutil.which(PROGRAM) is None:
        cannot_run(f"apt-get install {PROGRAM}")


@pytest.mark.usefixtures("program")
def test_the_same_words_give_the_same_samples() -> None:
    samples, rate = speak("seven", **PLAIN)
    assert (samples.dtype, samples.ndim, rate) == (np.float32, 1, 22050)
    assert 0.3 * rate < len(samples) < 2 * rate
    assert 0.1 < np.abs(samples).max() <= 1
    assert np.array_equal(samples, speak("seven", **PLAIN)[0])


@pytest.mark.usefixtures("program")
@pytest.mark.parametrize(
    "other", [{"voice": "en-gb"}, {"voice": "en-us+f2"}, {"pitch": 80}, {"words_per_minute": 100}]
)
def test_voice_speed_and_pitch_change_how_it_sounds(other: dict[str, Any]) -> None:
    samples, others = (speak("seven", **arguments)[0] for arguments in (PLAIN, PLAIN | other))
    assert not np.array_equal(samples, others)
    if "words_per_minute" in other:
        assert len(others) > 1.2 * len(samples)


@pytest.mark.usefixtures("program")
def test_what_looks_like_an_option_is_spoken() -> None:
    assert len(speak("--version", **PLAIN)[0]) > len(speak("no", **PLAIN)[0])


@pytest.mark.usefixtures("program")
@pytest.mark.parametrize(
    ("text", "wrong", "message"),
    [
        ("yes", {"voice": "nosuch"}, "voice does not exist"),
        ("yes", {"voice": "en+nosuch"}, "no variant 'nosuch'"),
        ("yes", {"words_per_minute": 79}, "words_per_minute is 79, and may be 80 to 450"),
        ("yes", {"pitch": 100}, "pitch is 100, and may be 0 to 99"),
        (" ! ", {}, "nothing to speak"),
        ("_", {}, "was not spoken, only a silence"),
    ],
)
def test_what_it_cannot_speak(text: str, wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        speak(text, **PLAIN | wrong)


def test_without_the_program_or_with_a_broken_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ModelError, match="the program espeak-ng, which speaks, is not") as caught:
        speak("yes", **PLAIN)
    assert caught.value.hint == "sudo apt-get install espeak-ng"
    assert caught.value.exit_code == 3
    broken = tmp_path / PROGRAM
    for script, message in (
        ("#!/bin/sh\nexit 3", "exit code 3"),
        ("#!/bin/sh\n", "no recording of 'yes'"),
        ("#!/bin/sh\necho RIFF", "no recording of 'yes'"),
        ("no program", "cannot be started"),
    ):
        broken.write_text(script)
        broken.chmod(0o755)
        with pytest.raises(ModelError, match=message):
            speak("yes", **PLAIN)


@pytest.mark.parametrize("source", ["spoken_words", "speech_in_noise"])
def test_another_program_is_other_data(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cache must not give what another version spoke."""
    program = tmp_path / PROGRAM
    monkeypatch.setenv("PATH", str(tmp_path))
    fingerprints = [dataset_fingerprint(source, {}, tmp_path)]
    for text in ("#!/bin/sh\n", "#!/bin/sh\n# newer\n"):
        program.write_text(text)
        program.chmod(0o755)
        fingerprints.append(dataset_fingerprint(source, {}, tmp_path))
    assert len(set(fingerprints)) == 3
