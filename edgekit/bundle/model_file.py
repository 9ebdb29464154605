"""The inputs and outputs of a `.tflite` or `.pte` that edgekit did not make, read from its bytes:
of each signature of a `.tflite`, of each method of a `.pte`. Needs neither torch nor a runtime, and
runs nothing.

Field numbers are those of TensorFlow Lite's schema.fbs (identifier TFL3) and ExecuTorch's
program.fbs (ET12). The file is somebody else's: whatever does not follow them is a ModelError."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast, get_args

from flatbuffers import number_types as kinds

from edgekit.bundle.flatbuffer import Reader
from edgekit.bundle.manifest import DynamicSize, TensorSpec
from edgekit.errors import ModelError

TFLITE = b"TFL3"
PTE = b"ET12"
TFLITE_DTYPES = {
    0: "float32",
    1: "float16",
    2: "int32",
    3: "uint8",
    4: "int64",
    6: "bool",
    7: "int16",
    9: "int8",
}
PTE_DTYPES = {
    0: "uint8",
    1: "int8",
    2: "int16",
    3: "int32",
    4: "int64",
    5: "float16",
    6: "float32",
    11: "bool",
}
"""By the number of ExecuTorch's ScalarType."""
PTE_TENSOR = 5
"""KernelTypes.Tensor."""
PTE_STATIC = 0
"""TensorShapeDynamism of a tensor whose sizes are fixed. Of others the file has the largest, for
which memory was planned; it does not say which are free, nor how small they may be."""
PTE_METHOD = "forward"
"""The method that a runner calls where none is named."""
MOST_SIGNATURES, LONGEST_NAME = 256, 200
ReadSpec = Callable[[Reader, str | None], TensorSpec]
"""An input or output from its tensor in the file, and the name that a signature gives it."""


@dataclass(frozen=True)
class ModelSignature:
    """A way to call a model file: its name there, and its tensors. `by_name` says that a runner has
    to be told the name, as it is not the only way or not the usual one.

    Tensors have the names that the signature gives them, in the order of these names where it is
    called by name, else in the order of the file. A `.pte` has no names: `input0`, `output0`, …"""

    name: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    by_name: bool = False


def read_signatures(data: bytes) -> tuple[ModelSignature, ...]:
    """The signatures of a `.tflite` (without any its main graph, named ""), or the methods of a
    `.pte`, in the order of the file. Of several, those that edgekit cannot run are left out, as
    methods that only return a number.

    Raises ModelError."""
    reader = {TFLITE: _tflite, PTE: _pte}.get(data[4:8])
    if reader is None:
        raise ModelError(
            "neither a .tflite nor a .pte: its identifier is of another format",
            hint="give a file that a converter wrote",
        )
    try:
        return reader(Reader.of_file(data))
    except (struct.error, IndexError, TypeError, ValueError, OverflowError) as error:
        raise ModelError(
            f"damaged or cut off: {error}", hint="export or download it again"
        ) from None


def _runnable(
    ways: Sequence[Reader], read: Callable[[Reader], ModelSignature]
) -> tuple[ModelSignature, ...]:
    """The ways to call a file that can be run. Raises ModelError, where there are none, for the
    first."""
    signatures: list[ModelSignature] = []
    refused: list[ModelError] = []
    for way in ways:
        try:
            signatures.append(_checked(read(way)))
        except ModelError as error:
            refused.append(error)
    if refused and not signatures:
        raise refused[0]
    return tuple(signatures)


def _checked(signature: ModelSignature) -> ModelSignature:
    if not signature.inputs or not signature.outputs:
        raise ModelError("it has no inputs or no outputs", hint="give a model that can be run")
    if signature.by_name and not 0 < len(signature.name) <= LONGEST_NAME:
        raise ValueError("a signature without a name, or with a very long one")
    return signature


def _tflite(model: Reader) -> tuple[ModelSignature, ...]:
    graphs, definitions = model.tables(2), model.tables(7)
    if len(definitions) > MOST_SIGNATURES:
        raise ValueError("too many signatures")
    if len(definitions) > 1:
        return _runnable(definitions, lambda definition: _tflite_by_name(graphs, definition))
    return (_checked(_tflite_main(graphs[0], definitions[0] if definitions else None)),)


def _tflite_main(graph: Reader, definition: Reader | None) -> ModelSignature:
    """The main graph, by the names of its signature where it has one."""
    tensors = graph.tables(0)

    def specs(graph_field: int, names_field: int, read: ReadSpec) -> tuple[TensorSpec, ...]:
        names = _tflite_names(definition, names_field) if definition else []
        by_index = {index: name for name, index in names}
        indices = graph.numbers(graph_field, kinds.Int32Flags)
        return tuple(read(tensors[index], by_index.get(index)) for index in indices)

    return ModelSignature(
        definition.text(2) if definition else "",
        specs(1, 0, _tflite_spec),
        specs(2, 1, _tflite_output),
    )


def _tflite_by_name(graphs: Sequence[Reader], definition: Reader) -> ModelSignature:
    tensors = graphs[definition.number(4, kinds.Uint32Flags)].tables(0)
    inputs, outputs = (sorted(_tflite_names(definition, field)) for field in (0, 1))
    return ModelSignature(
        definition.text(2),
        tuple(_tflite_spec(tensors[index], name) for name, index in inputs),
        tuple(_tflite_output(tensors[index], name) for name, index in outputs),
        by_name=True,
    )


def _tflite_names(definition: Reader, field: int) -> list[tuple[str, int]]:
    """What a signature calls tensors of its graph, with their indices."""
    return [
        (entry.text(0), entry.number(1, kinds.Uint32Flags)) for entry in definition.tables(field)
    ]


def _tflite_output(tensor: Reader, name: str | None) -> TensorSpec:
    """An output may have a size that is known after the call only, which is 0 or -1 in the file; it
    is dynamic. One without any shape may have any (`()`): the end of an SSD is written so."""
    shape = tensor.numbers(0, kinds.Int32Flags)
    later = [axis for axis, size in enumerate(shape) if size <= 0]
    spec = _tflite_spec(tensor, name, [max(size, 1) for size in shape])
    axes = {*later, *(size.axis for size in spec.dynamic)}
    return spec.model_copy(
        update={"dynamic": tuple(DynamicSize(axis=axis) for axis in sorted(axes))}
    )


def _tflite_spec(tensor: Reader, name: str | None, shape: list[int] | None = None) -> TensorSpec:
    """`shape` is that of the file where no other is given."""
    quantization = tensor.table(4)
    scales = quantization.numbers(2, kinds.Float32Flags) if quantization else []
    zeros = quantization.numbers(3, kinds.Int64Flags) if quantization else []
    per_tensor = len(scales) == 1
    zero_point = zeros[0] if zeros else 0
    free = tensor.numbers(7, kinds.Int32Flags)
    spec = _spec(
        name or tensor.text(3),
        TFLITE_DTYPES.get(tensor.number(1, kinds.Int8Flags)),
        tensor.numbers(0, kinds.Int32Flags) if shape is None else shape,
        tuple(DynamicSize(axis=axis) for axis, size in enumerate(free) if size == -1),
    )
    return spec.model_copy(
        update={
            "scale": scales[0] if per_tensor else None,
            "zero_point": zero_point if per_tensor else None,
            "file_name": tensor.text(3),
        }
    )


def _pte(program: Reader) -> tuple[ModelSignature, ...]:
    plans = program.tables(1)
    if not 0 < len(plans) <= MOST_SIGNATURES:
        raise ValueError("no methods, or too many")
    methods = _runnable(plans, _pte_method)
    return tuple(
        replace(method, by_name=len(methods) > 1 or method.name != PTE_METHOD) for method in methods
    )


def _pte_method(plan: Reader) -> ModelSignature:
    values = plan.tables(2)
    inputs = plan.numbers(3, kinds.Int32Flags)
    outputs = plan.numbers(4, kinds.Int32Flags)
    return ModelSignature(
        plan.text(0),
        tuple(_pte_spec(values[index], f"input{place}") for place, index in enumerate(inputs)),
        tuple(_pte_spec(values[index], f"output{place}") for place, index in enumerate(outputs)),
        by_name=True,
    )


def _pte_spec(value: Reader, name: str) -> TensorSpec:
    tensor = value.table(1)
    if value.number(0, kinds.Uint8Flags) != PTE_TENSOR or tensor is None:
        raise ModelError(
            f"{name} is not a tensor", hint="export a model that takes and returns tensors"
        )
    sizes, dynamism = tensor.numbers(2, kinds.Int32Flags), tensor.number(8, kinds.Int8Flags)
    free = [] if dynamism == PTE_STATIC else [axis for axis, size in enumerate(sizes) if size > 1]
    return _spec(
        name,
        PTE_DTYPES.get(tensor.number(0, kinds.Int8Flags)),
        sizes,
        tuple(DynamicSize(axis=axis, max=sizes[axis]) for axis in free),
    )


def _spec(
    name: str, dtype: str | None, shape: list[int], dynamic: tuple[DynamicSize, ...]
) -> TensorSpec:
    if dtype not in get_args(TensorSpec.model_fields["dtype"].annotation):
        raise ModelError(
            f"{name}: a type of tensor that edgekit does not run",
            hint="convert it with float or integer inputs and outputs",
        )
    if any(size <= 0 for size in shape):
        raise ModelError(
            f"{name}: a shape that is not fixed: {shape}", hint="convert it with a fixed shape"
        )
    return TensorSpec(name=name, dtype=cast(Any, dtype), shape=tuple(shape), dynamic=dynamic)


def builtin_operator(code: Reader) -> int:
    """The number of a builtin operator in a `.tflite`, from its entry in the file's list of
    operator codes; small ones stand in the older field only."""
    return max(code.number(0, kinds.Int8Flags), code.number(3, kinds.Int32Flags))
