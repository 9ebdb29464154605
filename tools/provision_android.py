"""Make phones ready: runner and bundle on each, read back, and a target file for each. Phones are
named by serial, as `adb devices` prints it.

    python tools/provision_android.py build/quickstart-0123456789ab 0123456789ABCDEF R58M12ABCDE
    edgekit bench build/quickstart-0123456789ab --target R58M12ABCDE

A phone that fails does not keep the others from it; the exit code is the first failure's. The same
command again goes on where it stopped. Copy this script and change it: it uses nothing but
edgekit's public API."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

import edgekit
from edgekit.bundle.directory import Bundle
from edgekit.errors import EdgekitError
from edgekit.whole_file import write_whole


@dataclass(frozen=True)
class Phone:
    """What came of one phone. `message` is a sentence, or the error; `exit_code` is 0 when it is
    ready."""

    serial: str
    target: str
    machine: str
    bytes_sent: int
    message: str
    exit_code: int = 0


def provision(
    bundle: Bundle, serial: str, *, directory: Path, allow_network: bool = False
) -> Phone:
    """Write the target file, bring the .pte runner and the bundle onto the phone, and read every
    byte of the bundle back there."""
    name = re.sub(r"[^A-Za-z0-9._-]", "-", serial)
    file, machine, sent = directory / f"{name}.yaml", "", 0
    try:
        demanded = (
            edgekit.load_target(file).require_signature if file.is_file() else None
        )  # making it ready anew does not lift that
        added = edgekit.add_target(
            name, adb=serial, allow_network=allow_network, directory=directory, replace=True
        )
        if demanded:
            key = json.dumps(demanded)
            write_whole(file, f"{file.read_text()}require_signature: {key}\n")
        target, machine = edgekit.load_target(file), added.facts.machine or ""
        with closing(edgekit.connect(target)) as device:
            if any(artifact.runtime == "executorch" for artifact in bundle.manifest.artifacts):
                edgekit.setup(target, formats=("executorch",), device=device)
            sent = edgekit.deploy(bundle, target, device=device).bytes_moved
            verified = edgekit.verify(target, device=device)
    except EdgekitError as error:
        return Phone(
            serial,
            name,
            machine,
            sent,
            "; ".join(filter(None, (error.message, error.hint))),
            error.exit_code,
        )
    return Phone(
        serial,
        name,
        machine,
        sent,
        f"{verified.files} files of {verified.bundle[:12]} read back and right",
    )


def provision_all(
    bundle: Bundle, serials: Sequence[str], *, directory: Path, allow_network: bool = False
) -> list[Phone]:
    """All phones at the same time, in the order given."""
    with ThreadPoolExecutor(max_workers=min(8, len(serials))) as pool:
        return list(
            pool.map(
                lambda serial: provision(
                    bundle, serial, directory=directory, allow_network=allow_network
                ),
                serials,
            )
        )


def main(
    bundle: Annotated[Path, typer.Argument(help="A bundle that edgekit built.")],
    serials: Annotated[list[str], typer.Argument(help="As `adb devices` prints them.")],
    directory: Annotated[Path, typer.Option(help="Where target files are written.")] = Path(
        "targets"
    ),
    allow_network: Annotated[
        bool, typer.Option("--allow-network", help="For phones that adb reaches over the network.")
    ] = False,
) -> None:
    """Make phones ready. Example: python tools/provision_android.py build/quickstart-0123456789ab
    R58M12ABCDE"""
    try:
        phones = provision_all(
            edgekit.open_bundle(bundle), serials, directory=directory, allow_network=allow_network
        )
    except EdgekitError as error:
        typer.echo(f"error: {error.message}\nhint: {error.hint}", err=True)
        raise typer.Exit(error.exit_code) from None
    table = Table("serial", "target", "machine", "bytes sent", "")
    for phone in phones:
        table.add_row(
            *(
                phone.serial,
                phone.target,
                phone.machine,
                str(phone.bytes_sent),
                ("" if not phone.exit_code else "FAILED: ") + phone.message,
            )
        )
    Console(markup=False).print(table)
    raise typer.Exit(next((phone.exit_code for phone in phones if phone.exit_code), 0))


if __name__ == "__main__":
    typer.run(main)
