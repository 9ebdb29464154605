"""Texts that are wrong in a way no recipe and no target may be: the place where each must be
reported, and what must be said."""

from __future__ import annotations

from typing import Any

import pytest

from edgekit.errors import UsageError

BOMB = "a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join([f'*{chr(97 + i)}'] * 9)}]\n" for i in range(9)
)

FAULTS = [
    pytest.param(
        b"edgekit: 1\nname: a\nname: b\n",
        3,
        1,
        "duplicate key 'name' (first at line 2)",
        id="duplicate-key",
    ),
    pytest.param(
        b"edgekit: 1\nx:\n  y: 1\n  y: 2\n",
        4,
        3,
        "duplicate key 'y' (first at line 3)",
        id="duplicate-key-inside",
    ),
    pytest.param(
        b"", 1, 1, "expected a mapping (key: value) at the top, but it is empty", id="empty"
    ),
    pytest.param(b"# only a comment\n", 1, 1, "it is empty", id="only-a-comment"),
    pytest.param(b"\n  hello\n", 2, 3, "the top is the text 'hello'", id="scalar"),
    pytest.param(b"- edgekit: 1\n", 1, 1, "the top is a list", id="list"),
    pytest.param(
        b"edgekit: 1\n---\nedgekit: 1\n", 2, 1, "a second document starts here", id="two-documents"
    ),
    pytest.param(
        b"edgekit: 1\nname: !!python/object/apply:os.system [id]\n",
        2,
        7,
        "tags (`!…`) are not allowed",
        id="tag",
    ),
    pytest.param(
        b"edgekit: 1\nname: !!python/name:os.system\n",
        2,
        7,
        "no objects are built from a file",
        id="tag-without-value",
    ),
    pytest.param(BOMB.encode(), 5, 12, "more than 20000 values", id="alias-bomb"),
    pytest.param(b"a: &a [1, *a]\n", 1, 11, "an alias inside its own value", id="alias-of-itself"),
    pytest.param(b"a: *b\n", 1, 4, "an anchor not defined before it", id="alias-of-nothing"),
    pytest.param(b"a: " + b"[" * 5000, 1, 67, "nested more than 64 levels deep", id="deep-lists"),
    pytest.param(
        b"a: " + b"{a: " * 5000, 1, 253, "nested more than 64 levels deep", id="deep-mappings"
    ),
    pytest.param(
        b"\n".join(b" " * i + b"a:" for i in range(5000)),
        None,
        None,
        "larger than 1048576 bytes",
        id="deep-and-huge",
    ),
    pytest.param(
        b"a: 1\nb: .nan\n", 2, 4, "expected a finite number, got NaN or infinity", id="nan"
    ),
    pytest.param(b"a: 1\nb: -.inf\n", 2, 4, "expected a finite number", id="infinity"),
    pytest.param(b"a: 1\nb: 1e999\n", 2, 4, "expected a finite number", id="overflow"),
    pytest.param(b"a: 1" + b"0" * 5000, 1, 4, "more than 64 bits", id="endless-integer"),
    pytest.param(b"a: 1\nb: caf\xe9\n", 2, 7, "not UTF-8", id="latin-1"),
    pytest.param("a: 1\n".encode("utf-16"), 1, 1, "not UTF-8", id="utf-16"),
    pytest.param(b"a: 1\nb: x\0y\n", 2, 5, "character U+0000 is not allowed", id="nul"),
    pytest.param(b'a: 1\nb: "x\\0y"\n', 2, 4, "a NUL character", id="escaped-nul"),
    pytest.param(b'a: "\\ud800"\n', 1, 4, "half a surrogate pair", id="surrogate"),
    pytest.param(b'a: "\\U00ffffff"\n', 1, 2, "not YAML", id="no-such-character"),
    pytest.param(
        b"a: \x1b[31mred\n", 1, 4, "character U+001B is not allowed", id="terminal-escape"
    ),
    pytest.param(b"a: [1\nb: 2\n", 2, 2, "not YAML", id="unclosed-list"),
    pytest.param(b"a:\n\t- b\n", 2, 1, "not YAML", id="tab"),
    pytest.param(b"%YAML 1.1\n---\na: yes\n", 2, 1, "only YAML 1.2 is read", id="yaml-1.1"),
    pytest.param(b"1: a\n", 1, 1, "the key '1' is not text", id="number-as-key"),
    pytest.param(b"? [a]\n: b\n", 1, 3, "a list or mapping as a key", id="list-as-key"),
    pytest.param(b"a: &a {b: 1}\nc:\n  <<: *a\n", 3, 3, "merge keys", id="merge-key"),
    pytest.param(b"a: " + b"x" * (1 << 20), None, None, "larger than 1048576 bytes", id="huge"),
]


def problems_in(error: UsageError) -> list[dict[str, Any]]:
    """The problems of an error, after checking that the error says all of them and no traceback is
    needed."""
    assert error.exit_code == 2
    problems: Any = error.details["problems"]
    for problem in problems:
        place = (
            problem["file"]
            if problem["line"] is None
            else f"{problem['file']}:{problem['line']}:{problem['column']}"
        )
        assert f"{place}: {problem['message']}" in error.message
    return list(problems)


def places(error: UsageError) -> dict[str, str]:
    """`line:column` (or the source of what is not in a file) → message."""
    messages: dict[str, str] = {}
    for problem in problems_in(error):
        place = (
            problem["file"] if problem["line"] is None else f"{problem['line']}:{problem['column']}"
        )
        assert place not in messages, (
            f"two problems at {place}: {messages[place]}, {problem['message']}"
        )
        messages[place] = problem["message"]
    return messages


def assert_reported(
    error: UsageError, file: object, line: int | None, column: int | None, text: str
) -> None:
    """One problem is at exactly this place and says this."""
    assert [
        p
        for p in problems_in(error)
        if (p["file"], p["line"], p["column"]) == (str(file), line, column) and text in p["message"]
    ], error.message
