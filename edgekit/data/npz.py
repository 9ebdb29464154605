"""Arrays in NumPy's .npz files: one file for training and testing, or one for each.

Owns finding the arrays, and mapping those that are stored without compression (np.savez), so that
they need not fit in memory; those of np.savez_compressed are read whole. Imports no torch."""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from edgekit.data.source import LARGE_BYTES, Outline, Request, Source
from edgekit.errors import ModelError

NAME = "npz"
LOCAL_HEADER = struct.Struct("<26xHH")
"""The header of an entry of a zip file, which ends with the lengths of two fields behind it."""
PARTS = ("train", "test")

Inputs = dict[str, NDArray[Any]]
Part = tuple[Inputs, NDArray[Any] | None]


def load(
    request: Request,
    *,
    path: str | None = None,
    train: str | None = None,
    test: str | None = None,
    inputs: str | Mapping[str, str] = "x",
    target: str | None = "y",
    classes: Sequence[str] | None = None,
) -> tuple[Any, ...]:
    """Samples in memory, or read while they are used where all of them take more than 256 MB.

    `train` and `test` are files with the arrays `x` and `y`, of shape (N, …); or `path` is one file
    with `x_train`, `y_train`, `x_test` and `y_test`. `inputs` and `target` are other keys: `inputs`
    a mapping from the names of the recipe's inputs where there are several, `target: null` for
    samples without targets.

    Raises ModelError: a file or key that is not there, a damaged file, arrays of objects, and
    arrays that are not one for each sample."""
    keys = {"": inputs} if isinstance(inputs, str) else dict(inputs)
    parts = [
        _part(*_place(request.base, path, file, part), keys, target)
        for part, file in zip(PARTS, (train, test), strict=True)
    ]
    names = _class_names([targets for _, targets in parts], classes)
    size = sum(values.nbytes for arrays, _ in parts for values in arrays.values())
    if size > LARGE_BYTES:
        return (*(ArraySamples(*part) for part in parts), names)
    (train_inputs, train_targets), (test_inputs, test_targets) = parts
    return _alone(train_inputs), train_targets, _alone(test_inputs), test_targets, names


@dataclass(frozen=True)
class ArraySamples:
    """A map-style dataset of the rows of arrays."""

    inputs: Inputs
    targets: NDArray[Any] | None

    def __len__(self) -> int:
        return len(next(iter(self.inputs.values())))

    def __getitem__(self, number: int) -> tuple[Any, Any]:
        rows = {name: np.array(values[number]) for name, values in self.inputs.items()}
        target = None if self.targets is None else np.array(self.targets[number])
        return _alone(rows), target


def _alone(inputs: Inputs) -> Any:
    """The only input without a name, as sources return it."""
    return inputs.get("", inputs)


def _place(base: Path, path: str | None, file: str | None, part: str) -> tuple[Path, str]:
    """Where a part is, and how its keys end there."""
    if (path is None) == (file is None):
        raise ModelError(
            f"data {NAME}: the file of the {part} samples is missing, or given twice",
            hint="give data.args.path, or train and test",
        )
    return base / str(file or path), "" if file else f"_{part}"


def _part(file: Path, ending: str, keys: Mapping[str, str], target: str | None) -> Part:
    stored_names = [f"{key}{ending}" for key in keys.values()]
    target_key = None if target is None else f"{target}{ending}"
    arrays = read_arrays(file, [*stored_names, *([target_key] if target_key else [])])
    lengths = {key: len(values) for key, values in arrays.items()}
    if len(set(lengths.values())) > 1:
        listed = ", ".join(f"{key} {length}" for key, length in lengths.items())
        raise ModelError(f"{file}: the arrays are not one for each sample: {listed}")
    inputs = {name: arrays[key] for name, key in zip(keys, stored_names, strict=True)}
    return inputs, arrays[target_key] if target_key else None


def read_arrays(path: Path, keys: Sequence[str]) -> dict[str, NDArray[Any]]:
    """The arrays of these keys, mapped where they can be. Raises ModelError."""
    try:
        with zipfile.ZipFile(path) as archive:
            known = [name.removesuffix(".npy") for name in archive.namelist()]
            missing = [key for key in keys if key not in known]
            if missing:
                raise ModelError(
                    f"{path}: there is no array {', '.join(missing)}",
                    hint=f"the file has {', '.join(known)}",
                )
            arrays = {key: _array(path, archive, f"{key}.npy") for key in keys}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, struct.error, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        raise ModelError(
            f"{path}: cannot be read: {reason}", hint="write it with numpy.savez"
        ) from None
    numbers = [key for key, values in arrays.items() if values.ndim == 0]
    if numbers:
        raise ModelError(f"{path}: {numbers[0]} is a single number, not one for each sample")
    return arrays


def _array(path: Path, archive: zipfile.ZipFile, name: str) -> NDArray[Any]:
    entry = archive.getinfo(name)
    if entry.compress_type != zipfile.ZIP_STORED:
        with archive.open(entry) as compressed:
            values: NDArray[Any] = npy.read_array(compressed, allow_pickle=False)
            return values
    with path.open("rb") as stream:
        stream.seek(entry.header_offset)
        fields = LOCAL_HEADER.unpack(stream.read(LOCAL_HEADER.size))
        stream.seek(sum(fields), 1)
        first_version = npy.read_magic(stream) == (1, 0)
        read_header = npy.read_array_header_1_0 if first_version else npy.read_array_header_2_0
        shape, by_column, dtype = read_header(stream)
        if dtype.hasobject:
            raise ValueError(f"{name} holds objects, which may be code")
        # Copy on write: torch wants memory it may write to, and the file stays as it is.
        return np.memmap(path, dtype, "c", stream.tell(), shape, "F" if by_column else "C")


def _class_names(
    targets: Sequence[NDArray[Any] | None], classes: Sequence[str] | None
) -> tuple[str, ...]:
    """The classes as given; of class numbers without names, the numbers."""
    if classes is not None:
        return tuple(map(str, classes))
    arrays = [values for values in targets if values is not None]
    if not arrays or any(not _are_class_numbers(values) for values in arrays):
        return ()
    return tuple(str(number) for number in range(1 + max(int(v.max()) for v in arrays)))


def _are_class_numbers(values: NDArray[Any]) -> bool:
    return values.ndim == 1 and len(values) > 0 and np.issubdtype(values.dtype, np.integer)


def outline(args: Mapping[str, Any], base: Path) -> Outline | None:
    """Looks at the arrays for training. None without a file; `load` says so."""
    path, file, inputs = args.get("path"), args.get("train"), args.get("inputs", "x")
    if not (isinstance(path, str) or isinstance(file, str)):
        return None
    keys = {"": inputs} if isinstance(inputs, str) else dict(inputs)
    place = _place(base, path, file, "train")
    arrays, targets = _part(*place, keys, args.get("target", "y"))
    names = _class_names([targets], args.get("classes"))
    shape = next(iter(arrays.values())).shape[1:]
    return Outline(shape, classes=len(names), labelled=targets is not None)


NPZ = Source(load=load, outline=outline)
