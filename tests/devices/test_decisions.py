"""Comparing and gating two builds over real SSH and over a real adbd, under a runner that says how
long they take."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import edgekit
from edgekit.bundle.directory import Bundle
from edgekit.devices import connect
from edgekit.devices.ssh_login import resolve, trust
from edgekit.devices.target import AdbTarget, SshTarget
from edgekit.recipe.limits import Gate
from tests.support.board_programs import on_the_board
from tests.support.measured import make_bundle
from tools.testbed import adbd, sshd

pytestmark = pytest.mark.device
SETTINGS = {"warmup_min_seconds": 0, "min_seconds": 0}
LIMITS = Gate(metrics={"top1": None})


@pytest.fixture
def runner(builds: tuple[Bundle, Bundle]) -> Iterator[str]:
    with on_the_board(builds[0]) as program:
        yield program


@pytest.fixture
def builds(tmp_path: Path) -> tuple[Bundle, Bundle]:
    """One that takes 2 ms, one that takes 4 ms."""
    return make_bundle(tmp_path / "fast", ["fp32.pte"]), make_bundle(
        tmp_path / "slow", ["fp32.pte"], text="slow!"
    )


@pytest.fixture(params=["ssh", "adb"])
def board(request: pytest.FixtureRequest, runner: str) -> Iterator[SshTarget | AdbTarget]:
    runners = {"executorch": {"program": runner}}
    common = {"edgekit": 1, "name": "board", "kind": request.param, "runners": runners}
    if request.param == "ssh":
        server: sshd.Server = request.getfixturevalue("ssh_server")
        request.getfixturevalue("trusting")
        way: dict[str, Any] = {
            "port": server.port,
            "user": server.user,
            "identity_file": str(server.directory / "user_key"),
        }
        trust("board", resolve("127.0.0.1", **way))
        workdir = f"/tmp/edgekit-decisions-{secrets.token_hex(6)}"
        target: SshTarget | AdbTarget = SshTarget.model_validate(
            {**common, "host": "127.0.0.1", **way, "workdir": workdir}
        )
    else:
        daemon: adbd.Daemon = request.getfixturevalue("adb_daemon")
        request.getfixturevalue("own_adb_server")
        workdir = str(daemon.directory / "tmp" / "edgekit-decisions")
        target = AdbTarget.model_validate(
            {**common, "serial": daemon.serial, "allow_network": True, "workdir": workdir}
        )
    yield target
    with closing(connect(target)) as device:
        device.run(["rm", "-rf", target.workdir], timeout_s=20)


def test_a_slower_build_is_found_and_does_not_pass(
    board: SshTarget | AdbTarget, builds: tuple[Bundle, Bundle]
) -> None:
    fast, slow = builds
    compared = edgekit.compare(fast, slow, board, settings=SETTINGS)
    verdicts = {finding.metric: finding for finding in compared.findings}
    assert (verdicts["latency_p50"].verdict, verdicts["size"].verdict) == ("worse", "same")
    assert verdicts["latency_p50"].mid == pytest.approx(2, rel=0.05)
    assert (compared.caveat, compared.b.target_kind) == ("", board.kind)
    gated = edgekit.gate(slow, fast, board, limits=LIMITS, settings=SETTINGS)
    assert [f"{finding.pair} {finding.metric}" for finding in gated.regressed] == [
        "fp32.pte latency_p50"
    ]
    with closing(connect(board)) as device:
        there = device.run(["ls", "-A", board.workdir], timeout_s=20).stdout.split()
    assert b"bundles" in there
    assert b"current" not in there, "a comparison makes neither build the board's current one"


def test_the_faster_build_passes(
    board: SshTarget | AdbTarget, builds: tuple[Bundle, Bundle]
) -> None:
    fast, slow = builds
    gated = edgekit.gate(fast, slow, board, limits=LIMITS, settings=SETTINGS)
    assert gated.passed, gated.summary
