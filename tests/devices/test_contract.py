"""What every transport must do, on the real thing. Uses nothing but the `Device` protocol, so that
it can run over any transport."""

from __future__ import annotations

import hashlib
import signal
import time
from pathlib import Path

import pytest

from edgekit.devices import Device
from edgekit.errors import DeviceError, ResultError, TransportError
from tests.support.processes import gone

AWKWARD = [
    "a b",
    "it's",
    'say "x"',
    "-n",
    "--help",
    "$(touch x)",
    "`id`",
    "a\nb",
    "*",
    "\\",
    "käse",
    "~",
    ";rm",
    "#",
    "a\tb",
]
ALL_BYTES = bytes(range(256)) * 40
LARGE_BYTES = 50 << 20


def shell(
    device: Device, script: str, *arguments: str, timeout_s: float = 20, **options: object
) -> bytes:
    done = device.run(["sh", "-c", script, "sh", *arguments], timeout_s=timeout_s, **options)  # type: ignore[arg-type]
    assert done.ok, done
    return done.stdout


def local_file(tmp_path: Path, data: bytes) -> Path:
    path = tmp_path / "local"
    path.write_bytes(data)
    return path


# programs


def test_exit_codes(device: Device) -> None:
    codes = [
        device.run(["sh", "-c", f"exit {code}"], timeout_s=20).exit_code for code in range(256)
    ]
    assert codes == list(range(256))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV])
def test_death_by_signal(device: Device, number: int) -> None:
    # not of a shell: mksh catches SIGTERM and exits
    done = device.run(
        ["sh", "-c", f"(sleep 0.2; kill -{int(number)} $$) & exec sleep 20"], timeout_s=20
    )
    assert (done.exit_code, done.signal, done.ok) == (None, number, False)


def test_arguments_arrive_as_they_are(device: Device) -> None:
    arguments = [*AWKWARD, ""]
    assert shell(device, 'printf "%s\\0" "$@"', *arguments) == b"".join(
        a.encode() + b"\0" for a in arguments
    )


def test_streams_are_separate_and_binary(device: Device) -> None:
    done = device.run(["sh", "-c", "cat; echo error >&2"], timeout_s=20, stdin=ALL_BYTES)
    assert (done.stdout, done.stderr, done.exit_code) == (ALL_BYTES, b"error\n", 0)


def test_large_input_comes_back(device: Device) -> None:
    data = ALL_BYTES * 300
    assert device.run(["cat"], timeout_s=60, stdin=data).stdout == data


def test_input_nobody_reads_is_no_error(device: Device) -> None:
    assert device.run(["true"], timeout_s=20, stdin=bytes(8 << 20)).ok


def test_no_input_is_end_of_file(device: Device) -> None:
    assert device.run(["cat"], timeout_s=20).stdout == b""


def test_output_is_capped_and_drained(device: Device) -> None:
    chunks: list[bytes] = []
    script = "head -c 3000000 /dev/zero; head -c 52428800 /dev/zero >&2; echo end"
    done = device.run(
        ["sh", "-c", script],
        timeout_s=120,
        max_stdout_bytes=1_000_000,
        max_stderr_bytes=10,
        on_stdout=chunks.append,
    )
    assert done.ok
    assert (len(done.stdout), done.stdout_truncated) == (1_000_000, True)
    assert (len(done.stderr), done.stderr_truncated) == (10, True)
    assert b"".join(chunks) == done.stdout


def test_output_of_exactly_the_cap_is_whole(device: Device) -> None:
    done = device.run(["printf", "12345"], timeout_s=20, max_stdout_bytes=5)
    assert (done.stdout, done.stdout_truncated, done.stderr_truncated) == (b"12345", False, False)


def test_output_arrives_while_the_program_runs(device: Device) -> None:
    arrived: list[float] = []
    done = device.run(
        ["sh", "-c", "echo 1; sleep 0.6; echo 2"],
        timeout_s=20,
        on_stdout=lambda _: arrived.append(time.monotonic()),
    )
    assert done.stdout == b"1\n2\n"
    assert arrived[-1] - arrived[0] > 0.3


def test_total_deadline(device: Device) -> None:
    started = time.monotonic()
    with pytest.raises(TransportError, match=r"0\.5 s"):
        device.run(["sh", "-c", "while :; do echo x; done"], timeout_s=0.5, max_stdout_bytes=10)
    assert time.monotonic() - started < 10


def test_no_progress_deadline(device: Device) -> None:
    with pytest.raises(TransportError, match="nothing for"):
        device.run(["sh", "-c", "echo 1; sleep 30"], timeout_s=20, no_progress_s=0.5)
    assert device.run(
        ["sh", "-c", "for i in 1 2 3 4; do echo $i; sleep 0.3; done"],
        timeout_s=20,
        no_progress_s=1.0,
    ).ok


@pytest.mark.parametrize("how", ["timeout", "interrupt"])
def test_the_whole_process_group_is_killed(device: Device, remote: str, how: str) -> None:
    script = 'sh -c "echo \\$\\$; sleep 1000 & sleep 1000; :" & echo $$; wait'
    pids: list[bytes] = []

    def on_stdout(chunk: bytes) -> None:
        pids.extend(chunk.split())
        if how == "interrupt" and len(pids) == 2:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(TransportError if how == "timeout" else KeyboardInterrupt):
        device.run(
            ["sh", "-c", script], timeout_s=1.5 if how == "timeout" else 20, on_stdout=on_stdout
        )
    assert len(pids) == 2
    assert all(gone(device, int(pid)) for pid in pids)


def test_background_processes_do_not_outlive_the_program(device: Device) -> None:
    started = time.monotonic()
    pid = int(shell(device, "sleep 1000 & echo $!"))
    assert time.monotonic() - started < 10
    assert gone(device, pid)


def test_what_cannot_be_started(device: Device, remote: str, tmp_path: Path) -> None:
    device.push(local_file(tmp_path, b"#!/bin/sh\n"), f"{remote}/script", mode=0o600)
    for program in ["/no/such/program", "no-such-program-anywhere", f"{remote}/script", remote]:
        with pytest.raises(DeviceError) as raised:
            device.run([program, "x"], timeout_s=20)
        assert program in raised.value.message
        assert "\n" not in raised.value.message


# files


@pytest.mark.parametrize("name", [n for n in AWKWARD if n != "~"])
def test_names_of_files(device: Device, remote: str, tmp_path: Path, name: str) -> None:
    device.push(local_file(tmp_path, ALL_BYTES), f"{remote}/{name}")
    device.pull(f"{remote}/{name}", tmp_path / "back", max_bytes=len(ALL_BYTES))
    assert (tmp_path / "back").read_bytes() == ALL_BYTES
    assert (
        shell(device, 'cd "$1" && for f in * ; do printf "%s" "$f"; done', remote) == name.encode()
    )


def test_empty_file(device: Device, remote: str, tmp_path: Path) -> None:
    device.push(local_file(tmp_path, b""), f"{remote}/empty")
    device.pull(f"{remote}/empty", tmp_path / "back", max_bytes=0)
    assert (tmp_path / "back").read_bytes() == b""


def test_large_file_with_progress(device: Device, remote: str, tmp_path: Path) -> None:
    block = hashlib.shake_256(b"seed").digest(1 << 20)
    sent: list[int] = []
    received: list[int] = []
    path = local_file(tmp_path, block * (LARGE_BYTES >> 20))
    device.push(path, f"{remote}/large", progress=sent.append)
    device.pull(
        f"{remote}/large", tmp_path / "back", max_bytes=LARGE_BYTES, progress=received.append
    )
    assert (
        hashlib.sha256((tmp_path / "back").read_bytes()).digest()
        == hashlib.sha256(path.read_bytes()).digest()
    )
    assert sum(sent) == sum(received) == LARGE_BYTES
    assert len(sent) > 10


@pytest.mark.parametrize("size", [1, 2 << 20])
def test_push_replaces_and_sets_the_mode(
    device: Device, remote: str, tmp_path: Path, size: int
) -> None:
    device.push(
        local_file(tmp_path, b"#!/bin/sh\necho long before\n" + bytes(size)),
        f"{remote}/program",
        mode=0o755,
    )
    device.push(
        local_file(tmp_path, b"#!/bin/sh\necho now\nexit\n" + bytes(size)),
        f"{remote}/program",
        mode=0o755,
    )
    assert device.run([f"{remote}/program"], timeout_s=20).stdout == b"now\n"
    device.push(local_file(tmp_path, bytes(size)), f"{remote}/program", mode=0o600)
    assert shell(device, 'stat -c %a "$1"', f"{remote}/program").strip() == b"600"


@pytest.mark.parametrize("size", [1, 2 << 20])
def test_push_to_what_is_no_file(device: Device, remote: str, tmp_path: Path, size: int) -> None:
    shell(device, 'mkdir "$1/directory"', remote)
    for place in [f"{remote}/directory", f"{remote}/missing/file", "/proc/no-such-entry"]:
        with pytest.raises(DeviceError) as raised:
            device.push(local_file(tmp_path, bytes(size)), place)
        assert place in raised.value.message
    assert shell(device, 'cd "$1" && find .', remote).split() == [b".", b"./directory"]


def test_pull_of_what_is_no_file(device: Device, remote: str, tmp_path: Path) -> None:
    shell(device, 'mkfifo "$1/pipe"', remote)
    for place in [remote, f"{remote}/missing", f"{remote}/pipe"]:
        with pytest.raises(DeviceError):
            device.pull(place, tmp_path / "back", max_bytes=100)


def test_pull_of_more_than_allowed(device: Device, remote: str, tmp_path: Path) -> None:
    device.push(local_file(tmp_path, ALL_BYTES), f"{remote}/file")
    with pytest.raises(ResultError, match="larger than"):
        device.pull(f"{remote}/file", tmp_path / "back", max_bytes=len(ALL_BYTES) - 1)
    assert not (tmp_path / "back").exists()


def test_full_disk(device: Device, tiny_disk: Path, tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match=r"(?i)space") as raised:
        device.push(local_file(tmp_path, bytes(2 << 20)), f"{tiny_disk}/file")
    assert raised.value.hint
