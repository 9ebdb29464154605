"""What is adb's own: states of a device told apart, servers that are restarted, several devices
(FAULTS 44). Real adbd, real adb server."""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from edgekit.bundle.directory import Bundle
from edgekit.deployment import deploy, verify
from edgekit.devices import adb, adb_server, adb_sync
from edgekit.devices.adb_client import WrapperOutput
from edgekit.devices.pump import Capped
from edgekit.devices.target import AdbTarget
from edgekit.errors import DeviceError, EdgekitError, IdentityError, TransportError
from tests.support.boards import require_adbd
from tests.support.bundles import noise, write_bundle
from tools.testbed import adbd, proxy

LARGE_BYTES, SMALL_BYTES = 32 << 20, 1 << 20
DEVICES = """* daemon not running; starting now at tcp:5037
* daemon started successfully
List of devices attached
0123456789ABCDEF\tdevice
192.168.1.7:5555\toffline
emulator-5554\tunauthorized
????????????\tno permissions (user in plugdev group; are your udev rules wrong?); see [a page]

"""


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A server that knows no device yet."""
    require_adbd()
    with adbd.server(tmp_path) as environment:
        for key, value in environment.items():
            monkeypatch.setenv(key, value)
        yield


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


def start(stack: ExitStack, **options: str) -> adbd.Daemon:
    directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="edgekit-adbd-"))
    return stack.enter_context(adbd.running(Path(directory), **options))  # type: ignore[arg-type]


def target(
    serial: str | None,
    *,
    allow_network: bool = True,
    connect_seconds: float = 10,
    no_progress_seconds: float = 30,
) -> AdbTarget:
    timeouts = {"connect_seconds": connect_seconds, "no_progress_seconds": no_progress_seconds}
    return AdbTarget.model_validate(
        {
            "edgekit": 1,
            "name": "phone",
            "kind": "adb",
            "serial": serial,
            "allow_network": allow_network,
            "timeouts": timeouts,
        }
    )


def refused(phone: AdbTarget) -> EdgekitError:
    with pytest.raises(EdgekitError) as raised:
        adb.connect(phone)
    assert raised.value.hint
    assert "phone" in raised.value.message or phone.serial is None
    assert "\n" not in raised.value.message
    return raised.value


def test_devices_as_adb_lists_them() -> None:
    states = adb_server.parse_devices(DEVICES)
    assert list(states) == ["0123456789ABCDEF", "192.168.1.7:5555", "emulator-5554", "????????????"]
    assert [state.split(" (")[0] for state in states.values()] == [
        "device",
        "offline",
        "unauthorized",
        "no permissions",
    ]
    assert adb_server.parse_devices("List of devices attached\n\n") == {}


@pytest.mark.parametrize(
    ("state", "kind", "says"),
    [
        (None, TransportError, "does not see it"),
        ("offline", TransportError, "offline"),
        ("no permissions (user in plugdev group)", TransportError, "USB"),
        ("unauthorized", IdentityError, "trust"),
        ("recovery", DeviceError, "recovery"),
        ("\x1b[31mred", DeviceError, "red"),
    ],
)
def test_each_state_has_an_error_of_its_own(
    state: str | None, kind: type[EdgekitError], says: str
) -> None:
    error = adb_server.not_ready("phone", "0123", state, {})
    assert type(error) is kind
    assert says in error.message
    assert "\x1b" not in error.message
    assert error.hint


def test_only_lines_of_the_wrapper_are_taken_out() -> None:
    for step in (1, 3, 1000):
        output = WrapperOutput("00ff", Capped(1000))
        stream = b"adb: notice\n00ff group 123\nfirst 00f 00ff last00ff signal\n"
        for start_ in range(0, len(stream), step):
            output.add(stream[start_ : start_ + step])
        assert (output.group, output.ended_by, bytes(output.sink.data)) == (
            123,
            "signal",
            b"first 00f 00ff last",
        )


def test_the_program_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("ANDROID_HOME", raising=False)
    monkeypatch.delenv("ANDROID_SDK_ROOT", raising=False)
    with pytest.raises(TransportError, match="not installed"):
        adb_server.find_adb()
    program = tmp_path / "sdk" / "platform-tools" / "adb"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("ANDROID_HOME", str(tmp_path / "sdk"))
    assert adb_server.find_adb() == str(program)


@pytest.mark.device
def test_no_device_and_a_missing_one(server: None) -> None:
    assert refused(target(None)).exit_code == 5
    for serial in ("no-such-serial", "usb:9-9"):
        error = refused(target(serial))
        assert (error.exit_code, "does not see" in error.message) == (5, True)
    error = refused(target("127.0.0.1:1"))
    assert error.exit_code == 5


@pytest.mark.device
def test_unauthorized(server: None, stack: ExitStack) -> None:
    daemon = start(stack, ro__adb__secure="1")
    error = refused(target(daemon.serial, connect_seconds=1))
    assert (type(error), error.exit_code) == (IdentityError, 6)


@pytest.mark.device
def test_a_device_in_recovery(server: None, stack: ExitStack) -> None:
    error = refused(target(start(stack, banner="recovery").serial))
    assert (error.exit_code, "recovery" in error.message) == (7, True)


@pytest.mark.device
def test_several_devices_and_no_serial(server: None, stack: ExitStack) -> None:
    first, second = start(stack), start(stack)
    adb.connect(target(first.serial))
    assert adb.connect(target(None)).serial == first.serial
    adb.connect(target(second.serial))
    error = refused(target(None))
    assert error.exit_code == 5
    assert first.serial in error.message
    assert second.serial in error.message


@pytest.mark.device
def test_over_the_network_only_when_allowed(
    server: None, stack: ExitStack, caplog: pytest.LogCaptureFixture
) -> None:
    daemon = start(stack)
    for _ in range(2):
        adb.connect(target(daemon.serial))
    assert [daemon.serial in record.getMessage() for record in caplog.records] == [True]
    assert "network" in refused(target(None, allow_network=False)).message


@pytest.mark.device
def test_the_server_is_restarted(server: None, stack: ExitStack) -> None:
    device = adb.connect(target(start(stack).serial))
    for between in ([], ["start-server"]):
        subprocess.run(["adb", "kill-server"], check=True, capture_output=True)
        if between:
            subprocess.run(["adb", *between], check=True, capture_output=True)
        assert device.run(["echo", "back"], timeout_s=20).stdout == b"back\n"


@pytest.mark.device
def test_the_device_goes_away_and_comes_back(server: None, stack: ExitStack) -> None:
    first = start(stack)
    device = adb.connect(target(first.serial, connect_seconds=5))
    first.stop()
    with pytest.raises(TransportError) as raised:
        device.run(["true"], timeout_s=20)
    assert raised.value.hint
    stack.enter_context(adbd.running(first.directory, port=first.port))
    assert device.run(["echo", "back"], timeout_s=20).stdout == b"back\n"


@pytest.mark.device
def test_the_server_dies_while_a_program_runs(server: None, stack: ExitStack) -> None:
    device = adb.connect(target(start(stack).serial))

    def kill_server(output: bytes) -> None:
        subprocess.run(["adb", "kill-server"], capture_output=True)

    with pytest.raises(TransportError, match="broke"):
        device.run(["sh", "-c", "echo 1; sleep 20"], timeout_s=20, on_stdout=kill_server)
    assert device.run(["true"], timeout_s=20).ok


@pytest.mark.device
def test_the_server_dies_while_a_bundle_is_sent(
    server: None, stack: ExitStack, old: Bundle, tmp_path: Path
) -> None:
    new = write_bundle(
        tmp_path / "bundle", "new", shared=noise("large", 16 << 20)
    )  # more than the way to the device holds
    daemon = start(stack)
    device = adb.connect(target(daemon.serial))
    store = str(daemon.directory / "tmp" / "edgekit")
    deploy(old, device, store)
    killed_at: list[float] = []

    def kill_server(task: str, done: float, total: float, text: str = "") -> None:
        if done > total // 2 and not killed_at:
            killed_at.append(done)
            subprocess.run(["adb", "kill-server"], check=True, capture_output=True)

    with pytest.raises(TransportError):
        deploy(new, device, store, progress=kill_server)
    assert verify(device, store).bundle.startswith(old.manifest.id[:12])
    report = deploy(new, device, store)
    assert 0 < report.bytes_moved < sum(artifact.file.bytes for artifact in new.manifest.artifacts)
    assert verify(device, store).bundle.startswith(new.manifest.id[:12])


@pytest.mark.device
@pytest.mark.parametrize("fault", ["cut", pytest.param("stall", marks=pytest.mark.nightly)])
def test_a_link_that_breaks_while_a_large_file_is_sent(
    fault: proxy.Kind, server: None, stack: ExitStack, old: Bundle, tmp_path: Path
) -> None:
    """What arrived is kept under its name, where `adb push` would delete it, and only the rest is
    sent the next time."""
    new = write_bundle(tmp_path / "bundle", "new", large_bytes=LARGE_BYTES)
    daemon = start(stack)
    link = stack.enter_context(proxy.running(daemon.port))
    store = daemon.directory / "tmp" / "edgekit"
    device = adb.connect(target(f"127.0.0.1:{link.port}"))
    impatient = adb.connect(target(device.serial, connect_seconds=2, no_progress_seconds=3))
    deploy(old, device, str(store))
    link.arm(fault, "up", LARGE_BYTES // 2)
    part = store / "staging" / new.manifest.artifacts[0].file.sha256

    def wait_for_the_name(task: str, done: float, total: float, text: str = "") -> None:
        """The file gets its name beside the sending. Half of it can be quicker than that on a
        busy machine, and then there is nothing to keep yet."""
        deadline = time.monotonic() + 10
        while done > LARGE_BYTES // 4 and not part.exists() and time.monotonic() < deadline:
            time.sleep(0.01)

    started = time.monotonic()
    with pytest.raises(
        TransportError, match=r"sending fp32\.pte: .*(broke|nothing for 3 s)"
    ) as raised:
        deploy(new, impatient, str(store), progress=wait_for_the_name)
    assert time.monotonic() - started < 40
    assert raised.value.hint
    assert not link.disarm()
    arrived = part.stat().st_size
    assert LARGE_BYTES // 4 < arrived < LARGE_BYTES
    if fault == "stall":
        subprocess.run(["adb", "disconnect", device.serial], check=True, capture_output=True)
    report = deploy(new, device, str(store))
    assert report.bytes_moved < LARGE_BYTES - arrived + SMALL_BYTES
    assert verify(device, str(store)).bundle.startswith(new.manifest.id[:12])


@pytest.mark.device
def test_the_server_is_gone_when_a_large_file_is_to_be_sent(
    server: None, stack: ExitStack, tmp_path: Path
) -> None:
    daemon = start(stack)
    device = adb.connect(target(daemon.serial))
    (tmp_path / "large").write_bytes(noise("large", LARGE_BYTES))
    subprocess.run(["adb", "kill-server"], check=True, capture_output=True)
    device.push(tmp_path / "large", f"{daemon.directory}/tmp/large", mode=0o640)
    assert (daemon.directory / "tmp" / "large").read_bytes() == noise("large", LARGE_BYTES)
    daemon.stop()
    with pytest.raises(TransportError, match=r"does not see it|offline"):
        device.push(tmp_path / "large", f"{daemon.directory}/tmp/other")


@pytest.mark.nightly
@pytest.mark.device
def test_a_stall_while_a_silent_program_runs(server: None, stack: ExitStack) -> None:
    """A program may be silent for long; a link that carries nothing is given up (FAULTS 28 and
    44)."""
    link = stack.enter_context(proxy.running(start(stack).port))
    device = adb.connect(target(f"127.0.0.1:{link.port}", no_progress_seconds=2))
    assert device.run(["sleep", "4.5"], timeout_s=20).ok
    link.arm("stall", "up", 0)
    started = time.monotonic()
    with pytest.raises(TransportError, match="does not answer any more"):
        device.run(["sleep", "4.5"], timeout_s=60)
    assert time.monotonic() - started < 20


@pytest.mark.parametrize(
    ("environment", "address"),
    [
        ({}, ("localhost", 5037)),
        ({"ANDROID_ADB_SERVER_PORT": "6000"}, ("localhost", 6000)),
        (
            {"ANDROID_ADB_SERVER_ADDRESS": "10.0.0.2", "ANDROID_ADB_SERVER_PORT": "6000"},
            ("10.0.0.2", 6000),
        ),
        ({"ADB_SERVER_SOCKET": "tcp:6001", "ANDROID_ADB_SERVER_PORT": "6000"}, ("localhost", 6001)),
        ({"ADB_SERVER_SOCKET": "tcp:host:6001"}, ("host", 6001)),
        ({"ADB_SERVER_SOCKET": "localfilesystem:/run/adb"}, None),
        ({"ANDROID_ADB_SERVER_PORT": "many"}, None),
    ],
)
def test_where_the_server_listens(
    environment: dict[str, str], address: tuple[str, int] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key in ("ADB_SERVER_SOCKET", "ANDROID_ADB_SERVER_ADDRESS", "ANDROID_ADB_SERVER_PORT"):
        monkeypatch.delenv(key, raising=False)
    for key, value in environment.items():
        monkeypatch.setenv(key, value)
    assert adb_sync.server_address() == address
