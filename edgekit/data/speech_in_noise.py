"""Speech spoken by Debian's espeak-ng, mixed with noise: series of chunks, each with whether it is
speech. Owns the mixing, and what counts as speech: the clean signal's energy, which is known
exactly because the noise is added here. Needs SciPy, which scikit-learn brings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import gcd
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.data.espeak import program_files, speak
from edgekit.data.source import Request, Source, times
from edgekit.errors import ModelError

NAME = "speech_in_noise"
RATE = 16_000
Signal = NDArray[np.float32]

TRAIN_SENTENCES = (
    "the harbour opens at seven in the morning",
    "please leave the parcel with our neighbour",
    "nobody remembered where the key had been",
    "two engines are being repaired in the yard",
    "she writes with her left hand and draws with her right",
    "turn off the lights before you go",
)
TEST_SENTENCES = (
    "the train to the coast leaves from platform nine",
    "how many apples are left in the basket",
    "a cold wind came down from the hills",
    "he measured the voltage twice and found the fault",
    "call me when the water boils",
    "there is fresh bread on the kitchen table",
)
TRAIN_VOICES = ("en-us+m1", "en-us+f1", "en-gb+m4", "en-gb+f4")
TEST_VOICES = ("en-us+m3", "en-us+f2", "en-gb+m7", "en-gb+f3")
SPEEDS = (130, 200)
"""Words per minute, the slowest and the fastest."""
PITCHES = (30, 70)
PAUSES_S = (0.3, 1.5)
LOUDNESS_DB = (-35.0, -20.0)
"""Of the speech, as the mean power of its loud chunks."""
SPEECH_BELOW_LOUDEST_DB = 35.0
"""A chunk is speech where the clean signal is at most so far below its loudest chunk. Fainter ones
are the ends of words and the gaps between them."""


def load(
    request: Request,
    *,
    context: int = 0,
    seconds: float = 8.0,
    snr_db: Sequence[float] = (20, 10, 5, 0),
    train: int = 8,
    test: int = 32,
) -> tuple[Any, ...]:
    """Series of chunks at 16 kHz. A step is float32 in -1…1 of the recipe's shape, whose first
    `context` samples are the last ones of the chunk before; its target is 1 for speech, else 0, of
    shape (1,). Each series has `seconds` of another voice, white, pink or humming noise, and one of
    the ratios `snr_db` of speech to noise after the other. What is said in testing, and by whom, is
    not in training. `train` and `test` are numbers of series, which follow from the recipe's seed.

    Raises ModelError: espeak-ng is not installed, an input of another form, a ratio or a length
    that no series can have."""
    if len(request.shape) != 1 or not 0 <= context < request.shape[0]:
        raise ModelError(
            f"data {NAME}: a step is one row of samples, `context` of them ({context}) from before,"
            f" but the recipe's input is {times(request.shape)}"
        )
    chunk = request.shape[0] - context
    steps = int(seconds * RATE) // chunk
    if steps < 1 or not snr_db:
        raise ModelError(f"data {NAME}: series of {seconds} s at {len(snr_db)} ratios of noise")
    parts = []
    for part, (count, sentences, voices) in enumerate(
        ((train, TRAIN_SENTENCES, TRAIN_VOICES), (test, TEST_SENTENCES, TEST_VOICES))
    ):
        mixer = _Mixer(sentences, voices, chunk, context, steps, tuple(map(float, snr_db)))
        series = [mixer.series(number, (request.seed, part, number)) for number in range(count)]
        parts += [np.stack([x for x, _ in series]), np.stack([y for _, y in series])]
    return (*parts, ("speech",))


@dataclass(frozen=True)
class _Mixer:
    """How the series of one split are made."""

    sentences: tuple[str, ...]
    voices: tuple[str, ...]
    chunk: int
    context: int
    steps: int
    snr_db: tuple[float, ...]

    def series(self, number: int, seed: tuple[int, ...]) -> tuple[Signal, NDArray[np.int64]]:
        """Chunks of shape (steps, context + chunk), and (steps, 1) whether each is speech."""
        random = np.random.default_rng(seed)
        clean = self._speech(self.voices[number % len(self.voices)], random)
        chunks = clean.reshape(self.steps, self.chunk)
        power = np.mean(chunks.astype(np.float64) ** 2, axis=1)
        is_speech = power > power.max() * 10 ** (-SPEECH_BELOW_LOUDEST_DB / 10)
        loudness = 10 ** (random.uniform(*LOUDNESS_DB) / 10) / power[is_speech].mean()
        noise_power = 10 ** (-self.snr_db[number % len(self.snr_db)] / 10)
        noise = KINDS_OF_NOISE[random.integers(len(KINDS_OF_NOISE))](len(clean), random)
        noise *= np.sqrt(noise_power * power[is_speech].mean() / np.mean(noise**2))
        mixed = np.clip((clean + noise) * np.sqrt(loudness), -1, 1).astype(np.float32)
        padded = np.pad(mixed, (self.context, 0))
        windows = np.lib.stride_tricks.sliding_window_view(padded, self.context + self.chunk)
        return windows[:: self.chunk].copy(), is_speech[:, None].astype(np.int64)

    def _speech(self, voice: str, random: np.random.Generator) -> Signal:
        """Sentences with pauses between them, which begin with a pause."""
        length = self.steps * self.chunk
        parts: list[Signal] = []
        while sum(map(len, parts)) < length:
            parts.append(np.zeros(int(random.uniform(*PAUSES_S) * RATE), np.float32))
            sentence = self.sentences[random.integers(len(self.sentences))]
            speed, pitch = random.integers(*SPEEDS), random.integers(*PITCHES)
            spoken = speak(sentence, voice=voice, words_per_minute=int(speed), pitch=int(pitch))
            parts.append(_resampled(*spoken))
        return np.concatenate(parts)[:length]


def _resampled(samples: Signal, rate: int) -> Signal:
    """At 16 kHz."""
    from scipy.signal import resample_poly

    shared = gcd(RATE, rate)
    return np.asarray(resample_poly(samples, RATE // shared, rate // shared), np.float32)


def _white(length: int, random: np.random.Generator) -> NDArray[np.float64]:
    return random.standard_normal(length)


def _pink(length: int, random: np.random.Generator) -> NDArray[np.float64]:
    """Power falls with the frequency, as in rooms and streets."""
    spectrum = np.fft.rfft(random.standard_normal(length))
    spectrum /= np.sqrt(np.maximum(1, np.arange(len(spectrum))))
    return np.fft.irfft(spectrum, length)


def _humming(length: int, random: np.random.Generator) -> NDArray[np.float64]:
    """A motor: harmonics of a low tone, with some white noise."""
    phase = 2 * np.pi * random.uniform(45, 120) * np.arange(length) / RATE
    tones = sum(np.sin(order * phase + random.uniform(0, 6)) / order for order in range(1, 12))
    return np.asarray(tones + 0.2 * random.standard_normal(length))


KINDS_OF_NOISE = (_white, _pink, _humming)

SPEECH_IN_NOISE = Source(load=load, suppliers=("numpy", "scipy"), files=program_files)
