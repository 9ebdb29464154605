"""The log-mel frontend against a Fourier transform and its own definition."""

from __future__ import annotations

import math

import pytest
import torch

from edgekit.errors import ModelError
from edgekit.models.create import create_model
from edgekit.models.log_mel import SPREAD, LogMel, Spectrum, mel_triangles

pytestmark = pytest.mark.torch
RATE, WINDOW, HOP = 16_000, 480, 320


def tone(hertz: float, samples: int = RATE) -> torch.Tensor:
    return torch.sin(torch.arange(samples) * (2 * math.pi * hertz / RATE))[None, None]


def test_the_convolution_is_a_fourier_transform_of_windows() -> None:
    samples = torch.randn(2, 1, 4000, generator=torch.Generator().manual_seed(0))
    real, imaginary = Spectrum(WINDOW, HOP)(samples).chunk(2, dim=1)
    hann = torch.hann_window(WINDOW)
    windows = samples[:, 0].unfold(1, WINDOW, HOP) * hann
    expected = torch.fft.rfft(windows)[..., 1:].transpose(1, 2) * (2 / hann.sum())
    assert torch.allclose(torch.complex(real, imaginary), expected, atol=1e-6)


def test_a_tone_is_in_the_band_of_its_frequency() -> None:
    frontend = LogMel(RATE, WINDOW, HOP, bands=40)
    assert frontend(tone(1000)).shape == (1, 1, 49, 40)
    loudest = [int(frontend(tone(hertz))[0, 0, 20].argmax()) for hertz in (200, 1000, 3000, 6000)]
    assert loudest == sorted(set(loudest))
    triangles = mel_triangles(RATE, WINDOW, 40)
    for hertz, band in zip((200, 1000, 3000, 6000), loudest, strict=True):
        assert triangles[:, round(hertz * WINDOW / RATE) - 1].argmax() == band


def test_noise_of_a_tenth_is_lower_by_the_logarithm_of_its_energy() -> None:
    frontend = LogMel(RATE, WINDOW, HOP, bands=40)
    noise = torch.rand(1, 1, RATE, generator=torch.Generator().manual_seed(0)) * 2 - 1
    difference = frontend(noise) - frontend(noise / 10)
    assert difference.median() == pytest.approx(SPREAD * math.log(100), abs=0.1)


def test_silence_is_a_finite_number() -> None:
    assert torch.isfinite(LogMel(RATE, WINDOW, HOP, bands=40)(torch.zeros(1, 1, RATE))).all()


def test_too_many_bands_are_refused() -> None:
    with pytest.raises(ModelError, match="bands are too many for windows of 480 samples"):
        create_model("ds_cnn_audio", {"bands": 200}, seed=0)


def test_nothing_of_the_frontend_is_trained() -> None:
    model = create_model("ds_cnn_audio", {}, seed=0)
    trained = {name for name, values in model.named_parameters() if values.requires_grad}
    assert trained == {
        f"network.{name}" for name, _ in model.get_submodule("network").named_parameters()
    }
