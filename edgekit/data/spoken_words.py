"""Words spoken by espeak-ng in many voices, speeds and pitches, each in a second of noise: for
keyword spotting. Owns which words are spoken how, and what a second sounds like; espeak.py calls
the program. The voices of the test split are never heard in training.

Speaking takes half a minute on two cores, so the recordings are kept in edgekit's cache.
The seconds are made of them while they are read."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.cache import Cache, cache_root, content_key, source_digest
from edgekit.data.espeak import program_files, speak, version
from edgekit.data.source import Outline, Request, Source
from edgekit.errors import ModelError

NAME = "spoken_words"
RATE = 16_000
OTHERS, SILENCE = "other words", "silence"
WORDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")
"""The ten commands of Speech Commands (Warden 2018, arXiv:1804.03209)."""
ACCENTS = ("en-us", "en-gb", "en-us-nyc", "en-gb-scotland", "en-us", "en-gb-x-rp", "en-029")
VARIANTS = (
    *("m1", "f1", "m2", "f2", "m3", "f3", "m4", "m5", "m8", "Andy", "Annie", "Gene", "belinda"),
    *("max", "linda", "adam", "Alex", "Andrea", "antonio", "aunty", "benjamin", "boris", "caleb"),
    *("david", "Denis", "ed", "Hugo", "Jacky", "john", "Lee", "Marco", "Mario", "Mike", "pablo"),
    *("paul", "quincy", "rob", "robert", "victor", "zac"),
)
VOICES = tuple(f"{a}+{v}" for a, v in zip(itertools.cycle(ACCENTS), VARIANTS, strict=False))
TEST_VOICES = (
    *("en-us+m7", "en-us+f4", "en-us+Michael", "en-us+steph", "en-gb+m6", "en-gb+f5"),
    *("en-gb-x-gbclan+Alicia", "en-gb-x-gbcwmd+edward"),
)
WORDS_PER_MINUTE, PITCH = (120, 200), (25, 75)
"""The slowest and fastest speech, and the lowest and highest."""
QUIETEST_DB = -20
"""The peak of a second is between this and full scale."""
AUDIBLE = 0.02
"""Of a recording's peak; what is below it before and after the word is cut off."""
LOWEST_NOISE_HZ = 50

Samples = NDArray[np.int16]


def load(
    request: Request,
    *,
    words: Sequence[str] = WORDS,
    others: Sequence[str] = (),
    voices: Sequence[str] = VOICES,
    test_voices: Sequence[str] = TEST_VOICES,
    takes: int = 2,
    train: int = 20_000,
    test: int = 1500,
    snr_db: tuple[float, float] = (5, 25),
) -> tuple[Any, ...]:
    """Streamed seconds: float32 in -1…1 at 16 kHz, of the recipe's shape (1, 16000), and the class:
    one of `words`, then "other words" where there are `others`, then "silence", which is noise
    alone. Each word and silence come equally often. Second number n follows from the recipe's seed
    and n.

    Each voice speaks each word in `takes` speeds and pitches. The noise is between white and brown,
    and as much weaker than the word as `snr_db` allows, in dB.

    Raises ModelError: no words, or one twice; a voice of the test split in training; what
    edgekit.data.espeak raises."""
    _check_words([*words, *others], words)
    if shared := set(voices) & set(test_voices):
        raise ModelError(f"data {NAME}: for training and for testing: {', '.join(sorted(shared))}")
    splits = [
        Seconds(
            _recordings([*words, *others], speakers, takes, request.seed),
            len(words),
            count,
            request.shape,
            (float(snr_db[0]), float(snr_db[1])),
            (request.seed, part),
        )
        for part, (speakers, count) in enumerate(((voices, train), (test_voices, test)))
    ]
    return (*splits, _classes(words, others))


def _check_words(spoken: Sequence[str], words: Sequence[str]) -> None:
    twice = sorted({word for word in spoken if spoken.count(word) > 1})
    if not words or twice:
        raise ModelError(
            f"data {NAME}: "
            + (f"more than once: {', '.join(twice)}" if twice else "there are no words to spot")
        )


def _classes(words: Sequence[str], others: Sequence[str]) -> tuple[str, ...]:
    return (*words, *([OTHERS] if others else []), SILENCE)


@dataclass(frozen=True)
class Seconds:
    """A map-style dataset, see `load`. `recordings` has a list for each word; the first `keywords`
    of the words are classes of their own."""

    recordings: list[list[Samples]]
    keywords: int
    count: int
    shape: tuple[int, ...]
    snr_db: tuple[float, float]
    seed: tuple[int, ...]

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, number: int) -> tuple[NDArray[np.float32], int]:
        random = np.random.default_rng((*self.seed, number))
        samples = math.prod(self.shape)
        word = int(random.integers(len(self.recordings) + 1))
        mixed = coloured_noise(random, samples)
        if word < len(self.recordings):
            takes = self.recordings[word]
            spoken = takes[random.integers(len(takes))] / 32768
            loudness = np.sqrt(np.mean(spoken**2))
            mixed *= loudness * 10 ** (-random.uniform(*self.snr_db) / 20)
            mixed += _placed(random, spoken, samples)
        mixed *= 10 ** (random.uniform(QUIETEST_DB, 0) / 20) / np.abs(mixed).max()
        return mixed.astype(np.float32).reshape(self.shape), self._class(word)

    def _class(self, word: int) -> int:
        silence = word == len(self.recordings)
        others = len(self.recordings) > self.keywords
        return min(word, self.keywords) + (silence and others)


def coloured_noise(random: np.random.Generator, samples: int) -> NDArray[np.float64]:
    """Noise of loudness (root mean square) 1 whose power falls with the frequency to a random power
    of 0 (white) to 2 (brown)."""
    frequencies = np.maximum(np.fft.rfftfreq(samples, 1 / RATE), LOWEST_NOISE_HZ)
    spectrum = random.standard_normal((2, len(frequencies)))
    spectrum *= frequencies ** -random.uniform(0, 1)
    noise = np.fft.irfft(spectrum[0] + 1j * spectrum[1], samples)
    return noise / np.sqrt(np.mean(noise**2))


def _placed(
    random: np.random.Generator, spoken: NDArray[np.float64], samples: int
) -> NDArray[np.float64]:
    """A word anywhere in a silent second; of a longer one, its middle."""
    second = np.zeros(samples)
    surplus = max(0, len(spoken) - samples)
    word = spoken[surplus // 2 : surplus // 2 + samples]
    start = random.integers(samples - len(word) + 1)
    second[start : start + len(word)] = word
    return second


def _recordings(
    words: Sequence[str], voices: Sequence[str], takes: int, seed: int
) -> list[list[Samples]]:
    """All takes of each word, spoken now or before."""
    sources = source_digest("data/spoken_words.py", "data/espeak.py")
    key = content_key(NAME, list(words), list(voices), takes, seed, version(), sources)
    cache = Cache(cache_root(), "recordings")
    entry = cache.get(key)
    if entry is None:
        spoken = _spoken(words, voices, takes, seed)
        scratch = cache.scratch()
        ends = np.cumsum([len(samples) for samples in spoken])
        np.savez(scratch / "recordings.npz", samples=np.concatenate(spoken), ends=ends)
        entry = cache.put(key, scratch)
    with np.load(entry / "recordings.npz") as arrays:
        recordings = np.split(arrays["samples"], arrays["ends"][:-1])
    each = len(recordings) // len(words)
    return [recordings[first : first + each] for first in range(0, len(recordings), each)]


def _spoken(words: Sequence[str], voices: Sequence[str], takes: int, seed: int) -> list[Samples]:
    """Word by word, voice by voice, take by take."""

    def record(job: tuple[int, tuple[str, str, int]]) -> Samples:
        number, (word, voice, _) = job
        random = np.random.default_rng((seed, number))
        speed, pitch = int(random.integers(*WORDS_PER_MINUTE)), int(random.integers(*PITCH))
        return trimmed(*speak(word, voice=voice, words_per_minute=speed, pitch=pitch))

    jobs = enumerate(itertools.product(words, voices, range(takes)))
    with ThreadPoolExecutor() as pool:  # each waits for a process of its own
        return list(pool.map(record, jobs))


def trimmed(samples: NDArray[np.float32], rate: int) -> Samples:
    """A word at 16 kHz, without the silence around it."""
    from scipy.signal import resample_poly

    common = math.gcd(rate, RATE)
    resampled = resample_poly(samples, RATE // common, rate // common)
    loud = np.flatnonzero(np.abs(resampled) > AUDIBLE * np.abs(resampled).max())
    word = resampled[loud[0] : loud[-1] + 1]
    return np.asarray(np.clip(word, -1, 1) * 32767, np.int16)


def outline(args: Mapping[str, Any], base: Path) -> Outline:
    classes = _classes(args.get("words", WORDS), args.get("others", ()))
    return Outline((1, RATE), classes=len(classes))


SPOKEN_WORDS = Source(load=load, outline=outline, suppliers=("scipy",), files=program_files)
