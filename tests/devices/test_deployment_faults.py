"""What a board's disk, its server, its clock and other hosts do to a deployment, over real SSH as
an unprivileged user."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import paramiko
import pytest

from edgekit.bundle.directory import Bundle
from edgekit.deployment import deploy, hold, provision, verify
from edgekit.devices.ssh import SshDevice
from edgekit.devices.ssh_config import Login
from edgekit.devices.ssh_keys import record
from edgekit.devices.ssh_login import connect, resolve, trust
from edgekit.errors import BusyError, DeviceError, IdentityError, TransportError
from edgekit.runners.runtime import Runtime, describe_file
from tests.support.bundles import LARGE_BYTES, write_bundle
from tests.support.deployments import BOOT_ID, UPTIME_S, contents, live
from tools.testbed import sshd
from tools.testbed.sshd import Server

pytestmark = [pytest.mark.device, pytest.mark.usefixtures("trusting")]


def login_to(server: Server) -> Login:
    return resolve(
        "127.0.0.1",
        port=server.port,
        user=server.user,
        identity_file=str(server.directory / "user_key"),
    )


@pytest.fixture
def device(ssh_server: Server, trusting: None) -> Iterator[SshDevice]:
    trust("board", login_to(ssh_server))
    with closing(connect("board", login_to(ssh_server))) as opened:
        yield opened


@pytest.fixture
def server_with() -> Callable[..., Any]:
    """A server of one's own, with further lines of configuration."""

    @contextmanager
    def start(*options: str) -> Iterator[Server]:
        directory = Path("/tmp") / f"edgekit-sshd-{secrets.token_hex(6)}"
        directory.mkdir()
        try:
            with sshd.running(directory, *options) as server:
                yield server
        finally:
            shutil.rmtree(directory)

    return start


class Flipping:
    """Flips a bit of every large file on the board's disk, once it has arrived there."""

    def __init__(self, device: SshDevice) -> None:
        self._device, self.name, self.run = device, device.name, device.run

    def push(self, local: Path, remote: str, **options: Any) -> None:
        self._device.push(local, remote, **options)
        with open(remote, "r+b") as staged:
            staged.seek(LARGE_BYTES // 2)
            byte = staged.read(1)[0]
            staged.seek(-1, os.SEEK_CUR)
            staged.write(bytes([byte ^ 1]))


def test_a_flipped_bit_in_the_staged_file(
    device: SshDevice, store: Path, old: Bundle, new: Bundle
) -> None:
    """Case 30."""
    deploy(old, device, str(store))
    with pytest.raises(TransportError, match=r"board: fp32\.pte arrived damaged"):
        deploy(new, Flipping(device), str(store))  # type: ignore[arg-type]
    assert live(store) == contents(old.path)
    deploy(new, device, str(store))
    assert live(store) == contents(new.path)


def test_the_disk_is_full(
    device: SshDevice, tiny_disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Case 31: seen before anything is sent; and where others fill the disk meanwhile, what was
    staged is removed."""
    old, new = (
        write_bundle(tmp_path / name, name, large_bytes=bytes_)
        for name, bytes_ in (("old", 300_000), ("new", 900_000))
    )
    store = tiny_disk / "store"
    with pytest.raises(DeviceError, match="MiB free, 2 MiB needed") as raised:
        deploy(old, device, str(store))
    assert raised.value.exit_code == 7
    monkeypatch.setattr("edgekit.deployment.objects.SPARE_BYTES", -(1 << 20))
    deploy(old, device, str(store))
    with pytest.raises(DeviceError, match=r"(?i)no space left") as raised:
        deploy(new, device, str(store))
    assert raised.value.exit_code == 7
    assert not [
        path for path in (store / "staging").iterdir() if path.stat().st_size > 100_000
    ]  # small ones are collected by the next
    assert live(store) == contents(old.path)
    deploy(old, device, str(store))
    assert verify(device, str(store)).files == 7


def test_a_read_only_file_system(
    device: SshDevice, tiny_disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Case 32: as cards become that wear out."""
    monkeypatch.setattr("edgekit.deployment.objects.SPARE_BYTES", 0)
    old, new = (write_bundle(tmp_path / name, name, large_bytes=300_000) for name in ("old", "new"))
    store = tiny_disk / "store"
    deploy(old, device, str(store))
    subprocess.run(["mount", "-o", "remount,ro", str(tiny_disk)], check=True)
    with pytest.raises(DeviceError, match=f"{store}: not writable") as raised:
        deploy(new, device, str(store))
    assert raised.value.exit_code == 7
    assert live(store) == contents(old.path)
    subprocess.run(["mount", "-o", "remount,rw", str(tiny_disk)], check=True)
    deploy(new, device, str(store))
    assert live(store) == contents(new.path)


def test_no_permission(device: SshDevice, old: Bundle) -> None:
    """Case 32."""
    with pytest.raises(DeviceError, match=r"(?i)permission denied") as raised:
        deploy(old, device, "/usr/local/edgekit-store")
    assert (raised.value.exit_code, "\n" in raised.value.message) == (7, False)


def test_staging_is_another_hosts_while_it_holds_the_lock(
    device: SshDevice, store: Path, old: Bundle, new: Bundle
) -> None:
    """Cases 36 and 43: the second host gets 75 and touches nothing; what a host left behind is
    collected by the next that holds the lock."""
    deploy(old, device, str(store))
    staged = store / "staging" / ("0" * 64)
    staged.write_bytes(b"on its way")
    [free] = store.glob("lock.*")
    entry = store / f"lock.{int(free.suffix[1:]) + 1}"
    entry.symlink_to(
        f"held {UPTIME_S + 100_000} {BOOT_ID} another-host 1234 5678 alice@laptop 0123456789abcdef"
    )
    with pytest.raises(BusyError, match="alice@laptop") as raised:
        deploy(new, device, str(store))
    assert raised.value.exit_code == 75
    assert staged.read_bytes() == b"on its way"
    assert live(store) == contents(old.path)
    entry.unlink()
    deploy(new, device, str(store))
    assert not staged.exists()


def test_two_connections_at_once(
    device: SshDevice, ssh_server: Server, store: Path, old: Bundle
) -> None:
    """Case 43."""
    with (
        hold(device, str(store)),
        closing(connect("board", login_to(ssh_server))) as other,
        pytest.raises(BusyError),
    ):
        deploy(old, other, str(store))
    assert live(store) is None


def test_the_partial_upload_is_of_something_else(
    device: SshDevice, store: Path, tmp_path: Path, old: Bundle
) -> None:
    """Case 37."""
    (tmp_path / "part").write_bytes(bytes(1_000_000))
    device.run(["mkdir", "-p", f"{store}/staging"], timeout_s=20)
    device.push(tmp_path / "part", f"{store}/staging/{old.manifest.artifacts[0].file.sha256}")
    assert deploy(old, device, str(store)).bytes_moved > LARGE_BYTES
    assert live(store) == contents(old.path)


def test_same_size_and_time_other_bytes(
    device: SshDevice, store: Path, old: Bundle, new: Bundle
) -> None:
    """Case 45: on the board, where only hashes count."""
    deploy(old, device, str(store))
    altered = (store / "current" / "fp32.pte").resolve()
    before = altered.stat()
    with open(altered, "r+b") as content:
        content.write(b"other")
    os.utime(altered, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (altered.stat().st_size, altered.stat().st_mtime_ns) == (
        before.st_size,
        before.st_mtime_ns,
    )
    with pytest.raises(DeviceError, match=r"altered or missing: fp32\.pte"):
        verify(device, str(store))
    assert deploy(old, device, str(store)).bytes_moved == LARGE_BYTES
    assert live(store) == contents(old.path)


def test_nothing_is_sent_to_a_host_with_another_key(
    server_with: Callable[..., Any], tmp_path: Path
) -> None:
    """Case 38: not even the name of the user."""
    with server_with("LogLevel DEBUG1") as server:
        login, log = login_to(server), server.directory / "sshd.log"
        trust("board", login)
        connect("board", login).close()
        assert "userauth-request for user" in log.read_text()
        for known in ("nothing", "another key"):
            known_hosts = tmp_path / known
            if known == "another key":
                subprocess.run(
                    ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "key")],
                    check=True,
                )
                record(login, paramiko.PKey.from_path(tmp_path / "key"), known_hosts)
            start = log.stat().st_size
            with pytest.raises(IdentityError) as raised:
                connect("board", login, known_hosts=str(known_hosts))
            assert raised.value.exit_code == 6
            until = time.monotonic() + 5
            while "[preauth]" not in log.read_text()[start:] and time.monotonic() < until:
                time.sleep(0.02)
            assert "userauth-request" not in log.read_text()[start:]


def test_no_sftp(device: SshDevice, store: Path, old: Bundle) -> None:
    """Case 40: the tests' servers have no such subsystem, and nothing here needs one, nor its
    `posix-rename`."""
    transport = device._clients[0].get_transport()
    assert transport is not None
    with pytest.raises((paramiko.SSHException, EOFError)):
        paramiko.SFTPClient.from_transport(transport)
    deploy(old, device, str(store))
    assert live(store) == contents(old.path)


def test_a_login_shell_that_talks(
    server_with: Callable[..., Any], store: Path, tmp_path: Path, old: Bundle, new: Bundle
) -> None:
    """Case 41: before the program and after it, on both streams, beside the server's own banner."""
    talk = (
        'printf "WELCOME\\nhave fun: "; echo "you have mail" >&2; sh -c "$SSH_ORIGINAL_COMMAND";'
        " code=$?; echo bye >&2; exit $code"
    )
    banner = tmp_path / "banner"
    banner.write_text("authorized users only\n" * 50)
    with server_with(f"ForceCommand {talk}", f"Banner {banner}") as server:
        trust("board", login_to(server))
        with closing(connect("board", login_to(server))) as talking:
            assert talking.run(["echo", "said"], timeout_s=20).stdout == b"said\n"
            for bundle in (old, new):
                deploy(bundle, talking, str(store))
                assert live(store) == contents(bundle.path)


@pytest.mark.parametrize("years", [10, -10])
def test_a_clock_that_is_ten_years_off(
    years: int, device: SshDevice, store: Path, tmp_path: Path, old: Bundle, new: Bundle
) -> None:
    """Case 42: everything on the board's disk is from the other time. Nothing is sent again, and
    the runtime used last is kept as the newest."""

    def runtime(number: int) -> Runtime:
        program = tmp_path / f"run {number}"
        program.write_text(f"#!/bin/sh\necho {number}\n")
        return Runtime(
            "executorch", "1", "any", (describe_file(program, "run", 0o755),), ("{directory}/run",)
        )

    deploy(old, device, str(store))
    for number in range(4):
        provision(device, str(store), runtime(number))
    then = time.time() + years * 365 * 86400
    for path in (store, *store.rglob("*")):
        os.utime(path, (then, then), follow_symlinks=False)
    argv = provision(device, str(store), runtime(4))
    assert deploy(old, device, str(store)).bytes_moved == 0
    assert device.run(argv, timeout_s=20).stdout == b"4\n"
    deploy(new, device, str(store))
    assert live(store) == contents(new.path)
    assert contents(store / "previous") == contents(old.path)
