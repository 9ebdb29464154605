"""Probabilities from scores, and vectors of length 1."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def softmax(scores: NDArray[Any]) -> NDArray[np.float64]:
    """Probabilities of classes from their scores, over the last axis."""
    powers = np.exp(np.asarray(scores, dtype=np.float64) - scores.max(-1, keepdims=True))
    return np.asarray(powers / powers.sum(-1, keepdims=True))


def sigmoid(scores: NDArray[Any]) -> NDArray[np.float64]:
    """Probabilities from logits, one by one."""
    return np.asarray(0.5 * (1 + np.tanh(np.asarray(scores, dtype=np.float64) / 2)))


def top_classes(scores: NDArray[Any]) -> NDArray[np.int64]:
    """The likeliest class of each sample, of scores of shape (samples, classes)."""
    return np.asarray(softmax(scores).argmax(1))


def likely(scores: NDArray[Any]) -> NDArray[np.bool_]:
    """Where a logit stands for a probability above one half."""
    return np.asarray(sigmoid(scores) > 0.5)


def rows_of(values: NDArray[Any]) -> NDArray[Any]:
    """The numbers of each sample in one row."""
    return values.reshape(len(values), -1)


def unit_vectors(vectors: NDArray[Any]) -> NDArray[np.float64]:
    """Vectors of shape (samples, width) at length 1."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, 1e-12), dtype=np.float64)
