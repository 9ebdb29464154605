"""Which parameter or buffer of a model a tensor is a view of, and which of its axes are whose. An
axis is known by its stride in the storage that both share."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn
from torch.utils.weak import WeakTensorKeyDictionary


@dataclass(frozen=True)
class WeightView:
    """`tensor` is the name of the parameter or buffer; `axes` say for each axis of the view which
    of the tensor's it is, None for one of size 1 or that is none of them."""

    tensor: str
    axes: tuple[int | None, ...]


class WeightViews:
    def __init__(self, model: nn.Module) -> None:
        self._by_storage: dict[int, list[tuple[str, Tensor]]] = {}
        for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
            place = tensor.untyped_storage().data_ptr()
            self._by_storage.setdefault(place, []).append((name, tensor))
        # What was computed from a weight alone, such as a standardised one.
        self._derived: WeakTensorKeyDictionary = WeakTensorKeyDictionary()

    def of(self, tensor: Tensor) -> WeightView | None:
        """What the tensor is a view of, or was computed from alone."""
        derived: WeightView | None = self._derived.get(tensor)
        if derived is not None:
            return derived
        offset = tensor.storage_offset()
        for name, weight in self._by_storage.get(tensor.untyped_storage().data_ptr(), ()):
            start = weight.storage_offset()
            if start <= offset < start + max(1, weight.numel()):
                return WeightView(name, _axes(tensor, weight))
        return None

    def derive(self, result: Tensor, source: Tensor, view: WeightView) -> None:
        """Take `result`, computed from `source` alone, for the same weight where its shape says
        so."""
        weight = next(
            weight
            for entries in self._by_storage.values()
            for name, weight in entries
            if name == view.tensor
        )
        if result.shape == source.shape:
            self._derived[result] = view
        elif result.shape == weight.shape:
            self._derived[result] = WeightView(view.tensor, tuple(range(weight.dim())))


def _axes(view: Tensor, weight: Tensor) -> tuple[int | None, ...]:
    places = {
        (size, stride): axis
        for axis, (size, stride) in enumerate(zip(weight.shape, weight.stride(), strict=True))
        if size > 1
    }
    # A stride says nothing of an axis of size 1: those follow in order.
    single = iter([axis for axis, size in enumerate(weight.shape) if size == 1])
    return tuple(
        next(single, None) if size == 1 else places.get((size, stride))
        for size, stride in zip(view.shape, view.stride(), strict=True)
    )
