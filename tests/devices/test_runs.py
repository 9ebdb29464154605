"""Runs that go wrong on a board reached over real SSH: programs that hang, crash, print without end
or are interrupted, and what is left of them."""

from __future__ import annotations

import json
import os
import secrets
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edgekit.cancel import Cancel
from edgekit.devices.ssh_login import trust_target
from edgekit.devices.target import SshTarget
from edgekit.errors import RunnerError, TransportError
from edgekit.measure.measurement import Measurement
from tests.support.measured import bench, make_bundle
from tests.support.processes import descendants
from tests.support.tiers import cannot_run
from tools.testbed import proxy, sshd
from tools.testbed.proxy import Proxy
from tools.testbed.sshd import Server

pytestmark = pytest.mark.device

RUNNER = Path(__file__).parents[1] / "support" / "fake_runner.py"
FAST: dict[str, Any] = {"runs": 2, "warmup_min_seconds": 0, "min_seconds": 0}


class Board:
    """A target with a runner program of its own, which `behave` makes misbehave; below a directory
    that the board's user can read."""

    def __init__(self, place: Path, port: int, server: Server) -> None:
        self.place, self._program = place, place / "runner"
        self.bundle = make_bundle(place / "bundle", ["fp32.pte"])
        [artifact] = self.bundle.manifest.artifacts
        assert artifact.reference_outputs is not None
        tensors = {
            kind: [
                {"name": s.name, "dtype": s.dtype, "shape": s.shape}
                for s in getattr(artifact, kind)
            ]
            for kind in ("inputs", "outputs")
        }
        (place / "computed.tensors.json").write_text(json.dumps(tensors))
        shutil.copy(self.bundle.file(artifact.reference_outputs), place / "computed")
        shutil.copy(RUNNER, place / "fake_runner.py")
        self.behave("good")
        self.target = SshTarget.model_validate(
            {
                "edgekit": 1,
                "name": "pi",
                "kind": "ssh",
                "host": "127.0.0.1",
                "port": port,
                "user": server.user,
                "identity_file": str(server.directory / "user_key"),
                "workdir": f"/tmp/{place.name}-store",
                "runners": {"executorch": {"program": str(self._program)}},
                "timeouts": {"run_seconds": 10, "no_progress_seconds": 5},
            }
        )
        trust_target(self.target, lambda key: True)

    def behave(self, how: str) -> None:
        python = shutil.which("python3", path="/usr/bin:/usr/local/bin")
        if python is None:
            cannot_run("needs a python3 that every user may run: apt-get install python3")
        command = [
            python,
            str(self.place / "fake_runner.py"),
            how,
            "2000000",
            str(self.place / "computed"),
        ]
        self._program.write_text(f'#!/bin/sh\nexec {shlex.join(command)} "$@"\n')
        self._program.chmod(0o755)

    def running(self) -> list[int]:
        """Processes of the runner."""
        pids = []
        for entry in Path("/proc").iterdir():
            try:
                if (
                    entry.name.isdigit()
                    and str(self.place / "fake_runner.py").encode()
                    in (entry / "cmdline").read_bytes()
                ):
                    pids.append(int(entry.name))
            except OSError:
                continue
        return pids

    def wait_for_runner(self) -> None:
        until = time.monotonic() + 20
        while not self.running():
            assert time.monotonic() < until
            time.sleep(0.02)


@pytest.fixture
def link(ssh_server: Server) -> Iterator[Proxy]:
    with proxy.running(ssh_server.port) as opened:
        yield opened


@pytest.fixture
def board(link: Proxy, ssh_server: Server, trusting: None) -> Iterator[Board]:
    place = Path("/tmp") / f"edgekit-runs-{secrets.token_hex(6)}"
    place.mkdir(mode=0o755)
    made = Board(place, link.port, ssh_server)
    yield made
    for directory in (place, Path(made.target.workdir)):
        shutil.rmtree(directory, ignore_errors=True)


def test_a_healthy_one(board: Board) -> None:
    assert len(bench(board.bundle, board.target, **FAST).artifacts[0].complete_runs) == 2


def test_a_hang_leaves_no_orphan(board: Board) -> None:
    """Case 49."""
    board.behave("hang")
    impatient = board.target.model_copy(
        update={"timeouts": board.target.timeouts.model_copy(update={"run_seconds": 1})}
    )
    with pytest.raises(RunnerError, match=r"pi: fp32\.pte, run 1 of 2: the runner did not finish"):
        bench(board.bundle, impatient, **FAST)
    assert board.running() == []


def test_what_a_crash_leaves_is_kept_and_marked(board: Board) -> None:
    """Case 51."""
    board.behave("crash")
    partial_measurements: list[Measurement] = []
    with pytest.raises(RunnerError, match="SIGABRT"):
        bench(board.bundle, board.target, keep=partial_measurements.append, **FAST)
    [run] = partial_measurements[0].artifacts[0].runs
    assert not run.complete
    assert len(run.steady_ns) == 64
    assert not partial_measurements[0].valid


def test_output_without_end(board: Board) -> None:
    """Case 52: cut at a cap, and the program killed when its time is over."""
    board.behave("endless")
    impatient = board.target.model_copy(
        update={"timeouts": board.target.timeouts.model_copy(update={"run_seconds": 1.5})}
    )
    with pytest.raises(RunnerError, match="did not finish"):
        bench(board.bundle, impatient, **FAST)
    assert board.running() == []


def test_fifty_megabytes_of_stderr(board: Board) -> None:
    """Case 52."""
    board.behave("noisy")
    assert bench(board.bundle, board.target, **{**FAST, "runs": 1}).valid


def command_line(board: Board) -> subprocess.Popen[str]:
    """`edgekit bench` in a process of its own, once its runner is at work."""
    board.behave("hang")
    (board.place / "pi.yaml").write_text(
        board.target.model_dump_json(exclude_none=True, exclude_unset=True)
    )
    environment = {**os.environ, "EDGEKIT_DB": f"sqlite:///{board.place}/results.db"}
    argv = [
        sys.executable,
        "-m",
        "edgekit.cli",
        "bench",
        str(board.bundle.path),
        "--target",
        str(board.place / "pi.yaml"),
        "--quick",
    ]
    process = subprocess.Popen(
        argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )
    board.wait_for_runner()
    return process


def test_ctrl_c(board: Board) -> None:
    """Case 53: exit code 130, no traceback, nothing left running on the board, and the lock is
    free."""
    process = command_line(board)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=15)
    assert process.returncode == 130
    assert "interrupted" in stderr
    assert "Traceback" not in stderr
    assert board.running() == []
    board.behave("good")
    assert bench(board.bundle, board.target, **FAST).valid


def test_cancelled_by_another_thread(board: Board) -> None:
    """As Ctrl-C does for each of several boards: what was measured is kept, nothing is left running
    on the board, and the lock is free."""
    board.behave("hang")
    cancel, incomplete = Cancel(), list[Measurement]()

    def request() -> None:
        board.wait_for_runner()
        cancel.request()

    requesting = threading.Thread(target=request)
    requesting.start()
    with pytest.raises(KeyboardInterrupt):
        bench(board.bundle, board.target, cancel=cancel, keep=incomplete.append, **FAST)
    requesting.join()
    assert [measurement.failure for measurement in incomplete] == ["interrupted"]
    assert board.running() == []
    board.behave("good")
    assert bench(board.bundle, board.target, **FAST).valid


def test_ctrl_c_twice(board: Board, link: Proxy) -> None:
    """Case 53: the second one does not wait for a board that does not answer."""
    process = command_line(board)
    link.arm("stall", "up", 0)
    process.send_signal(signal.SIGINT)
    with pytest.raises(subprocess.TimeoutExpired):  # it waits to end the runner on the board
        process.wait(1)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGINT, "by the signal: it did not wait to the end"
    for pid in board.running():
        os.kill(pid, signal.SIGKILL)


def test_a_reboot(board: Board, ssh_server: Server, tmp_path: Path) -> None:
    """Case 50: all that ran on the board is gone, it answers again, and says that it was started
    since."""
    boot_id = tmp_path / "boot_id"
    boot_id.write_text("11111111-1111-1111-1111-111111111111\n")
    directory = Path("/tmp") / f"edgekit-reboot-{secrets.token_hex(6)}"
    directory.mkdir()
    for key in ("host_key", "user_key", "user_key.pub"):
        shutil.copy(ssh_server.directory / key, directory)
    mount = f"mount --bind {shlex.quote(str(boot_id))} /proc/sys/kernel/random/boot_id"
    if subprocess.run(["unshare", "-m", "sh", "-c", mount], capture_output=True).returncode != 0:
        cannot_run("needs root with the right to mount", need="mount")
    within = ["unshare", "-m", "sh", "-c", f'{mount} && exec "$@"', "sh"]
    try:
        with sshd.running(directory, within=within) as server:
            target = board.target.model_copy(update={"port": server.port})
            trust_target(target, lambda key: True)
            board.behave("hang")

            def reboot() -> None:
                board.wait_for_runner()
                boot_id.write_text("22222222-2222-2222-2222-222222222222\n")
                for pid in descendants(server.process.pid) - {server.process.pid}:
                    os.kill(pid, signal.SIGKILL)

            rebooting = threading.Thread(target=reboot)
            rebooting.start()
            with pytest.raises(
                RunnerError, match=r"pi: fp32\.pte, run 1 of 2: the device rebooted during the run"
            ):
                bench(board.bundle, target, **FAST)
            rebooting.join()
            board.behave("good")
            assert bench(board.bundle, target, **FAST).valid
    finally:
        shutil.rmtree(directory)


def test_a_link_that_breaks_during_a_run(board: Board, link: Proxy) -> None:
    """Neither a hang nor a reboot; and the program does not go on unseen."""
    board.behave("hang")
    link.briefly = True

    def cut() -> None:
        board.wait_for_runner()
        link.arm("cut", "up", 0)

    cutting = threading.Thread(target=cut)
    cutting.start()
    with pytest.raises(
        TransportError, match=r"pi: fp32\.pte, run 1 of 2: .*runner: the connection broke"
    ):
        bench(board.bundle, board.target, **FAST)
    cutting.join()
    assert board.running() == []


MEMORY = Path("/sys/fs/cgroup/memory")
GREEDY = "held = []\nwhile True: held.append(bytearray(1 << 20))"


def test_a_real_shortage_of_memory(board: Board) -> None:
    """Case 48: the kernel kills the runner, in a control group with 64 MB."""
    group = MEMORY / board.place.name
    try:
        group.mkdir()
        (group / "memory.limit_in_bytes").write_text(str(64 << 20))
        (group / "cgroup.procs").chmod(0o666)
    except OSError:
        cannot_run("needs root and control groups of version 1 with memory", need="machine")
    try:
        program = Path(str(board.target.runners.executorch.program))
        program.write_text(
            f"#!/bin/sh\necho $$ >{group}/cgroup.procs || exit 9\nexec /usr/bin/python3 -c"
            f" {shlex.quote(GREEDY)}\n"
        )
        with pytest.raises(
            RunnerError, match="the kernel killed the runner because the device ran out of memory"
        ) as raised:
            bench(board.bundle, board.target, **FAST)
        assert "free memory" in raised.value.hint
    finally:
        group.rmdir()
