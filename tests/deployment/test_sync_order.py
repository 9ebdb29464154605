"""What survives a power cut, from a trace of system calls: killing processes proves nothing about
it, because the kernel lives on."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from edgekit.bundle.directory import Bundle
from edgekit.deployment import deploy
from edgekit.devices.local import LocalDevice
from tests.support.deployments import DEPLOY
from tests.support.tiers import cannot_run

SYNC = ("sync", "syncfs", "fsync", "fdatasync")
RENAME = ("rename", "renameat", "renameat2")
CREATE = ("symlink", "symlinkat")


def traced(directory: Path, *argv: str) -> list[str]:
    """The system calls of a command and all its children in the order in which they returned, as
    `NAME(ARGUMENTS) = RESULT`."""
    strace = shutil.which("strace")
    if not strace:
        cannot_run("needs strace: apt-get install strace")
    calls = ",".join((*SYNC, *RENAME, *CREATE))
    log = directory / "trace"
    done = subprocess.run(
        [
            strace,
            "-f",
            "-y",
            "-qq",
            "-s",
            "4096",
            "-e",
            f"trace=?{calls.replace(',', ',?')}",
            "-o",
            log,
            *argv,
        ],
        capture_output=True,
    )
    if done.returncode and b"ptrace" in done.stderr.lower():
        cannot_run(f"needs the right to trace processes (ptrace): {done.stderr.decode()}")
    assert done.returncode == 0, done.stderr.decode()
    begun: dict[str, str] = {}
    calls_made = []
    for line in log.read_text().splitlines():
        pid, _, call = line.partition(" ")
        call = call.strip()
        if call.endswith("<unfinished ...>"):
            begun[pid] = call.removesuffix("<unfinished ...>")
        elif resumed := re.match(r"<\.\.\. \w+ resumed>(.*)", call):
            calls_made.append(begun.pop(pid) + resumed[1])
        else:
            calls_made.append(call)
    return [call for call in calls_made if re.search(r"= 0$", call)]


def kind(call: str) -> str:
    """What a call does to the store: `sync`; `name:` and what gets its final name; `link:` and
    where a link is made."""
    name, paths = call.partition("(")[0], re.findall(r'"([^"]*)"', call)
    if name in SYNC:
        return "sync"
    last = paths[-1]
    if name in CREATE:
        return "link:" + (
            "lock" if last.startswith("lock.") else last if last.endswith(".new") else "file"
        )
    if re.search(r'objects(/|>, ")[0-9a-f]{64}"', call):
        return "name:object"
    return (
        "name:tree" if re.search(r"^bundles/[0-9a-f]{12}-[0-9a-f]{32}$", last) else f"name:{last}"
    )


def once(names: list[str]) -> list[str]:
    """Without what equals its predecessor."""
    return [name for before, name in zip(["", *names], names, strict=False) if name != before]


@pytest.mark.parametrize("first", [True, False])
def test_everything_is_on_the_disk_before_it_gets_its_name(
    first: bool, old: Bundle, new: Bundle, store: Path, tmp_path: Path
) -> None:
    if not first:
        deploy(old, LocalDevice(), str(store))
    kinds = [
        kind(call)
        for call in traced(tmp_path, sys.executable, "-c", DEPLOY, str(new.path), str(store))
    ]
    order = once(
        [
            name
            for name in kinds
            if name != "link:lock"
            and not name.startswith("name:staging")
            and ".objects" not in name
        ]
    )
    links, names = ["link:current.new"], ["name:current"]
    if not first:
        links, names = [*links, "link:previous.new"], ["name:previous", *names]
    assert order == [
        "sync",
        "name:object",
        "link:file",
        "sync",
        "name:tree",
        *links,
        "sync",
        *names,
        "sync",
    ]
    assert kinds.count("name:object") == (6 if first else 3)


def test_an_unchanged_deployment_writes_no_name_and_waits_for_no_disk(
    old: Bundle, store: Path, tmp_path: Path
) -> None:
    deploy(old, LocalDevice(), str(store))
    calls = traced(tmp_path, sys.executable, "-c", DEPLOY, str(old.path), str(store))
    assert {kind(call) for call in calls} == {"link:lock"}
