"""Content on a device: what is there, what must be sent, sending it so that it can be interrupted
anywhere. Owns `objects` and `staging` of the store.

Content gets into `objects` only by a rename after its hash was computed on the device. An upload
that was cut short goes on where it stopped when the part that arrived is a prefix of the content;
the rest is sent as a second file and appended there. Small content travels many at a time (see
packs.py); what of it arrived whole is not sent again."""

from __future__ import annotations

import os
import re
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from edgekit.deployment.calling import HASHING_S, call, during
from edgekit.deployment.content import Content
from edgekit.deployment.lock import LEASE_S, Lock
from edgekit.deployment.object_scripts import ADMIT, APPEND, DISCARD, SURVEY, UNPACK
from edgekit.deployment.packs import PACK_S, PACKED_BYTES, Pack, packs
from edgekit.devices import Device
from edgekit.errors import DeviceError, TransportError

SLOWEST_BYTES_PER_S = 20_000
SPARE_BYTES = 1 << 20
"""Free space to leave for links, lists and the file system's own needs."""


@dataclass(frozen=True)
class Survey:
    """What a device has of the wanted content. `arrived` is how many bytes of an object are there
    already and right, `planted` whether the tree is."""

    free_bytes: int | None
    current: str
    planted: bool
    present: frozenset[str]
    arrived: dict[str, int] = field(default_factory=dict)

    def missing(self, contents: Iterable[Content]) -> list[Content]:
        """What must be sent: each content once, the smallest first."""
        once = {
            content.sha256: content for content in contents if content.sha256 not in self.present
        }
        return sorted(once.values(), key=lambda content: (content.bytes, content.sha256))

    def bytes_to_send(self, contents: Iterable[Content]) -> int:
        return sum(
            content.bytes - self.arrived.get(content.sha256, 0)
            for content in self.missing(contents)
        )


def failpoint(step: str) -> None:
    """For tests of interrupted deployments: end this process at once, as a power cut would, when
    EDGEKIT_FAILPOINT names the step."""
    if os.environ.get("EDGEKIT_FAILPOINT") == step:
        os.kill(os.getpid(), signal.SIGKILL)


def survey(
    device: Device, workdir: str, contents: Sequence[Content], tree: str, *, mend: bool
) -> Survey:
    """Ask a device what it has; everything there is hashed. With `mend` (only under the lock) an
    interrupted resumption is put together first."""
    sizes = {content.sha256: content for content in contents}
    lines = call(
        device, SURVEY, workdir, "mend" if mend else "look", tree, lines=sizes, timeout_s=HASHING_S
    )
    text = "\n".join(lines)
    free = re.search(r"^free ([0-9]{1,15})$", text, re.MULTILINE)
    current = re.search(r"^current (bundles/[A-Za-z0-9._-]{1,200})$", text, re.MULTILINE)
    hashes = re.findall(
        r"^([0-9a-f]{64}) [ *](objects|staging)/([0-9a-f]{64})$", text, re.MULTILINE
    )
    partial = {
        name: int(size)
        for size, name in re.findall(r"^ *([0-9]{1,15}) ([0-9a-f]{64})$", text, re.MULTILINE)
    }
    staged = {name: digest for digest, place, name in hashes if place == "staging"}
    arrived = {
        name: size
        for name, size in partial.items()
        if name in sizes and sizes[name].starts_with(size, staged.get(name))
    }
    return Survey(
        free_bytes=int(free[1]) * 1024 if free else None,
        current=current[1] if current else "",
        planted="tree" in lines,
        present=frozenset(
            name for digest, place, name in hashes if place == "objects" and digest == name
        ),
        arrived={
            name: size
            for name, size in arrived.items()
            if size == sizes[name].bytes or sizes[name].bytes > PACKED_BYTES
        },
    )


def send(
    lock: Lock, content: Sequence[Content], state: Survey, moved: Callable[[int], None]
) -> None:
    """Bring all of `content` into the objects of a device. `moved` is called with each number of
    bytes sent.

    Raises DeviceError (disk full, not writable; what was staged of that file is removed),
    TransportError (cut off; what arrived stays for the next time; or damaged on the way)."""
    if not content:
        return
    _require_space(lock.device, content, state)
    lock.renew(LEASE_S + state.bytes_to_send(content) / SLOWEST_BYTES_PER_S)
    unfinished = [
        item
        for item in content
        if item.bytes == 0 or state.arrived.get(item.sha256, 0) < item.bytes
    ]
    for pack in packs(item for item in unfinished if item.bytes <= PACKED_BYTES):
        _send_pack(lock, pack, moved)
    for item in unfinished:
        if item.bytes > PACKED_BYTES:
            _send_one(lock, item, state.arrived.get(item.sha256, 0), moved)
    failpoint("sent")
    answers = set(
        call(
            lock.device,
            ADMIT,
            lock.root,
            lines=[item.sha256 for item in content],
            timeout_s=HASHING_S,
        )
    )
    failpoint("admitted")
    damaged = [item for item in content if f"ok {item.sha256}" not in answers]
    if damaged:
        names = ", ".join(item.path.name for item in damaged[:5])
        hint = (
            "try again; if it happens again, the device's disk or memory may be faulty, or the disk"
            " full"
        )
        raise TransportError(
            f"{lock.device.name}: {names} arrived damaged and was discarded", hint=hint
        )


def _send_pack(lock: Lock, pack: Pack, moved: Callable[[int], None]) -> None:
    with _discarding(lock, pack.content):
        call(lock.device, UNPACK, lock.root, "", data=pack.archive, timeout_s=PACK_S)
    for item in pack.content:
        moved(item.bytes)
        failpoint(f"sending {item.path.name}")


def _send_one(lock: Lock, item: Content, arrived: int, moved: Callable[[int], None]) -> None:
    staged = f"{lock.root}/staging/{item.sha256}"

    def progress(count: int) -> None:
        moved(count)
        failpoint(f"sending {item.path.name}")

    with _discarding(lock, [item]), during(lock.device, f"sending {item.path.name}"):
        if arrived == 0:
            lock.device.push(item.path, staged, mode=item.mode, progress=progress)
            return
        with tempfile.NamedTemporaryFile(prefix="edgekit-") as rest, item.path.open("rb") as source:
            source.seek(arrived)
            shutil.copyfileobj(source, rest, 1 << 20)
            rest.flush()
            lock.device.push(Path(rest.name), f"{staged}.tail", mode=item.mode, progress=progress)
        call(lock.device, APPEND, lock.root, item.sha256, timeout_s=HASHING_S)


@contextmanager
def _discarding(lock: Lock, content: Sequence[Content]) -> Iterator[None]:
    """A device that cannot take content is freed of the parts it took."""
    try:
        yield
    except DeviceError:
        call(lock.device, DISCARD, lock.root, lines=[item.sha256 for item in content])
        raise


def _require_space(device: Device, content: Sequence[Content], state: Survey) -> None:
    needed = state.bytes_to_send(content) + SPARE_BYTES
    if state.free_bytes is not None and state.free_bytes < needed:
        message = f"{device.name}: {state.free_bytes >> 20} MiB free, {-(-needed >> 20)} MiB needed"
        raise DeviceError(message, hint="free some space, or choose another workdir in the target")
