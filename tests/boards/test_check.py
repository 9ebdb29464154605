"""The doctor: what it finds on a real board over SSH, and how it judges captured states of
others."""

from __future__ import annotations

import json
import shlex
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path

import pytest

import edgekit
from edgekit.boards import advice, check_items, store_items
from edgekit.boards.check import CheckReport
from edgekit.boards.check_items import CheckItem, Level
from edgekit.boards.store_probe import StoreProbe, parse_store
from edgekit.bundle.directory import Bundle
from edgekit.bundle.manifest import RuntimeName
from edgekit.cli import run
from edgekit.devices.fact_parsing import parse_facts, parse_state
from edgekit.devices.facts import DeviceState
from edgekit.devices.target import AdbTarget, LocalTarget, SshTarget
from edgekit.devices.target_sections import Control, CoolDown
from edgekit.runners.native import wanted_version
from edgekit.runners.runtime import Platform
from tests.support.targets import write_target
from tools.emulation.machine import free_port

CAPTURED = Path(__file__).parents[1] / "captured"
PI = SshTarget(edgekit=1, name="pi", kind="ssh", host="pi.local", user="me", port=2222)
PHONE = AdbTarget(edgekit=1, name="phone", kind="adb", serial="abc")


def by_check(items: Iterable[CheckItem]) -> dict[str, CheckItem]:
    return {finding.check: finding for finding in items}


@pytest.mark.device
def test_a_board(pi: SshTarget, old: Bundle, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["target", "check", "pi", "--json"]) == 0
    findings = {
        finding["check"]: finding for finding in json.loads(capsys.readouterr().out)["findings"]
    }
    assert {
        "reachable",
        "architecture",
        "C library",
        "python",
        "clock",
        "disk",
        "memory",
        "governor",
        "temperature",
        "throttling",
    } <= set(findings)
    assert findings["tools"]["level"] == findings["programs"]["level"] == "ok"
    assert findings["current bundle"]["fix"] == "edgekit deploy BUNDLE --target pi"
    edgekit.deploy(old, pi)
    assert by_check(edgekit.check("pi").items)["current bundle"].text == old.manifest.id[:12]
    assert run(["target", "check", "pi"]) == 0
    shown = capsys.readouterr().out
    assert old.manifest.id[:12] in shown
    assert "edgekit target setup pi" in shown


@pytest.mark.device
def test_a_board_that_is_not_reached(pi: SshTarget, capsys: pytest.CaptureFixture[str]) -> None:
    write_target(pi.model_copy(update={"port": free_port()}))
    assert run(["target", "check", "pi"]) == 5
    assert "sshd running" in capsys.readouterr().out
    write_target(pi.model_copy(update={"known_hosts": "none-yet"}))
    assert run(["target", "check", "pi", "--json"]) == 6
    report = json.loads(capsys.readouterr().out)
    assert report["exit_code"] == 6
    assert [finding["check"] for finding in report["findings"]] == ["reachable"]
    assert "edgekit target trust pi" in report["findings"][0]["fix"]


@pytest.mark.device
def test_a_workdir_that_is_not_ours(pi: SshTarget) -> None:
    report = edgekit.check(pi.model_copy(update={"workdir": "/proc/edgekit"}))
    assert report.exit_code == 7
    assert by_check(report.items)["disk"].level == "problem"


def test_this_machine(tmp_path: Path) -> None:
    report = edgekit.check(
        LocalTarget(edgekit=1, name="desk", kind="local", workdir=str(tmp_path / "store"))
    )
    assert report.exit_code == 0
    assert by_check(report.items)["disk"].level in ("ok", "warning"), "a tmpfs is one"
    assert by_check(report.items)["programs"].level == "ok"
    assert list(tmp_path.iterdir()) == [], "a doctor leaves nothing behind"


def test_installed_runtimes() -> None:
    digest, host_version = "0" * 32, wanted_version()
    cases: tuple[tuple[RuntimeName, list[str], Level, str], ...] = (
        ("executorch", [], "note", "not installed yet"),
        (
            "executorch",
            [f"executorch-{host_version}-aarch64-{digest}"],
            "ok",
            f"executorch {host_version} (aarch64)",
        ),
        (
            "executorch",
            [f"executorch-1.0.0-aarch64-{digest}"],
            "note",
            f"executorch 1.0.0 (aarch64); this machine exports for {host_version}",
        ),
        (
            "executorch",
            [f"executorch-{version}-aarch64-{digest}" for version in ("1.0.0", host_version)],
            "ok",
            "executorch 1.0.0 (aarch64), ",
        ),
        (
            "litert",
            [
                f"executorch-{host_version}-aarch64-{digest}",
                f"litert-2.3.0-aarch64-{digest}",
                "litert-x",
            ],
            "ok",
            "litert 2.3.0 (aarch64)",
        ),
    )
    for format, installed, level, text in cases:
        item = store_items.of_runtime(format, installed, PI)
        assert (item.level, item.text.startswith(text)) == (level, True), item
        assert bool(item.fix) == (level == "note")


def test_the_first_problem_decides() -> None:
    report = CheckReport(
        "a",
        "b",
        (
            CheckItem("1", "warning", ""),
            CheckItem("2", "problem", "", "", 7),
            CheckItem("3", "problem", "", "", 8),
        ),
    )
    assert report.exit_code == 7
    assert CheckReport("a", "b", report.items[:1]).exit_code == 0


@pytest.mark.parametrize(
    ("platform", "levels"),
    [
        (
            Platform("aarch64", "python3", glibc="2.36", python_version="3.11"),
            {"architecture": "ok", "C library": "ok", "python": "ok"},
        ),
        (
            Platform("armv7l", "python3", glibc="2.24", python_version="3.5"),
            {"architecture": "warning", "C library": "warning", "python": "ok"},
        ),
        (
            Platform("riscv64"),
            {"architecture": "problem", "C library": "warning", "python": "warning"},
        ),
    ],
)
def test_platforms(platform: Platform, levels: dict[str, str]) -> None:
    findings = by_check(check_items.of_platform(platform, PI))
    assert {name: finding.level for name, finding in findings.items()} == levels
    assert all(finding.fix for finding in findings.values() if finding.level != "ok")


def capture(board: str) -> dict[str, CheckItem]:
    facts, state = (CAPTURED / board / name for name in ("facts.txt", "state.txt"))
    return by_check(
        check_items.of_state(parse_facts(facts.read_bytes()), parse_state(state.read_bytes()), PI)
    )


def test_states_of_other_boards() -> None:
    healthy, throttled, phone, bare = (
        capture(board)
        for board in (
            "raspberry-pi-4",
            "raspberry-pi-4-throttled",
            "android-phone",
            "bare-container",
        )
    )
    assert healthy["throttling"].level == "ok"
    assert throttled["throttling"].level == "warning"
    assert "°C" in healthy["temperature"].text
    assert phone["machine"].text != bare["machine"].text
    assert {
        bare[name].level for name in ("governor", "temperature", "throttling", "memory", "load")
    } == {"unknown"}


def test_the_temperature() -> None:
    whole = DeviceState(
        temperatures_c={"cpu_thermal 0": 45.0}, whole_degree_zones=("cpu_thermal 0",)
    )
    item = check_items.of_temperature(whole, PI)
    assert (item.level, item.text) == ("ok", "45 °C (cpu_thermal 0, in whole degrees)")
    waiting = Control(cool_down=CoolDown(below_c=50, zone="cpu-thermal"))
    item = check_items.of_temperature(whole, PI.model_copy(update={"control": waiting}))
    assert (item.level, item.exit_code) == ("problem", 7)
    assert item.text == "no thermal zone 'cpu-thermal', there are: cpu_thermal 0"


def test_throttled_in_the_past() -> None:
    assert (
        "since it was started"
        in check_items.of_throttling(DeviceState(throttled_flags=0x50000)).text
    )


def test_the_clock() -> None:
    now = time.time()
    ahead, behind = (
        check_items.of_clock(int(now + apart), now, PI) for apart in (-315_360_000, 315_360_000)
    )
    assert (ahead.level, behind.level) == ("warning", "warning")
    assert "timedatectl" in ahead.fix
    assert check_items.of_clock(int(now), now, PI).level == "ok"
    assert check_items.of_clock(None, now, PI).level == "unknown"


def probed(**answers: str) -> StoreProbe:
    """What a board answered, each source on a line."""
    usual = {"writable": "yes", "free": str(10_000 << 10), "starts": "yes", "mount": "/home"}
    lines = {**usual, "type": "ext4", "options": "rw,relatime", **answers}
    return parse_store("".join(f"{key}:{value}\n" for key, value in lines.items()).encode())


@pytest.mark.parametrize(
    ("answers", "level", "words"),
    [
        ({}, "ok", "10000 MiB free"),
        ({"free": str(200 << 10)}, "warning", "200 MiB free"),
        ({"free": str(10 << 10)}, "problem", "10 MiB free"),
        ({"type": "tmpfs"}, "warning", "in memory (tmpfs): gone after a restart"),
        (
            {"options": "ro,relatime", "unwritten": "mkdir: x: Read-only file system"},
            "problem",
            "cannot be written to: /home is mounted read-only",
        ),
        (
            {"unwritten": "mkdir: cannot create directory: No space left on device"},
            "problem",
            "cannot be written to: No space left on device",
        ),
    ],
)
def test_the_disk(answers: dict[str, str], level: str, words: str) -> None:
    item = store_items.of_disk(probed(**answers), PI)
    assert (item.level, words in item.text, item.exit_code) == (
        level,
        True,
        7 if level == "problem" else 0,
    )


def test_programs_that_do_not_start() -> None:
    stopped = parse_store(b"refused:126\nmount:/home\ntype:ext4\noptions:rw,nosuid,noexec\n")
    item = store_items.of_programs(stopped, PI)
    assert (item.level, item.exit_code) == ("problem", 7)
    assert item.text == "~/edgekit is on a noexec mount (/home): no program starts there"
    assert "workdir" in item.fix
    by_policy = parse_store(b"refused:126\nmount:/home\ntype:ext4\noptions:rw,nosuid\n")
    assert "exit code 126" in store_items.of_programs(by_policy, PI).text
    assert store_items.of_programs(parse_store(b"clock:1\n"), PI).level == "unknown"


def test_remedies_are_commands_that_arrive_whole() -> None:
    """`ssh` hands its last argument to the login shell; what that gives to `sh -c` must be the
    command meant."""
    governed = parse_state((CAPTURED / "raspberry-pi-4" / "state.txt").read_bytes())
    assert {clock.governor for clock in governed.clocks}
    argv = shlex.split(advice.set_governor(PI))
    assert argv[:-1] == ["ssh", "-t", "-p", "2222", "me@pi.local"]
    inner = shlex.split(argv[-1])
    assert inner[:3] == ["sudo", "sh", "-c"]
    assert subprocess.run(["sh", "-n", "-c", inner[3]]).returncode == 0
    assert shlex.split(advice.set_clock(PHONE))[:4] == ["adb", "-s", "abc", "shell"]
    assert advice.install(PHONE, "python3") == ""
