"""A name with several addresses, and the way that the configuration chooses: real sockets; only
the name service is not real."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from edgekit.cancel import Cancel
from edgekit.devices.ssh_config import Login
from edgekit.devices.ssh_login import connect, trust
from edgekit.devices.target_sections import Timeouts
from edgekit.devices.tcp import Route, dial
from edgekit.errors import TransportError
from tools.emulation.machine import free_port

UNREACHABLE = "fd00:edbe:0:1::7"
"""A unique local address, as routers give them out, that no route leads to."""
NO_FAMILY = 63


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


@pytest.fixture
def name_service(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Lets each name have these addresses."""

    def answer(*addresses: tuple[int, str]) -> None:
        def getaddrinfo(host: str, port: int, family: int, kind: int) -> list[Any]:
            return [
                (known, kind, 0, "", (address, port, *((0, 0) if known == socket.AF_INET6 else ())))
                for known, address in addresses
                if family in (known, socket.AF_UNSPEC)
            ]

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)

    return answer


def port_of(server: socket.socket) -> int:
    port: int = server.getsockname()[1]
    return port


def test_the_address_that_answers_is_taken(
    server: socket.socket, name_service: Callable[..., None]
) -> None:
    name_service(
        (NO_FAMILY, "a kernel without it"),
        (socket.AF_INET6, UNREACHABLE),
        (socket.AF_INET6, "fe80::1"),  # without its interface
        (socket.AF_INET, "127.0.0.9"),  # nothing listens there
        (socket.AF_INET, "127.0.0.1"),
    )
    with dial("pi5.local", port_of(server), 2, Cancel()) as connection:
        assert connection.getpeername() == server.getsockname()


def test_each_address_is_named_when_none_answers(name_service: Callable[..., None]) -> None:
    name_service((socket.AF_INET6, UNREACHABLE), (socket.AF_INET, "127.0.0.1"))
    login = Login("pi5.local", free_port(), "pi")
    for reach in (connect, trust):
        with pytest.raises(
            TransportError,
            match=rf"none of its addresses answers \({UNREACHABLE}: .+; 127.0.0.1: Connection",
        ) as raised:
            reach("pi5", login, timeouts=Timeouts(connect_seconds=1))
        assert "is the board on" in raised.value.hint


def test_one_address_needs_no_name(name_service: Callable[..., None]) -> None:
    name_service((socket.AF_INET, "127.0.0.1"))
    with pytest.raises(TransportError, match=r"pi5 \(pi@pi5.local:[0-9]+\): Connection refused$"):
        connect("pi5", Login("pi5.local", free_port(), "pi"))


def test_a_name_that_is_not_there_and_a_service_that_is_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for code, message in {
        socket.EAI_NONAME: "no such host: pi5.local",
        socket.EAI_AGAIN: "the address of pi5.local cannot be found out: try later",
    }.items():

        def getaddrinfo(*_: Any, code: int = code) -> None:
            raise socket.gaierror(code, "try later")

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
        with pytest.raises(TransportError, match=message):
            connect("pi5", Login("pi5.local", 22, "pi"))


def test_the_way_that_is_configured(
    server: socket.socket, name_service: Callable[..., None]
) -> None:
    name_service((socket.AF_INET6, "::1"), (socket.AF_INET, "127.0.0.1"))
    route = Route("inet", "127.0.0.5", "lo")
    with dial("pi5.local", port_of(server), 2, Cancel(), route) as connection:
        assert server.accept()[1][0] == "127.0.0.5"
        assert connection.family == socket.AF_INET
    with pytest.raises(ConnectionRefusedError):  # the other family is not tried
        dial("pi5.local", port_of(server), 2, Cancel(), Route("inet6"))
    for own, message in {
        Route("inet", interface="nowhere7"): "BindInterface nowhere7: No such device",
        Route("inet", address="192.0.2.9"): "BindAddress 192.0.2.9: Cannot assign",
        Route("inet", address="nowhere.invalid"): "BindAddress nowhere.invalid: ",
    }.items():
        login = Login("pi5.local", port_of(server), "pi", route=own)
        with pytest.raises(TransportError, match=message):
            connect("pi5", login)
