from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from edgekit.errors import UsageError
from edgekit.yaml_documents.problems import KeyPath, Origin, refuse
from edgekit.yaml_documents.yaml_file import parse_yaml, paths_of, read_yaml, value_at
from tests.support.yaml_faults import FAULTS, assert_reported, problems_in


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "x.yaml"


def read_refused(path: Path) -> UsageError:
    """Everything wrong with a file: what stops its reading, or what was found on the way."""
    with pytest.raises(UsageError) as raised:
        refuse(read_yaml(path).problems)
    return raised.value


def test_plain_data_by_the_core_schema(file: Path) -> None:
    file.write_text(
        "text: [yes, no, on, 1:30, 2001-01-01, 1_000, '1', \"true\", 0b1]\nnumbers: [1e-3, .5, 5.,"
        " -0, +3, 010, 0x1F, 0o17, 1E3]\nothers: [true, False, null, ~, ]\nnothing:\n"
    )
    assert read_yaml(file).data == {
        "text": ["yes", "no", "on", "1:30", "2001-01-01", "1_000", "1", "true", "0b1"],
        "numbers": [0.001, 0.5, 5.0, 0, 3, 10, 31, 15, 1000.0],
        "others": [True, False, None, None],
        "nothing": None,
    }


def test_positions_of_keys_and_values(file: Path) -> None:
    file.write_text("# comment\na: 1\nb:\n  c: [x, {d: 2}]\n  é: ü\n")
    document = read_yaml(file)
    at = {path: (origin.line, origin.column) for path, origin in document.values.items()}
    assert at == {
        (): (2, 1),
        ("a",): (2, 4),
        ("b",): (4, 3),
        ("b", "c"): (4, 6),
        ("b", "c", 0): (4, 7),
        ("b", "c", 1): (4, 10),
        ("b", "c", 1, "d"): (4, 14),
        ("b", "é"): (5, 6),
    }
    assert {path: (o.line, o.column) for path, o in document.keys.items()} == {
        ("a",): (2, 1),
        ("b",): (3, 1),
        ("b", "c"): (4, 3),
        ("b", "c", 1, "d"): (4, 11),
        ("b", "é"): (5, 3),
    }
    assert set(at) == {path for path, _ in paths_of(document.data)}
    assert str(document.values["b", "c", 1, "d"]) == f"{file}:4:14"


def test_what_is_not_written_is_placed_at_what_surrounds_it(file: Path) -> None:
    file.write_text("a:\n  b: 1\n")
    document = read_yaml(file)
    assert (
        document.origin_of(("a", "c", 3))
        == document.origin_of(("a",), of_key=True)
        == Origin(str(file), 1, 1)
    )


def test_aliases_stand_for_copies_at_their_own_place(file: Path) -> None:
    file.write_text("a: &x {b: [1]}\nc: *x\nd: [*x, *x]\n")
    document = read_yaml(file)
    assert document.data == {"a": {"b": [1]}, "c": {"b": [1]}, "d": [{"b": [1]}, {"b": [1]}]}
    assert document.data["a"] is not document.data["c"]
    assert document.values["c",].line == 2
    assert document.values["c", "b"].line == 1


def test_byte_order_mark_and_windows_line_ends(file: Path) -> None:
    file.write_bytes(b"\xef\xbb\xbfa: 1\r\nb: 2\r\n")
    document = read_yaml(file)
    assert document.data == {"a": 1, "b": 2}
    assert (document.keys["a",].column, document.keys["b",].line) == (1, 2)


@pytest.mark.parametrize(("content", "line", "column", "text"), FAULTS)
def test_faults_are_reported_at_their_place(
    file: Path, content: bytes, line: int | None, column: int | None, text: str
) -> None:
    file.write_bytes(content)
    assert_reported(read_refused(file), file, line, column, text)


def test_all_that_is_wrong_is_reported_at_once(file: Path) -> None:
    file.write_text("a: 1\na: 2\nb: .nan\nc: !x y\n2: 3\n? [q]\n: 1\nd: [1\n")
    lines = [problem["line"] for problem in problems_in(read_refused(file))]
    assert lines == [3, 4, 9], "up to the syntax error; keys are only compared where a mapping ends"
    file.write_text("a: 1\na: 2\nb: .nan\nc: !x y\n2: 3\n? [q]\n: 1\n")
    assert [problem["line"] for problem in problems_in(read_refused(file))] == [2, 3, 4, 5, 6]


def test_the_limits_count_what_aliases_stand_for(file: Path) -> None:
    file.write_text("a: &a [" + "1, " * 9_000 + "]\nb: *a\n")
    assert len(read_yaml(file).data["b"]) == 9_000
    file.write_text("a: &a [" + "1, " * 9_000 + "]\nb: *a\nc: *a\n")
    assert_reported(read_refused(file), file, 3, 4, "more than 20000 values")
    file.write_text("a: &a " + "[" * 60 + "]" * 60 + "\nb: &b [[*a]]\nc: [[*b]]\n")
    assert_reported(read_refused(file), file, 3, 6, "nested more than 64 levels deep")


UNITS = [
    "[",
    "{a: ",
    "- ",
    "? ",
    "'",
    "%",
    "&a ",
    "a:\n",
    "--- ",
    "\n",
    "# ",
    "a: 1\n...\n",
    "*a ",
    "\\",
    "1,",
    '"\\x41',
    "| x\n ",
]


@pytest.mark.parametrize("unit", UNITS)
def test_no_repetition_takes_long(file: Path, unit: str) -> None:
    file.write_text("a: " + unit * (200_000 // len(unit)))
    start = time.process_time()
    with contextlib.suppress(UsageError):
        read_yaml(file)
    assert time.process_time() - start < 10


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        pytest.param(lambda p: None, "No such file or directory", id="missing"),
        pytest.param(lambda p: p.mkdir(), "it is a directory", id="directory"),
        pytest.param(lambda p: os.mkfifo(p), "it is not a plain file", id="fifo"),
        pytest.param(lambda p: p.symlink_to("/dev/zero"), "it is not a plain file", id="device"),
        pytest.param(
            lambda p: p.symlink_to(p), "Too many levels of symbolic links", id="link-to-itself"
        ),
    ],
)
@pytest.mark.timeout(20)
def test_what_is_not_a_readable_file(file: Path, make: Callable[[Path], None], reason: str) -> None:
    make(file)
    with pytest.raises(UsageError) as raised:
        read_yaml(file)
    assert_reported(raised.value, file, None, None, f"cannot read '{file}': {reason}")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("a\0b", "embedded null byte"),
        ("x" * 300, "File name too long"),
        ("x.yaml/y", "Not a directory"),
    ],
)
def test_names_no_file_can_have(file: Path, name: str, reason: str) -> None:
    file.write_text("a: 1")
    with pytest.raises(UsageError, match=reason) as raised:
        read_yaml(file.parent / name)
    assert "\0" not in raised.value.message


@pytest.mark.timeout(20)
def test_a_fifo_put_in_place_after_the_check_does_not_hang(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The check and the opening are two steps; between them the file is swapped, as an attacker in
    the same directory could."""
    file.write_text("a: 1\n")
    checked = os.stat

    def swap(path: Path) -> os.stat_result:
        result = checked(path)
        os.unlink(path)
        os.mkfifo(path)
        return result

    monkeypatch.setattr("edgekit.yaml_documents.yaml_file.os.stat", swap)
    with pytest.raises(UsageError, match="it is empty"):
        read_yaml(file)


@pytest.fixture
def not_root() -> Iterator[None]:
    """Permissions mean nothing to root: drop to another user for the test."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_file_without_permission(not_root: None) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as directory:
        path = Path(directory, "x.yaml")
        path.write_text("a: 1")
        path.chmod(0)
        with pytest.raises(UsageError) as raised:
            read_yaml(path)
        assert_reported(raised.value, path, None, None, "Permission denied")


def test_a_file_that_another_names_is_reported_there(file: Path) -> None:
    with pytest.raises(UsageError) as raised:
        read_yaml(file, named_at=Origin("recipe.yaml", 3, 10))
    assert_reported(raised.value, "recipe.yaml", 3, 10, "No such file")


def test_value_at() -> None:
    data = {"a": [{"b": None}, 2]}
    assert value_at(data, ("a", 1)) == 2
    absent: list[KeyPath] = [("a", 2), ("b", 0), ("a", "b"), ("a", 0, "b", "c")]
    assert [value_at(data, path) for path in absent] == [None] * 4


TOKENS = [
    *(
        "a",
        "b",
        "0",
        "1e9",
        ".inf",
        "~",
        "é",
        "<<",
        " ",
        "  ",
        "\n",
        "\n",
        "\t",
        "\r",
        "\u2028",
        "\x85",
        "\ufeff",
    ),
    *(
        ":",
        ": ",
        "-",
        "- ",
        "?",
        ",",
        "[",
        "]",
        "{",
        "}",
        "|",
        "|2",
        ">",
        ">-",
        "'",
        '"',
        "#",
        "&x ",
        "*x",
        "---",
        "...",
    ),
    *("!", "!!", "!<", "!<%", "%", "%YAML ", "%TAG ", "@", "\\", "\\x", "\\u12", "\\ud800", "\\U"),
]
YAML_LIKE = st.lists(st.sampled_from(TOKENS), max_size=30).map("".join)


@settings(max_examples=600, suppress_health_check=[HealthCheck.too_slow])
@given(st.one_of(YAML_LIKE, st.text(), YAML_LIKE.map(lambda text: f"a: {text}")))
@example("%YAML 1")
@example("%TAG ! !\n--- !<%zz> a")
@example('"\\x')
@example("a: |9\n x")
@example("!<tag:%ff%ff> a")
def test_no_text_makes_the_parser_raise_anything_else(text: str) -> None:
    with contextlib.suppress(UsageError):
        document = parse_yaml(text, "x.yaml")
        assert set(document.values) == {path for path, _ in paths_of(document.data)}
        assert all(isinstance(path[-1], str) for path in document.keys)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200))
def test_no_bytes_make_the_reader_raise_anything_else(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    with contextlib.suppress(UsageError):
        read_yaml(file)
