"""Processes that are killed at random moments, and how often: `pytest --kills N` says it for every
sweep; without, each has a number of its own."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable

import pytest

processes = multiprocessing.get_context("forkserver")
"""Everything is imported once, and no thread of this process is copied."""

Kills = Callable[[int], int]
"""How often to kill, of the number that a sweep has without `--kills`."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--kills",
        type=int,
        metavar="N",
        help="how often each sweep of kills kills (nightly tests; without, a number of its own)",
    )


@pytest.fixture
def kills(pytestconfig: pytest.Config) -> Kills:
    from_command_line = pytestconfig.getoption("--kills")
    return lambda usual: usual if from_command_line is None else int(from_command_line)


def die_later(after_s: float) -> None:
    """This process is killed after so many seconds, whatever it does then."""
    threading.Thread(target=_die, args=(after_s,), daemon=True).start()


def _die(after_s: float) -> None:
    time.sleep(after_s)
    os.kill(os.getpid(), signal.SIGKILL)


def exit_code(victim: Callable[..., None], *arguments: object) -> int:
    """How a process of its own ended: minus the number of the signal, where one ended it."""
    process = processes.Process(target=victim, args=arguments)
    process.start()
    process.join()
    assert process.exitcode is not None
    return process.exitcode
