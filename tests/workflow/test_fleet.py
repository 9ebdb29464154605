"""Several targets at once: what becomes of results, failures, progress and Ctrl-C. The boards are
processes of this machine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from edgekit.cancel import Cancel
from edgekit.devices.local import LocalDevice
from edgekit.devices.target import LocalTarget, Target
from edgekit.errors import DeviceError, TransportError, UsageError
from edgekit.progress import Progress
from edgekit.workflow.fleet import TargetsFailed, on_each


def targets(*names: str) -> list[Target]:
    return [LocalTarget(edgekit=1, name=name, kind="local") for name in names]


def test_all_at_once_and_in_order() -> None:
    together = threading.Barrier(8, timeout=10)

    def work(target: Target, progress: Progress, cancel: Cancel) -> int:
        return together.wait()

    names = [f"board{i}" for i in range(8)]
    outcomes = on_each(targets(*names), work)
    assert list(outcomes.done) == names
    assert sorted(outcomes.done.values()) == list(range(8))


def test_one_that_fails_does_not_stop_the_others() -> None:
    failed = threading.Event()

    def work(target: Target, progress: Progress, cancel: Cancel) -> str:
        if target.name == "b":
            failed.set()
            raise DeviceError("b: disk full", hint="free some space")
        if target.name == "d":
            raise TransportError("no answer")
        assert failed.wait(10)
        time.sleep(0.05)
        return target.name.upper()

    outcomes = on_each(targets("a", "b", "c", "d"), work)
    assert outcomes.done == {"a": "A", "c": "C"}
    error = TargetsFailed(outcomes.failures, outcomes.done, answers=outcomes.done)
    assert error.exit_code == DeviceError.exit_code
    assert error.message.splitlines() == ["2 of 4 targets failed", "b: disk full", "d: no answer"]
    assert error.details["targets"] == {"a": "A", "c": "C"}


def test_what_is_no_error_of_edgekit_is_raised() -> None:
    def work(target: Target, progress: Progress, cancel: Cancel) -> None:
        raise ZeroDivisionError(target.name)

    with pytest.raises(ZeroDivisionError):
        on_each(targets("a", "b"), work)


def test_a_single_target_is_the_callers_own_thread() -> None:
    def work(target: Target, progress: Progress, cancel: Cancel) -> threading.Thread:
        if target.name == "bad":
            raise DeviceError("as it is")
        return threading.current_thread()

    assert on_each(targets("a"), work).done["a"] is threading.current_thread()
    with pytest.raises(DeviceError, match=r"^as it is$"):
        on_each(targets("bad"), work)


def test_a_target_given_twice() -> None:
    with pytest.raises(UsageError, match="given twice: a"):
        on_each(targets("a", "b", "a"), lambda target, progress, cancel: None)


def test_one_line_of_progress_each() -> None:
    updates: list[tuple[str, float, float, str]] = []

    def work(target: Target, progress: Progress, cancel: Cancel) -> None:
        for task in ("deploy", "measure"):
            for done in (0, 1, 2):
                progress(task, done, 2, "int8")

    on_each(
        targets("a", "b"),
        work,
        progress=lambda task, done, total, text="": updates.append((task, done, total, text)),
    )
    assert {task for task, *_ in updates} == {"a", "b"}
    of_a = [(done, total, text) for task, done, total, text in updates if task == "a"]
    assert (1, 2, "deploy: int8") in of_a
    ended = [entry for entry in of_a if entry[1] and entry[0] >= entry[1]]
    assert [text.split(" after")[0] for *_, text in ended] == ["done"], "a line ends once"


def test_ctrl_c_stops_all_and_cleans_up(tmp_path: Path) -> None:
    """Case 53 of the faults: in threads as in the main one."""
    cleaned: list[str] = []

    def work(target: Target, progress: Progress, cancel: Cancel) -> None:
        try:
            LocalDevice(target.name, cancel).run(
                ["sh", "-c", f"echo $$ >{tmp_path}/{target.name}; sleep 1000"], timeout_s=600
            )
        finally:
            cleaned.append(target.name)

    def interrupt() -> None:
        while len(list(tmp_path.iterdir())) < 3:
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        on_each(targets("a", "b", "c"), work)
    assert time.monotonic() - started < 10
    assert sorted(cleaned) == ["a", "b", "c"]
    for file in tmp_path.iterdir():
        assert not Path(f"/proc/{file.read_text().strip()}").exists()


STUBBORN = """
import sys, time
from edgekit.cli import run
from edgekit.workflow.fleet import on_each
from edgekit.devices.target import LocalTarget

def say(line):
    sys.stdout.write(line + "\\n")  # in one piece: the other thread writes too
    sys.stdout.flush()

def work(target, progress, cancel):
    say(target.name)
    while True:
        try:
            cancel.sleep(0.1)
        except KeyboardInterrupt:
            say("not yet")

on_each([LocalTarget(edgekit=1, name=name, kind="local") for name in "ab"], work)
"""


def test_ctrl_c_twice_goes_at_once() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", STUBBORN],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout
    try:
        lines = [process.stdout.readline() for _ in range(2)]
        assert sorted(lines) == ["a\n", "b\n"]
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == "not yet\n"
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == -signal.SIGINT
    finally:
        process.kill()
        process.stdout.close()
