from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from edgekit.compress.prune.channels import Group, choose

pytestmark = pytest.mark.torch


def group(
    root: str,
    channels: int,
    *,
    copies: int = 1,
    before: int | None = None,
    scores: list[float] | None = None,
) -> Group:
    values = (
        torch.tensor(scores)
        if scores
        else torch.rand(channels // copies, generator=torch.Generator().manual_seed(len(root)))
    )
    choices = tuple(
        {root: [choice + part * len(values) for part in range(copies)]}
        for choice in range(len(values))
    )
    whole = channels // copies if before is None else before
    return Group(root, (root,), values, copies, whole, choices)


def removed(groups: list[Group], ratio: float, **changes: object) -> dict[str, int]:
    settings = {"scope": "layer", "max_layer_ratio": 0.9, "per_layer": {}, "round_to": 1, **changes}
    return {name: len(indices) for name, _, indices in choose(groups, ratio, **settings)}  # type: ignore[arg-type]


def test_the_weakest_channels_go() -> None:
    history = choose(
        [group("a", 4, scores=[3, 1, 2, 0])],
        0.5,
        scope="layer",
        max_layer_ratio=0.9,
        per_layer={},
        round_to=1,
    )
    assert history == [["a", True, [1, 3]]]


@pytest.mark.parametrize(
    ("channels", "ratio", "left"),
    [
        (16, 0.3, 8),
        (16, 0.2, 16),
        (24, 0.3, 16),
        (32, 0.5, 16),
        (8, 0.5, 8),
        (12, 0.4, 8),
        (64, 0.9, 8),
    ],
)
def test_what_is_left_is_the_nearest_multiple(channels: int, ratio: float, left: int) -> None:
    assert removed([group("a", channels)], ratio, round_to=8).get("a", 0) == channels - left


@given(
    channels=st.integers(1, 70),
    copies=st.sampled_from([1, 2, 4]),
    ratio=st.floats(0, 0.99),
    limit=st.floats(0.05, 1),
    round_to=st.sampled_from([1, 4, 8]),
    scope=st.sampled_from(["layer", "global"]),
)
def test_limits_hold_for_every_layer(
    channels: int, copies: int, ratio: float, limit: float, round_to: int, scope: str
) -> None:
    groups = [group("a", channels * copies, copies=copies), group("bb", 40)]
    for each, count in (
        (
            g,
            removed(groups, ratio, max_layer_ratio=limit, round_to=round_to, scope=scope).get(
                g.root, 0
            ),
        )
        for g in groups
    ):
        whole = len(each.scores) * each.copies
        assert count <= limit * whole + 1e-6
        assert 0 <= count < whole
        assert count == 0 or (whole - count) % round_to == 0
        assert count % each.copies == 0


def test_global_scope_takes_from_where_it_matters_least() -> None:
    groups = [
        group("strong", 10, scores=[10.0 + i for i in range(10)]),
        group("weak", 10, scores=[0.1 * i for i in range(10)]),
    ]
    assert removed(groups, 0.4, scope="global") == {"weak": 8}
    assert removed(groups, 0.4, scope="global", max_layer_ratio=0.5) == {"strong": 3, "weak": 5}


@pytest.mark.parametrize("scope", ["layer", "global"])
def test_a_layers_own_ratio_wins(scope: str) -> None:
    groups = [group("a.conv", 10), group("b.conv", 10), group("c.conv", 10)]
    assert removed(groups, 0.5, scope=scope, per_layer={"a.*": 0.1, "b": 0.0}) == {
        "a.conv": 1,
        "c.conv": 5,
    }


@pytest.mark.parametrize("scope", ["layer", "global"])
def test_ratios_count_from_before_the_earlier_steps(scope: str) -> None:
    groups = [group("a", 70, before=100), group("b", 100, before=100)]
    counts = removed(groups, 0.5, scope=scope)
    assert sum(counts.values()) == (20 + 50 if scope == "layer" else 70)
    assert removed([group("a", 40, before=100)], 0.5) == {}


def test_grouped_channels_go_in_equal_parts() -> None:
    history = choose(
        [group("a", 12, copies=3, scores=[3, 1, 2, 4])],
        0.5,
        scope="layer",
        max_layer_ratio=0.9,
        per_layer={},
        round_to=1,
    )
    assert history == [["a", True, [1, 2, 5, 6, 9, 10]]]
