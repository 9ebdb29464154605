"""Several boards at once over real SSH: a dead one among them, and Ctrl-C."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

import edgekit
from edgekit.bundle.directory import Bundle
from edgekit.cancel import Cancel
from edgekit.cli import run
from edgekit.devices import connect
from edgekit.devices.target import SshTarget, Target
from edgekit.progress import Progress
from edgekit.workflow.fleet import on_each
from tests.support.targets import write_target
from tools.emulation.machine import free_port

pytestmark = pytest.mark.device


@pytest.fixture
def three(pi: SshTarget) -> Iterator[list[SshTarget]]:
    """pi, one behind a port where nobody listens, and another."""
    dead = pi.model_copy(update={"name": "dead", "port": free_port()})
    other = pi.model_copy(update={"name": "other", "workdir": f"{pi.workdir}-other"})
    for target in (dead, other):
        write_target(target)
    yield [pi, dead, other]
    with closing(connect(other)) as device:
        device.run(["rm", "-rf", other.workdir], timeout_s=20)


def test_the_dead_one_is_named_and_the_others_are_served(
    three: list[SshTarget], old: Bundle, capsys: pytest.CaptureFixture[str]
) -> None:
    """Case 54 of the faults."""
    command = ["deploy", str(old.path), "-t", "dead", "-t", "pi", "-t", "other"]
    assert run(command) == 5
    captured = capsys.readouterr()
    assert [line.split(":")[0] for line in captured.out.splitlines()] == ["pi", "other"]
    assert "1 of 3 targets failed" in captured.err
    assert "Traceback" not in captured.err
    for name in ("pi", "other"):
        assert edgekit.verify(name).bundle.startswith(old.manifest.id[:12])
    assert run([*command, "--json"]) == 5
    answer = json.loads(capsys.readouterr().out)
    assert answer["exit_code"] == 5
    assert list(answer["failures"]) == ["dead"]
    assert {name: report["bytes_moved"] for name, report in answer["targets"].items()} == {
        "pi": 0,
        "other": 0,
    }


def test_ctrl_c_leaves_no_process_on_any_board(three: list[SshTarget], tmp_path: Path) -> None:
    pids: list[int] = []

    def work(target: Target, progress: Progress, cancel: Cancel) -> None:
        with closing(connect(target, cancel)) as device:
            device.run(
                ["sh", "-c", "echo $$; sleep 1000"],
                timeout_s=600,
                on_stdout=lambda chunk: pids.append(int(chunk)),
            )

    def interrupt() -> None:
        while len(pids) < 2:
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        on_each([three[0], three[2]], work)
    assert len(pids) == 2
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
