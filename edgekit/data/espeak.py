"""Speech from Debian's program espeak-ng. Owns calling it, and what it refuses or would silently
take for something else; which words make a data set is its source's."""

from __future__ import annotations

import functools
import io
import re
import shutil
import subprocess
import wave
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.errors import ModelError

PROGRAM = "espeak-ng"
REMEDY = "sudo apt-get install espeak-ng"
WORDS_PER_MINUTE = (80, 450)
PITCHES = (0, 99)
TIMEOUT_S = 60


def speak(
    text: str, *, voice: str, words_per_minute: int, pitch: int
) -> tuple[NDArray[np.float32], int]:
    """Spoken text: float32 in -1…1 of shape (samples,), and its rate in Hz. The same arguments give
    the same samples.

    `voice` is a language, or a language and a variant, such as `en-us` or `en-gb+f3`;
    `espeak-ng --voices` and `espeak-ng --voices=variant` list both. The speed is 80 to 450 words
    per minute (a person's is about 160), the pitch 0 to 99 (50 is the voice's own).

    Raises ModelError: the program is not installed, fails or takes longer than a minute; text
    without words; a voice that it does not have; a speed or a pitch that it does not speak in."""
    _check_range("words_per_minute", words_per_minute, WORDS_PER_MINUTE)
    _check_range("pitch", pitch, PITCHES)
    if not re.search(r"\w", text):
        raise ModelError(f"{PROGRAM}: there is nothing to speak in {text!r}")
    _check_variant(voice)
    options = ["--stdout", "-v", voice, "-s", str(words_per_minute), "-p", str(pitch)]
    return _samples(_output([*options, "--", text]), text)


def version() -> str:
    """The program and its data, for whoever keeps what it spoke. Raises ModelError, see `speak`."""
    return _output(["--version"]).decode(errors="replace").strip()


def program_files(args: Mapping[str, Any]) -> Sequence[Path]:
    """The program, which a source that speaks depends on whatever its arguments are."""
    program = shutil.which(PROGRAM)
    return () if program is None else (Path(program),)


def _check_range(what: str, value: int, allowed: tuple[int, int]) -> None:
    lowest, highest = allowed
    if not lowest <= value <= highest:
        raise ModelError(f"{PROGRAM}: {what} is {value}, and may be {lowest} to {highest}")


def _check_variant(voice: str) -> None:
    """espeak-ng speaks with the plain voice where it does not have the variant."""
    _, plus, variant = voice.partition("+")
    if plus and variant not in _variants():
        raise ModelError(
            f"{PROGRAM} has no variant {variant!r} for the voice {voice!r}",
            hint=f"{PROGRAM} --voices=variant lists them",
        )


@functools.cache
def _variants() -> frozenset[str]:
    """The file names of the variants, which are what a voice is called by."""
    listed = _output(["--voices=variant"]).decode(errors="replace")
    return frozenset(re.findall(r"!v/(\S+)", listed))


def _output(arguments: list[str]) -> bytes:
    try:
        done = subprocess.run(
            [PROGRAM, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    except FileNotFoundError:
        raise ModelError(
            f"the program {PROGRAM}, which speaks, is not installed", hint=REMEDY
        ) from None
    except OSError as error:
        raise ModelError(f"{PROGRAM} cannot be started: {error.strerror}", hint=REMEDY) from None
    except subprocess.TimeoutExpired:
        raise ModelError(f"{PROGRAM} took longer than {TIMEOUT_S} s") from None
    if done.returncode:
        complaint = done.stderr.decode(errors="replace").strip() or f"exit code {done.returncode}"
        raise ModelError(
            f"{PROGRAM} {' '.join(arguments)}: {complaint.splitlines()[0]}",
            hint=f"{PROGRAM} --voices lists the voices",
        )
    return done.stdout


def _samples(recording: bytes, text: str) -> tuple[NDArray[np.float32], int]:
    """The samples and the rate of a WAV file. It was written to a pipe, so its header says nothing
    about its length: it ends where the bytes do."""
    try:
        with wave.open(io.BytesIO(recording)) as opened:
            rate = opened.getframerate()
            values = np.frombuffer(opened.readframes(opened.getnframes()), "<i2")
    except (wave.Error, EOFError) as error:
        raise ModelError(f"{PROGRAM}: no recording of {text!r} ({error})", hint=REMEDY) from None
    if not values.any():
        raise ModelError(f"{PROGRAM}: {text!r} was not spoken, only a silence")
    return (values / 32768).astype(np.float32), rate
