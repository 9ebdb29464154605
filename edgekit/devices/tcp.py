"""A TCP connection whose making can be cancelled. Owns no protocol."""

from __future__ import annotations

import errno
import os
import selectors
import socket
import time
from dataclasses import dataclass
from typing import Any

from edgekit.cancel import Cancel
from edgekit.devices import SLICE_S

FAMILIES = {"inet": socket.AF_INET, "inet6": socket.AF_INET6}


@dataclass(frozen=True)
class Route:
    """By which way a machine is reached: `family` is `any`, `inet` or `inet6`; `address` and
    `interface` are this machine's own, empty for what the system chooses."""

    family: str = "any"
    address: str = ""
    interface: str = ""


ANY_ROUTE = Route()


def dial(
    host: str, port: int, timeout_s: float, cancel: Cancel, route: Route = ANY_ROUTE
) -> socket.socket:
    """A connection to the first address of a host that answers, each given `timeout_s`.

    Raises OSError: no such host, or what each address answered. KeyboardInterrupt: cancelled.
    """
    family = FAMILIES.get(route.family, socket.AF_UNSPEC)
    failures: dict[str, OSError] = {}
    for kind, _, protocol, _, address in socket.getaddrinfo(host, port, family, socket.SOCK_STREAM):
        try:
            return _connected(kind, protocol, address, route, time.monotonic() + timeout_s, cancel)
        except OSError as error:
            failures[str(address[0])] = error
    if len(failures) == 1:
        raise next(iter(failures.values()))
    reasons = [f"{address}: {error.strerror or error}" for address, error in failures.items()]
    raise OSError(f"none of its addresses answers ({'; '.join(reasons)})")


def _connected(
    family: int, protocol: int, address: Any, route: Route, deadline: float, cancel: Cancel
) -> socket.socket:
    connection = socket.socket(family, socket.SOCK_STREAM, protocol)
    try:
        _leave_by(connection, route)
        _connect(connection, address, deadline, cancel)
    except BaseException:
        connection.close()
        raise
    return connection


def _leave_by(connection: socket.socket, route: Route) -> None:
    try:
        if route.interface:
            name = route.interface.encode() + b"\0"
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, name)
        if route.address:
            connection.bind((route.address, 0))
    except (OSError, AttributeError) as error:  # AttributeError: no such option but on Linux
        own = {"BindInterface": route.interface, "BindAddress": route.address}
        chosen = ", ".join(f"{keyword} {value}" for keyword, value in own.items() if value)
        reason = getattr(error, "strerror", None) or "not possible on this system"
        raise OSError(f"{chosen}: {reason}") from None


def _connect(connection: socket.socket, address: Any, deadline: float, cancel: Cancel) -> None:
    connection.setblocking(False)
    code = connection.connect_ex(address)
    with selectors.DefaultSelector() as selector:
        selector.register(connection, selectors.EVENT_WRITE)
        while code == errno.EINPROGRESS:
            cancel.check()
            if selector.select(SLICE_S):
                code = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            elif time.monotonic() >= deadline:
                raise TimeoutError("timed out")
    if code:
        raise OSError(code, os.strerror(code))
    connection.setblocking(True)
