"""Operators of a run joined with those of the graph: a row carries a module only where that is
certain."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edgekit.bundle.manifest import Operation
from edgekit.measure.profiling import profile_of
from edgekit.measure.protocol import RunnerRun, parse_runner_output
from edgekit.measure.protocol_lines import OperatorValues

EMPTY = parse_runner_output(b"", nonce="", allow_incomplete=True)


def run(*operators: tuple[str, int, bool, float]) -> RunnerRun:
    values = tuple(
        OperatorValues(
            name=name,
            instruction=instruction,
            delegated=delegated,
            ns=(int(us * 1000), int(us * 1000)),
        )
        for name, instruction, delegated, us in operators
    )
    return replace(EMPTY, steady_ns=(9000, 10000, 11000), operators=values)


DELEGATED = run(
    ("Method::execute", -1, False, 100),
    ("DELEGATE_CALL", 0, False, 90),
    ("Convolution (NHWC, QC8) IGEMM #1", 0, True, 40),
    ("Fully Connected (NC, QS8, QC8W) GEMM #1", 0, True, 20),
    ("Add (ND) #1", 0, True, 10),
    ("Convert (NC) #1", 0, True, 10),
    ("OPERATOR_CALL", 1, False, 6),
    ("native_call_topk.values", 1, False, 5),
    ("DELEGATE_CALL", 2, False, 16),
    ("Fully Connected (NC, F32) GEMM #1", 2, True, 15),
)
SEQUENCE = (
    Operation(operator="aten.convolution", layer="stem.conv", delegate=0),
    Operation(operator="aten.convolution", layer="block.project", delegate=0),
    Operation(operator="aten.add.Tensor", layer="block", delegate=0),
    Operation(operator="aten.topk", layer="pick"),
    Operation(operator="aten.linear", layer="head", delegate=1),
)


def test_rows_carry_modules() -> None:
    profile = profile_of(DELEGATED, SEQUENCE)
    assert [(row.name.partition(" (")[0], row.layer) for row in profile.operators] == [
        ("Convolution", "stem.conv"),
        ("Fully Connected", "block.project"),
        ("Add", "block"),
        ("Convert", ""),
        ("native_call_topk.values", "pick"),
        ("Fully Connected", "head"),
    ]
    assert (profile.inferences, profile.median_ns) == (3, 10000)
    assert profile.operators[0].share == pytest.approx(0.4)
    assert sum(row.share for row in profile.operators) == pytest.approx(1)


def test_another_number_of_operators_is_not_guessed() -> None:
    profile = profile_of(
        DELEGATED, (*SEQUENCE, Operation(operator="aten.linear", layer="surprise", delegate=0))
    )
    assert [row.layer for row in profile.operators] == ["", "", "block", "", "pick", "head"]
    assert not any(row.layer for row in profile_of(DELEGATED, ()).operators)


def test_a_delegate_that_tells_nothing_is_one_operator() -> None:
    [row] = profile_of(
        run(("Method::execute", -1, False, 9), ("DELEGATE_CALL", 0, False, 8)), SEQUENCE[:1]
    ).operators
    assert (row.name, row.layer, row.share) == ("DELEGATE_CALL", "", 1.0)


def test_interruptions_are_not_the_operators() -> None:
    """Nor is what a clock of whole µs sees in every fifth inference only left out, as a median
    would."""
    quick = OperatorValues(
        name="Transpose (ND, X8) #1", instruction=0, delegated=True, ns=(1000, 0, 0, 0, 0) * 20
    )
    slow = OperatorValues(
        name="Convolution (NHWC, QC8) IGEMM #1",
        instruction=0,
        delegated=True,
        ns=(1000,) * 98 + (10**6,) * 2,
    )
    profile = profile_of(replace(EMPTY, steady_ns=(2000,) * 100, operators=(quick, slow)), ())
    assert [row.mean_ns for row in profile.operators] == [pytest.approx(200), pytest.approx(1000)]


def test_names_are_inert() -> None:
    [row] = profile_of(
        run(("native_call_x", 0, False, 8)), (Operation(operator="x", layer="a\x1b[2J"),)
    ).operators
    assert row.layer == "a\ufffd[2J"


def test_operators_of_less_than_a_microsecond_are_below_the_resolution() -> None:
    fine = profile_of(run(("Convolution (NHWC)", 0, True, 2), ("Add (ND)", 0, True, 1)), ())
    assert fine.below_resolution == ""
    coarse = profile_of(run(("Convolution (NHWC)", 0, True, 1), ("Add (ND)", 0, True, 0)), ())
    assert coarse.below_resolution.endswith("1 of them in all, and up to 2 were dropped")
    in_ns = profile_of(run(("native_call_add", 0, False, 0.35)), ())
    assert in_ns.below_resolution == "", "plain kernels are timed in ns"
