"""A bundle as a directory: opened, checked file by file, written. What its manifest says is
manifest.py's.

A manifest is untrusted input: names are checked against an allow-list and every file against its
hash."""

from __future__ import annotations

import hashlib
import json
import logging
import zlib
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from edgekit.bundle.format1 import is_format1, upgraded_manifest
from edgekit.bundle.manifest import Artifact, BundleFile, Manifest, Part
from edgekit.errors import ResultError, UsageError
from edgekit.hashing import canonical_json, sha256_file
from edgekit.whole_file import write_whole

MANIFEST = "manifest.json"
SIGNATURE = f"{MANIFEST}.sig"
"""Of a signed bundle, see edgekit/bundle/signing.py."""
ID_RULES = 1
"""Which rules make a bundle's id. They outlive a manifest format: the same artifacts keep their
id."""
MAX_MANIFEST_BYTES = 64 << 20
CONTENT_SHA256 = "content_sha256"
"""The key in a manifest file that holds the hash of all other keys: verdicts rest on numbers that
the id does not cover. Whoever alters them on purpose can hash them again; against that there are
signatures."""


class Bundle(Part):
    """An opened bundle: its directory and its checked manifest."""

    path: Path
    manifest: Manifest

    def file(self, file: BundleFile) -> Path:
        return self.path / file.name

    def files(self) -> tuple[BundleFile, ...]:
        """What a device gets: all files but the manifest, the evaluation set and the pictures, each
        once, in a stable order."""
        by_name = {
            file.name: file
            for artifact in self.manifest.artifacts
            for file in (artifact.file, artifact.reference_inputs, artifact.reference_outputs)
            if file
        }
        return tuple(by_name[name] for name in sorted(by_name))

    def all_files(self) -> tuple[BundleFile, ...]:
        """All files but the manifest."""
        evaluation, pictures = self.manifest.evaluation, self.manifest.pictures
        of_host = (*(evaluation.files() if evaluation else ()), *([pictures] if pictures else []))
        return (*self.files(), *of_host)


def describe_file(path: Path, name: str) -> BundleFile:
    data = path.read_bytes()
    return BundleFile(
        name=name,
        sha256=hashlib.sha256(data).hexdigest(),
        bytes=len(data),
        deflated_bytes=len(zlib.compress(data, 6)),
    )


def bundle_id(recipe_sha256: str, artifacts: tuple[Artifact, ...]) -> str:
    parts = [
        [
            artifact.key,
            artifact.file.sha256,
            artifact.reference_inputs.sha256,
            artifact.reference_outputs and artifact.reference_outputs.sha256,
            *_chosen(artifact),
        ]
        for artifact in artifacts
    ]
    return hashlib.sha256(canonical_json([ID_RULES, recipe_sha256, sorted(parts)])).hexdigest()


def _chosen(artifact: Artifact) -> list[object]:
    """How a file is called, where there is a choice."""
    shapes = [spec.shape for spec in artifact.inputs if spec.dynamic]
    return [artifact.signature, shapes] if artifact.signature or shapes else []


def write_manifest(directory: Path, manifest: Manifest) -> None:
    """Write atomically: a bundle directory with a manifest is complete."""
    values = json.loads(manifest.model_dump_json())
    values[CONTENT_SHA256] = content_sha256(values)
    write_whole(directory / MANIFEST, json.dumps(values, indent=1, ensure_ascii=False))


def open_bundle(path: str | Path, *, verify: bool = True) -> Bundle:
    """Open a bundle.

    Args:
        path: The bundle's directory.
        verify: Whether to check the size and the hash of every file.

    Returns:
        The directory and its manifest, which is always checked.

    Raises:
        UsageError: Not a bundle.
        ResultError: The manifest does not follow the format, or a file is missing, altered or
            surplus.

    Example:
        >>> bundle = edgekit.open_bundle("net")
        >>> [artifact.key for artifact in bundle.manifest.artifacts]
        ['fp32.pte']
    """
    directory = Path(path)
    if not (directory / MANIFEST).is_file():
        what = (
            f"not a bundle (no {MANIFEST})" if directory.exists() else "no such file or directory"
        )
        raise UsageError(
            f"{directory}: {what}", hint="give the directory that `edgekit build` printed"
        )
    if (directory / MANIFEST).stat().st_size > MAX_MANIFEST_BYTES:
        raise ResultError(
            f"{directory / MANIFEST}: larger than {MAX_MANIFEST_BYTES >> 20} MiB",
            hint="build the bundle again",
        )
    data = (directory / MANIFEST).read_bytes()
    try:
        manifest = read_manifest(data)
    except (ValueError, RecursionError) as error:
        raise ResultError(
            f"{directory / MANIFEST}: not a valid manifest: {_first(error)}",
            hint="build the bundle again",
        ) from None
    if CONTENT_SHA256.encode() not in data:
        logging.getLogger(__name__).warning(
            "%s: of an earlier edgekit, where an altered number is not noticed; build the bundle"
            " again",
            directory / MANIFEST,
        )
    bundle = Bundle(path=directory, manifest=manifest)
    if bundle_id(manifest.recipe_sha256, manifest.artifacts) != manifest.id:
        raise ResultError(
            f"{directory / MANIFEST}: its id does not follow from its contents: it was altered",
            hint="build the bundle again",
        )
    if verify:
        _verify_files(bundle)
    return bundle


def read_manifest(data: bytes) -> Manifest:
    """A manifest of this format or of an earlier one. Raises ValueError or RecursionError for what
    is neither, and for one that was altered after it was written."""
    values = json.loads(data)
    if is_format1(values):
        return Manifest.model_validate(upgraded_manifest(values))
    # The first manifests of format 2 had no hash of their own, as those of format 1.
    written_sha256 = values.pop(CONTENT_SHA256, None) if isinstance(values, dict) else None
    manifest = Manifest.model_validate(values)
    if written_sha256 not in (None, content_sha256(values)):
        raise ValueError("it was altered after it was written")
    return manifest


def content_sha256(values: dict[str, Any]) -> str:
    """The hash of a manifest's values, without that of the hash itself."""
    return hashlib.sha256(canonical_json(values)).hexdigest()


def _verify_files(bundle: Bundle) -> None:
    for file in bundle.all_files():
        path = bundle.file(file)
        if path.is_symlink() or not path.is_file():
            raise ResultError(
                f"{path}: missing from the bundle, or not a plain file",
                hint="build the bundle again",
            )
        if path.stat().st_size != file.bytes or sha256_file(path) != file.sha256:
            raise ResultError(
                f"{path}: does not match its hash in the manifest", hint="build the bundle again"
            )
    known = {file.name for file in bundle.all_files()} | {MANIFEST, SIGNATURE}
    surplus = sorted(
        str(p.relative_to(bundle.path))
        for p in bundle.path.rglob("*")
        if p.is_file() and str(p.relative_to(bundle.path)) not in known
    )
    if surplus:
        raise ResultError(
            f"{bundle.path}: files the manifest does not name: {', '.join(surplus[:5])}",
            hint="remove them or build the bundle again",
        )


def _first(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(str(p) for p in first['loc'])}: {first['msg']}"
    if isinstance(error, json.JSONDecodeError | UnicodeDecodeError):
        return "not JSON"
    return "nested too deeply" if isinstance(error, RecursionError) else str(error)
