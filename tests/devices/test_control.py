"""Governors are put back: at the end of a session, by the watchdog of a session whose host died,
and by the next session. Fake sysfs, real shell."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from edgekit.deployment import hold
from edgekit.devices import CompletedProgram, control
from edgekit.devices.control import cool_down, governors, restore_governors
from edgekit.devices.facts import DeviceState
from edgekit.devices.local import LocalDevice
from edgekit.errors import DeviceError


@pytest.fixture
def cpufreq(tmp_path: Path) -> Path:
    for policy, governor in (("policy0", "ondemand"), ("policy4", "schedutil")):
        (tmp_path / "cpufreq" / policy).mkdir(parents=True)
        (tmp_path / "cpufreq" / policy / "scaling_governor").write_text(f"{governor}\n")
    return tmp_path / "cpufreq"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "store").mkdir()
    return tmp_path / "store"


def current_governors(cpufreq: Path) -> list[str]:
    return [
        (cpufreq / policy / "scaling_governor").read_text().strip()
        for policy in ("policy0", "policy4")
    ]


def wait_until(true: Callable[[], bool], seconds: float = 10) -> bool:
    until = time.monotonic() + seconds
    while not true() and time.monotonic() < until:
        time.sleep(0.05)
    return true()


def test_they_are_set_and_put_back(cpufreq: Path, root: Path) -> None:
    with governors(LocalDevice(), str(root), "performance", cpufreq=f"{cpufreq}/"):
        assert current_governors(cpufreq) == ["performance", "performance"]
        assert (root / "governors.saved").exists()
    assert current_governors(cpufreq) == ["ondemand", "schedutil"]
    assert not (root / "governors.saved").exists()


def test_they_are_put_back_on_ctrl_c(cpufreq: Path, root: Path) -> None:
    with (
        pytest.raises(KeyboardInterrupt),
        governors(LocalDevice(), str(root), "performance", cpufreq=f"{cpufreq}/"),
    ):
        raise KeyboardInterrupt
    assert current_governors(cpufreq) == ["ondemand", "schedutil"]


def test_the_next_session_puts_back_what_one_that_died_left(cpufreq: Path, root: Path) -> None:
    died = governors(LocalDevice(), str(root), "performance", cpufreq=f"{cpufreq}/")
    died.__enter__()
    with governors(LocalDevice(), str(root), "powersave", cpufreq=f"{cpufreq}/"):
        assert current_governors(cpufreq) == ["powersave", "powersave"]
    assert current_governors(cpufreq) == ["ondemand", "schedutil"]
    restore_governors(LocalDevice(), str(root))
    assert current_governors(cpufreq) == ["ondemand", "schedutil"]


def test_the_watchdog_puts_them_back_when_the_lock_is_free(
    cpufreq: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The session's end without its own undoing stands for a host that died: the lock is then
    released, or its lease over."""
    monkeypatch.setattr(control, "WATCH_EVERY_S", 1)
    with hold(LocalDevice(), str(tmp_path / "device")) as lock:
        died = governors(LocalDevice(), lock.root, "performance", cpufreq=f"{cpufreq}/")
        died.__enter__()
        time.sleep(1.5)
        assert current_governors(cpufreq) == ["performance", "performance"]
    assert wait_until(lambda: current_governors(cpufreq) == ["ondemand", "schedutil"])
    assert wait_until(lambda: not (tmp_path / "device" / "governors.saved").exists())


def test_one_that_cannot_be_set_changes_nothing(cpufreq: Path, root: Path) -> None:
    (cpufreq / "policy4" / "scaling_governor").unlink()
    (cpufreq / "policy4" / "scaling_governor").symlink_to(
        "/proc/version"
    )  # readable, and refuses to be written
    with pytest.raises(DeviceError, match="the governor cannot be set"):
        governors(LocalDevice("board"), str(root), "performance", cpufreq=f"{cpufreq}/").__enter__()
    assert (cpufreq / "policy0" / "scaling_governor").read_text().strip() == "ondemand"


def test_nothing_to_govern(tmp_path: Path, root: Path) -> None:
    with pytest.raises(DeviceError, match="no clock has a governor"):
        governors(LocalDevice(), str(root), "performance", cpufreq=f"{tmp_path}/none/").__enter__()
    assert list(root.iterdir()) == []


class Scripted(LocalDevice):
    """A device with two thermal zones that answers with the next reading each time it is asked; the
    last one stays."""

    def __init__(self, *readings: tuple[float, float]) -> None:
        super().__init__("board")
        self.readings = list(readings)

    def run(self, argv: object, **options: object) -> CompletedProgram:
        cpu_c, pseudo_c = self.readings.pop(0) if len(self.readings) > 1 else self.readings[0]
        done = super().run(["true"], timeout_s=10)
        zone = "/sys/class/thermal/thermal_zone"
        answer = (
            f"{zone}0/type:cpu\n{zone}0/temp:{cpu_c * 1000:.0f}\n"
            f"{zone}1/type:pseudo\n{zone}1/temp:{pseudo_c * 1000:.0f}\n"
        )
        return replace(done, stdout=answer.encode())


def at(cpu_c: float, pseudo_c: float) -> DeviceState:
    return DeviceState(temperatures_c={"cpu 0": cpu_c, "pseudo 1": pseudo_c})


def test_it_waits_until_the_device_is_cool() -> None:
    hot = at(62.0, 40.0)
    waits: list[float] = []
    board = Scripted((61, 39), (60, 38), (59, 37))
    cooling, state = cool_down(board, [hot], 60.0, 300.0, wait=waits.append)
    assert (cooling.before_c, cooling.after_c, cooling.reached) == (62.0, 59.0, True)
    assert state.temperatures_c == {"cpu 0": 59.0, "pseudo 1": 37.0}
    assert len(waits) == 3
    cooling, _ = cool_down(Scripted((61, 40)), [hot], 60.0, 0.0, wait=waits.append)
    assert not cooling.reached
    cooling, _ = cool_down(board, [DeviceState()], 60.0, 300.0, wait=waits.append)
    assert (cooling.reached, cooling.before_c) == (False, None)


def test_a_zone_that_never_moves_is_not_waited_for() -> None:
    """Beside one that moves it is known after a few readings; alone, once something ran."""
    waits: list[float] = []
    board = Scripted((48, 75), (47, 75), (46, 75), (45, 75))
    cooling, _ = cool_down(board, [at(49, 75)], 50.0, 300.0, wait=waits.append)
    assert (cooling.reached, cooling.after_c, len(waits)) == (True, 46.0, 3)
    assert cooling.stuck_zones == {"pseudo 1": 75.0}
    states = [at(c, 75) for c in (49, 51, 50, 52)]
    cooling, _ = cool_down(Scripted((49, 75)), states, 50.0, 300.0, wait=waits.append)
    assert (cooling.before_c, cooling.reached, len(waits)) == (52, True, 4)


def test_a_device_at_rest_is_not_taken_for_one_that_is_stuck() -> None:
    """Before anything ran, a steady temperature above the limit is one to wait for."""
    waits: list[float] = []
    ticks = iter(range(99))
    cooling, _ = cool_down(
        Scripted((70, 75)), [at(70, 75)], 50.0, 9.0, wait=waits.append, clock=lambda: next(ticks)
    )
    assert (cooling.reached, cooling.stuck_zones) == (False, {})
    assert len(waits) > 5


def test_a_zone_can_be_chosen() -> None:
    waits: list[float] = []
    cooling, _ = cool_down(
        Scripted((55, 75), (49, 75)), [at(62, 75)], 50.0, 300.0, zone="cpu", wait=waits.append
    )
    assert (cooling.before_c, cooling.after_c, cooling.reached) == (62.0, 49.0, True)
    assert len(waits) == 2
    cooling, _ = cool_down(
        Scripted((49, 75)), [at(49, 75)] * 9, 50.0, 0.0, zone="pseudo 1", wait=waits.append
    )
    assert (cooling.before_c, cooling.reached) == (75.0, False), "named, it counts in any case"
    with pytest.raises(DeviceError, match=r"no thermal zone 'gpu' \(there are: cpu 0, pseudo 1\)"):
        cool_down(Scripted((49, 75)), [at(49, 75)], 50.0, 300.0, zone="gpu")
