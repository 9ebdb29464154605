"""Deployment: bundles and runtimes onto a device. At every instant the live bundle is the old one
or the new one, whole. Owns the store's layout (see scripts.py) and the order of
steps; knows devices only by their protocol.

Content that is there already is not sent again, and interrupted uploads continue where they
stopped: after a failure, a plain retry is enough."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from edgekit.bundle.directory import MANIFEST, SIGNATURE, Bundle
from edgekit.deployment.calling import HASHING_S, call
from edgekit.deployment.content import Content
from edgekit.deployment.lock import Lock, hold
from edgekit.deployment.object_scripts import UNPACK
from edgekit.deployment.objects import Survey, failpoint, send, survey
from edgekit.deployment.packs import links
from edgekit.deployment.tree_scripts import ACTIVATE, COLLECT, PLANT, READ_BACK, ROLL_BACK
from edgekit.devices import Device
from edgekit.errors import DeviceError
from edgekit.hashing import canonical_json, sha256_file
from edgekit.progress import Progress, silent
from edgekit.runners.runtime import Runtime
from edgekit.sanitize import printable

__all__ = [
    "DeployReport",
    "Lock",
    "VerifiedBundle",
    "collect_unused",
    "deploy",
    "hold",
    "place_bundle",
    "provision",
    "rollback",
    "verify",
]

RUNTIMES_KEPT = 8
"""Two generations of ExecuTorch's runner, both of LiteRT's, and the program that times a sample's
steps."""


@dataclass(frozen=True)
class DeployReport:
    """What a deployment did, or with `dry_run` would do. `artifacts` holds the absolute path on the
    device of each artifact by its key."""

    bundle_id: str
    bytes_moved: int
    objects_moved: int
    reused: int
    seconds: float
    directory: str
    artifacts: dict[str, str]
    activated: bool


@dataclass(frozen=True)
class VerifiedBundle:
    """A bundle on a device, every byte of which was read there and found right. `bundle` is its
    name in the store, which starts with its id."""

    bundle: str
    files: int


@dataclass(frozen=True)
class _Tree:
    """A directory of the store: its place below the root, and its files by name."""

    place: str
    files: dict[str, Content]

    def links(self) -> dict[str, str]:
        """The target of each file's link: relative, up to the root and into objects."""
        for name in self.files:
            parts = name.split("/")
            if {"", ".", "..", ".objects"} & set(parts) or "\n" in name or name != name.strip():
                raise DeviceError(f"{name!r} cannot be the name of a file on a device")
        return {
            name: f"{'../' * (2 + name.count('/'))}objects/{content.sha256}"
            for name, content in sorted(self.files.items())
        }

    def lines(self) -> list[str]:
        """For PLANT."""
        return [
            f"{self.files[name].mode:o} {target} {name}" for name, target in self.links().items()
        ]


def deploy(
    bundle: Bundle,
    device: Device,
    workdir: str,
    *,
    dry_run: bool = False,
    lock: Lock | None = None,
    progress: Progress = silent,
) -> DeployReport:
    """Make a bundle the current one of a device.

    `workdir` is an absolute path, or starts with `~/`. `lock` is one that the caller holds already.
    With `dry_run` nothing changes on the device. Raises BusyError (somebody else uses the device),
    DeviceError (disk, permissions), TransportError, IdentityError."""
    started = time.monotonic()
    tree = _bundle_tree(bundle)
    contents = list(tree.files.values())
    if dry_run:
        state = survey(device, workdir, contents, tree.place, mend=False)
        return _report(
            bundle,
            tree,
            state,
            workdir,
            time.monotonic() - started,
            activated=state.current == tree.place,
        )
    with _locked(device, workdir, lock) as store_lock:
        state = _place(store_lock, tree, f"deploy to {device.name}", progress)
        store_lock.renew()
        call(device, ACTIVATE, store_lock.root, tree.place)
        failpoint("activated")
        collect_unused(store_lock)
        failpoint("collected")
        return _report(
            bundle, tree, state, store_lock.root, time.monotonic() - started, activated=True
        )


def place_bundle(bundle: Bundle, lock: Lock, *, progress: Progress = silent) -> DeployReport:
    """Bring a bundle onto a device without making it the current one. It stays until unused ones
    are collected. Raises what `deploy` raises."""
    started, tree = time.monotonic(), _bundle_tree(bundle)
    state = _place(lock, tree, f"send to {lock.device.name}", progress)
    return _report(
        bundle,
        tree,
        state,
        lock.root,
        time.monotonic() - started,
        activated=state.current == tree.place,
    )


def collect_unused(lock: Lock) -> None:
    """Delete the bundles that are neither current nor previous (where one is current), and what no
    bundle and no kept runtime needs."""
    call(lock.device, COLLECT, lock.root, str(RUNTIMES_KEPT), timeout_s=HASHING_S)


def provision(
    device: Device,
    workdir: str,
    runtime: Runtime,
    *,
    lock: Lock | None = None,
    progress: Progress = silent,
) -> tuple[str, ...]:
    """Bring a runtime onto a device and return the argv that starts it there. Raises what `deploy`
    raises."""
    files = {
        file.name: Content(file.path, file.sha256, file.bytes, file.mode) for file in runtime.files
    }
    tree = _Tree(
        f"runtimes/{runtime.format}-{runtime.version}-{runtime.arch}-{_digest(files)}", files
    )
    with _locked(device, workdir, lock) as store_lock:
        _place(store_lock, tree, f"provide the {runtime.format} runtime on {device.name}", progress)
        return runtime.argv(f"{store_lock.root}/{tree.place}")


def rollback(device: Device, workdir: str) -> VerifiedBundle:
    """Swap the previous bundle and the current one, after reading all of the previous. Raises
    DeviceError: there is none, or it is damaged."""
    with hold(device, workdir) as store_lock:
        verified = _read_back(device, store_lock.root, "previous")
        call(device, ROLL_BACK, store_lock.root)
        return verified


def verify(device: Device, workdir: str) -> VerifiedBundle:
    """Read every byte of the current bundle on the device. Raises DeviceError: there is none, or
    files are missing or altered."""
    return _read_back(device, workdir, "current")


@contextmanager
def _locked(device: Device, workdir: str, lock: Lock | None) -> Iterator[Lock]:
    if lock is not None:
        yield lock
    else:
        with hold(device, workdir) as taken:
            failpoint("locked")
            yield taken


def _place(lock: Lock, tree: _Tree, task: str, progress: Progress) -> Survey:
    """Send what is missing of a tree and plant it. Returns what was there before."""
    contents = list(tree.files.values())
    lines = tree.lines()
    state = survey(lock.device, lock.root, contents, tree.place, mend=True)
    failpoint("surveyed")
    total, done = state.bytes_to_send(contents), 0

    def moved(count: int) -> None:
        nonlocal done
        done += count
        progress(task, done, total)

    progress(task, 0, total)
    send(lock, state.missing(contents), state, moved)
    if not state.planted:
        call(lock.device, UNPACK, lock.root, "tree", data=links(tree.links()))
        failpoint("linked")
    call(lock.device, PLANT, lock.root, tree.place, str(len(lines)), lines=lines)
    failpoint("planted")
    progress(task, total, total)
    return state


def _bundle_tree(bundle: Bundle) -> _Tree:
    files = {
        file.name: Content(bundle.file(file), file.sha256, file.bytes) for file in bundle.files()
    }
    for path in (bundle.path / MANIFEST, bundle.path / SIGNATURE):
        if path.name == MANIFEST or path.is_file():
            files[path.name] = Content(path, sha256_file(path), path.stat().st_size)
    return _Tree(f"bundles/{bundle.manifest.id[:12]}-{_digest(files)}", files)


def _digest(files: dict[str, Content]) -> str:
    return _digest_of({name: content.sha256 for name, content in files.items()})


def _digest_of(hashes: dict[str, str]) -> str:
    """What a tree is called after: a hash over names and contents, 128 bits."""
    return hashlib.sha256(canonical_json(hashes)).hexdigest()[:32]


def _report(
    bundle: Bundle, tree: _Tree, state: Survey, root: str, seconds: float, *, activated: bool
) -> DeployReport:
    contents = list(tree.files.values())
    missing = state.missing(contents)
    directory = f"{root}/{tree.place}"
    return DeployReport(
        bundle_id=bundle.manifest.id,
        bytes_moved=state.bytes_to_send(contents),
        objects_moved=len(missing),
        reused=len({content.sha256 for content in contents}) - len(missing),
        seconds=seconds,
        directory=directory,
        artifacts={
            artifact.key: f"{directory}/{artifact.file.name}"
            for artifact in bundle.manifest.artifacts
        },
        activated=activated,
    )


def _read_back(device: Device, workdir: str, which: str) -> VerifiedBundle:
    text = "\n".join(call(device, READ_BACK, workdir, which, timeout_s=HASHING_S))
    tree = re.search(r"^tree bundles/([0-9a-f]{12}-([0-9a-f]{32}))$", text, re.MULTILINE)
    links = re.findall(r"^link (?:\.\./)+objects/([0-9a-f]{64}) (.+)$", text, re.MULTILINE)
    names = re.findall(r"^link \S* (.+)$", text, re.MULTILINE)
    intact = {
        name
        for digest, name in re.findall(r"^([0-9a-f]{64}) [ *]([0-9a-f]{64})$", text, re.MULTILINE)
        if digest == name
    }
    if not tree:
        raise DeviceError(
            f"{device.name}: the {which} bundle is not one of edgekit's", hint="deploy again"
        )
    damaged = sorted(name for digest, name in links if digest not in intact)
    if damaged:
        raise DeviceError(
            f"{device.name}: {which} bundle {tree[1]}: altered or missing:"
            f" {', '.join(damaged[:5])}",
            hint="deploy again",
        )
    surplus = sorted(set(names) - {name for _, name in links} - {".objects"})
    if surplus:
        raise DeviceError(
            f"{device.name}: {which} bundle {tree[1]}: holds more than was deployed:"
            f" {', '.join(map(printable, surplus[:5]))}",
            hint="deploy again, which removes it",
        )
    if _digest_of({name: digest for digest, name in links}) != tree[2]:
        raise DeviceError(
            f"{device.name}: {which} bundle {tree[1]}: its files are not the deployed ones",
            hint="deploy again",
        )
    return VerifiedBundle(tree[1], len(links))
