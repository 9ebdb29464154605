"""What the program that times a sample's steps may print, read as untrusted input; and what it is
told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edgekit.bundle.manifest import ModelInput
from edgekit.errors import ResultError, RunnerError
from edgekit.measure.pipeline_program import Step, plan_of, read_times
from edgekit.sample_steps.timing import MOST_ITERATIONS
from edgekit.tasks.decoding import Decoding
from tests.support.measured import make_bundle
from tests.support.sessions import place

NONCE = "ab" * 16
END = {"type": "end", "ok": True}
PRE: tuple[Step, ...] = ("pre",)


def times(step: str, *ns: Any, offset: int = 0) -> dict[str, Any]:
    return {"type": "times", "step": step, "offset": offset, "ns": ns}


def output(*lines: dict[str, Any]) -> bytes:
    plain = {"edgekit": 1, "nonce": NONCE}
    return b"".join(json.dumps({**plain, **line}).encode() + b"\n" for line in lines)


def test_a_healthy_run() -> None:
    lines = (times("pre", 1, 2), times("pre", 3, offset=2), times("post", 4), END)
    read = read_times(output(*lines), NONCE, steps=("pre", "post"))
    assert read == {"pre": [1, 2, 3], "post": [4]}
    assert read_times(output(times("pre", 5), END), NONCE, steps=PRE) == {"pre": [5]}


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ([times("pre", 1) | {"nonce": "00"}], "line 1 .*another run"),
        ([times("pre", -1)], "line 1 .*greater than or equal to 0"),
        ([times("pre", 1.5)], "line 1 .*integer"),
        ([times("pre", 1 << 60)], "line 1 .*less than or equal"),
        ([times("pre")], "line 1 .*at least 1"),
        ([times("pre", *[1] * 4097)], "line 1 .*at most 4096"),
        ([times("later", 1)], "line 1 .*'pre' or 'post'"),
        ([times("pre", 1), times("pre", 1)], "line 2 .*start at 0, expected 1"),
        ([times("pre", 1), END, times("post", 1)], "line 3 .*after the end"),
        ([END, END], "line 2 .*after the end"),
        ([times("pre", 1) | {"shell": "reboot"}], "line 1 .*shell"),
        ([{"type": "hello"}], "line 1 .*hello"),
        ([times("pre", 1), END], "no times of post"),
        ([times("pre", 1), times("post", 1)], "stops after line 2"),
        ([], "stops after line 0"),
    ],
)
def test_what_is_refused(lines: list[dict[str, Any]], words: str) -> None:
    with pytest.raises(ResultError, match=words):
        read_times(output(*lines), NONCE, steps=("pre", "post"))


def test_only_what_was_asked_for_and_not_without_end() -> None:
    with pytest.raises(ResultError, match=r"line 1 .*post, which were not asked for"):
        read_times(output(times("post", 1), END), NONCE, steps=PRE)
    endless = [times("pre", *[1] * 4096, offset=at) for at in range(0, MOST_ITERATIONS + 1, 4096)]
    with pytest.raises(ResultError, match=f"line 17 .*more than {MOST_ITERATIONS} times"):
        read_times(output(*endless, END), NONCE, steps=PRE)
    with pytest.raises(ResultError, match="stops after line 2"):
        read_times(output(times("pre", 1), END), NONCE, steps=PRE, truncated=True)


def test_a_reported_failure_is_made_harmless() -> None:
    error = {"type": "error", "code": 3, "message": "numpy \x1b[31mdoes not import"}
    with pytest.raises(RunnerError, match=r"the program reported: 3: numpy .*does not") as raised:
        read_times(output(error), NONCE, steps=PRE)
    assert "\x1b" not in raised.value.message


def test_the_plan_is_plain_json(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "bundle", ["int8.tflite"])
    [placed] = place(bundle, tmp_path)
    image = ModelInput(shape=(2,), mean=(0.5,), std=(0.25,))
    manifest = bundle.manifest.model_copy(update={"inputs": {"x": image}})
    decoding = Decoding("points", {"stride": 2.0})
    plan = json.loads(json.dumps(plan_of(placed, manifest, decoding, NONCE, [1])))
    assert plan["described"] == [{"shape": [2], "mean": [0.5], "std": [0.25]}]
    assert plan["outputs"] == [
        {"name": "logits", "dtype": "int8", "shape": [1, 3], "scale": 0.5, "zero_point": -3}
    ]
    assert plan["decoding"] == {"name": "points", "args": {"stride": 2.0}}
    for name in ("inputs_file", "outputs_file"):
        assert Path(plan[name]).is_file()
    assert plan_of(placed, manifest, None, NONCE, [])["decoding"] is None
