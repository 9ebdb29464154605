"""A model that edgekit did not build, as a bundle that can be deployed and measured: one artifact,
random inputs of a fixed seed, nothing to compare with."""

from __future__ import annotations

import hashlib
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from edgekit.bundle.directory import Bundle, bundle_id, describe_file, open_bundle, write_manifest
from edgekit.bundle.manifest import (
    Artifact,
    Delegation,
    Manifest,
    RuntimeName,
    TensorSpec,
    Verification,
)
from edgekit.bundle.model_file import ModelSignature, read_signatures
from edgekit.bundle.sizes import with_sizes
from edgekit.errors import ModelError, UsageError
from edgekit.hashing import canonical_json
from edgekit.sanitize import printable

SAMPLES = 4
SEED = 0
MAX_INPUT_BYTES = 1 << 30
RUNTIMES: dict[str, RuntimeName] = {".pte": "executorch", ".tflite": "litert"}
"""The runtime of a model file, by its suffix."""
UNKNOWN_BACKEND = "unknown"
USUAL_SIGNATURES = ("serving_default", "forward")
"""Which of several signatures or methods is meant where none is named."""


def is_model(path: Path) -> bool:
    """Whether a path is a model file rather than a bundle, by its name."""
    return path.suffix in RUNTIMES and not path.is_dir()


@contextmanager
def open_model(
    path: str | Path,
    *,
    signature: str | None = None,
    shapes: Mapping[str, Sequence[int]] | None = None,
) -> Iterator[Bundle]:
    """A `.tflite` or `.pte` as a bundle, in a directory that is gone when the block ends.

    Its inputs are random: floats of the standard normal distribution, 8- and 16-bit integers of
    their whole range, others 0 or 1, as they are most often indices.

    Args:
        path: The model's file.
        signature: Which signature of a `.tflite`, or method of a `.pte`, is run. Default: the only
            one, else `serving_default` or `forward`.
        shapes: Shapes of inputs whose sizes are dynamic, with the batch, by their names; see
            `model_signatures`. Default: of a `.pte` the largest, for which its memory was planned;
            of a `.tflite` what its file says.

    Returns:
        A context manager that gives the bundle.

    Raises:
        UsageError: No such file, or another kind of file; no such signature, or several and none
            is named; a shape that an input cannot have.
        ModelError: Not a model that edgekit can run.

    Example:
        >>> with edgekit.open_model("other.tflite") as bundle:
        ...     print(bundle.manifest.artifacts[0].runtime)
        litert
    """
    with tempfile.TemporaryDirectory(prefix="edgekit-model-") as directory:
        yield wrap_model(path, Path(directory) / "bundle", signature=signature, shapes=shapes or {})


def model_signatures(path: str | Path) -> tuple[ModelSignature, ...]:
    """The ways to call a `.tflite` or `.pte`, with their tensors. Runs nothing.

    Args:
        path: The model's file.

    Returns:
        Each signature of a `.tflite`, or each method of a `.pte`. Where sizes are dynamic, the
        shape is what is measured where nothing else is asked for.

    Raises:
        UsageError: No such file, or another kind of file.
        ModelError: Not a model that edgekit can run.

    Example:
        >>> for signature in edgekit.model_signatures("other.tflite"):
        ...     print([spec.shape for spec in signature.inputs])
        [(1, 1, 8, 8)]
    """
    source, _ = _source(path)
    with _named(source):
        return read_signatures(source.read_bytes())


def wrap_model(
    path: str | Path,
    directory: Path,
    *,
    signature: str | None = None,
    shapes: Mapping[str, Sequence[int]] | None = None,
) -> Bundle:
    """The same as `open_model` in a directory of one's own, which is made."""
    source, runtime = _source(path)
    variant = re.sub(r"[^A-Za-z0-9._-]", "-", source.stem).lstrip("._-")[:64] or "model"
    model = f"{variant}{source.suffix}"
    inputs = f"reference/{model}.inputs.bin"
    (directory / "reference").mkdir(parents=True)
    with _named(source):
        shutil.copyfile(source, directory / model)
        run = _chosen(read_signatures((directory / model).read_bytes()), signature)
        run = replace(run, inputs=with_sizes(run.inputs, shapes or {}))
        (directory / inputs).write_bytes(random_inputs(run.inputs))
    artifact = Artifact(
        variant=variant,
        backend=UNKNOWN_BACKEND,
        runtime=runtime,
        file=describe_file(directory / model, model),
        signature=run.name if run.by_name else None,
        inputs=run.inputs,
        outputs=run.outputs,
        reference_inputs=describe_file(directory / inputs, inputs),
        reference_samples=SAMPLES,
        delegation=Delegation(delegate="unknown", delegated={}, fallback={}),
        verification=Verification(
            samples=0, max_abs_error=None, snr_db=None, cosine=None, agreement_percent=None
        ),
    )
    write_manifest(directory, _manifest(artifact))
    return open_bundle(directory)


def _manifest(artifact: Artifact) -> Manifest:
    recipe_sha256 = hashlib.sha256(canonical_json({})).hexdigest()
    return Manifest(
        id=bundle_id(recipe_sha256, (artifact,)),
        name=artifact.variant,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        recipe={},
        recipe_sha256=recipe_sha256,
        versions={},
        seed=SEED,
        git_revision=None,
        trace=(),
        artifacts=(artifact,),
    )


@contextmanager
def _named(source: Path) -> Iterator[None]:
    """Errors of the block name the model's file."""
    try:
        yield
    except OSError as error:
        raise UsageError(f"{source}: cannot be read: {error.strerror}") from None
    except (ModelError, UsageError) as error:
        raise type(error)(f"{source}: {error.message}", hint=error.hint) from None


def _source(path: str | Path) -> tuple[Path, RuntimeName]:
    """A model's file and its runtime. Raises UsageError."""
    source = Path(path)
    runtime = RUNTIMES.get(source.suffix)
    if runtime is None or not source.is_file():
        raise UsageError(
            f"{source}: not a file that ends in .tflite or .pte",
            hint="give a model, or a bundle that `edgekit build` made",
        )
    return source, runtime


def _chosen(signatures: Sequence[ModelSignature], name: str | None) -> ModelSignature:
    """The signature of a name, or the one that is meant without. Raises UsageError."""
    by_name = {signature.name: signature for signature in signatures}
    listed = ", ".join(printable(each) for each in by_name)
    if name is not None and name not in by_name:
        hint = f"it has {listed}" if listed else "it has no signatures: leave the name out"
        raise UsageError(f"no signature {printable(name)!r}", hint=hint)
    if name is not None:
        return by_name[name]
    if len(signatures) == 1:
        return signatures[0]
    for usual in USUAL_SIGNATURES:
        if usual in by_name:
            return by_name[usual]
    raise UsageError(
        f"it has several signatures: {listed}",
        hint="name one: `edgekit bench --signature NAME`, in Python open_model(…, signature=NAME)",
    )


def random_inputs(specs: tuple[TensorSpec, ...]) -> bytes:
    """`SAMPLES` samples, each the concatenation of the input tensors' bytes; the same for the same
    specs. Raises ModelError: too large."""
    generator = np.random.default_rng(SEED)
    needed = SAMPLES * sum(
        int(np.prod(spec.shape, dtype=np.float64)) * np.dtype(spec.dtype).itemsize for spec in specs
    )
    if needed > MAX_INPUT_BYTES:
        raise ModelError(
            f"{SAMPLES} samples of its inputs take {needed} bytes",
            hint="convert it with smaller inputs",
        )
    return b"".join(_random(spec, generator) for _ in range(SAMPLES) for spec in specs)


def _random(spec: TensorSpec, generator: np.random.Generator) -> bytes:
    dtype = np.dtype(spec.dtype).newbyteorder("<")
    if dtype.kind == "f":
        return generator.standard_normal(spec.shape).astype(dtype).tobytes()
    if dtype.kind in "iu" and dtype.itemsize <= 2:
        limits = np.iinfo(dtype)
        return (
            generator.integers(limits.min, limits.max, spec.shape, endpoint=True)
            .astype(dtype)
            .tobytes()
        )
    return generator.integers(0, 2, spec.shape).astype(dtype).tobytes()
