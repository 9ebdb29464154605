"""Whether a model can be used at all: it runs on a batch, answers each sample by itself, and keeps
nothing from one call to the next. Found out before anything is trained. What the answers mean is
the task's business."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from edgekit.errors import ModelError
from edgekit.models.calling import Inputs, batch_size, call, evaluating
from edgekit.prose import first_line, some
from edgekit.states import STATELESS, States

ADVICE = "make it an input that is fed from an output (from_output), or keep it outside"
CLOSE = 1e-3
"""Two answers to one batch may differ so much: sums in another order."""


def usable_outputs(model: nn.Module, example: Inputs, name: str) -> dict[str, Tensor]:
    """The outputs of a batch in evaluation mode.

    Raises ModelError when the model does not take these inputs, returns anything but tensors with a
    row for each sample, changes its buffers, or answers the same batch differently the second
    time."""
    before = {key: buffer.clone() for key, buffer in model.eval().named_buffers()}
    outputs = {key: output.clone() for key, output in _called(model, example, name).items()}
    changed = [key for key, buffer in model.named_buffers() if not _same(buffer, before.get(key))]
    if changed:
        raise ModelError(
            f"model {name}: forward changes its buffer {some(changed)}: each answer depends on the"
            " calls before",
            hint=ADVICE,
        )
    for output in outputs.values():
        if output.shape[:1] != (batch_size(example),):
            raise ModelError(
                f"model {name} must return tensors with a row per sample",
                hint="wrap it in a factory that selects its output",
            )
    again = _called(model, example, name)
    if not all(_close(output, again[key]) for key, output in outputs.items()):
        raise ModelError(
            f"model {name} answers the same samples differently the second time",
            hint=f"it draws random numbers in evaluation mode, or keeps a state: {ADVICE}",
        )
    return outputs


def left_out_while_training(model: nn.Module, example: Inputs) -> tuple[str, ...]:
    """The outputs that a model has while it trains and otherwise has not, such as those of
    auxiliary heads. Found out on a copy.

    Raises ModelError for a model that does not run in training mode, or that lacks outputs
    there."""
    trained, names = copy.deepcopy(model), answer_names(model, example)
    try:
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            outputs = call(trained.train(), example)
    except ModelError:
        raise
    except Exception as error:  # any library error of the user's own forward
        raise ModelError(
            f"the model does not run in training mode: {first_line(error)}",
            hint="larger inputs, or a factory that leaves auxiliary heads out",
        ) from None
    own_answers(outputs, names)
    return tuple(name for name in outputs if name not in names)


def answer_names(model: nn.Module, example: Inputs, states: States = STATELESS) -> tuple[str, ...]:
    """The names of a model's outputs in evaluation mode. Its modes are kept."""
    with evaluating(model), torch.no_grad():
        return tuple(call(model, example, states))


def own_answers(outputs: dict[str, Tensor], names: tuple[str, ...]) -> dict[str, Tensor]:
    """Of the outputs while training those that the model also has otherwise.

    Raises ModelError where one is missing."""
    if not all(name in outputs for name in names):
        raise ModelError(
            f"the model answers with {', '.join(outputs)} while it trains, and with"
            f" {', '.join(names)} otherwise",
            hint="return the same names in both modes, or give the model a training_step",
        )
    return {name: outputs[name] for name in names}


def _called(model: nn.Module, example: Inputs, name: str) -> dict[str, Tensor]:
    try:
        with torch.no_grad():
            return call(model, example)
    except ModelError:
        raise
    except Exception as error:  # any library error of the user's own forward
        shapes = " and ".join(str(tuple(values.shape[1:])) for values in example.values())
        raise ModelError(
            f"model {name} does not run on input {shapes}: {first_line(error)}",
            hint="check the shapes of inputs, and model.args",
        ) from None


def _same(buffer: Tensor, before: Tensor | None) -> bool:
    return (
        before is not None
        and before.shape == buffer.shape
        and bool(torch.equal(buffer.nan_to_num(), before.nan_to_num()))
    )


def _close(output: Tensor, other: Tensor) -> bool:
    if output.shape != other.shape:
        return False
    if not output.is_floating_point():
        return torch.equal(output, other)
    scale = output.abs().nan_to_num(posinf=0.0).max().item() if output.numel() else 0.0
    return torch.allclose(output, other, rtol=CLOSE, atol=CLOSE * scale, equal_nan=True)
