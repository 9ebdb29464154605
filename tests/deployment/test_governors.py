"""Setting governors, the watchdog that puts them back, and reading idle power, with the tools of
busybox and of Android's shell as with this machine's."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from edgekit.deployment import hold
from edgekit.devices import control
from edgekit.devices.control import governors
from edgekit.devices.local import LocalDevice
from edgekit.measure.energy import IDLE_SCRIPT


def test_set_watched_and_put_back(
    shell: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "WATCH_EVERY_S", 1)
    for policy in ("policy0", "policy4"):
        (tmp_path / "cpufreq" / policy).mkdir(parents=True)
        (tmp_path / "cpufreq" / policy / "scaling_governor").write_text("ondemand\n")
    files = sorted((tmp_path / "cpufreq").glob("*/scaling_governor"))
    with hold(LocalDevice(), str(tmp_path / "store")) as lock:
        with governors(LocalDevice(), lock.root, "performance", cpufreq=f"{tmp_path}/cpufreq/"):
            assert [file.read_text() for file in files] == ["performance\n"] * 2
        assert [file.read_text() for file in files] == ["ondemand\n"] * 2
        died = governors(LocalDevice(), lock.root, "performance", cpufreq=f"{tmp_path}/cpufreq/")
        died.__enter__()
        time.sleep(1.2)
        assert [file.read_text() for file in files] == ["performance\n"] * 2
    until = time.monotonic() + 10
    while files[1].read_text() != "ondemand\n" and time.monotonic() < until:
        time.sleep(0.05)
    assert [file.read_text() for file in files] == ["ondemand\n"] * 2


def test_idle_power_is_read(shell: str, tmp_path: Path) -> None:
    (tmp_path / "power1_input").write_text("2000000\n")
    done = LocalDevice().run(
        [
            "sh",
            "-c",
            IDLE_SCRIPT,
            "idle",
            "2",
            "0.01",
            str(tmp_path / "power1_input"),
            str(tmp_path / "gone"),
        ],
        timeout_s=10,
    )
    assert done.stdout.split() == [b"2000000", b"none"] * 2
