"""Messages through which several layers went."""

from __future__ import annotations

import socket

import pytest

from edgekit.errors import DeviceError, TransportError


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        (
            "pi5: cannot be reached: [Errno None] Unable to connect to port 22 on 10.0.0.7",
            "pi5: cannot be reached: Unable to connect to port 22 on 10.0.0.7",
        ),
        ("x: [Errno 2] No such file or directory: 'y'", "x: No such file or directory: 'y'"),
        ("pi5: pi5: the lock was lost", "pi5: the lock was lost"),
        ("pi5: int8.pte, run 3 of 10: pi5: it hangs", "pi5: int8.pte, run 3 of 10: it hangs"),
        ("pi5: 2 of 3\npi5: it hangs\npi4: no", "pi5: 2 of 3\npi5: it hangs\npi4: no"),
        ("a.yaml:3:1: unknown key 'a'", "a.yaml:3:1: unknown key 'a'"),
        ("pi5: runner.pi5: no", "pi5: runner.pi5: no"),
        ("", ""),
    ],
)
def test_a_board_is_named_once_and_no_number_is_shown(message: str, shown: str) -> None:
    error = TransportError(message)
    assert (error.message, str(error)) == (shown, shown)


def test_the_systems_own_errors() -> None:
    with pytest.raises(OSError, match="Errno") as caught, socket.socket() as end:
        end.connect(("127.0.0.1", 1))
    assert DeviceError(f"pi5: {caught.value}").message == "pi5: Connection refused"
