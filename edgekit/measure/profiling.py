"""A runner's operator times and a list of the file's operators, joined into a profile whose rows
carry modules. Pure.

XNNPACK names its operators in its own words and fuses activations into them. Inside one delegate
call its n-th operator of a family, such as convolutions and linear layers together (a 1×1
convolution may run as a fully connected layer), is the n-th of that family in the graph, provided
that there are equally many of them; where there are not, rows stay without a module rather than
with a wrong one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from statistics import fmean, median

from edgekit.bundle.manifest import Operation
from edgekit.measure.extra_results import OperatorTime, Profile
from edgekit.measure.protocol import RunnerRun
from edgekit.measure.protocol_lines import OperatorValues
from edgekit.sanitize import printable

FAMILIES = {
    "weights": (
        "Convolution",
        "Deconvolution",
        "Fully Connected",
        "Dynamic Fully Connected",
        "aten.convolution",
        "aten.linear",
        "aten.addmm",
        "aten.mm",
        "CONV_2D",
        "DEPTHWISE_CONV_2D",
        "FULLY_CONNECTED",
        "TRANSPOSE_CONV",
    ),
    "matmul": ("Batch Matrix Multiply", "aten.bmm", "BATCH_MATMUL"),
    "add": ("Add", "aten.add.Tensor", "ADD"),
    "subtract": ("Subtract", "aten.sub.Tensor", "SUB"),
    "multiply": ("Multiply", "aten.mul.Tensor", "MUL"),
    "mean": ("Mean", "Global Average Pooling", "aten.mean.dim", "MEAN"),
    "max_pool": ("Max Pooling", "aten.max_pool2d", "aten.max_pool2d_with_indices", "MAX_POOL_2D"),
    "average_pool": ("Average Pooling", "aten.avg_pool2d", "AVERAGE_POOL_2D"),
    "sigmoid": ("Sigmoid", "aten.sigmoid", "LOGISTIC"),
    "softmax": ("Softmax", "aten._softmax", "SOFTMAX"),
    "concatenate": ("Concatenate", "Concatenate2", "aten.cat", "CONCATENATION"),
    "hardswish": ("HardSwish", "aten.hardswish", "HARD_SWISH"),
    "pad": ("Constant Pad", "aten.constant_pad_nd", "PAD"),
}
_FAMILY = {name: family for family, names in FAMILIES.items() for name in names}
US = 1000
WRAPPERS = ("DELEGATE_CALL", "OPERATOR_CALL")
"""Events around others: where those are known, the time is counted there."""


def profile_of(run: RunnerRun, sequence: Sequence[Operation]) -> Profile:
    """Means by operator, none of its times counted as more than their 95th percentile: a busy
    device disturbs plain means.

    XNNPACK and LiteRT count whole µs and drop the rest, so that an operator of less has 0 there,
    and small models have most of their time nowhere.

    A delegate call whose inside is not known counts as one operator.
    """
    opened = {operator.instruction for operator in run.operators if operator.name not in WRAPPERS}
    shown = [
        operator for operator in run.operators if operator.ns and not _is_wrapper(operator, opened)
    ]
    layers = _layers(shown, sequence)
    means = [_clipped_mean(operator.ns) for operator in shown]
    total = sum(means)
    rows = [
        OperatorTime(
            name=printable(operator.name),
            layer=printable(layer),
            delegated=operator.delegated,
            mean_ns=ns,
            share=ns / total if total else 0.0,
        )
        for operator, layer, ns in zip(shown, layers, means, strict=True)
    ]
    in_whole_us = [operator for operator in shown if all(ns % US == 0 for ns in operator.ns)]
    return Profile(
        inferences=len(run.steady_ns),
        median_ns=float(median(run.steady_ns)),
        operators=tuple(rows),
        dropped_ns=float(US * len(in_whole_us)),
    )


def _clipped_mean(values: Sequence[int]) -> float:
    """The mean of the values, none counted as more than their 95th percentile."""
    most = sorted(values)[min(len(values) - 1, 19 * len(values) // 20)]
    return fmean(min(value, most) for value in values)


def _is_wrapper(operator: OperatorValues, opened: set[int]) -> bool:
    return operator.instruction < 0 or (
        operator.name in WRAPPERS and operator.instruction in opened
    )


def _layers(shown: Sequence[OperatorValues], sequence: Sequence[Operation]) -> list[str]:
    """The module of each row, empty where it is not certain."""
    calls = {
        instruction: call
        for call, instruction in enumerate(
            dict.fromkeys(o.instruction for o in shown if o.delegated or o.name == "DELEGATE_CALL")
        )
    }
    ran: dict[tuple[int, str], list[int]] = defaultdict(list)
    for at, operator in enumerate(shown):
        if operator.delegated and (family := _FAMILY.get(operator.name.partition(" (")[0])):
            ran[calls[operator.instruction], family].append(at)
    written: dict[tuple[int, str], list[str]] = defaultdict(list)
    for operation in sequence:
        if operation.delegate is not None and (family := _FAMILY.get(operation.operator)):
            written[operation.delegate, family].append(operation.layer)
    layers = [""] * len(shown)
    plain = [operation for operation in sequence if operation.delegate is None]
    kernels = [
        at
        for at, operator in enumerate(shown)
        if not operator.delegated and operator.name != "DELEGATE_CALL"
    ]
    groups = [(places, written.get(key, [])) for key, places in ran.items()] + [
        (kernels, [operation.layer for operation in plain])
    ]
    for places, names in groups:
        if len(places) == len(names):
            for at, name in zip(places, names, strict=True):
                layers[at] = name
    return layers
