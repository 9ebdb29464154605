from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
from pydantic import Field

from edgekit.yaml_documents.fields import LocalPath, Name, Section
from edgekit.yaml_documents.validation import called, check, closest
from edgekit.yaml_documents.yaml_file import parse_yaml


class Cat(Section):
    kind: Literal["cat"]
    lives: int = 9


class Big(Section):
    kind: Literal["dog"]
    size: Literal["big"]
    weight: float


class Small(Section):
    kind: Literal["dog"]
    size: Literal["small"]
    treats: dict[Name, Cat] = Field(default={})


class Zoo(Section):
    animals: tuple[
        Annotated[
            Cat | Annotated[Big | Small, Field(discriminator="size")], Field(discriminator="kind")
        ],
        ...,
    ] = ()
    best: Annotated[Cat | Big, Field(discriminator="kind")] | None = None
    sign: str | list[int] | dict[str, bool] = ""
    scores: dict[str, float] = Field(default={})
    other: Any = None
    version: Literal[1, 2] = 1
    from_: LocalPath | None = Field(default=None, alias="from")


def problems(text: str) -> list[str]:
    """Problems as `line:column: message`."""
    value, faults = check(Zoo, parse_yaml(text, "zoo"))
    assert (value is None) == bool(faults)
    return [str(problem).removeprefix("zoo:") for problem in faults]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("animals: [{kind: cat, lifes: 1}]", ["1:23: unknown key 'lifes' (did you mean 'lives'?)"]),
        ("animals: [{kind: cat, cat: 1}]", ["1:23: unknown key 'cat'"]),
        ("animals: [{kind: dog, size: big}]", ["1:11: missing key 'weight' in animals[0]"]),
        (
            "animals: [{kind: dog, size: big, weight: {}}]",
            ["1:42: weight: expected a number, got a mapping"],
        ),
        (
            "animals: [{kind: dog, size: huge}]",
            ["1:29: size: expected one of big, small, got the text 'huge'"],
        ),
        ("animals: [{kind: cow}]", ["1:18: kind: expected one of cat, dog, got the text 'cow'"]),
        ("animals: [{size: big}]", ["1:11: missing key 'kind' in animals[0]"]),
        (
            "animals: [{kind: dog, size: small, treats: {a b: {kind: cat}}}]",
            [
                "1:45: 'a b': expected up to 64 letters, digits, '.', '_' or '-', the first a"
                " letter or a digit"
            ],
        ),
        (
            "animals: [{kind: dog, size: small, treats: {a: {kind: cat, lives: x}}}]",
            ["1:67: lives: expected a whole number, got the text 'x'"],
        ),
        ("best: {kind: cat, lives: 1.5}", ["1:26: lives: expected a whole number, got 1.5"]),
        ("best: {kind: bird}", ["1:14: kind: expected one of cat, dog, got the text 'bird'"]),
        ("sign: true", ["1:7: sign: expected text or a list or a mapping (key: value), got true"]),
        ("sign: [1, x]", ["1:11: sign[1]: expected a whole number, got the text 'x'"]),
        ("sign: {a: 1}", ["1:11: a: expected true or false, got 1"]),
        ("scores: {'[key]': x}", ["1:19: '[key]': expected a number, got the text 'x'"]),
        ("version: 3", ["1:10: version: expected one of 1, 2, got 3"]),
        ("version: '1'", ["1:10: version: expected one of 1, 2, got the text '1'"]),
        ("from: ''", ["1:7: from must not be empty"]),
        ("from_: x", ["1:1: unknown key 'from_' (did you mean 'from'?)"]),
        ("other: {a: [1, {b: c}]}", []),
        ("[]", ["1:1: the file: expected a mapping (key: value), got a list"]),
    ],
)
def test_every_kind_of_mistake_at_its_place(text: str, expected: list[str]) -> None:
    assert problems(text) == expected


def test_a_problem_of_the_reader_is_not_reported_twice() -> None:
    assert problems("best: {kind: cat, lives: .nan}\nversion: 7") == [
        "1:26: expected a finite number, got NaN or infinity",
        "2:10: version: expected one of 1, 2, got 7",
    ]


def test_text_from_outside_is_escaped_and_cut() -> None:
    [message] = problems(f'"\\e[31m{"x" * 500}": 1')
    assert "\x1b" not in message
    assert len(message) < 150


def test_what_a_value_is_called() -> None:
    assert [called(path) for path in [(), ("a",), ("a", "b"), ("a", 0, 2), ("a b",), ("",)]] == [
        "the file",
        "a",
        "b",
        "a[0][2]",
        "'a b'",
        "''",
    ]


def test_closest() -> None:
    assert closest("epoch", ["epochs", "lr"]) == " (did you mean 'epochs'?)"
    assert closest("zzz", ["epochs", "lr"]) == ""
