"""Over real SSH: the password of the environment and the agent's key turn up neither here nor on
the board, whether a session ends well or badly."""

from __future__ import annotations

import secrets
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from edgekit.bundle.directory import Bundle
from edgekit.cli import run
from edgekit.devices.ssh_login import connect_target, trust_target
from edgekit.devices.target import SshTarget
from tests.support.board_programs import on_the_board
from tests.support.measured import make_bundle
from tests.support.tiers import cannot_run, require_root
from tools.testbed import sshd

pytestmark = [pytest.mark.device, pytest.mark.usefixtures("trusting")]
CANARY = "canary-9e1c44d0"
RECIPE = {"bench": {"warmup_min_seconds": 0, "min_seconds": 0}}


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return make_bundle(tmp_path / "bundle", ["fp32.pte"], recipe=RECIPE)


@pytest.fixture
def passworded() -> Iterator[sshd.Server]:
    """Lets the user in by the password CANARY only."""
    require_root("gives the test's user a password")
    if reason := sshd.why_not():
        cannot_run(reason)
    with sshd.with_password(CANARY) as server:
        yield server


@pytest.fixture
def agent(
    ssh_server: sshd.Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[sshd.Server]:
    """A server whose user's key only an agent holds."""
    socket = tmp_path / "agent"
    monkeypatch.setenv("SSH_AUTH_SOCK", str(socket))
    process = subprocess.Popen(["ssh-agent", "-D", "-a", str(socket)], stdout=subprocess.DEVNULL)
    try:
        while not socket.exists():
            assert process.poll() is None
        subprocess.run(["ssh-add", "-q", str(ssh_server.directory / "user_key")], check=True)
        yield ssh_server
    finally:
        process.kill()
        process.wait()


def target_file(server: sshd.Server, tmp_path: Path, workdir: str, program: str) -> Path:
    file = tmp_path / "board.yaml"
    file.write_text(
        f"edgekit: 1\nname: board\nkind: ssh\nhost: 127.0.0.1\nport: {server.port}\nuser:"
        f" {server.user}\nworkdir: {workdir}\nknown_hosts: {tmp_path}/known\nrunners: {{executorch:"
        f" {{program: {program}}}}}\ntimeouts: {{run_seconds: 20, no_progress_seconds: 10}}\n"
    )
    return file


@pytest.mark.parametrize(
    ("way", "behaviour"),
    [("passworded", "good"), ("passworded", "crash"), ("agent", "good"), ("agent", "says")],
)
def test_no_secret_turns_up(
    way: str,
    behaviour: str,
    bundle: Bundle,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server: sshd.Server = request.getfixturevalue(way)
    monkeypatch.setenv("EDGEKIT_SSH_PASSWORD", CANARY)
    monkeypatch.setenv("EDGEKIT_DB", str(tmp_path / "results.db"))
    key = (server.directory / "user_key").read_text().splitlines()[2]
    workdir = f"/tmp/edgekit-canary-{secrets.token_hex(6)}"
    dump_script = (  # all that a board's program can see, in what a failure shows
        "env >&2; cat /proc/$PPID/cmdline >&2"
    )
    with on_the_board(bundle, behaviour, first=dump_script) as program:
        board = target_file(server, tmp_path, workdir, program)
        target = SshTarget.model_validate(
            {
                "edgekit": 1,
                "name": "board",
                "kind": "ssh",
                "host": "127.0.0.1",
                "port": server.port,
                "user": server.user,
                "known_hosts": f"{tmp_path}/known",
            }
        )
        trust_target(target, lambda key: True)
        try:
            ended = run(
                ["bench", str(bundle.path), "--target", str(board), "--runs", "2", "--debug"]
            )
            assert ended == (0 if behaviour == "good" else 8)
            assert run(["results", "show"]) == 0
            assert run(["report", "-o", str(tmp_path / "report.html")]) == 0
            assert run(["target", "show", str(board)]) == 0
            if way == "passworded":
                monkeypatch.setenv("EDGEKIT_SSH_PASSWORD", f"{CANARY}-wrong")
                assert run(["bench", str(bundle.path), "--target", str(board), "--debug"]) == 6
                monkeypatch.setenv("EDGEKIT_SSH_PASSWORD", CANARY)
            places = [tmp_path, Path(workdir), server.directory / "sshd.log"]
            assert list(Path(workdir).iterdir())
            assert leaks(places, CANARY) == leaks(places, key) == []
        finally:
            with closing(connect_target(target)) as device:
                device.run(["rm", "-rf", workdir], timeout_s=20)
    captured = capfd.readouterr()
    assert "board" in captured.out
    assert CANARY not in captured.out + captured.err
    assert key not in captured.out + captured.err


def leaks(places: list[Path], secret: str) -> list[Path]:
    files = [
        file
        for place in places
        for file in ([place] if place.is_file() else place.rglob("*"))
        if file.is_file()
    ]
    return [file for file in files if secret.encode() in file.read_bytes()]
