"""Boards that cannot run what they are given: said before anything is sent, where it can be known
by then.

The board is a real server whose tools answer as those of another machine would.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from edgekit.boards.deploying import setup
from edgekit.deployment import provision
from edgekit.devices import connect
from edgekit.devices.facts import DeviceState
from edgekit.devices.local import LocalDevice
from edgekit.devices.ssh_login import trust_target
from edgekit.devices.target import LocalTarget, SshTarget
from edgekit.devices.target_sections import LitertRunner, Runners
from edgekit.errors import DeviceError, RunnerError
from edgekit.measure.runner_process import Placed, attempt
from edgekit.measure.settings import Settings
from edgekit.measure.user_programs import require_program
from edgekit.runners.runtime import Platform, Runtime, describe_file
from tests.support.measured import bench, make_bundle
from tests.support.tiers import cannot_run
from tools.testbed import sshd

ARM_ELF = "7f454c4601010100000000000000000002002800"
Board = Callable[..., SshTarget]


@pytest.fixture
def board_of(here: Path) -> Iterator[Board]:
    """A function from {program: what it prints} to a target whose machine has these programs."""
    if reason := sshd.why_not():
        cannot_run(reason)
    with tempfile.TemporaryDirectory(prefix="edgekit-other-") as name:
        directory = Path(name)
        with sshd.running(directory, f"SetEnv PATH={directory}/bin:/usr/bin:/bin") as server:
            directory.chmod(0o777)
            access: dict[str, Any] = {
                "host": "127.0.0.1",
                "port": server.port,
                "user": server.user,
                "identity_file": str(directory / "user_key"),
            }

            def make(**prints: str) -> SshTarget:
                (directory / "bin").mkdir(mode=0o755)
                for program, text in prints.items():
                    (directory / "bin" / program).write_text(f"#!/bin/sh\necho '{text}'\n")
                    (directory / "bin" / program).chmod(0o755)
                target = SshTarget(
                    edgekit=1, name="other", kind="ssh", workdir=f"{directory}/store", **access
                )
                trust_target(target, lambda key: True)
                return target

            yield make


def contents(target: SshTarget) -> list[str]:
    """What is in the store beside its empty directories and its lock."""
    with closing(connect(target)) as device:
        listing = device.run(
            [
                "find",
                target.workdir,
                "-type",
                "f",
                "-o",
                "-path",
                "*/runtimes/*",
                "-o",
                "-path",
                "*/bundles/*",
            ],
            timeout_s=20,
        )
    return listing.stdout.decode().split()


@pytest.mark.device
@pytest.mark.parametrize(
    ("prints", "message", "hint"),
    [
        (
            {"od": ARM_ELF},
            "other: ExecuTorch runs on aarch64 and x86_64, the device's programs are armv7l",
            "64-bit",
        ),
        ({"od": "", "uname": "riscv64"}, "the device's programs are riscv64", "64-bit"),
        (
            {"getconf": "glibc 2.24"},
            "the device's glibc is 2.24, executorch needs 2.28 or newer",
            "update the system",
        ),
    ],
)
def test_another_architecture_or_c_library(
    prints: dict[str, str], message: str, hint: str, board_of: Board, tmp_path: Path
) -> None:
    target = board_of(**prints)
    with pytest.raises(RunnerError, match=message) as raised:
        bench(make_bundle(tmp_path / "bundle", ["fp32.pte"]), target, runs=1)
    assert hint in raised.value.hint
    assert raised.value.exit_code == 8
    assert contents(target) == []


@pytest.mark.device
def test_no_python_on_the_board(board_of: Board, tmp_path: Path) -> None:
    """Nor is the runtime sent that it could run: a bundle is measured whole."""
    in_python = Runners(litert=LitertRunner(kind="python"))
    target = board_of(python3="not a Python").model_copy(update={"runners": in_python})
    with pytest.raises(RunnerError, match="the device has no Python") as raised:
        bench(make_bundle(tmp_path / "bundle", ["int8.tflite"]), target, runs=1)
    assert "python3" in raised.value.hint
    assert contents(target) == []
    with pytest.raises(RunnerError, match="other: the device has no Python"):
        setup(target, formats=("litert",))


@pytest.mark.parametrize(
    ("says", "status", "message", "hint"),
    [
        (
            (
                "edgekit_runner: error while loading shared libraries: libexecutorch.so: cannot"
                " open shared object file: No such file or directory"
            ),
            127,
            "exit code 127: .*libexecutorch.so",
            "what is missing is sent again",
        ),
        (
            (
                "edgekit_runner: /lib/libc.so.6: version `GLIBC_2.34' not found (required by"
                " edgekit_runner)"
            ),
            1,
            "GLIBC_2.34",
            "older than the runtime",
        ),
        (
            "cannot execute binary file: Exec format error",
            126,
            "exit code 126: .*Exec format error",
            "another architecture",
        ),
        ("sh: 1: exec: runner: Permission denied", 126, "Permission denied", "noexec mount"),
        (
            (
                "ImportError: _pywrap.so: failed to map segment from shared object: Operation not"
                " permitted"
            ),
            1,
            "failed to map segment",
            "noexec mount",
        ),
    ],
)
def test_what_the_loader_says(
    says: str, status: int, message: str, hint: str, tmp_path: Path
) -> None:
    program = tmp_path / "runner"
    program.write_text(f'#!/bin/sh\necho "{says.replace("`", chr(92) + "`")}" >&2\nexit {status}\n')
    artifact = make_bundle(tmp_path / "bundle", ["fp32.pte"]).manifest.artifacts[0]
    device = LocalDevice()
    runtime = Runtime(
        "executorch",
        "1",
        "any",
        (describe_file(program, "runner", 0o755),),
        ("{directory}/runner",),
    )
    placed = Placed(artifact, provision(device, str(tmp_path / "store"), runtime), "m", "i", "o")
    settings = Settings(
        runs=1, warmup_min_seconds=0, min_iterations=1, min_seconds=0, max_seconds=1, threads=1
    )
    error = attempt(device, placed, settings, DeviceState(), timeout_s=20, no_progress_s=None).error
    assert isinstance(error, RunnerError)
    with pytest.raises(RunnerError, match=message):
        raise error
    assert hint in error.hint


def program(directory: Path, header: bytes, mode: int = 0o755) -> str:
    path = directory / "runner"
    path.write_bytes(header)
    path.chmod(mode)
    return str(path)


def elf(machine: int) -> bytes:
    """The first bytes of a program for a machine (e_machine)."""
    return b"\x7fELF\x02\x01\x01".ljust(16, b"\0") + b"\x02\0" + machine.to_bytes(2, "little")


@pytest.mark.parametrize(
    ("machine", "arch", "message"),
    [
        (0xB7, "x86_64", "for aarch64, the device runs x86_64"),
        (0x3E, "aarch64", "for x86_64"),
        (0xB7, "armv7l", "aarch64"),
        (0xF3, "aarch64", "riscv64"),
    ],
)
def test_a_program_of_the_user_for_another_architecture(
    machine: int, arch: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(DeviceError, match=message) as raised:
        require_program(LocalDevice("board"), program(tmp_path, elf(machine)), Platform(arch))
    assert raised.value.exit_code == 7
    assert raised.value.hint


@pytest.mark.parametrize(
    ("header", "arch"),
    [
        (elf(0xB7), "aarch64"),
        (elf(0x28), "aarch64"),
        (elf(0x03), "x86_64"),
        (b"#!/bin/sh\n", "aarch64"),
        (b"", "armv7l"),
    ],
)
def test_a_program_of_the_user_that_may_run(header: bytes, arch: str, tmp_path: Path) -> None:
    require_program(LocalDevice("board"), program(tmp_path, header), Platform(arch))


def test_a_program_of_the_user_that_is_not_there(tmp_path: Path) -> None:
    for path in (str(tmp_path / "none"), program(tmp_path, elf(0x3E), mode=0o644)):
        with pytest.raises(DeviceError, match="no such program, or not executable"):
            require_program(LocalDevice("board"), path, Platform("x86_64"))


def test_it_is_found_before_anything_is_sent(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "bundle")
    wrong = program(tmp_path, elf(0xF3))
    runners = {
        "executorch": {"kind": "executor_runner", "program": wrong},
        "litert": {"kind": "benchmark_model", "program": wrong},
    }
    target = LocalTarget.model_validate(
        {
            "edgekit": 1,
            "name": "local",
            "kind": "local",
            "workdir": str(tmp_path / "work"),
            "runners": runners,
        }
    )
    with pytest.raises(DeviceError, match="program for riscv64"):
        bench(bundle, target)
    assert not list((tmp_path / "work" / "objects").iterdir())
