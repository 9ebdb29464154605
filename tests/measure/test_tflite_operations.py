"""Modules of a `.tflite` that litert-torch wrote, and which partition of the delegate ran what."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edgekit.measure.profiling import profile_of
from edgekit.measure.protocol_lines import OperatorValues
from edgekit.measure.tflite_operations import module_of, tflite_operations
from tests.support.runners import Runner
from tests.support.tflite_traps import RUNNABLE

SEQUENTIAL = "net.Net/torch.nn.modules.container.Sequential_features"


@pytest.mark.parametrize(
    ("tensor", "module"),
    [
        (f"{SEQUENTIAL}/torch.nn.modules.conv.Conv2d_0;1", "features.0"),
        (
            f"{SEQUENTIAL}/torch.nn.modules.activation.ReLU_1;;{SEQUENTIAL}"
            "/torch.nn.modules.conv.Conv2d_0;1",
            "features.0",
        ),
        ("net.Net/torch.nn.modules.linear.Linear_last_layer;", "last_layer"),
        ("net.Net;1", ""),
        ("serving_default_output_0_output", ""),
        ("arith.constant1", ""),
        ("model/conv1/Relu;model/conv1/BiasAdd", ""),
        ("", ""),
    ],
)
def test_the_module_of_a_tensor(tensor: str, module: str) -> None:
    assert module_of(tensor) == module


def ran(name: str, instruction: int, *, delegated: bool) -> OperatorValues:
    return OperatorValues(name=name, instruction=instruction, delegated=delegated, ns=(1000,))


@pytest.mark.torch
def test_nodes_between_those_outside_are_of_one_partition() -> None:
    """MUL reads what ADD gave: two nodes."""
    data = RUNNABLE["read_again"]()
    inside = [ran("Add (ND)", 0, delegated=True), ran("Multiply (ND)", 0, delegated=True)]
    operations = tflite_operations(data, inside)
    assert [(each.operator, each.delegate) for each in operations] == [("ADD", 0), ("MUL", 0)]
    half = tflite_operations(data, [ran("ADD", 0, delegated=False), inside[1]])
    assert [each.delegate for each in half] == [None, 0]
    apart = [inside[0], ran("Multiply (ND)", 1, delegated=True)]
    assert tflite_operations(data, apart) == (), "which ran in which partition is not certain"


@pytest.mark.parametrize("data", [b"", b"TFL3" * 40])
def test_what_is_no_model_names_nothing(data: bytes) -> None:
    assert tflite_operations(data, []) == ()


@pytest.mark.torch
def test_rows_of_an_exported_model_name_its_modules(
    models: tuple[Path, dict[str, Any]], litert_native_argv: tuple[str, ...]
) -> None:
    runner = Runner("litert", litert_native_argv, models[0])
    run = runner.run("convolution", "--mode", "profile", "--min-iterations", "5", mode="profile")
    content = runner.model("convolution").read_bytes()
    profile = profile_of(run, tflite_operations(content, run.operators))
    weighted = [
        row.layer
        for row in profile.operators
        if row.name.startswith(("Convolution", "Fully Connected"))
    ]
    assert weighted == ["features.0", "features.2", "classifier"]
