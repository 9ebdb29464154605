"""Writing target files from what a board reports, trusting host keys, and listing all targets."""

from __future__ import annotations

import json
import os
import shlex
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from edgekit.boards.deploying import AnyTarget
from edgekit.devices import connect
from edgekit.devices.fact_scripts import collect
from edgekit.devices.facts import DeviceFacts
from edgekit.devices.ssh_config import split_address
from edgekit.devices.ssh_login import Confirm, HostKey, trust_target
from edgekit.devices.target import SshTarget, Target, target_json_schema
from edgekit.devices.target_files import (
    BUILT_IN,
    as_target,
    new_target,
    read_target,
    target_directories,
    target_names,
)
from edgekit.errors import IdentityError, UsageError
from edgekit.sanitize import printable
from edgekit.whole_file import write_whole

TEMPLATE = """\
# yaml-language-server: $schema=target.schema.json
# edgekit bench BUNDLE --target {called}
# Written on {date} from what the board reports. `edgekit target check {called}` checks it again.
edgekit: 1
name: {quoted_name}
description: {description}
kind: {kind}
{address}
# workdir: {workdir}    # where bundles and runtimes are kept on the board
# timeouts:
#   {{connect_seconds: 10, no_progress_seconds: 30, transfer_seconds: 1800, run_seconds: 900}}
# require_signature: release-key.pub    # deploy only bundles signed by `edgekit bundle sign`
{runners}"""
LITERT = """\
# runners:
#   litert:
#     kind: auto    # or native, python
#     python: python3    # or a path such as /usr/bin/python3.11
#     package: auto    # or ai_edge_litert, tflite_runtime
"""


@dataclass(frozen=True)
class AddedTarget:
    """A target file that was written, and the facts the board reported."""

    path: Path
    target: Target
    facts: DeviceFacts


@dataclass(frozen=True)
class ListedTarget:
    """A target that `load_target` knows by name. `problem` is why its file cannot be used; the
    other fields are then empty."""

    name: str
    kind: str
    address: str
    file: str
    problem: str = ""


def add_target(
    name: str,
    *,
    ssh: str | None = None,
    adb: str | None = None,
    allow_network: bool = False,
    identity_file: str | Path | None = None,
    confirm: Confirm | None = None,
    directory: str | Path = "targets",
    replace: bool = False,
) -> AddedTarget:
    """Connect to a board, ask it what it is, and write `DIRECTORY/NAME.yaml`, and beside it the
    schema for editors. Nothing is written unless the board answers.

    Args:
        name: The target's name.
        ssh: `USER@HOST:PORT`; user and port may be left out.
        adb: The serial of a device that adb reaches. Give either `ssh` or `adb`.
        allow_network: Also a device that adb reaches over the network.
        identity_file: The private key to log in with over ssh.
        confirm: Asked about host keys that are not known yet. Without it an unknown key is refused.
        directory: Where the file goes.
        replace: Overwrite a file that is there already.

    Returns:
        The file, the target, and the facts that the board reported.

    Raises:
        UsageError: A wrong name or address, or the file is there already.
        IdentityError: An unknown or another host key, or the login was refused.
        TransportError: The board cannot be reached.
        DeviceError: The board does not answer as a board does.

    Example:
        A file that is there already is not overwritten:

        >>> try:
        ...     edgekit.add_target("desk", ssh="pi@raspberrypi.local")
        ... except edgekit.UsageError as error:
        ...     print(error.message)
        targets/desk.yaml is there already
    """
    path = Path(directory) / f"{name}.yaml"
    target = new_target(name, _address(ssh, adb, allow_network, identity_file))
    if path.exists() and not replace:
        raise UsageError(
            f"{path} is there already", hint="choose another name, or overwrite it with --replace"
        )
    if isinstance(target, SshTarget) and confirm is not None:
        trust_target(target, confirm)
    with closing(connect(target)) as device:
        facts = collect(device)
    _write(path, _text(target, facts, called(path)))
    _write(
        path.with_name("target.schema.json"),
        json.dumps(target_json_schema(), indent=1, ensure_ascii=False) + "\n",
    )  # its first line names it
    return AddedTarget(path, read_target(path), facts)


def trust(
    target: AnyTarget, *, confirm: Confirm | None = None, fingerprints: tuple[str, ...] = ()
) -> tuple[HostKey, ...]:
    """Record the host keys of an SSH target and of the jump hosts before it.

    A key that is not known yet is recorded when `fingerprints` lists it, else when `confirm`
    agrees.

    Args:
        target: A target of kind ssh, as a value, a name or a file.
        confirm: Asked about keys that are not known yet, where no fingerprints are given.
        fingerprints: The keys to trust, each as `SHA256:…`.

    Returns:
        The host keys, the board's last.

    Raises:
        UsageError: Not an SSH target.
        IdentityError: A key was not confirmed, or has another fingerprint.
        TransportError: The board or a jump host cannot be reached.

    Example:
        Only SSH has host keys:

        >>> try:
        ...     edgekit.trust("desk")
        ... except edgekit.UsageError as error:
        ...     print(error.message)
        desk: host keys are for targets of kind ssh, this is of kind local
    """
    board = as_target(target)
    if not isinstance(board, SshTarget):
        raise UsageError(
            f"{board.name}: host keys are for targets of kind ssh, this is of kind {board.kind}"
        )
    return trust_target(board, confirmed_by(fingerprints, confirm))


def confirmed_by(fingerprints: tuple[str, ...], otherwise: Confirm | None = None) -> Confirm:
    """Agrees to host keys with these fingerprints and to no others; without any, `otherwise`
    decides."""

    def confirm(key: HostKey) -> bool:
        if key.fingerprint in fingerprints:
            return True
        if fingerprints:
            raise IdentityError(
                f"{key.machine} shows {key.fingerprint}, which is not the fingerprint given",
                hint="someone may be intercepting the connection",
            )
        return otherwise is not None and otherwise(key)

    return confirm


def list_targets() -> list[ListedTarget]:
    """All targets that can be used by name.

    Returns:
        Each target with its kind, address and file. One with a broken file is listed, too, with its
        `problem`.

    Raises:
        Nothing.

    Example:
        >>> [target.name for target in edgekit.list_targets() if target.kind == "local"]
        ['desk', 'local']
    """
    return [_listed(name) for name in target_names()]


def called(path: Path) -> str:
    """How commands call the target in a file: by its name where they look for it, else by its
    path."""
    places = [directory.resolve() for directory in target_directories()]
    return path.stem if path.parent.resolve() in places else str(path)


def address_of(target: Target) -> str:
    """How a target is reached, in a word or two."""
    if target.kind == "ssh":
        user = f"{target.user}@" if target.user else ""
        port = f":{target.port}" if target.port else ""
        return f"{user}{target.host}{port}"
    return (target.serial or "the only device") if target.kind == "adb" else "this machine"


def _listed(name: str) -> ListedTarget:
    files = [directory / f"{name}.yaml" for directory in target_directories()]
    file = next((path for path in files if path.exists()), None)
    try:
        target = read_target(file) if file else BUILT_IN[name]
    except UsageError as error:
        return ListedTarget(name, "", "", str(file), error.message.splitlines()[0])
    return ListedTarget(name, target.kind, address_of(target), str(file or "built in"))


def _address(
    ssh: str | None, adb: str | None, allow_network: bool, identity_file: str | Path | None
) -> dict[str, Any]:
    """The keys of a target file that say how the board is reached."""
    if (ssh is None) == (adb is None):
        raise UsageError(
            "a target is reached over SSH or by adb",
            hint="give one of --ssh USER@HOST and --adb SERIAL",
        )
    if ssh is None:
        return {"kind": "adb", "serial": adb, **({"allow_network": True} if allow_network else {})}
    user, host, port = split_address(ssh)
    key = os.path.abspath(os.path.expanduser(identity_file)) if identity_file else None
    overrides = {"user": user, "host": host, "port": port, "identity_file": key}
    return {
        "kind": "ssh",
        **{name: value for name, value in overrides.items() if value is not None},
    }


def _text(target: Target, facts: DeviceFacts, called: str) -> str:
    """The file of a target that commands call so. The board's own text is not trusted: it is made
    printable and quoted."""
    memory = f"{facts.memory_bytes / 1e9:.1f} GB" if facts.memory_bytes else None
    cpu = facts.cpu
    if cpu and facts.cpus and "×" not in cpu:
        cpu = f"{facts.cpus}× {cpu}"
    parts = (facts.machine, cpu, memory, facts.arch, facts.system)
    description = ", ".join(part for part in parts if part)
    address = target.model_dump(
        exclude_unset=True,
        include={"user", "host", "port", "identity_file", "serial", "allow_network"},
    )
    return TEMPLATE.format(
        quoted_name=json.dumps(target.name),  # YAML takes 1234 for a number
        called=printable(shlex.quote(called)),
        date=datetime.now(UTC).date(),
        description=json.dumps(printable(description), ensure_ascii=False),
        kind=target.kind,
        address="\n".join(
            f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in address.items()
        ),
        workdir=target.workdir,
        runners=LITERT if target.kind == "ssh" else "",
    )


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, text)
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror or error}") from None
