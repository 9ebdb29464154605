"""`edgekit target`: boards, from the first contact to ready."""

from __future__ import annotations

import dataclasses
import json
import shlex
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import edgekit
from edgekit.cli.console import stdout
from edgekit.cli.doctor import tell_checked
from edgekit.cli.live import live_progress
from edgekit.cli.options import Json, Markdown, SchemaFile, TargetName, write_schema
from edgekit.errors import IdentityError

if TYPE_CHECKING:
    from edgekit.bundle.manifest import RuntimeName
    from edgekit.devices.ssh_login import Confirm, HostKey

app = typer.Typer(
    name="target", help="Your own boards: add, trust, check and set them up.", no_args_is_help=True
)

Fingerprints = Annotated[
    list[str] | None,
    typer.Option(
        "--fingerprint",
        metavar="SHA256:…",
        help="Trust the host key with this fingerprint, and no other. May be repeated.",
    ),
]
Yes = Annotated[
    bool,
    typer.Option(
        "--yes",
        help="Trust the host keys without asking. Only on a network that you trust.",
    ),
]


class Runtime(StrEnum):
    executorch = "executorch"
    litert = "litert"


@app.command("list")
def list_(as_json: Json = False) -> None:
    """List the targets that can be used by name: those in ./targets, in your configuration, and
    built in.

    Example: edgekit target list
    """
    targets = edgekit.list_targets()
    if as_json:
        print(json.dumps({"targets": [dataclasses.asdict(target) for target in targets]}))
        return
    from edgekit.reporting.boards import (
        target_table,
    )  # here and below, so that --help waits for nothing

    stdout().print(target_table(targets))


@app.command()
def show(name: TargetName, as_json: Json = False) -> None:
    """Show every setting of a target, defaults included.

    Example: edgekit target show pi5
    """
    print(edgekit.load_target(name).model_dump_json(indent=None if as_json else 2))


@app.command()
def schema(output: SchemaFile = None, markdown: Markdown = False) -> None:
    """Print the JSON Schema of targets: every key with its description, unit, default and examples.

    An editor with the YAML language server completes, explains and checks a target that begins with
    `# yaml-language-server: $schema=target.schema.json`, the name of this file from where the
    target lies. Nothing is fetched.

    Example: edgekit target schema -o targets/target.schema.json
    """
    write_schema(
        edgekit.target_json_schema(),
        output,
        markdown_by="edgekit target schema --markdown -o targets/REFERENCE.md" if markdown else "",
    )


@app.command()
def add(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="What to call it.", show_default=False)
    ],
    ssh: Annotated[
        str | None,
        typer.Option(
            metavar="USER@HOST[:PORT]",
            help="Reach it over SSH; HOST may be an alias from ~/.ssh/config.",
        ),
    ] = None,
    adb: Annotated[
        str | None,
        typer.Option(
            metavar="SERIAL",
            help="Reach it by adb; `adb devices` shows serials, `adb devices -l` USB ports.",
        ),
    ] = None,
    allow_network: Annotated[
        bool,
        typer.Option("--allow-network", help="For a device that adb reaches over the network."),
    ] = False,
    identity_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Private key for SSH. Default: the agent and ~/.ssh/config."
        ),
    ] = None,
    fingerprints: Fingerprints = None,
    yes: Yes = False,
    directory: Annotated[Path, typer.Option(help="Where target files are.")] = Path("targets"),
    replace: Annotated[
        bool, typer.Option("--replace", help="Overwrite the file if it is there.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Connect to a board, ask what it is, and write a target file for it.

    An SSH host key that is not known yet is shown first, as `edgekit target trust` does.

    Example: edgekit target add pi5 --ssh pi@raspberrypi.local
    """
    from edgekit.boards.adding import called, confirmed_by

    options = {"--ssh": ssh, "--identity-file": identity_file and str(identity_file)}
    if directory != Path("targets"):
        options["--directory"] = str(directory)
    words = [word for option, value in options.items() if value for word in (option, value)]
    command = shlex.join(
        ["edgekit", "target", "add", name, *words, *(["--replace"] if replace else [])]
    )
    added = edgekit.add_target(
        name,
        ssh=ssh,
        adb=adb,
        allow_network=allow_network,
        identity_file=identity_file,
        confirm=confirmed_by(tuple(fingerprints or ()), _asking(command, yes=yes)),
        directory=directory,
        replace=replace,
    )
    if as_json:
        print(
            json.dumps(
                {
                    "file": str(added.path),
                    "target": added.target.model_dump(mode="json"),
                    "facts": added.facts.model_dump(mode="json"),
                }
            )
        )
    else:
        _say(f"{added.path}: {added.target.description}")
        _say(f"next: edgekit target check {shlex.quote(called(added.path))}")


@app.command()
def trust(
    name: TargetName, fingerprints: Fingerprints = None, yes: Yes = False, as_json: Json = False
) -> None:
    """Show the SSH host key of a target and, when you agree that it is the board's own, record it.

    Compare it with what the board itself says: `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub`.

    Example: edgekit target trust pi5 --fingerprint
    SHA256:mVPwvezndPv/ARoIadVY98vAC0g+P/5633yTC4d/wXE"""
    confirm = _asking(shlex.join(["edgekit", "target", "trust", name]), yes=yes)
    keys = edgekit.trust(name, confirm=confirm, fingerprints=tuple(fingerprints or ()))
    if as_json:
        print(json.dumps({"target": name, "host_keys": [dataclasses.asdict(key) for key in keys]}))
        return
    for key in keys:
        _say(f"{_shown(key)}: {'known already' if key.standing == 'known' else 'recorded'}")


@app.command()
def check(name: TargetName, as_json: Json = False) -> None:
    """Check whether a board is ready: what is missing, and the command that fixes it.

    The exit code is that of the first problem; warnings do not count.

    Example: edgekit target check pi5
    """
    tell_checked(edgekit.check(name), as_json=as_json)


@app.command()
def setup(
    name: TargetName,
    runtimes: Annotated[
        list[Runtime] | None, typer.Option("--runtime", help="Only this one. May be repeated.")
    ] = None,
    offline_cache: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help=(
                "Keep what is fetched and built there, and take it from there where there is no"
                " internet."
            ),
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Install the runtimes on a board. The board needs no internet: this machine fetches and builds
    what is needed.

    Example: edgekit target setup pi5
    """
    from edgekit.runners.runtime import RUNTIME_NAMES

    formats: tuple[RuntimeName, ...] = tuple(
        format for format in RUNTIME_NAMES if not runtimes or format in runtimes
    )
    with live_progress(quiet=as_json) as progress:
        report = edgekit.setup(
            name, formats=formats, offline_cache=offline_cache, progress=progress
        )
    if as_json:
        print(json.dumps(dataclasses.asdict(report)))
        return
    for runtime in report.runtimes:
        _say(f"{report.target}: {runtime['format']} {runtime['version']} for {runtime['arch']}")


def _asking(command: str, *, yes: bool) -> Confirm:
    """Asks on a terminal. Elsewhere the answer must be on the command line."""

    def confirm(key: HostKey) -> bool:
        if yes:
            return True
        changed = key.standing == "changed"
        shown = f"{_shown(key)}{', which is not the key known of it until now' if changed else ''}"
        if not sys.stdin.isatty():
            hint = (
                f"compare it with the machine's own, then: {command} --fingerprint"
                f" {key.fingerprint}"
            )
            raise IdentityError(
                f"the host key of {shown} is not trusted, and there is no terminal to ask on",
                hint=hint,
            )
        return typer.confirm(f"{shown}\nIs this the machine's own key?", err=True)

    return confirm


def _shown(key: HostKey) -> str:
    return f"{key.machine} {key.kind} {key.fingerprint}"


def _say(text: str) -> None:
    stdout(highlight=False, soft_wrap=True, markup=False).print(text)
