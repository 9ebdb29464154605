"""LSTMs written with linear layers, unrolled over time, and single cells of them. Quantizers do not
see inside nn.LSTM and nn.LSTMCell; they do see the two linear layers of these, which compute the
same (the equations of nn.LSTM, gates in its order i, f, g, o). Owns the rewriting only."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from edgekit.compress.patterns import matches
from edgekit.errors import ModelError

State = tuple[Tensor, Tensor]


def rewrite_lstm(model: nn.Module, *, keep: Sequence[str] = ()) -> nn.Module:
    """A copy of the model in which every nn.LSTM is an UnrolledLSTM and every nn.LSTMCell a
    LinearLSTMCell with the same weights, but for those whose name a pattern of `keep` matches.

    Raises ModelError for an LSTM with projections (`proj_size`).
    """
    rewritten = copy.deepcopy(model)
    for name, layer in list(rewritten.named_modules()):
        if isinstance(layer, nn.LSTM | nn.LSTMCell) and not matches(name, keep):
            written = _with_linears(layer, name)
            if not name:
                return written
            owner, _, key = name.rpartition(".")
            setattr(rewritten.get_submodule(owner), key, written)
    return rewritten


def _with_linears(layer: nn.LSTM | nn.LSTMCell, name: str) -> nn.Module:
    if isinstance(layer, nn.LSTMCell):
        return LinearLSTMCell(layer)
    if layer.proj_size:
        raise ModelError(
            f"LSTM {name!r}: its projections (proj_size {layer.proj_size}) cannot be rewritten",
            hint="keep it float",
        )
    return UnrolledLSTM(layer)


class UnrolledLSTM(nn.Module):
    """Takes and returns what the nn.LSTM it is made from does: series of shape (batch, steps,
    features), or (steps, batch, features) unless `batch_first`, with an optional state; (outputs,
    (h_n, c_n)). The number of steps is a constant of the traced graph."""

    def __init__(self, lstm: nn.LSTM) -> None:
        super().__init__()
        self.batch_first = lstm.batch_first
        self.directions = 2 if lstm.bidirectional else 1
        suffixes = [
            f"_l{layer}{reverse}"
            for layer in range(lstm.num_layers)
            for reverse in ("", "_reverse")[: self.directions]
        ]
        self.cells = nn.ModuleList(OneDirection(lstm, suffix) for suffix in suffixes)
        self.dropout = nn.Dropout(lstm.dropout)
        self.train(lstm.training)

    def forward(self, series: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        if series.dim() != 3:
            raise ModelError(
                f"an LSTM got an input of {series.dim()} dimensions, not a batch of series",
                hint="keep this LSTM float",
            )
        time = 1 if self.batch_first else 0
        ends: list[State] = []
        for first in range(0, len(self.cells), self.directions):
            if first:
                series = self.dropout(series)
            outputs = []
            for index in range(first, first + self.directions):
                start = None if state is None else (state[0][index], state[1][index])
                steps, end = self.cells[index](series, start, time=time, backwards=index > first)
                outputs.append(steps)
                ends.append(end)
            series = torch.cat(outputs, dim=-1) if len(outputs) > 1 else outputs[0]
        return series, (torch.stack([h for h, _ in ends]), torch.stack([c for _, c in ends]))


class OneDirection(nn.Module):
    """One layer and direction: `inputs` over all steps at once, `recurrent` step by step. Both
    biases are in `inputs`."""

    def __init__(self, lstm: nn.LSTM, suffix: str) -> None:
        super().__init__()
        self.inputs, self.recurrent = _linears(lstm, suffix)

    def forward(
        self, series: Tensor, state: State | None, *, time: int, backwards: bool
    ) -> tuple[Tensor, State]:
        steps = self.inputs(series).unbind(time)
        hidden, cell = (
            state if state is not None else (torch.zeros_like(steps[0].chunk(4, dim=-1)[0]),) * 2
        )
        outputs = []
        for step in reversed(steps) if backwards else steps:
            hidden, cell = _next_state(step + self.recurrent(hidden), cell)
            outputs.append(hidden)
        return torch.stack(outputs[::-1] if backwards else outputs, dim=time), (hidden, cell)


class LinearLSTMCell(nn.Module):
    """Takes and returns what the nn.LSTMCell it is made from does: a batch of one step and an
    optional state, and the new state."""

    def __init__(self, cell: nn.LSTMCell) -> None:
        super().__init__()
        self.inputs, self.recurrent = _linears(cell, "")

    def forward(self, step: Tensor, state: State | None = None) -> State:
        summed = self.inputs(step)
        if state is None:
            return _next_state(summed, torch.zeros_like(summed.chunk(4, dim=-1)[0]))
        return _next_state(summed + self.recurrent(state[0]), state[1])


def _linears(lstm: nn.LSTM | nn.LSTMCell, suffix: str) -> tuple[nn.Linear, nn.Linear]:
    """The layers of what comes in, with both biases, and of the hidden state."""
    from_inputs, from_hidden = (getattr(lstm, f"weight_{side}{suffix}") for side in ("ih", "hh"))
    inputs = nn.Linear(from_inputs.shape[1], from_inputs.shape[0], bias=lstm.bias)
    recurrent = nn.Linear(from_hidden.shape[1], from_hidden.shape[0], bias=False)
    with torch.no_grad():
        inputs.weight.copy_(from_inputs)
        recurrent.weight.copy_(from_hidden)
        if lstm.bias:
            inputs.bias.copy_(getattr(lstm, f"bias_ih{suffix}") + getattr(lstm, f"bias_hh{suffix}"))
    return inputs, recurrent


def _next_state(summed: Tensor, cell: Tensor) -> State:
    i, f, g, o = summed.chunk(4, dim=-1)
    cell = torch.sigmoid(f) * cell + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(cell), cell
