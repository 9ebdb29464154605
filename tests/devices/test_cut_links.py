"""Links that break, on real SSH through a proxy that breaks them: in bounded time the old bundle or
the new one, and a plain retry goes on."""

from __future__ import annotations

import os
import random
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from edgekit.bundle.directory import Bundle
from edgekit.deployment import DeployReport, deploy, hold, verify
from edgekit.deployment.packs import PACKED_BYTES
from edgekit.deployment.tree_scripts import ACTIVATE
from edgekit.devices import CompletedProgram
from edgekit.devices.ssh import SshDevice
from edgekit.devices.ssh_login import connect, resolve, trust
from edgekit.devices.target_sections import Timeouts
from edgekit.errors import TransportError
from tests.support.bundles import write_bundle
from tests.support.deployments import contents, live
from tools.testbed import proxy
from tools.testbed.proxy import Proxy
from tools.testbed.sshd import Server

pytestmark = pytest.mark.device

PATIENT = Timeouts(connect_seconds=20, no_progress_seconds=20)
IMPATIENT = Timeouts(connect_seconds=20, no_progress_seconds=0.6)
GIVEN_UP_S = 30
"""Far more than IMPATIENT asks for, so that a busy machine does not matter, and far less than the
120 seconds and more after which a script is given up anyway."""
LARGE_CUTS = 200
FILE_BYTES = 600_000
CLOSING_BYTES = 72
"""What is sent after a file at most: its end, and the end of the channel."""


@pytest.fixture
def link(ssh_server: Server, trusting: None) -> Iterator[Proxy]:
    with proxy.running(ssh_server.port) as opened:
        yield opened


Reach = Callable[..., SshDevice]


@pytest.fixture
def reach(link: Proxy, ssh_server: Server) -> Reach:
    """Connects to the board through the proxy."""
    login = resolve(
        "127.0.0.1",
        port=link.port,
        user=ssh_server.user,
        identity_file=str(ssh_server.directory / "user_key"),
    )
    trust("board", login)
    return lambda timeouts=PATIENT: connect("board", login, timeouts=timeouts)


@pytest.mark.nightly
def test_cut_at_every_byte_of_a_small_file(
    link: Proxy, reach: Reach, store: Path, tmp_path: Path
) -> None:
    """Case 27: in whatever part of the encrypted stream, the file is not there, empty, or whole."""
    content, local = secrets.token_bytes(16), tmp_path / "small"
    sizes = []
    for data in (b"", content):
        local.write_bytes(data)
        with closing(reach()) as device:
            device.run(["mkdir", "-p", str(store)], timeout_s=20)
            link.arm("cut", "up", 1 << 40)
            device.push(local, f"{store}/small")
            sizes.append(link.passed["up"])
    outcomes, cuts = set(), 0
    for at in range(sizes[0] - CLOSING_BYTES, sizes[1]):
        (store / "small").unlink(missing_ok=True)
        with closing(reach()) as device:
            link.arm("cut", "up", at)
            with suppress(TransportError):
                device.push(local, f"{store}/small")
        cuts += not link.disarm()
        outcomes.add((store / "small").read_bytes() if (store / "small").exists() else None)
    assert cuts > len(content)
    assert outcomes <= {None, b"", content}
    assert content in outcomes
    print(f"{cuts} cuts")


@pytest.mark.nightly
def test_cut_at_200_random_bytes_of_a_large_deployment(
    link: Proxy, reach: Reach, store: Path, tmp_path: Path
) -> None:
    """Case 27: every attempt is the plain retry of the one before, and goes on from what had
    arrived."""
    randomly = random.Random(27)
    made = [
        write_bundle(tmp_path / str(number), str(number), large_bytes=FILE_BYTES)
        for number in range(100)
    ]
    link.arm("cut", "up", 1 << 40)
    with closing(reach()) as device:
        deploy(made[0], device, str(store))
    steps_bytes = link.passed["up"] - FILE_BYTES
    before, after = (contents(bundle.path) for bundle in made[:2])
    cuts = bundles = 0
    while cuts < LARGE_CUTS:
        if live(store) == after:
            bundles += 1
            before, after = after, contents(made[bundles + 1].path)
        arrived = sum(
            path.stat().st_size
            for path in (store / "staging").iterdir()
            if path.stat().st_size > PACKED_BYTES
        )
        with closing(reach()) as device:
            link.arm("cut", "up", randomly.randrange(steps_bytes + FILE_BYTES - arrived))
            with suppress(TransportError):
                deploy(made[bundles + 1], device, str(store))
        cuts += not link.disarm()
        assert live(store) in (before, after)
    with closing(reach()) as device:
        deploy(made[bundles + 1], device, str(store))
        assert verify(device, str(store)).files == 7
    assert live(store) == after
    print(f"{cuts} cuts while {bundles + 2} bundles were deployed")


@pytest.mark.parametrize("way", ["up", "down"])
def test_a_stall_without_an_end_of_the_connection(
    way: proxy.Way, link: Proxy, reach: Reach, store: Path, old: Bundle, new: Bundle
) -> None:
    """Case 28: wherever it is, it is given up when the target's `no_progress_seconds` are over;
    closing does not wait for anything either."""
    for part in (0.0, 0.1, 0.3, 0.5):
        shutil.rmtree(store, ignore_errors=True)  # else what arrived is not sent again
        with closing(reach()) as device:
            link.arm("stall", way, 1 << 40)
            deploy(old, device, str(store))
        device = reach(IMPATIENT)
        link.arm("stall", way, int(part * link.passed[way]))
        started = time.monotonic()
        with pytest.raises(TransportError, match=r"^board: [a-z0-9. ]+: ") as raised:
            deploy(new, device, str(store))
        device.close()
        assert time.monotonic() - started < GIVEN_UP_S
        assert raised.value.hint
        assert live(store) == contents(old.path)
    with closing(reach()) as device:
        assert deploy(new, device, str(store)).bytes_moved < 3 << 20
    assert live(store) == contents(new.path)


def test_a_silent_program_is_no_stall(reach: Reach) -> None:
    with closing(reach(Timeouts(no_progress_seconds=1))) as device:
        assert device.run(["sleep", "2.5"], timeout_s=20).ok


def test_a_slow_link_is_no_stall(link: Proxy, reach: Reach, store: Path, old: Bundle) -> None:
    """Buffers on the way hold more than passes in `no_progress_seconds`: what the board takes
    counts."""
    with closing(reach(Timeouts(no_progress_seconds=1))) as device:
        link.bytes_per_s = 1_000_000
        deploy(old, device, str(store))
    assert live(store) == contents(old.path)


@pytest.mark.parametrize("way", ["up", "down"])
def test_flipped_on_the_way(
    way: proxy.Way, link: Proxy, reach: Reach, store: Path, old: Bundle, new: Bundle
) -> None:
    """Case 30: SSH notices each, also in a length, which then makes it wait for what never
    comes."""
    randomly = random.Random(30)
    with closing(reach()) as device:
        link.arm("flip", way, 1 << 40)
        deploy(old, device, str(store))
    size = link.passed[way]
    for _ in range(6):
        started = time.monotonic()
        with closing(reach(IMPATIENT)) as device:
            link.arm("flip", way, randomly.randrange(size // 2))
            with pytest.raises(TransportError):
                deploy(new, device, str(store))
            (store / "staging" / new.manifest.artifacts[0].file.sha256).unlink(missing_ok=True)
        assert time.monotonic() - started < GIVEN_UP_S
        assert live(store) == contents(old.path)


class Deaf:
    """Loses the reply to the activation: the connection is cut when it comes."""

    def __init__(self, device: SshDevice, link: Proxy, lose: str) -> None:
        self._device, self._link, self._lose = device, link, lose
        self.name = device.name

    def __getattr__(self, name: str) -> object:
        return getattr(self._device, name)

    def run(self, argv: list[str], **options: object) -> CompletedProgram:
        if argv[2:3] == [ACTIVATE]:
            self._link.arm("cut", "down", 150 if self._lose == "reply" else 0)
        return self._device.run(argv, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("lose", ["reply", "request"])
def test_the_reply_to_the_switch_is_lost(
    lose: str, link: Proxy, reach: Reach, store: Path, old: Bundle, new: Bundle
) -> None:
    """Case 35: the retry asks the board what is current, and keeps the old one for a rollback."""
    with closing(reach()) as device:
        deploy(old, device, str(store))
    with closing(reach()) as device, pytest.raises(TransportError, match="switching over"):
        deploy(new, Deaf(device, link, lose), str(store))  # type: ignore[arg-type]
    link.disarm()
    with closing(reach()) as device:
        report: DeployReport = deploy(new, device, str(store))
    assert report.bytes_moved == 0
    assert live(store) == contents(new.path)
    assert contents(store / "previous") == contents(old.path)


def test_a_lock_that_could_not_be_released_is_free_again_in_this_process(
    link: Proxy, reach: Reach, store: Path
) -> None:
    with closing(reach()) as device, hold(device, str(store)):
        link.arm("cut", "up", 0)
    assert not link.disarm()
    with closing(reach()) as device, hold(device, str(store)):
        pass


def test_a_link_that_breaks_briefly(
    link: Proxy, reach: Reach, store: Path, old: Bundle, new: Bundle
) -> None:
    """What was at work fails; over a new connection its remains are ended and the lock is released,
    without anybody waiting for anything."""
    link.briefly = True
    with closing(reach()) as device:
        deploy(old, device, str(store))
        for at in (3000, 100_000):
            link.arm("cut", "up", at)
            with pytest.raises(TransportError, match="connection"):
                deploy(new, device, str(store))
            assert [os.readlink(entry) for entry in store.glob("lock.*")] == ["free"]
            assert live(store) == contents(old.path)
        pids: list[int] = []
        link.arm("cut", "down", 2500)
        script = "echo $$; trap '' PIPE; while :; do echo; sleep 0.01; done"
        with pytest.raises(TransportError, match="connection"):
            device.run(
                ["sh", "-c", script],
                timeout_s=60,
                on_stdout=lambda chunk: pids.extend(map(int, chunk.split())),
            )
        until = time.monotonic() + 5
        while Path(f"/proc/{pids[0]}").exists() and time.monotonic() < until:
            time.sleep(0.05)
        assert not Path(f"/proc/{pids[0]}").exists()
        deploy(new, device, str(store))
    assert live(store) == contents(new.path)
    with pytest.raises(TransportError, match="not connected"):
        device.run(["true"], timeout_s=20)


def test_nothing_is_left_running(link: Proxy, reach: Reach) -> None:
    """Threads that serve a connection end with it."""
    before = set(threading.enumerate())
    device = reach(IMPATIENT)
    link.arm("stall", "up", 0)
    with pytest.raises(TransportError):
        device.run(["true"], timeout_s=20)
    device.close()
    until = time.monotonic() + 5
    while time.monotonic() < until and [
        thread for thread in set(threading.enumerate()) - before if "_pass" not in thread.name
    ]:
        time.sleep(0.05)
    assert not [
        thread for thread in set(threading.enumerate()) - before if "_pass" not in thread.name
    ]
