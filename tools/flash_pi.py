"""Flash a card so that the board can be measured at once: image, first boot, runtimes, bundle, and
a target file that already trusts it.

    tools/flash_pi.py raspios-lite.img.xz /dev/sdX --hostname pi5-desk \\
        --ssh-key ~/.ssh/id_ed25519.pub --bundle build/quickstart-0123456789ab
    edgekit run recipes/quickstart.yaml --target pi5-desk

DEVICE may also be a file, which then stands for a card. What was on it is lost. Interrupted at any
point, the same command starts again. The password of a wireless network is taken from
EDGEKIT_WIFI_PASSWORD; without it, the network is an open one. Copy this script and change it. What
is imported from `edgekit` is its public API. The other imports are internal and may change with any
version: cards, runtimes and stores have no public functions."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

import edgekit.flash as flash
from edgekit import (
    Bundle,
    EdgekitError,
    Progress,
    UsageError,
    load_target,
    open_bundle,
    verify_signature,
)
from edgekit.cli import tell
from edgekit.cli.live import live_progress
from edgekit.deployment import deploy, provision
from edgekit.devices.local import LocalDevice
from edgekit.devices.ssh_config import split_address
from edgekit.devices.target_files import new_target
from edgekit.extras import require_modules
from edgekit.runners.runtime import prepare
from edgekit.whole_file import write_whole

WORKDIR = "/opt/edgekit"
TARGET = """\
# yaml-language-server: $schema=target.schema.json
# edgekit run recipes/quickstart.yaml --target {name}
edgekit: 1
name: "{name}"
description: {description}
kind: ssh
host: "{host}"
port: {port}
user: "{user}"
known_hosts: "{name}.known_hosts"
{more}workdir: {workdir}
"""


def main(
    image: Annotated[
        Path, typer.Argument(help="The image: plain, .gz, .xz or .zst.", show_default=False)
    ],
    device: Annotated[
        Path, typer.Argument(help="The card, such as /dev/sdX, or a file.", show_default=False)
    ],
    hostname: Annotated[str, typer.Option(help="The board's name.", show_default=False)],
    ssh_key: Annotated[
        list[Path],
        typer.Option(help="Public key that may log in. May be repeated.", show_default=False),
    ],
    user: Annotated[str, typer.Option(help="The board's first user.")] = "pi",
    wifi: Annotated[
        str | None, typer.Option(help="Name of a wireless network; needs --wifi-country.")
    ] = None,
    wifi_country: Annotated[str | None, typer.Option(help="Two letters, such as DE.")] = None,
    bundle: Annotated[
        Path | None, typer.Option(help="A bundle to place on the card, with the runtimes it needs.")
    ] = None,
    require_signature: Annotated[
        Path | None,
        typer.Option(help="Public key: the board takes only bundles signed with its private key."),
    ] = None,
    target_name: Annotated[
        str | None, typer.Option(help="Name of the target. Default: the host name.")
    ] = None,
    address: Annotated[
        str | None,
        typer.Option(
            help="HOST or HOST:PORT where the board will be reached. Default: HOSTNAME.local"
        ),
    ] = None,
    max_gb: Annotated[int, typer.Option(help="Refuse a disk that is larger.")] = 256,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before overwriting.")] = False,
) -> None:
    """Write IMAGE to DEVICE and read it back, prepare the first boot, and write the target file."""
    name = target_name or hostname
    opened = open_bundle(bundle) if bundle else None
    targets = Path("targets")
    release_key = require_signature or demanded(targets / f"{name}.yaml")
    if opened and release_key:
        verify_signature(opened, release_key)
    first_boot = flash.FirstBoot(
        hostname,
        user,
        flash.read_public_keys(ssh_key),
        wireless(wifi, wifi_country),
    )
    host, port = reached(name, user, address or f"{hostname}.local")
    require_modules(["tomli_w"])
    disk = flash.open_disk(device, max_bytes=max_gb * flash.GB)
    if not yes:
        if not sys.stdin.isatty():
            raise UsageError(f"{device} would be overwritten", hint="add --yes")
        typer.confirm(
            f"Overwrite {device} {disk.model} {disk.bytes or 0:,} bytes with {image.name}?",
            abort=True,
        )
    with live_progress(quiet=False) as progress:
        written = flash.write_image(image, disk, progress=progress)
        host_key = flash.new_host_key()
        mechanism = flash.prepare_first_boot(disk, first_boot, host_key)
        placed = place(opened, disk, progress) if opened else 0
    targets.mkdir(exist_ok=True)
    line = host_key.known_hosts_line(host, port)
    write_whole(targets / f"{name}.known_hosts", line)
    content = TARGET.format(
        name=name,
        description=yaml_text(f"Flashed by tools/flash_pi.py from {image.name}."),
        host=host,
        port=port,
        user=user,
        more=identity(ssh_key) + signature(release_key) + timings(disk),
        workdir=WORKDIR if opened else "~/edgekit",
    )
    write_whole(targets / f"{name}.yaml", content)
    print(
        f"{device}: {written.bytes:,} bytes of {image.name}, read back (SHA-256"
        f" {written.sha256[:16]}…); first boot by {mechanism}; {placed:,} bytes placed"
    )
    print(f"put it in, then: edgekit target check {name}")


def reached(name: str, user: str, address: str) -> tuple[str, int]:
    """Host and port of the board. Raises UsageError: no address, or not to be written in a target
    file of that name."""
    _, host, port = split_address(address)
    new_target(name, {"kind": "ssh", "host": host, "user": user})
    return host, port or 22


def wireless(name: str | None, country: str | None) -> flash.Wifi | None:
    """The network to join. Bytes in its name that are no UTF-8 arrive as they were typed."""
    if name is None:
        if country is not None:
            raise UsageError("--wifi-country without a network", hint="--wifi gives its name")
        return None
    return flash.Wifi(os.fsencode(name), os.environ.get("EDGEKIT_WIFI_PASSWORD"), country or "")


def yaml_text(text: str) -> str:
    """A text in double quotes. JSON's own escapes of what is beyond ASCII are none of YAML's."""
    return json.dumps(text, ensure_ascii=False)


def identity(public_keys: list[Path]) -> str:
    """The target's line for the first private key that lies beside its public one; none where they
    are all kept by an agent."""
    private = (key.absolute().with_suffix("") for key in public_keys if key.suffix == ".pub")
    private_key = next((key for key in private if key.is_file()), None)
    return f"identity_file: {yaml_text(str(private_key))}\n" if private_key else ""


def demanded(file: Path) -> str | None:
    """The key by which bundles for this board must be signed already. Writing the card anew does
    not lift that."""
    return load_target(file).require_signature if file.is_file() else None


def signature(public_key: Path | str | None) -> str:
    return f"require_signature: {yaml_text(os.path.abspath(public_key))}\n" if public_key else ""


def timings(disk: flash.Disk) -> str:
    """The target's label for a board that only an emulator starts."""
    reason = flash.read_emulation(disk)
    return f"timings: meaningless\ntimings_reason: {yaml_text(reason)}\n" if reason else ""


def place(bundle: Bundle, disk: flash.Disk, progress: Progress) -> int:
    """Fill a store here as a board's would be, and copy it onto the card."""
    formats = tuple(dict.fromkeys(artifact.runtime for artifact in bundle.manifest.artifacts))
    runtimes = prepare(flash.read_platform(disk), formats=formats, progress=progress)
    with tempfile.TemporaryDirectory() as store:
        here = LocalDevice("the card")
        for runtime in runtimes:
            provision(here, store, runtime, progress=progress)
        deploy(bundle, here, store, progress=progress)
        return flash.install_store(disk, Path(store), WORKDIR)


if __name__ == "__main__":
    try:
        typer.run(main)
    except EdgekitError as error:
        tell(error, as_json=False)
        sys.exit(error.exit_code)
