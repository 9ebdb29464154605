"""A vector for each sample, near those of its class and far from others. The first output holds
the vectors, of shape (samples, width); targets are class numbers from 0 on, of shape (samples,)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from pydantic.dataclasses import dataclass

from edgekit.bundle.pictures import CountTable
from edgekit.errors import ModelError
from edgekit.metrics import MetricKind
from edgekit.sample_steps.decoding.scores import unit_vectors
from edgekit.tasks.decoding import Decoding
from edgekit.tasks.outputs import confusion, first, refuse_smoothing, require
from edgekit.tasks.task import Outputs

if TYPE_CHECKING:
    from torch import Tensor

GATHERED = "vectors"
"""What is gathered of each chunk: the vectors, of length 1, and the class numbers."""
SAME = 0.99
"""A cosine from which two models give the same vector."""
CHUNK = 1024


def _recall(best: int) -> MetricKind:
    return MetricKind(
        name=f"recall_at_{best}",
        label=f"recall@{best}",
        unit="%",
        higher_is_better=True,
        statistic="proportion",
        gate_margin=1.0,
    )


RECALLS = {best: _recall(best) for best in (1, 5)}
COSINE = MetricKind(
    name="same_class_cosine",
    label="same-class cosine",
    higher_is_better=True,
    decimals=3,
    gate_margin=0.02,
)


@dataclass(frozen=True)
class Embedding:
    """See edgekit.tasks.task.Task and ScoresTogether, and CountsAnswers in edgekit.tasks.drawing.

    `temperature` is that of the loss. Samples are looked for among all others of the test set;
    those without another of their class are left out."""

    temperature: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 0.1

    @property
    def metrics(self) -> tuple[MetricKind, ...]:
        return (*RECALLS.values(), COSINE)

    @property
    def agreement_label(self) -> str:
        return f"cosine of {SAME} or more"

    def loss(
        self, outputs: Mapping[str, Tensor], targets: Tensor, *, label_smoothing: float = 0.0
    ) -> Tensor:
        """Supervised contrastive (Khosla et al. 2020, arXiv:2004.11362, formula 2): each sample of
        a batch is to be nearer to those of its class than to the others."""
        import torch
        from torch.nn import functional

        refuse_smoothing(label_smoothing)
        _check_width(tuple(first(outputs).shape[1:]))
        vectors = functional.normalize(first(outputs), dim=1)
        own = torch.eye(len(vectors), dtype=torch.bool, device=vectors.device)
        similar = (vectors @ vectors.T / self.temperature).masked_fill(own, -1e9)
        partners = (targets[:, None] == targets[None, :]) & ~own
        likely = functional.log_softmax(similar, dim=1)
        counts = partners.sum(1)
        losses = -(likely * partners).sum(1) / counts.clamp(min=1)
        return losses.sum() / (counts > 0).sum().clamp(min=1)

    def distillation_loss(
        self, student: Mapping[str, Tensor], teacher: Mapping[str, Tensor], temperature: float
    ) -> Tensor:
        """The mean squared distance of the two matrices of similarities in a batch, so that the
        widths may differ (Tung & Mori 2019, arXiv:1907.09682). There is no temperature in it."""
        from torch.nn import functional

        similar, taught = (
            vectors @ vectors.T
            for vectors in (functional.normalize(first(each), dim=1) for each in (student, teacher))
        )
        return functional.mse_loss(similar, taught)

    def check_targets(self, targets: NDArray[Any], outputs: Mapping[str, tuple[int, ...]]) -> None:
        """Class numbers. The model needs no output for each."""
        if targets.ndim != 1 or targets.dtype.kind not in "iu":
            raise ModelError(
                "targets of embedding are class numbers of shape (samples,), these are"
                f" {targets.dtype} of {targets.shape}"
            )
        require(targets >= 0, "class numbers start from 0")
        if outputs:
            _check_width(first(outputs))

    def classes_of(self, outputs: Mapping[str, tuple[int, ...]]) -> int | None:
        return None

    def score(self, outputs: Outputs, targets: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Vectors of length 1 with their classes, to be scored together."""
        vectors = unit_vectors(first(outputs))
        return {GATHERED: np.concatenate([vectors, np.asarray(targets)[:, None]], axis=1)}

    def score_together(self, gathered: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Whether one of the nearest samples is of the same class (recall@k as in Jégou et al.,
        "Product quantization for nearest neighbor search", PAMI 33, 2011), and the mean cosine to
        all of the same class."""
        classes = gathered[GATHERED][:, -1]
        vectors = gathered[GATHERED][:, :-1].astype(np.float32)
        _, numbers, counts = np.unique(classes, return_inverse=True, return_counts=True)
        asked = np.flatnonzero(counts[numbers] > 1)
        if len(asked) == 0:
            return {}
        most = min(max(RECALLS), len(vectors) - 1)
        hits, cosines = [], []
        for start in range(0, len(asked), CHUNK):
            rows = asked[start : start + CHUNK]
            similar = vectors[rows] @ vectors.T
            same = numbers[rows, None] == numbers[None, :]
            others = counts[numbers[rows]] - 1
            itself = similar[np.arange(len(rows)), rows]
            cosines.append(((similar * same).sum(1) - itself) / others)
            similar[np.arange(len(rows)), rows] = -np.inf
            nearest = np.argsort(-similar, axis=1, kind="stable")[:, :most]
            hits.append(np.take_along_axis(same, nearest, axis=1))
        right = np.concatenate(hits)
        values = {kind.name: right[:, :best].any(axis=1) for best, kind in RECALLS.items()}
        return values | {COSINE.name: np.concatenate(cosines)}

    def agreement(self, outputs: Outputs, others: Outputs) -> NDArray[np.float64] | None:
        """1 where the two vectors point the same way."""
        cosines = (unit_vectors(first(outputs)) * unit_vectors(first(others))).sum(1)
        return np.asarray(cosines >= SAME, dtype=np.float64)

    @property
    def decoding(self) -> Decoding:
        return Decoding("unit_vectors")

    def counted(self, outputs: Outputs, targets: NDArray[Any]) -> CountTable | None:
        """The class of each sample, and of the one that is nearest to it."""
        vectors = unit_vectors(first(outputs)).astype(np.float32)
        nearest = []
        for start in range(0, len(vectors), CHUNK):
            similar = vectors[start : start + CHUNK] @ vectors.T
            rows = np.arange(len(similar))
            similar[rows, start + rows] = -np.inf
            nearest.append(similar.argmax(axis=1))
        classes = int(targets.max()) + 1
        return confusion(targets, targets[np.concatenate(nearest)], classes, columns="nearest")


def _check_width(shape: tuple[int, ...]) -> None:
    if len(shape) != 1:
        raise ModelError(
            f"the model returns {shape} for a sample; embedding needs one vector",
            hint="flatten it in a factory of your own",
        )
