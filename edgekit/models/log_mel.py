"""From a recording to its log-mel spectrogram inside a model, so that a device is given samples and
nothing else. Owns the frontend and the networks that begin with it.

The frontend is made of what both runtimes have kernels for: cutting into windows and the Fourier
transform are one convolution, adding up the energy of each mel band is another one of kernel 1."""

from __future__ import annotations

import math
from collections import OrderedDict

import torch
from torch import Tensor, nn
from torch.nn import functional

from edgekit.errors import ModelError
from edgekit.models.built_in import ds_cnn

QUIETEST = 1e-5
"""Is added to each energy before its logarithm: less than the noise of a quiet recording."""
LOWEST_HZ = 60.0
SPREAD, LEVEL = 0.6, 6.0
"""Bring the logarithms of noisy speech to a mean around 0 and a spread around 1."""


class LogMel(nn.Module):
    """The logarithm of the energy in mel bands (Davis & Mermelstein 1980,
    doi:10.1109/TASSP.1980.1163420). Takes samples in -1…1 of shape (batch, 1, samples) and gives
    (batch, 1, windows, bands). Nothing is learned.

    `spectrum` and `bands` are modules of their own, so that a recipe can keep either in float."""

    def __init__(self, rate: int, window: int, hop: int, bands: int) -> None:
        super().__init__()
        self.spectrum = Spectrum(window, hop)
        self.bands = LogBands(rate, window, bands)

    def forward(self, samples: Tensor) -> Tensor:
        return self.bands(self.spectrum(samples)).transpose(1, 2).unsqueeze(1)


class Spectrum(nn.Module):
    """The discrete Fourier transform of windows under a Hann window, as a convolution: real parts
    of the frequencies 1 to window / 2, then their imaginary parts. Scaled so that a sine at full
    scale has the magnitude 1.

    The samples are first cut into blocks, of which windows and hops are made, and the places in a
    block become the convolution's channels: of one channel, int8 kernels would leave seven eighths
    of their lanes empty. Samples after the last whole block are left out."""

    def __init__(self, window: int, hop: int) -> None:
        super().__init__()
        self.block = math.gcd(window, hop)
        self.hop_blocks = hop // self.block
        frequencies = torch.arange(1, window // 2 + 1, dtype=torch.float64)
        angles = frequencies[:, None] * torch.arange(window) * (2 * math.pi / window)
        hann = torch.hann_window(window, dtype=torch.float64)
        waves = torch.cat([angles.cos(), -angles.sin()]) * hann * (2 / hann.sum())
        by_place = waves.float().unflatten(1, (-1, self.block)).transpose(1, 2)
        self.waves = nn.Parameter(by_place.contiguous(), requires_grad=False)

    def forward(self, samples: Tensor) -> Tensor:
        blocks = samples.shape[2] // self.block
        whole = samples[:, 0, : blocks * self.block].unflatten(1, (blocks, self.block))
        return functional.conv1d(whole.transpose(1, 2), self.waves, stride=self.hop_blocks)


class LogBands(nn.Module):
    """The logarithm of the energy in triangular bands, equally wide on the mel scale (The HTK Book,
    version 3.4, section 5.6). Takes what Spectrum gives."""

    def __init__(self, rate: int, window: int, bands: int) -> None:
        super().__init__()
        both_parts = mel_triangles(rate, window, bands).repeat(1, 2)
        self.triangles = nn.Parameter(both_parts[:, :, None], requires_grad=False)

    def forward(self, parts: Tensor) -> Tensor:
        energies = functional.conv1d(parts * parts, self.triangles)
        return torch.log(energies + QUIETEST) * SPREAD + LEVEL


def mel_triangles(rate: int, window: int, bands: int) -> Tensor:
    """How much each frequency 1 to window / 2 of a window counts in each band: (bands,
    window / 2). Raises ModelError where a band would have no frequency."""
    hertz = torch.arange(1, window // 2 + 1) * (rate / window)
    corners = _hertz(torch.linspace(_mel(LOWEST_HZ), _mel(rate / 2), bands + 2))
    low, middle, high = corners[:-2, None], corners[1:-1, None], corners[2:, None]
    rising, falling = (hertz - low) / (middle - low), (high - hertz) / (high - middle)
    triangles = torch.minimum(rising, falling).clamp(min=0)
    if not triangles.any(dim=1).all():
        raise ModelError(
            f"{bands} bands are too many for windows of {window} samples",
            hint="take fewer bands, or longer windows",
        )
    return triangles


def _mel(hertz: float) -> float:
    return 2595 * math.log10(1 + hertz / 700)


def _hertz(mels: Tensor) -> Tensor:
    return 700 * (10 ** (mels / 2595) - 1)


def ds_cnn_audio(
    num_classes: int = 12,
    rate: int = 16_000,
    window_ms: int = 30,
    hop_ms: int = 20,
    bands: int = 20,
    width: int = 64,
    dropout: float = 0.2,
) -> nn.Module:
    """MLPerf Tiny's keyword spotter with its frontend, for recordings of shape (batch, 1, samples)
    at `rate` Hz: `frontend` makes a log-mel spectrogram, and `network` is the built-in ds_cnn."""
    window, hop = rate * window_ms // 1000, rate * hop_ms // 1000
    return nn.Sequential(
        OrderedDict(
            frontend=LogMel(rate, window, hop, bands),
            network=ds_cnn(num_classes=num_classes, width=width, dropout=dropout),
        )
    )
