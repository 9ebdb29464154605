"""Masks that are renewed while a model trains: the sparsity rises step by step (sparsity.py)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import nn

from edgekit.compress.prune.masks import Criterion, Masks, Scope, apply_masks, magnitude_masks
from edgekit.compress.prune.sparsity import last_update, polynomial_sparsity
from edgekit.errors import ModelError


def gradual_masks(
    model: nn.Module,
    *,
    initial: float = 0.0,
    final: float,
    begin_step: int = 0,
    end_step: int,
    power: float = 3.0,
    frequency: int = 100,
    criterion: Criterion = "l1",
    scope: Scope = "layer",
    include: Sequence[str] = ("*",),
    exclude: Sequence[str] = (),
    parameters: Sequence[str] = ("weight",),
    seed: int = 0,
) -> tuple[Callable[[int], None], Callable[[], Masks]]:
    """Pruning that rises while a training loop runs. Returns (after_step, masks).

    `after_step(step)`, called after each optimizer step (from 1), holds the masks, and renews them
    every `frequency` steps from `begin_step` and at `end_step`, at the sparsity of
    `polynomial_sparsity`. A loop that was interrupted may go on at any step. `masks()` gives the
    final masks, whose sparsity is exactly `final`; it raises ModelError when training ended before
    `end_step`.

    Raises ModelError as `magnitude_masks` does, UsageError for a schedule that makes no sense; both
    before the first step."""

    def masks_at(step: int) -> Masks:
        sparsity = polynomial_sparsity(
            step,
            initial=initial,
            final=final,
            begin_step=begin_step,
            end_step=end_step,
            power=power,
        )
        return magnitude_masks(
            model,
            sparsity=sparsity,
            criterion=criterion,
            scope=scope,
            include=include,
            exclude=exclude,
            parameters=parameters,
            seed=seed,
        )

    masks_at(begin_step)
    renewed: int | None = None
    masks_in_force: Masks = {}

    def after_step(step: int) -> None:
        nonlocal renewed, masks_in_force
        due = last_update(step, begin_step=begin_step, end_step=end_step, frequency=frequency)
        if due is not None and due != renewed:
            renewed, masks_in_force = due, masks_at(due)
        apply_masks(model, masks_in_force)

    def masks() -> Masks:
        if renewed != end_step:
            raise ModelError(
                f"training ended before step {end_step}, where the sparsity reaches {final}",
                hint="lower end_step, or train longer",
            )
        return masks_in_force

    return after_step, masks
