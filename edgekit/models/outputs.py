"""The outputs of a model by name, whatever its `forward` returns. No torch: a value is what is not
a tuple, a list or a mapping."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def named_outputs(returned: Any) -> dict[str, Any]:
    """What a model returned as values by name, in the order they were returned.

    A mapping gives its keys as names, a tuple or a list `output_0`, `output_1`, …, and a single
    value `output_0`. Within an output, names are joined: `boxes_0`, `head_scores`.

    >>> named_outputs({"boxes": (1, 2), "scores": 3})
    {'boxes_0': 1, 'boxes_1': 2, 'scores': 3}
    """
    if isinstance(returned, Mapping | tuple | list):
        return _flat(returned, "" if isinstance(returned, Mapping) else "output")
    return {"output_0": returned}


def _flat(returned: Any, prefix: str) -> dict[str, Any]:
    if isinstance(returned, Mapping):
        items = [(str(key), value) for key, value in returned.items()]
    elif isinstance(returned, tuple | list):
        items = [(str(index), value) for index, value in enumerate(returned)]
    else:
        return {prefix: returned}
    flat: dict[str, Any] = {}
    for name, value in items:
        flat |= _flat(value, f"{prefix}_{name}" if prefix else name)
    return flat
