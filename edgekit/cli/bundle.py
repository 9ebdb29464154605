"""`edgekit bundle`: what a bundle or a model file takes and returns, and signed bundles."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import edgekit
from edgekit.cli.console import stdout
from edgekit.cli.options import Json

if TYPE_CHECKING:
    from edgekit.bundle.manifest import TensorSpec

    Call = tuple[str, str | None, Sequence[TensorSpec], Sequence[TensorSpec]]
    """A file, its signature where it has a name, its inputs and its outputs."""

app = typer.Typer(
    name="bundle",
    help="What bundles take and return; and signing, for targets with `require_signature`.",
    no_args_is_help=True,
)


@app.command()
def show(
    bundle: Annotated[
        Path,
        typer.Argument(
            metavar="BUNDLE",
            help="A bundle directory, or any .tflite or .pte.",
            show_default=False,
        ),
    ],
    as_json: Json = False,
) -> None:
    """The inputs and outputs of each artifact, or of each signature of a model file. Runs nothing.

    Example: edgekit bundle show model.tflite
    """
    from edgekit.reporting.tensor_tables import tensor_table

    calls = _calls(bundle)
    if as_json:
        print(json.dumps({"artifacts": [_call_dict(*call) for call in calls]}))
        return
    for artifact, signature, inputs, outputs in calls:
        title = f"{artifact}, signature {signature}" if signature else artifact
        stdout().print(tensor_table(title, inputs, outputs))
        stdout().print()


def _calls(path: Path) -> list[Call]:
    from edgekit.bundle.foreign_model import is_model

    if is_model(path):
        return [
            (path.name, signature.name or None, signature.inputs, signature.outputs)
            for signature in edgekit.model_signatures(path)
        ]
    return [
        (artifact.key, artifact.signature, artifact.inputs, artifact.outputs)
        for artifact in edgekit.open_bundle(path).manifest.artifacts
    ]


def _call_dict(
    artifact: str,
    signature: str | None,
    inputs: Sequence[TensorSpec],
    outputs: Sequence[TensorSpec],
) -> dict[str, Any]:
    return {
        "artifact": artifact,
        "signature": signature,
        "inputs": [spec.model_dump(mode="json") for spec in inputs],
        "outputs": [spec.model_dump(mode="json") for spec in outputs],
    }


@app.command()
def keygen(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="Where to write the private key; the public one goes beside it, as FILE.pub.",
            show_default=False,
        ),
    ],
    as_json: Json = False,
) -> None:
    """Make an Ed25519 key pair. The private key is not encrypted: keep it where only the signer
    reads it.

    Example: edgekit bundle keygen release-key
    """
    private, public = edgekit.keygen(file)
    if as_json:
        print(json.dumps({"private_key": str(private), "public_key": str(public)}))
    else:
        print(
            f"{private}: private key, keep it secret\n{public}: for `require_signature` in targets"
        )


@app.command()
def sign(
    bundle: Annotated[
        Path,
        typer.Argument(
            metavar="BUNDLE",
            help="The bundle directory that `edgekit build` printed.",
            show_default=False,
        ),
    ],
    key: Annotated[
        Path,
        typer.Option(
            help="The private key that `edgekit bundle keygen` wrote.", show_default=False
        ),
    ],
    as_json: Json = False,
) -> None:
    """Check a bundle whole and sign its manifest, which names every file by its hash.

    Example: edgekit bundle sign build/quickstart-0123456789ab --key release-key
    """
    signature = edgekit.sign(bundle, key)
    print(json.dumps({"signature": str(signature)}) if as_json else signature)
