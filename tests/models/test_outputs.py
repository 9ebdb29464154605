"""Names of what a model returns."""

from __future__ import annotations

from typing import Any

import pytest

from edgekit.models.outputs import named_outputs


@pytest.mark.parametrize(
    ("returned", "names"),
    [
        (1, ["output_0"]),
        ((1, 2), ["output_0", "output_1"]),
        ([1], ["output_0"]),
        ({"z": 1, "a": 2}, ["z", "a"]),
        ({"a": (1, {"b": 2}), "c": 3}, ["a_0", "a_1_b", "c"]),
        (({"a": 1}, 2), ["output_0_a", "output_1"]),
    ],
)
def test_names(returned: Any, names: list[str]) -> None:
    assert list(named_outputs(returned)) == names
