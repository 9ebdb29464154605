"""The runner's output: a good one is read, and no bytes whatsoever bring anything but a whole run
or a ResultError."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.errors import ResultError, RunnerError
from edgekit.measure import protocol, protocol_text
from edgekit.measure.protocol import parse_runner_output

NONCE = "5eed" * 8


def line(kind: str, **values: Any) -> dict[str, Any]:
    return {"edgekit": 1, "nonce": NONCE, "type": kind, **values}


def memory(mark: str) -> dict[str, Any]:
    return line(
        "memory",
        mark=mark,
        rss_anon_bytes=4096,
        rss_file_bytes=8192,
        rss_shmem_bytes=0,
        pss_bytes=None,
        peak_rss_bytes=20480,
    )


def good_lines() -> list[dict[str, Any]]:
    tensor = {"name": "x", "dtype": "int8", "shape": [1, 4], "scale": 0.5, "zero_point": -1}
    return [
        line(
            "hello",
            runtime="litert",
            runtime_version="2.3.0",
            runner="ai_edge_litert",
            arch="aarch64",
            pid=7,
            threads=1,
            clock="CLOCK_MONOTONIC",
        ),
        memory("baseline"),
        line("load", ns=1_000, start_ns=None, arena_bytes=640, model_bytes=500),
        line("tensors", inputs=[tensor], outputs=[tensor]),
        memory("loaded"),
        line("first", ns=900),
        memory("first"),
        line("samples", phase="warmup", offset=0, ns=[9, 8]),
        line("samples", phase="steady", offset=0, ns=[5, 6, 7]),
        line("samples", phase="steady", offset=3, ns=[5]),
        memory("steady"),
        line("overhead", ns_per_iteration=31.5),
        line("outputs", samples=2, bytes=8, sha256="0" * 64),
        memory("end"),
        line("end", iterations=4, ok=True),
    ]


def encode(lines: list[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(entry) + "\n" for entry in lines).encode()


def changed(index: int, **values: Any) -> bytes:
    lines = good_lines()
    lines[index] |= values
    return encode(lines)


def test_a_whole_run_is_read() -> None:
    run = parse_runner_output(
        encode(good_lines()), nonce=NONCE, model_bytes=500, outputs_wanted=True
    )
    assert run.complete
    assert run.steady_ns == (5, 6, 7, 5)
    assert run.warmup_ns == (9, 8)
    assert run.first_ns == 900
    assert [mark.mark for mark in run.memory] == ["baseline", "loaded", "first", "steady", "end"]
    assert run.memory[0].rss_bytes == 12288
    assert run.hello is not None
    assert run.hello.runner == "ai_edge_litert"
    assert run.load is not None
    assert run.load.arena_bytes == 640
    assert run.inputs[0].shape == (1, 4)
    assert run.output_file is not None
    assert run.output_file.samples == 2


def test_evaluate_needs_outputs_but_no_timings() -> None:
    untimed_lines = [
        entry for entry in good_lines() if entry["type"] in ("hello", "load", "tensors", "outputs")
    ]
    run = parse_runner_output(
        encode([*untimed_lines, line("end", iterations=2, ok=True)]), nonce=NONCE, mode="evaluate"
    )
    assert run.complete
    with pytest.raises(ResultError, match="claims 3 iterations, 2"):
        parse_runner_output(
            encode([*untimed_lines, line("end", iterations=3, ok=True)]),
            nonce=NONCE,
            mode="evaluate",
        )


def with_windows(*windows: dict[str, Any], iterations: int = 30) -> bytes:
    """A sustained run."""
    lines_before = [
        entry
        for entry in good_lines()
        if entry.get("phase") != "steady" and entry["type"] not in ("outputs", "end")
    ]
    return encode(
        [
            *lines_before,
            *(line("window", **{"ns": [], "values": [], **window}) for window in windows),
            line("end", iterations=iterations, ok=True),
        ]
    )


def test_a_sustained_run_is_read() -> None:
    windows: list[dict[str, Any]] = [
        {"at_ns": 10, "iterations": 0},
        {"at_ns": 20, "iterations": 30, "ns": [5, 6], "values": [-48, None]},
    ]
    run = parse_runner_output(with_windows(*windows), nonce=NONCE, mode="sustain")
    assert [
        (window.at_ns, window.iterations, window.ns, window.values) for window in run.windows
    ] == [(10, 0, (), ()), (20, 30, (5, 6), (-48, None))]
    with pytest.raises(ResultError, match="claims 31 iterations, 30 were reported"):
        parse_runner_output(with_windows(*windows, iterations=31), nonce=NONCE, mode="sustain")


@pytest.mark.parametrize(
    ("window", "words"),
    [
        ({"at_ns": 9, "iterations": 1}, "out of order"),
        ({"at_ns": 11, "iterations": -1}, "greater than or equal"),
        ({"at_ns": 11, "iterations": 1, "ns": [1, 2]}, "more times than inferences"),
        ({"at_ns": 11, "iterations": 99, "ns": [1] * 65}, "at most 64"),
        ({"at_ns": 11, "iterations": 1, "values": [0] * 33}, "at most 32"),
        ({"at_ns": 11, "iterations": 1, "values": ["48"]}, "valid integer"),
        ({"at_ns": 11, "iterations": 1, "values": [1 << 63]}, "less than or equal"),
        ({"at_ns": 1.5, "iterations": 1}, "valid integer"),
    ],
)
def test_hostile_windows_are_refused(window: dict[str, Any], words: str) -> None:
    with pytest.raises(ResultError, match=words):
        parse_runner_output(
            with_windows({"at_ns": 10, "iterations": 0}, window, iterations=1),
            nonce=NONCE,
            mode="sustain",
        )


def profile_lines(*operators: dict[str, Any]) -> bytes:
    lines_before = [
        entry for entry in good_lines() if entry["type"] not in ("outputs", "overhead", "end")
    ]
    known = {
        "name": "Add #1",
        "instruction": 0,
        "delegate_id": -1,
        "delegated": True,
        "ns": [1, 2, 3, 4],
    }
    return encode(
        [
            *lines_before,
            *(line("operator", **{**known, **operator}) for operator in operators),
            line("end", iterations=4, ok=True),
        ]
    )


def test_operators_are_read() -> None:
    run = parse_runner_output(
        profile_lines({}, {"name": "Add #2", "ns": []}), nonce=NONCE, mode="profile"
    )
    assert [(operator.name, operator.ns) for operator in run.operators] == [
        ("Add #1", (1, 2, 3, 4)),
        ("Add #2", ()),
    ]
    with pytest.raises(ResultError, match="no operator"):
        parse_runner_output(profile_lines(), nonce=NONCE, mode="profile")


@pytest.mark.parametrize(
    "operator",
    [
        {"name": "\x1b[2J"},
        {"name": "x" * 257},
        {"instruction": -2},
        {"ns": [-1]},
        {"ns": [1] * 5},
        {"delegated": 1},
    ],
)
def test_hostile_operators_are_refused(operator: dict[str, Any]) -> None:
    with pytest.raises(ResultError):
        parse_runner_output(profile_lines(operator), nonce=NONCE, mode="profile")


def test_endless_lists_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "MAX_OPERATORS", 3)
    with pytest.raises(ResultError, match="too many lines of this type: operator"):
        parse_runner_output(profile_lines({}, {}, {}, {}), nonce=NONCE, mode="profile")


def test_truncation_at_every_byte_is_never_a_run() -> None:
    whole = encode(good_lines())
    for cut in range(len(whole)):
        with pytest.raises(ResultError):
            parse_runner_output(whole[:cut], nonce=NONCE)
        assert not parse_runner_output(whole[:cut], nonce=NONCE, allow_incomplete=True).complete


def test_partial_output_is_kept_when_asked() -> None:
    lines = good_lines()[:9]
    partial = parse_runner_output(
        encode(lines) + b'{"edgekit":1,"nonc', nonce=NONCE, allow_incomplete=True
    )
    assert not partial.complete
    assert partial.steady_ns == (5, 6, 7)


def test_output_the_transport_cut_is_not_complete() -> None:
    with pytest.raises(ResultError, match="cut"):
        parse_runner_output(encode(good_lines()), nonce=NONCE, truncated=True)


def test_what_the_runner_reports_is_a_runner_error() -> None:
    output = encode(
        [*good_lines()[:3], line("error", code="load", message="bad \x1b[31mprogram\n")]
    )
    with pytest.raises(RunnerError, match=r"load: bad \ufffd\[31mprogram"):
        parse_runner_output(output, nonce=NONCE)
    assert "\x1b" not in (
        parse_runner_output(output, nonce=NONCE, allow_incomplete=True).error or ""
    )


@pytest.mark.parametrize("index", range(len(good_lines())))
def test_a_line_twice_or_another_nonce_names_its_line(index: int) -> None:
    lines = good_lines()
    with pytest.raises(ResultError, match=r"line \d+"):
        parse_runner_output(
            encode([*lines[: index + 1], lines[index], *lines[index + 1 :]]), nonce=NONCE
        )
    with pytest.raises(ResultError, match=rf"line {index + 1} .*another run"):
        parse_runner_output(changed(index, nonce="0" * 32), nonce=NONCE)


@pytest.mark.parametrize(
    "index",
    [
        i
        for i, entry in enumerate(good_lines())
        if entry.get("mark") != "end" and entry.get("phase") != "warmup"
    ],
)
def test_a_missing_line_is_an_error(index: int) -> None:
    lines = good_lines()
    with pytest.raises(ResultError):
        parse_runner_output(
            encode(lines[:index] + lines[index + 1 :]), nonce=NONCE, outputs_wanted=True
        )


def test_the_order_of_lines() -> None:
    lines = good_lines()
    with pytest.raises(ResultError, match=r"line 1 .*memory baseline before hello"):
        parse_runner_output(encode([lines[1], lines[0], *lines[2:]]), nonce=NONCE)
    with pytest.raises(ResultError, match=r"line 15 .*memory end after the end"):
        parse_runner_output(encode([*lines[:-2], lines[-1], lines[-2]]), nonce=NONCE)


def test_deep_nesting_never_reaches_the_parser() -> None:
    with pytest.raises(ResultError, match="nested too deeply"):
        parse_runner_output(b"[" * 600 + b"\n", nonce=NONCE)


@pytest.mark.parametrize(
    ("index", "values"),
    [
        (8, {"ns": [5, -6, 7]}),
        (8, {"ns": [5, 6.5, 7]}),
        (8, {"ns": [5, 1e308, 7]}),
        (8, {"ns": [5, float("nan"), 7]}),
        (8, {"ns": [5, float("inf"), 7]}),
        (8, {"ns": [5, True, 7]}),
        (8, {"ns": ["5", 6, 7]}),
        (8, {"ns": {"0": 5}}),
        (8, {"ns": [5, 10**18, 7]}),
        (8, {"ns": [5, 10**300, 7]}),
        (8, {"ns": [1] * 5000}),
        (8, {"offset": 1}),
        (8, {"offset": -1}),
        (8, {"phase": "cooldown"}),
        (0, {"edgekit": 2}),
        (0, {"edgekit": "1"}),
        (0, {"edgekit": True}),
        (0, {"type": "greeting"}),
        (0, {"clock": "CLOCK_REALTIME"}),
        (0, {"arch": "a\x1b[2J"}),
        (0, {"runtime_version": "v" * 300}),
        (0, {"surprise": 1}),
        (0, {"pid": 0}),
        (1, {"rss_anon_bytes": 10**18}),
        (1, {"rss_anon_bytes": None}),
        (2, {"model_bytes": 1 << 30}),
        (2, {"model_bytes": 1 << 60}),
        (3, {"inputs": [{"name": "x\r\n", "dtype": "int8", "shape": [1]}]}),
        (3, {"inputs": [{"name": "x", "dtype": "int8", "shape": [1] * 9}]}),
        (3, {"inputs": [{"name": "x", "dtype": "int8", "shape": [1], "scale": float("inf")}]}),
        (3, {"inputs": [{"name": "x", "dtype": "int8", "shape": [1]}] * 65}),
        (11, {"ns_per_iteration": float("nan")}),
        (11, {"ns_per_iteration": -1.0}),
        (12, {"sha256": "../../etc/passwd"}),
        (14, {"iterations": 5}),
        (14, {"ok": False}),
    ],
)
def test_hostile_values_are_refused(index: int, values: dict[str, Any]) -> None:
    with pytest.raises(ResultError) as refused:
        parse_runner_output(changed(index, **values), nonce=NONCE, model_bytes=500)
    assert "\x1b" not in refused.value.message
    assert len(refused.value.message) < 400


@pytest.mark.parametrize(
    "hostile",
    [
        b"\x1b[2J hello\n",
        b"\n",
        b"null\n",
        b"[]\n",
        b"{\xff\xfe}\n",
        b'{"type":"\\ud800"}\n',
        b"[" * 100_000 + b"\n",
        b'{"a":' * 400 + b"1" + b"}" * 400 + b"\n",
        b"[" * 500 + b"]" * 500 + b"\n",
        b"9" * 100_000 + b"\n",
        b"x" * (protocol_text.MAX_LINE_BYTES + 1) + b"\n",
        b'{"edgekit":1,"nonce":"' + NONCE.encode() + b'","type":"samples","\x1b[31m":1}\n',
    ],
)
def test_hostile_lines_are_refused(hostile: bytes) -> None:
    for allow_incomplete in (False, True):
        with pytest.raises(ResultError, match="line 1"):
            parse_runner_output(
                hostile + encode(good_lines()), nonce=NONCE, allow_incomplete=allow_incomplete
            )


def test_caps_come_before_parsing() -> None:
    with pytest.raises(ResultError, match="MiB"):
        parse_runner_output(b"\0" * (protocol_text.MAX_OUTPUT_BYTES + 1), nonce=NONCE)
    with pytest.raises(ResultError, match="lines"):
        parse_runner_output(b"\n" * (protocol_text.MAX_LINES + 2), nonce=NONCE)


@given(noise=st.binary(max_size=300), at=st.integers(0, 15))
@settings(max_examples=200)
def test_random_bytes_in_place_of_lines(noise: bytes, at: int) -> None:
    lines = encode(good_lines()).splitlines(keepends=True)
    lines.insert(at, noise + b"\n")
    with pytest.raises(ResultError):
        parse_runner_output(b"".join(lines), nonce=NONCE)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
)


@given(index=st.integers(0, len(good_lines()) - 1), field=st.integers(0, 12), value=JSON)
@settings(max_examples=300)
def test_any_json_in_any_field(index: int, field: int, value: Any) -> None:
    """Either the value is acceptable there, or a ResultError; nothing else."""
    lines = good_lines()
    names = list(lines[index])
    lines[index][names[field % len(names)]] = value
    with contextlib.suppress(ResultError):
        parse_runner_output(encode(lines), nonce=NONCE, model_bytes=500)


@given(index=st.integers(0, 3000), bit=st.integers(0, 7))
@settings(max_examples=300)
def test_flipped_bits_raise_nothing_else(index: int, bit: int) -> None:
    whole = bytearray(encode(good_lines()))
    whole[index % len(whole)] ^= 1 << bit
    with contextlib.suppress(ResultError):
        parse_runner_output(bytes(whole), nonce=NONCE)
