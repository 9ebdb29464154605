"""Large files to a device by adb's sync service, the one behind `adb push`, through the adb server
on this machine.

`adb push` is not used, because it shows no progress, and reports only at its end that the device
refuses. The protocol is AOSP's packages/modules/adb, docs/dev/services.md and sync.md,
version 1, which every device has. Starts no server and runs nothing on a device."""

from __future__ import annotations

import contextlib
import os
import re
import selectors
import socket
import stat
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

from edgekit.cancel import Cancel
from edgekit.devices import SLICE_S, Progress
from edgekit.errors import DeadlinePassed, DeviceError, TransportError
from edgekit.sanitize import printable

PORT = 5037
DATA_BYTES = 64 << 10
"""The most in one message of the service (SYNC_DATA_MAX)."""
BATCH_BYTES = 16 * DATA_BYTES
LONGEST_ANSWER = 1 << 10


def server_address() -> tuple[str, int] | None:
    """Where adb's server listens, as the adb program understands the environment. None: not on
    TCP."""
    if socket_name := os.environ.get("ADB_SERVER_SOCKET"):
        address = re.fullmatch(r"tcp:(?:(.+):)?([0-9]{1,5})", socket_name)
        return (address[1] or "localhost", int(address[2])) if address else None
    host = os.environ.get("ANDROID_ADB_SERVER_ADDRESS", "localhost")
    port = os.environ.get("ANDROID_ADB_SERVER_PORT", str(PORT))
    return (host, int(port)) if port.isdigit() else None


class NotReached(TransportError):
    """The server does not run, or does not have such a device; nothing was sent."""


@dataclass(frozen=True)
class Waits:
    """How long a transfer may take: until `deadline`, in seconds of `time.monotonic`, and no longer
    than `no_progress_s` without a byte moved; and no longer than until `cancel` is requested."""

    deadline: float
    no_progress_s: float
    cancel: Cancel


def send(
    server: tuple[str, int],
    serial: str,
    stream: IO[bytes],
    remote: str,
    waits: Waits,
    progress: Progress | None,
) -> None:
    """Write what is left of a stream to a new file (absolute path) on a device of a server, which
    its owner may read and write.

    Raises DeviceError (refused; the text is the device's), DeadlinePassed, TransportError
    (connection lost), NotReached, KeyboardInterrupt (cancelled)."""
    with _connected(server, serial, waits) as link:
        directory = remote.rpartition("/")[0].encode() or b"/"
        link.write(struct.pack("<4sI", b"STAT", len(directory)), directory)
        _, mode, _, _ = struct.unpack("<4s3I", link.read(16))
        if not mode:
            raise DeviceError("No such file or directory")  # the service would make it
        path = f"{remote},{stat.S_IFREG | 0o600}".encode()
        link.write(struct.pack("<4sI", b"SEND", len(path)), path)
        while batch := stream.read(BATCH_BYTES):
            for start in range(0, len(batch), DATA_BYTES):
                data = batch[start : start + DATA_BYTES]
                link.write(struct.pack("<4sI", b"DATA", len(data)), data)
                if link.answered():
                    _read_answer(link)
            if progress is not None:
                progress(len(batch))
        link.write(struct.pack("<4sI", b"DONE", int(time.time())))
        _read_answer(link)


@contextlib.contextmanager
def _connected(server: tuple[str, int], serial: str, waits: Waits) -> Iterator[_Link]:
    """The sync service of a device."""
    try:
        connection = socket.create_connection(server, timeout=waits.no_progress_s)
    except OSError as error:
        raise NotReached(f"adb's server does not answer: {error.strerror or error}") from None
    with connection:
        link = _Link(connection, waits)
        for service in (f"host:transport:{serial}", "sync:"):
            request = service.encode()
            link.write(b"%04x%s" % (len(request), request))
            if link.read(4) != b"OKAY":
                raise NotReached(
                    printable(link.read(int(link.read(4), 16)).decode("utf-8", "replace"))
                )
        yield link


def _read_answer(link: _Link) -> None:
    """The answer to a file. Raises DeviceError: it was refused."""
    status, length = struct.unpack("<4sI", link.read(8))
    if status != b"OKAY":
        raise DeviceError(
            printable(link.read(min(length, LONGEST_ANSWER)).decode("utf-8", "replace"))
        )


class _Link:
    """A connection whose waits come in slices and end."""

    def __init__(self, connection: socket.socket, waits: Waits) -> None:
        connection.settimeout(SLICE_S)
        self._connection = connection
        self._waits = waits
        self._moved_at = time.monotonic()
        self._answers = selectors.DefaultSelector()
        self._answers.register(connection, selectors.EVENT_READ)

    def answered(self) -> bool:
        """Whether there is something to read now."""
        return bool(self._answers.select(0))

    def write(self, *parts: bytes) -> None:
        unsent = memoryview(b"".join(parts))
        while unsent:
            with self._waiting():
                unsent = unsent[self._connection.send(unsent) :]

    def read(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            with self._waiting():
                if not (chunk := self._connection.recv(count - len(data))):
                    raise TransportError("the connection broke")
                data += chunk
        return data

    @contextlib.contextmanager
    def _waiting(self) -> Iterator[None]:
        """Around one attempt to move bytes, which ends after a slice. Raises TransportError,
        DeadlinePassed when there is no time for another, KeyboardInterrupt when cancelled."""
        self._waits.cancel.check()
        try:
            yield
            self._moved_at = time.monotonic()
        except TimeoutError:
            now = time.monotonic()
            if now >= self._waits.deadline:
                raise DeadlinePassed("the time for a transfer was over") from None
            if now >= self._moved_at + self._waits.no_progress_s:
                raise DeadlinePassed(f"nothing for {self._waits.no_progress_s:g} s") from None
        except OSError as error:
            raise TransportError(f"the connection broke: {error.strerror or error}") from None
