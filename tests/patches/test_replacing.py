"""What is replaced comes back, however the block ends."""

from __future__ import annotations

import json

import pytest

from edgekit.patches.replacing import are_installed, replaced


class Library:
    @staticmethod
    def double(value: int) -> int:
        return 2 * value


def fail_while_replaced() -> None:
    with replaced(json, "dumps", lambda value: "ours"):
        assert json.dumps({}) == "ours"
        raise ValueError("inside")


def test_the_original_comes_back_after_an_error() -> None:
    with pytest.raises(ValueError, match="inside"):
        fail_while_replaced()
    assert json.dumps({}) == "{}"


def test_a_static_method_stays_one() -> None:
    with replaced(Library, "double", staticmethod(lambda value: 3 * value)):
        assert Library().double(2) == 6
    assert Library().double(2) == 4


def test_an_inherited_attribute_is_refused_because_it_could_not_be_put_back() -> None:
    class Heir(Library):
        pass

    with pytest.raises(KeyError), replaced(Heir, "double", None):
        pass


def test_versions_must_be_exactly_these() -> None:
    assert not are_installed({"pytest": "0.1"})
    assert not are_installed({"no-such-distribution": "1"})
    assert are_installed({"pytest": pytest.__version__})
