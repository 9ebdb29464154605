"""From the name of a data source to a dataset. Owns calling the source, and telling apart what it
may return; the checks of arrays are in checks.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edgekit.data import SOURCES
from edgekit.data.checks import (
    checked_input,
    checked_series,
    checked_targets,
    input_called,
    inputs_by_name,
    require_same_steps,
    targets_of_steps,
)
from edgekit.data.dataset import ArraySplit, Dataset, Split
from edgekit.data.source import InputSpec, Request, Source, times, with_home
from edgekit.data.streaming import is_streamed, streamed_split
from edgekit.errors import ModelError
from edgekit.registry.factory import call_factory
from edgekit.states import STATELESS, States, steps_in

RETURNS = (
    "return (train_inputs, train_targets, test_inputs, test_targets[, classes]) or an"
    " edgekit.data.dataset.Dataset"
)


def load_dataset(
    name: str,
    args: Mapping[str, Any],
    *,
    inputs: Mapping[str, InputSpec],
    seed: int,
    train_limit: int | None = None,
    test_limit: int | None = None,
    base: Path | None = None,
    workers: int = 0,
    states: States = STATELESS,
) -> Dataset:
    """Both splits of a dataset, in memory or to be read while they are used, as its source has it.

    `name` is a source of `edgekit.data.SOURCES`, or `package.module:object`, where the module may
    lie in `base`, the recipe's directory (default: the working directory): a `Source`, or a
    function that takes `args` and returns (train_inputs, train_targets, test_inputs, test_targets[,
    classes]) as arrays or tensors, or a `Dataset`; or (train_dataset, test_dataset[, classes]),
    map-style datasets whose samples are (inputs, target), which `workers` processes read while
    they are used. Inputs are one array, or a mapping by the names of `inputs`; targets may be None.
    A limit keeps the first so many samples of a shuffle by `seed`. For a model with `states`, which
    are not among `inputs`, a sample is a series: its inputs are of shape (steps, …), and it has one
    target for each step, or one number for all of them.

    Raises ModelError: unknown name, wrong arguments, missing data (with the remedy), no samples,
    samples that do not fit `inputs`, NaN or infinite values, not one target for each sample."""
    request = Request(inputs, seed, base or Path.cwd(), train_limit, test_limit)
    _check_specs(inputs)
    returned = _call(name, with_home(args), request)
    train, test, classes = _splits(returned, name, inputs, workers, states)
    names = _class_names(classes, (train, test), name)
    return Dataset(train.limited(train_limit, seed), test.limited(test_limit, seed), names)


def _check_specs(inputs: Mapping[str, InputSpec]) -> None:
    for name, spec in inputs.items():
        for key, values in (("mean", spec.mean), ("std", spec.std)):
            if values is None:
                continue
            if spec.dtype != "float32":
                raise ModelError(f"input {name}: {key} is for float32, and it is {spec.dtype}")
            if len(values) != spec.channels:
                raise ModelError(
                    f"input {name}: {key} has {len(values)} values for {spec.channels} channels of"
                    f" {times(spec.shape)}"
                )


def _call(name: str, args: Mapping[str, Any], request: Request) -> Any:
    """What the source returns, as it is."""
    source = SOURCES.resolve(name, request.base)
    what = f"data {name}"
    if isinstance(source, Source):
        return call_factory(source.load, args, what, request, base=request.base)
    if callable(source):
        return call_factory(source, args, what, base=request.base)
    raise ModelError(f"{what}: a {type(source).__name__}, neither a Source nor a function")


def _splits(
    returned: Any, name: str, specs: Mapping[str, InputSpec], workers: int, states: States
) -> tuple[Split, Split, tuple[str, ...] | None]:
    """Both splits, all of their samples, and the classes where the source names them."""
    if isinstance(returned, Dataset):
        parts = [returned.train, returned.test]
        if not all(isinstance(part, ArraySplit) for part in parts):
            raise ModelError(f"data {name}: a Dataset of other splits", hint=RETURNS)
        arrays = [(part.inputs, part.targets) for part in parts if isinstance(part, ArraySplit)]
        classes: tuple[str, ...] | None = returned.classes
    elif not isinstance(returned, tuple | list) or len(returned) not in (2, 3, 4, 5):
        raise ModelError(
            f"data {name}: its factory returned {type(returned).__name__}", hint=RETURNS
        )
    elif len(returned) < 4:
        return _streamed(returned, name, specs, workers, states)
    else:
        arrays = [(returned[0], returned[1]), (returned[2], returned[3])]
        classes = _class_list(returned[4] if len(returned) == 5 else None)
    train, test = (
        _array_split(values, targets, specs, f"data {name}, {part} split", states)
        for part, (values, targets) in zip(("train", "test"), arrays, strict=True)
    )
    return train, test, classes


def _streamed(
    returned: Sequence[Any], name: str, specs: Mapping[str, InputSpec], workers: int, states: States
) -> tuple[Split, Split, tuple[str, ...] | None]:
    datasets = returned[:2]
    for dataset in datasets:
        if not is_streamed(dataset):
            raise ModelError(
                f"data {name}: a {type(dataset).__name__}, which is no map-style dataset",
                hint=f"{RETURNS}, or (train_dataset, test_dataset[, classes])",
            )
    named = returned[2] if len(returned) == 3 else getattr(datasets[0], "classes", None)
    classes = _class_list(named)
    train, test = (
        streamed_split(
            dataset,
            specs,
            f"data {name}, {part} split",
            classes=len(classes or ()),
            workers=workers,
            states=states,
        )
        for part, dataset in zip(("train", "test"), datasets, strict=True)
    )
    return train, test, classes


def _class_list(named: Any) -> tuple[str, ...] | None:
    return None if named is None else tuple(str(label) for label in named)


def _array_split(
    values: Any, targets: Any, specs: Mapping[str, InputSpec], where: str, states: States
) -> ArraySplit:
    arrays = inputs_by_name(values, specs, where)
    check = checked_series if states else checked_input
    inputs = {
        name: check(arrays[name], spec, input_called(name, specs), where)
        for name, spec in specs.items()
    }
    counts = {name: len(tensor) for name, tensor in inputs.items()}
    if len(set(counts.values())) > 1:
        listed = ", ".join(f"{count} of {name}" for name, count in counts.items())
        raise ModelError(f"{where}: the inputs are not one for each sample: {listed}")
    checked = checked_targets(targets, next(iter(counts.values())), where)
    if states:
        require_same_steps(inputs, where)
    if states and checked is not None:
        checked = targets_of_steps(checked, steps_in(inputs), where)
    return ArraySplit(inputs, checked, specs, states)


def _class_names(
    classes: tuple[str, ...] | None, splits: Sequence[Split], name: str
) -> tuple[str, ...]:
    """The names of the classes; of class numbers without names, the numbers."""
    count = max(split.class_count for split in splits)
    if classes is None:
        return tuple(str(number) for number in range(count))
    if count > len(classes):
        raise ModelError(f"data {name}: label {count - 1} has no name among {len(classes)} classes")
    return classes
