"""Silero's voice-activity detector for 16 kHz (Silero Team 2024, MIT), written down again so that
its published weights load by name and its parts can be quantized. The weights are in the package
silero-vad: `model.weights: package:silero_vad/data/silero_vad_16k.safetensors`."""

from __future__ import annotations

import torch
from torch import Tensor, nn

CONTEXT = 64
"""Samples of the chunk before that a chunk begins with."""
CHUNK = 512
WINDOW, HOP, BINS = 256, 128, 129
WIDTH = 128


def silero_vad() -> nn.Module:
    """Takes `chunk`, 576 samples in -1…1 at 16 kHz of which the first 64 are the last of the chunk
    before, of shape (batch, 576), and `state`, (batch, 2, 128): hidden and cell state of its LSTM.
    Returns `speech`, a logit of shape (batch, 1), and `new_state`, in this order."""
    return _SileroVad()


class _SileroVad(nn.Module):
    """The attributes have the names of the weights."""

    def __init__(self) -> None:
        super().__init__()
        self.stft_conv = nn.Conv1d(1, 2 * BINS, WINDOW, stride=HOP, bias=False)
        self.conv1 = nn.Conv1d(BINS, 128, 3, padding=1)
        self.conv2 = nn.Conv1d(128, 64, 3, stride=2, padding=1)
        self.conv3 = nn.Conv1d(64, 64, 3, stride=2, padding=1)
        self.conv4 = nn.Conv1d(64, WIDTH, 3, padding=1)
        self.lstm_cell = nn.LSTMCell(WIDTH, WIDTH)
        self.final_conv = nn.Conv1d(WIDTH, 1, 1)

    def forward(self, chunk: Tensor, state: Tensor) -> dict[str, Tensor]:
        features = self._spectrum(chunk)
        for conv in (self.conv1, self.conv2, self.conv3, self.conv4):
            features = torch.relu(conv(features))
        hidden, cell = self.lstm_cell(features.squeeze(2), (state[:, 0], state[:, 1]))
        speech = self.final_conv(torch.relu(hidden).unsqueeze(2)).squeeze(2)
        return {"speech": speech, "new_state": torch.stack([hidden, cell], 1)}

    def _spectrum(self, chunk: Tensor) -> Tensor:
        """Magnitudes of a short-time Fourier transform, which is a convolution with windowed
        cosines and sines: (batch, 129, 4)."""
        mirrored = torch.cat([chunk, chunk[:, -CONTEXT - 1 : -1].flip(1)], 1)
        real, imaginary = self.stft_conv(mirrored.unsqueeze(1)).split(BINS, dim=1)
        return torch.sqrt(real**2 + imaginary**2)
