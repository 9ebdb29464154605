from __future__ import annotations

import pytest

from edgekit.compress.patterns import matches, select
from edgekit.errors import ModelError

NAMES = ["features.0.conv", "features.1.conv", "features.10.conv", "classifier.1"]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*", NAMES),
        ("features.1.conv", NAMES[1:2]),
        ("features.1", NAMES[1:2]),
        ("features.?.conv", NAMES[:2]),
        ("classifier", NAMES[3:]),
        ("*.conv", NAMES[:3]),
        ("conv", []),
    ],
)
def test_names_patterns_and_containers(pattern: str, expected: list[str]) -> None:
    assert [name for name in NAMES if matches(name, [pattern])] == expected


def test_exclude_wins_and_order_is_kept() -> None:
    assert select(NAMES, ["classifier", "features"], ["features.1"], purpose="x") == [
        NAMES[0],
        NAMES[2],
        NAMES[3],
    ]


@pytest.mark.parametrize(("include", "exclude"), [(["clasifier.1"], []), (["*"], ["clasifier.1"])])
def test_a_pattern_that_means_nothing_is_an_error_with_what_is_near(
    include: list[str], exclude: list[str]
) -> None:
    with pytest.raises(ModelError, match=r"'clasifier\.1' \(layers to prune\)") as caught:
        select(NAMES, include, exclude, purpose="layers to prune")
    assert "classifier.1" in caught.value.hint
