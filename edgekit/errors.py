"""The one tree of errors edgekit raises on purpose, each with the exit code of its class.

    EdgekitError
    ├── GateFailed            1   a budget or gate is not met
    ├── UsageError            2   the command line, a recipe or a target is wrong
    ├── ModelError            3   model, weights or data
    ├── ExportError           4   export, or an artifact that is not the model
    ├── TransportError        5   the way to the device
    │   └── DeadlinePassed    5   a program was given up; the device itself may well answer
    ├── IdentityError         6   host key or authentication
    ├── DeviceError           7   architecture, disk or permission on the device
    ├── RunnerError           8   the runner on the device
    ├── ResultError           9   what the device returned, or a bundle's signature, is refused
    ├── StoreError           10   the results database
    ├── Defect               70   edgekit itself failed
    ├── OutputError          74   what was printed cannot be written
    ├── BusyError            75   somebody else holds the device or the cache
    └── Interrupted         130   Ctrl-C

A message says what failed and where; `hint` says what to do. Foreign exceptions are translated
where the foreign library is called."""

from __future__ import annotations

import re
from typing import Any

ERROR_NUMBER = re.compile(r"\[Errno (?:None|-?[0-9]+)\] ")
FIRST_NAME = re.compile(r"([^\s:]+): ")


class EdgekitError(Exception):
    """Base of all errors that a user can cause or must act on.

    `message` is one line or a short list; `hint` is the remedy; `details` goes out with `--json`
    (plain JSON values only)."""

    exit_code = 70

    def __init__(
        self, message: str, *, hint: str = "", details: dict[str, Any] | None = None
    ) -> None:
        message = _said_once(message)
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.details = details or {}


def _said_once(message: str) -> str:
    """A message through which several layers may have gone: without the system's number of an
    error, and with the name that it begins with no second time."""
    message = ERROR_NUMBER.sub("", message)
    name = FIRST_NAME.match(message)
    if name is None:
        return message
    first = message[: name.end()]
    return first + message[name.end() - 1 :].replace(f" {name[1]}: ", " ")[1:]


class GateFailed(EdgekitError):
    """A budget or a gate is not met."""

    exit_code = 1


class UsageError(EdgekitError):
    """The command line, a recipe or a target is wrong."""

    exit_code = 2


class ModelError(EdgekitError):
    """The model, its weights or its data cannot be used."""

    exit_code = 3


class ExportError(EdgekitError):
    """An artifact cannot be made, or does not answer as its model does."""

    exit_code = 4


class TransportError(EdgekitError):
    """The device cannot be reached, or the connection broke."""

    exit_code = 5


class DeadlinePassed(TransportError):
    """A program on the device was given up; the device itself may well answer."""


class IdentityError(EdgekitError):
    """The device's host key is not trusted, or the device does not let the user in."""

    exit_code = 6


class DeviceError(EdgekitError):
    """The device cannot do what is asked: architecture, disk space or permissions."""

    exit_code = 7


class RunnerError(EdgekitError):
    """The program that runs the model on the device failed."""

    exit_code = 8


class ResultError(EdgekitError):
    """What came back from the device, or a bundle, is not acceptable."""

    exit_code = 9


class StoreError(EdgekitError):
    """The results database cannot be used."""

    exit_code = 10


class Defect(EdgekitError):
    """Edgekit itself failed: an exception that nobody foresaw."""

    exit_code = 70


class OutputError(EdgekitError):
    """Standard output cannot be written."""

    exit_code = 74


class BusyError(EdgekitError):
    """Somebody else uses the device or the cache."""

    exit_code = 75


class Interrupted(EdgekitError):
    """The work was interrupted with Ctrl-C."""

    exit_code = 130
