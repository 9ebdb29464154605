"""A model that edgekit did not build, as a bundle that can be deployed and measured: one artifact,
random inputs of a fixed seed, nothing to compare with."""

from __future__ import annotations

import hashlib
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
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
from edgekit.bundle.model_file import read_signature
from edgekit.errors import ModelError, UsageError
from edgekit.hashing import canonical_json

SAMPLES = 4
SEED = 0
MAX_INPUT_BYTES = 1 << 30
RUNTIMES: dict[str, RuntimeName] = {".pte": "executorch", ".tflite": "litert"}
"""The runtime of a model file, by its suffix."""
UNKNOWN_BACKEND = "unknown"


def is_model(path: Path) -> bool:
    """Whether a path is a model file rather than a bundle, by its name."""
    return path.suffix in RUNTIMES and not path.is_dir()


@contextmanager
def open_model(path: str | Path) -> Iterator[Bundle]:
    """A `.tflite` or `.pte` as a bundle, in a directory that is gone when the block ends.

    Its inputs are random: floats of the standard normal distribution, 8- and 16-bit integers of
    their whole range, others 0 or 1, as they are most often indices.

    Args:
        path: The model's file.

    Returns:
        A context manager that gives the bundle.

    Raises:
        UsageError: No such file, or another kind of file.
        ModelError: Not a model that edgekit can run.

    Example:
        >>> with edgekit.open_model("other.tflite") as bundle:
        ...     print(bundle.manifest.artifacts[0].runtime)
        litert
    """
    with tempfile.TemporaryDirectory(prefix="edgekit-model-") as directory:
        yield wrap_model(path, Path(directory) / "bundle")


def wrap_model(path: str | Path, directory: Path) -> Bundle:
    """The same in a directory of one's own, which is made."""
    source = Path(path)
    runtime = RUNTIMES.get(source.suffix)
    if runtime is None or not source.is_file():
        raise UsageError(
            f"{source}: not a file that ends in .tflite or .pte",
            hint="give a model, or a bundle that `edgekit build` made",
        )
    variant = re.sub(r"[^A-Za-z0-9._-]", "-", source.stem).lstrip("._-")[:64] or "model"
    model = f"{variant}{source.suffix}"
    inputs = f"reference/{model}.inputs.bin"
    (directory / "reference").mkdir(parents=True)
    try:
        shutil.copyfile(source, directory / model)
        signature = read_signature((directory / model).read_bytes())
        (directory / inputs).write_bytes(random_inputs(signature.inputs))
    except OSError as error:
        raise UsageError(f"{source}: cannot be read: {error.strerror}") from None
    except ModelError as error:
        raise ModelError(f"{source}: {error.message}", hint=error.hint) from None
    artifact = Artifact(
        variant=variant,
        backend=UNKNOWN_BACKEND,
        runtime=runtime,
        file=describe_file(directory / model, model),
        inputs=signature.inputs,
        outputs=signature.outputs,
        reference_inputs=describe_file(directory / inputs, inputs),
        reference_samples=SAMPLES,
        delegation=Delegation(delegate="unknown", delegated={}, fallback={}),
        verification=Verification(
            samples=0, max_abs_error=None, snr_db=None, cosine=None, agreement_percent=None
        ),
    )
    recipe_sha256 = hashlib.sha256(canonical_json({})).hexdigest()
    write_manifest(
        directory,
        Manifest(
            id=bundle_id(recipe_sha256, (artifact,)),
            name=variant,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            recipe={},
            recipe_sha256=recipe_sha256,
            versions={},
            seed=SEED,
            git_revision=None,
            trace=(),
            artifacts=(artifact,),
        ),
    )
    return open_bundle(directory)


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
