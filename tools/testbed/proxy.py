"""A TCP proxy on loopback that cuts, stalls, falsifies or slows what passes through it, at a chosen
byte."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Literal

Way = Literal["up", "down"]
"""To the server, or from it."""
Kind = Literal["cut", "stall", "flip"]


class Proxy:
    """Passes connections on to a port of this machine. One fault at a time, once, on the connection
    that meets it first.

    After a cut new connections are refused until the next `arm` or `disarm`, unless `briefly`.
    """

    def __init__(self, to_port: int) -> None:
        self._to_port = to_port
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=100)
        self.port: int = self._listener.getsockname()[1]
        self.bytes_per_s: float | None = None
        self.briefly = False
        self._down = False
        self.passed: dict[Way, int] = {"up": 0, "down": 0}
        """Bytes since the last `arm`."""
        self._fault: tuple[Way, int, Kind] | None = None
        self._lock = threading.Lock()
        self._closed = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def arm(self, kind: Kind, way: Way, at: int) -> None:
        """Cut the connection before byte `at`, counted from now, let nothing pass any more either
        way from there on, or flip a bit of that byte."""
        with self._lock:
            self.passed = {"up": 0, "down": 0}
            self._fault, self._down = (way, at, kind), False

    def disarm(self) -> bool:
        """Whether the fault was still to come."""
        with self._lock:
            pending, self._fault, self._down = self._fault is not None, None, False
            return pending

    def close(self) -> None:
        self._closed.set()
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                if self._down:
                    client.close()
                    continue
                server = socket.create_connection(("127.0.0.1", self._to_port))
                stalled = threading.Event()
                for way, source, sink in (("up", client, server), ("down", server, client)):
                    threading.Thread(
                        target=self._pass, args=(way, source, sink, stalled), daemon=True
                    ).start()

    def _pass(
        self, way: Way, source: socket.socket, sink: socket.socket, stalled: threading.Event
    ) -> None:
        for end in (source, sink):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with suppress(OSError):
            while chunk := source.recv(1 << 16 if self.bytes_per_s is None else 4096):
                before, kind, after = self._met(way, chunk)
                if stalled.is_set():
                    break
                sink.sendall(before)
                if kind == "cut":
                    stalled.clear()
                    break
                if kind == "stall":
                    stalled.set()
                    break
                sink.sendall(after)
                if self.bytes_per_s is not None:
                    time.sleep(len(chunk) / self.bytes_per_s)
        if stalled.is_set():
            self._closed.wait()
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _met(self, way: Way, chunk: bytes) -> tuple[bytes, Kind | None, bytes]:
        """A chunk in two parts, and what happens between them."""
        with self._lock:
            start = self.passed[way]
            self.passed[way] += len(chunk)
            if (
                self._fault is None
                or self._fault[0] != way
                or not start <= self._fault[1] < start + len(chunk)
            ):
                return chunk, None, b""
            _, at, kind = self._fault
            self._fault, self._down = None, kind == "cut" and not self.briefly
            before, after = chunk[: at - start], chunk[at - start :]
            return before, kind, bytes([after[0] ^ 1]) + after[1:] if kind == "flip" else after


@contextmanager
def running(to_port: int) -> Iterator[Proxy]:
    proxy = Proxy(to_port)
    try:
        yield proxy
    finally:
        proxy.close()
