"""Knowledge distillation: the loss only. Training with it is in train.py."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional


def distillation_loss(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """KL divergence of the two softened class distributions, times T² so that its gradients keep
    their size (Hinton et al. 2015, arXiv:1503.02531).

    `student` and `teacher` are logits of shape (B, classes); the mean over the batch is returned.
    """
    log_student = functional.log_softmax(student / temperature, dim=1)
    log_teacher = functional.log_softmax(teacher / temperature, dim=1)
    return (
        functional.kl_div(log_student, log_teacher, reduction="batchmean", log_target=True)
        * temperature**2
    )
