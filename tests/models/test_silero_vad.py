"""The voice-activity detector as written down here against the one in its own package."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from edgekit.models.calling import call
from edgekit.models.create import create_model
from edgekit.models.fingerprint import resolve_weights
from edgekit.models.silero_vad import CHUNK, CONTEXT, WIDTH
from edgekit.models.weights import load_weights
from edgekit.states import State, States

pytestmark = pytest.mark.torch

STATES = States({"state": State((2, WIDTH), "new_state")}, ("chunk", "state"))
NAMES = {
    "stft.forward_basis_buffer": "stft_conv.weight",
    **{
        f"encoder.{number}.reparam_conv.{kind}": f"conv{number + 1}.{kind}"
        for number in range(4)
        for kind in ("weight", "bias")
    },
    **{
        f"decoder.rnn.{name}": f"lstm_cell.{name}"
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    },
    **{f"decoder.decoder.2.{kind}": f"final_conv.{kind}" for kind in ("weight", "bias")},
}
"""What the package's TorchScript calls its weights, and the name here."""


def detector() -> nn.Module:
    return create_model("edgekit.models.silero_vad:silero_vad", {}, seed=0).eval()


def in_package(file: str) -> Path:
    return resolve_weights(f"package:silero_vad/data/{file}", Path())


def sound() -> Tensor:
    """Two series of 40 chunks: a vowel that comes and goes, in noise."""
    time = torch.arange(40 * CHUNK) / 16_000
    tones = sum(torch.sin(2 * torch.pi * 140 * n * time) / n for n in (1, 2, 3, 5, 8))
    loudness = (torch.sin(2 * torch.pi * 1.5 * time) > 0).float()
    noise = torch.randn(2, len(time), generator=torch.Generator().manual_seed(3))
    return 0.1 * loudness * tones + 0.005 * noise


def chunks(signal: Tensor) -> Tensor:
    """Of shape (series, steps, 576)."""
    return nn.functional.pad(signal, (CONTEXT, 0)).unfold(1, CONTEXT + CHUNK, CHUNK)


def test_with_the_same_weights_it_computes_what_the_packages_own_model_does() -> None:
    """The package's TorchScript has newer weights than its safetensors, so they are copied. The
    largest difference of the probabilities was 1.4e-6."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit is deprecated
        theirs: Any = torch.jit.load(str(in_package("silero_vad.jit")))
    ours = detector()
    state = theirs._model.state_dict()
    ours.load_state_dict({NAMES[name]: values for name, values in state.items()})
    signal = sound()
    with torch.no_grad():
        expected = torch.stack(
            [theirs(chunk, 16_000)[:, 0] for chunk in signal.split(CHUNK, dim=1)], dim=1
        )
        outputs = call(ours, {"chunk": chunks(signal)}, STATES)
    probabilities = outputs["speech"].sigmoid().reshape(2, -1)
    assert expected.max() - expected.min() > 0.2  # it is not one answer for everything
    torch.testing.assert_close(probabilities, expected, atol=1e-5, rtol=0)


def test_the_packages_weights_load_by_name() -> None:
    ours = detector()
    load_weights(ours, in_package("silero_vad_16k.safetensors"))
    with torch.no_grad():
        outputs = call(ours, {"chunk": chunks(sound())}, STATES)
    assert outputs["speech"].shape == (80, 1)
    assert outputs["new_state"].shape == (80, 2, WIDTH)
    assert outputs["speech"].std() > 0.1
