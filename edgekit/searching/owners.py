"""Which process works on a candidate, and whether it still does: a search may be killed at any
point, and several processes on several machines may share a study."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Event, Thread
from typing import Any

from edgekit.process_identity import host_identity, process_started

BEAT_S = 30.0
GRACE_S = 600.0
"""So long after its last sign of life a process on another machine counts as gone."""
NOT_KNOWN = "0"
"""As `process_started` says it."""
NAMELESS_S = 60.0
"""So long a candidate may be without an owner: it is named right after the candidate is begun."""


def this_process() -> dict[str, Any]:
    """This process, in words that no other process of any host has."""
    pid = os.getpid()
    return {"host": host_identity(), "pid": pid, "started": process_started(pid)}


def is_gone(owner: dict[str, Any] | None, seen: float | None, begun: float) -> bool:
    """Whether nobody works on a candidate any more: its owner, when that was last `seen` alive and
    when the candidate was begun, as seconds since the epoch."""
    if owner is None:
        return time.time() - begun > NAMELESS_S
    if owner["host"] == host_identity() and owner["started"] != NOT_KNOWN:
        return process_started(owner["pid"]) != str(owner["started"])
    return time.time() - (seen or begun) > GRACE_S


@contextmanager
def beating(beat: Callable[[], None]) -> Iterator[None]:
    """Signs of life while the block runs. One that fails is left out."""
    ended = Event()

    def beats() -> None:
        while not ended.wait(BEAT_S):
            with suppress(Exception):  # the storage may be away for a while
                beat()

    thread = Thread(target=beats, daemon=True, name="edgekit search")
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(timeout=BEAT_S)
