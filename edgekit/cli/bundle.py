"""`edgekit bundle`: signatures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

import edgekit
from edgekit.cli.options import Json

app = typer.Typer(
    name="bundle",
    help="Sign bundles, for targets that demand it (`require_signature`).",
    no_args_is_help=True,
)


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
