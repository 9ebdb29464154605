"""A TCP connection whose making can be cancelled. Owns no protocol."""

from __future__ import annotations

import errno
import os
import selectors
import socket
import time
from typing import Any

from edgekit.cancel import Cancel
from edgekit.devices import SLICE_S


def dial(host: str, port: int, timeout_s: float, cancel: Cancel) -> socket.socket:
    """A connection to the first address of a host that answers, each given `timeout_s`.

    Raises OSError: no such host, or what the last address answered. KeyboardInterrupt: cancelled.
    """
    failure: OSError = OSError(errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL))
    for family, kind, protocol, _, address in socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM):
        connection = socket.socket(family, kind, protocol)
        try:
            _connect(connection, address, time.monotonic() + timeout_s, cancel)
        except OSError as error:
            connection.close()
            failure = error
        except BaseException:
            connection.close()
            raise
        else:
            return connection
    raise failure


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
