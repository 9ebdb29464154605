"""The samples that a run goes through, and the states that are carried from one to the next."""

from __future__ import annotations

import os

from .failure import EXIT_IO, Failure
from .model import Model
from .options import Options


class Samples:
    """Fills the model's sample buffer from the inputs file, read (not mapped, so that its pages are
    no part of the memory figures) before each inference, outside the timed region, as a camera or a
    microphone would."""

    def __init__(self, options: Options, model: Model) -> None:
        path, count = options.inputs, options.samples
        self.count, self._sample, self._buffer = count, -1, memoryview(model.sample)
        self._model, self._steps = model, options.steps
        model.require_states(options.states)
        self._states = options.states
        self._fd: int | None = None
        if not path:
            model.fill_pseudo_random()
            return
        try:
            self._fd = os.open(path, os.O_RDONLY)
            size = os.fstat(self._fd).st_size
        except OSError as error:
            raise Failure(EXIT_IO, f"cannot open {path}: {error.strerror}") from None
        if size != count * len(self._buffer):
            raise Failure(
                EXIT_IO,
                f"{path}: holds {size} bytes, {count} samples of this model are"
                f" {count * len(self._buffer)}",
            )

    def load(self, iteration: int) -> None:
        """Samples are cycled through. Within a series the states are what the model returned
        last."""
        sample = iteration % self.count
        if (
            self._fd is not None
            and sample != self._sample
            and os.preadv(self._fd, [self._buffer], sample * len(self._buffer)) != len(self._buffer)
        ):
            raise Failure(EXIT_IO, "the inputs file became shorter")
        self._sample = sample
        if sample % self._steps:
            for state in self._states:
                self._model.carry(*state)
