"""What a model keeps between two calls: inputs that are fed from outputs of the call before, such
as the state of an LSTM. Owns stepping a model over series.

A sample of such a model is a series: each of its other inputs has an axis of steps in front. States
are zeros at the first step. Imports neither torch nor numpy: an array is what can be indexed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from edgekit.errors import ModelError

Arrays = dict[str, Any]
"""Tensors or arrays by name."""
Run = Callable[[Arrays], Mapping[str, Any]]
"""One call of a model: inputs of shape (B, …) to outputs of shape (B, …), both by name."""


@dataclass(frozen=True)
class State:
    """An input of float32, for one sample of this shape, and the output that it is fed from."""

    shape: tuple[int, ...]
    from_output: str


@dataclass(frozen=True)
class States:
    """The states of a model by the name of the input, and all of its inputs in its order. False
    where it has none."""

    by_input: Mapping[str, State]
    order: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.by_input)

    def start(self, samples: int, zeros: Callable[[tuple[int, ...]], Any]) -> Arrays:
        """What the first step of so many series takes; `zeros` makes an array of a shape."""
        return {name: zeros((samples, *state.shape)) for name, state in self.by_input.items()}


STATELESS = States({}, ())


def steps_in(series: Mapping[str, Any]) -> int:
    """How many steps series of shape (B, steps, …) have."""
    return int(next(iter(series.values())).shape[1])


def inputs_at(step: int, series: Mapping[str, Any], states: States, carried: Arrays) -> Arrays:
    """All inputs of one step, in the order in which the model takes them."""
    inputs = {name: values[:, step] for name, values in series.items()} | carried
    return {name: inputs[name] for name in states.order}


def stepped(
    run: Run, series: Mapping[str, Any], states: States, start: Arrays
) -> Iterator[tuple[Arrays, Mapping[str, Any]]]:
    """The inputs and outputs of a model at each step of series, of shape (B, steps, …), whose
    states are carried over from step to step. `start` are the states of the first step."""
    carried = start
    for step in range(steps_in(series)):
        inputs = inputs_at(step, series, states, carried)
        outputs = run(inputs)
        yield inputs, outputs
        carried = {name: outputs[state.from_output] for name, state in states.by_input.items()}


def check_states(states: States, outputs: Mapping[str, tuple[str, tuple[int, ...]]]) -> None:
    """Whether each state can be fed from its output; `outputs` are the type and shape of each for
    one sample. Raises ModelError."""
    for name, state in states.by_input.items():
        if state.from_output not in outputs:
            raise ModelError(
                f"state {name}: the model has no output {state.from_output!r}",
                hint=f"its outputs are {', '.join(outputs)}",
            )
        dtype, shape = outputs[state.from_output]
        if shape != state.shape:
            raise ModelError(
                f"state {name} is {state.shape}, but the output {state.from_output}, which feeds"
                f" it, is {shape}",
                hint="the two need one shape, both without the batch",
            )
        if dtype != "float32":
            raise ModelError(
                f"state {name}: the output {state.from_output}, which feeds it, is {dtype}",
                hint="a state is float32",
            )
