"""A bundle of any bytes, for what transports and stores do with files they cannot read."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from edgekit.bundle.directory import Bundle, bundle_id, describe_file, open_bundle, write_manifest
from edgekit.bundle.manifest import Artifact, Manifest


def opaque_bundle(
    directory: Path, name: str, artifacts: Iterable[tuple[str, bytes, bytes, bytes]]
) -> Bundle:
    """A bundle of any bytes: of each artifact its variant, its model, and its reference inputs and
    outputs."""
    (directory / "reference").mkdir(parents=True)
    described = []
    for variant, model, input_bytes, expected in artifacts:
        names = {
            f"{variant}.pte": model,
            f"reference/{variant}.inputs.bin": input_bytes,
            f"reference/{variant}.outputs.bin": expected,
        }
        for file_name, content in names.items():
            (directory / file_name).write_bytes(content)
        file, inputs, outputs = (
            describe_file(directory / file_name, file_name) for file_name in names
        )
        described.append(
            Artifact.model_validate(
                {
                    "variant": variant,
                    "backend": "xnnpack",
                    "runtime": "executorch",
                    "file": file,
                    "inputs": [{"name": "x", "dtype": "float32", "shape": [1, 16]}],
                    "outputs": [{"name": "y", "dtype": "float32", "shape": [1, 2]}],
                    "reference_inputs": inputs,
                    "reference_outputs": outputs,
                    "reference_samples": 1,
                    "delegation": {"delegate": "none", "delegated": {}, "fallback": {}},
                    "verification": {
                        "samples": 1,
                        "max_abs_error": 0.0,
                        "snr_db": None,
                        "cosine": 1.0,
                        "agreement_percent": 100.0,
                    },
                }
            )
        )
    fixed = {
        "recipe": {},
        "recipe_sha256": "0" * 64,
        "versions": {},
        "seed": 0,
        "git_revision": None,
        "trace": (),
    }
    identity = bundle_id("0" * 64, tuple(described))
    write_manifest(
        directory,
        Manifest.model_validate(
            {
                "id": identity,
                "name": name,
                "created": "2026-01-01",
                "artifacts": tuple(described),
                **fixed,
            }
        ),
    )
    return open_bundle(directory)
