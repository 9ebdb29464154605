"""From raw outputs to answers, as a program that uses the model does it after each inference. Owns
what a task may offer for it; the decodings themselves are edgekit.sample_steps's, and how long they
take is edgekit.measure.pipeline_times's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from edgekit.sample_steps.decoding.lookup import decoder
from edgekit.tasks.task import Outputs, OwnTask, Task

Decode = Callable[[Outputs], object]


@dataclass(frozen=True)
class Decoding:
    """A decoding of edgekit.sample_steps by its name, with arguments of plain JSON."""

    name: str
    args: Mapping[str, Any] = field(default_factory=dict)


@runtime_checkable
class NamesDecoding(Protocol):
    """A task whose answers a decoding of edgekit's makes, so that a board can make them too."""

    @property
    def decoding(self) -> Decoding: ...


@runtime_checkable
class Decodes(Protocol):
    """A task whose answers code of its own makes; it goes before `decoding`."""

    def decoded(self, outputs: Outputs) -> object:
        """The answer to each sample."""
        ...


def decoding_of(task: Task) -> Decode | None:
    """How a task's outputs become answers; None where it does not say. What a task of a recipe's
    own raises becomes a ModelError."""
    if isinstance(task, OwnTask):
        with task.own.runs("decoding"):
            decode = _decode(task.task)
        return task.own.guarded("decoded", decode) if decode else None
    return _decode(task)


def _decode(task: Task) -> Decode | None:
    if isinstance(task, Decodes):
        return task.decoded
    if isinstance(task, NamesDecoding):
        return decoder(task.decoding.name, task.decoding.args)
    return None


def board_decoding_of(task: Task) -> Decoding | None:
    """What a board shall do to make the answers; None where only this machine has the code."""
    return task.decoding if isinstance(task, NamesDecoding) else None
