"""When a measurement counts: throttling from recorded device states, wrong outputs, and too few or
disagreeing runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from edgekit.bundle.directory import Bundle
from edgekit.devices.fact_parsing import parse_state
from edgekit.devices.facts import Cooling, CpuTime, DeviceFacts, DeviceState
from edgekit.measure.measurement import Controlled
from edgekit.measure.probes import device_probes
from edgekit.measure.protocol_lines import WindowValues
from edgekit.measure.runs import ArtifactResult, OutputCheck
from edgekit.measure.throttling import can_tell_throttling, slows_the_processor, throttling
from edgekit.measure.validity import artifact_notes, mismatch, run_notes, session_notes
from tests.support.measured import CAPTURED, make_bundle, make_measurement

PI = DeviceFacts(cpus=4)


def state(board: str) -> DeviceState:
    return parse_state((CAPTURED / board / "state.txt").read_bytes())


def codes(result: ArtifactResult) -> list[str]:
    return [note.code for note in artifact_notes(result, snr_min_db=20, cosine_min=0.99)]


@pytest.fixture
def result(tmp_path: Path) -> ArtifactResult:
    bundle: Bundle = make_bundle(tmp_path / "bundle", ["fp32.pte"])
    return make_measurement(bundle).artifacts[0]


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        (0x0, 0x0, ""),
        (0x50000, 0x50000, ""),
        (0x0, 0x2, "clock capped"),
        (0x0, 0x20000, "clock capped"),
        (0x50000, 0xD0000, "soft temperature limit"),
        (0x5, 0x0, "under-voltage, throttled"),
        (None, None, ""),
    ],
)
def test_raspberry_pi_flags(before: int | None, after: int | None, reason: str) -> None:
    """A live bit 0–3, or a bit 16–19 that was not set before."""
    assert (
        throttling(DeviceState(throttled_flags=before), DeviceState(throttled_flags=after))
        == reason
    )


@pytest.mark.parametrize(
    ("name", "before", "after", "slowed"),
    [
        ("thermal-cpufreq-0", (0, 3), (0, 3), False),
        ("thermal-cpufreq-0", (0, 3), (0, 5), True),
        ("thermal-cpufreq-0", (1, None), (1, None), True),
        ("Processor", (0, None), (2, None), True),
        ("TCC Offset", (5, None), (5, None), False),
        ("intel_powerclamp", (-1, None), (-1, None), False),
        ("pwm-fan", (0, 1), (3, 9), False),
        ("panel0-backlight", (0, 1), (40, 9), False),
        ("TFN1", (0, None), (1, None), False),
        ("iwlwifi_1", (0, None), (3, None), False),
        ("bms", (0, None), (2, None), False),
        ("cpu-isolate3", (0, None), (1, None), True),
        ("thermal-idle-0", (0, None), (20, None), True),
        ("thermal-pause-0F", (0, None), (1, None), True),
        ("intel_powerclamp", (-1, None), (25, None), True),
    ],
)
def test_linux_cooling(
    name: str, before: tuple[int, int | None], after: tuple[int, int | None], slowed: bool
) -> None:
    states = [
        DeviceState(cooling=(Cooling(name=name, state=s, transitions=t),))
        for s, t in (before, after)
    ]
    assert throttling(*states) == (f"cooling by {name}" if slowed else "")


@pytest.mark.parametrize(
    "name",
    [
        *("panel0-backlight", "TFN1", "pwm-fan", "cpu-fan", "CPU FAN 1", "iwlwifi_1", "bms"),
        *("battery", "usb", "wlan", "gpu", "thermal-devfreq-0", "modem_lte_dsc", "cdsp", "hvx"),
        *("TCC Offset", "B0D4-charger", "mdss-backlight", "led:flash", "PCHC"),
    ],
)
def test_what_is_not_the_processor_s_does_not_invalidate(name: str) -> None:
    """Also where it is on before the first run and all the time."""
    off, on = (DeviceState(cooling=(Cooling(name=name, state=s),)) for s in (0, 40))
    assert not slows_the_processor(name)
    assert [throttling(*pair) for pair in ((off, on), (on, on), (on, off))] == ["", "", ""]
    assert not can_tell_throttling(off), "it shows nothing about the processor"


def test_other_cooling_is_a_note() -> None:
    off, dimmed = (
        DeviceState(
            throttled_flags=0,
            cooling=(Cooling(name="panel0-backlight", state=s), Cooling(name="fan", state=s)),
        )
        for s in (0, 40)
    )
    notes = session_notes(PI, [off, dimmed, dimmed])
    assert [(note.level, note.text) for note in notes if note.code == "cooling"] == [
        ("note", "panel0-backlight was used for cooling: it is not the processor's")
    ]
    assert not [note for note in notes if note.level == "invalid"]


def test_a_driver_that_comes_or_goes_moves_no_state_to_another_device() -> None:
    """The kernel numbers cooling devices anew; their order says nothing then."""
    cap, capped = (Cooling(name="cpufreq-cpu0", state=s) for s in (0, 2))
    panel = Cooling(name="panel0-backlight", state=40)
    plain = DeviceState(cooling=(cap, cap))
    assert throttling(plain, DeviceState(cooling=(panel, cap, cap))) == ""
    assert throttling(DeviceState(cooling=(panel, cap, cap)), plain) == ""
    assert throttling(plain, DeviceState(cooling=(panel, cap, capped))) == "cooling by cpufreq-cpu0"
    assert throttling(DeviceState(), DeviceState(cooling=(capped,))) == "cooling by cpufreq-cpu0"
    assert throttling(DeviceState(), plain) == ""


def test_a_reader_is_told_of_odd_sensors() -> None:
    states = [DeviceState(temperatures_c={"cpu 0": 45.0}, whole_degree_zones=("cpu 0",))] * 3
    assert [n.text for n in session_notes(PI, states) if n.code == "whole_degrees"] == [
        "temperatures of cpu 0 are in whole degrees, as the device reports"
    ]
    controlled = Controlled(cool_below_c=50, stuck_zones={"pseudo 1": 75.0})
    assert [(n.level, n.text) for n in run_notes([], (), controlled)] == [
        ("note", "the thermal zone pseudo 1 did not count: it read 75 °C all the time")
    ]


def test_android_thermal_status() -> None:
    assert throttling(state("android-phone"), state("android-phone")) == "Android thermal status 1"
    assert throttling(DeviceState(thermal_status=0), DeviceState(thermal_status=0)) == ""


def test_a_throttled_session_is_invalid() -> None:
    notes = session_notes(
        PI, [state("raspberry-pi-4"), state("raspberry-pi-4"), state("raspberry-pi-4-throttled")]
    )
    assert [(note.level, note.code) for note in notes] == [
        ("invalid", "throttled"),
        ("note", "governor"),
    ]
    assert notes[0].text == "the device throttled: clock capped"


def test_an_absent_probe_is_unknown_and_not_ok() -> None:
    assert not can_tell_throttling(state("host-x86-64"))
    notes = session_notes(DeviceFacts(), [DeviceState(), DeviceState()])
    assert {(note.level, note.code) for note in notes} == {
        ("unknown", "throttling"),
        ("unknown", "load"),
        ("unknown", "governor"),
    }


def test_a_quiet_pi_says_only_what_governs_its_clock() -> None:
    notes = session_notes(PI, [state("raspberry-pi-4")] * 3)
    assert [(note.level, note.text) for note in notes] == [
        ("note", "the CPU's frequency is governed by ondemand")
    ]


def test_a_busy_or_starved_device_is_said() -> None:
    busy = DeviceState(load_1min=3.5, throttled_flags=0)
    notes = session_notes(PI, [busy, DeviceState(memory_pressure_percent=12.5, throttled_flags=0)])
    assert {note.code for note in notes if note.level == "warning"} == {"busy", "memory_pressure"}
    assert not [n for n in session_notes(PI, [DeviceState(load_1min=1.9)]) if n.code == "busy"]


@pytest.mark.parametrize(
    ("check", "words"),
    [
        ({"snr_db": None}, ""),
        ({"snr_db": 25.0}, ""),
        ({"snr_db": 19.9}, "SNR 19.9 dB (at least 20), cosine 1.0000"),
        ({"cosine": 0.98}, "cosine 0.9800 (at least 0.99)"),
        ({"finite": False}, "NaN or infinity"),
    ],
)
def test_outputs_off_the_reference(check: dict[str, float | None], words: str) -> None:
    values = {
        "name": "y",
        "finite": True,
        "equal": False,
        "max_abs_error": 0.1,
        "snr_db": 40.0,
        "cosine": 1.0,
        **check,
    }
    reason = mismatch(OutputCheck.model_validate(values), 20, 0.99)
    assert (words in reason) if words else reason == ""


def test_ten_agreeing_runs_need_no_note(result: ArtifactResult) -> None:
    assert codes(result) == []


def test_what_is_wrong_with_an_artifacts_runs(result: ArtifactResult) -> None:
    runs = result.runs
    assert codes(result.model_copy(update={"runs": runs[:9]})) == ["quick"]
    broken = runs[9].model_copy(update={"complete": False})
    assert codes(result.model_copy(update={"runs": (*runs[:9], broken)})) == ["incomplete", "quick"]
    slow = runs[9].model_copy(update={"steady_ns": tuple(3 * ns for ns in runs[9].steady_ns)})
    assert codes(result.model_copy(update={"runs": (*runs[:9], slow)})) == ["unstable"]
    shifted = tuple(ns if i < 20 else ns * 13 // 10 for i, ns in enumerate(runs[0].steady_ns))
    moved = runs[0].model_copy(update={"steady_ns": shifted})
    notes = artifact_notes(
        result.model_copy(update={"runs": (moved, *runs[1:])}), snr_min_db=20, cosine_min=0.99
    )
    assert [note.code for note in notes][-1] == "not_steady"
    assert re.search(r"in 1 of 10 runs: the median moved by up to \+(29|30) %", notes[-1].text)


def test_what_went_on_during_the_runs(result: ArtifactResult) -> None:
    quiet = result.runs[0].model_copy(
        update={"cpu_ns": 950_000_000, "device_cpu": CpuTime(busy_s=1.0, idle_s=3.0)}
    )
    assert quiet.others_share == pytest.approx(0.0125)
    assert result.runs[0].others_share is None
    assert run_notes([quiet], (), Controlled()) == []
    busy = quiet.model_copy(update={"device_cpu": CpuTime(busy_s=2.95, idle_s=1.02, stolen_s=0.03)})
    assert [(note.code, note.text) for note in run_notes([quiet, busy], (), Controlled())] == [
        (
            "other_programs",
            "other programs had 26 % of the device's processor time (at most 50 % in a run)",
        )
    ]
    stolen = busy.model_copy(update={"device_cpu": CpuTime(busy_s=1, idle_s=0, stolen_s=1)})
    assert [note.code for note in run_notes([stolen], (), Controlled())] == ["stolen"]
    probes = device_probes(state("raspberry-pi-4"))
    windows = tuple(
        WindowValues(at_ns=i, iterations=i, values=(khz, 50_000))
        for i, khz in enumerate((1_800_000, 600_000))
    )
    [note] = run_notes([quiet.model_copy(update={"windows": windows})], probes, Controlled())
    assert note.text == "the clock of policy0 ran between 600 and 1800 MHz"
    [note] = run_notes([quiet], (), Controlled(cool_below_c=50, still_hot_runs=2))
    assert note.text == "2 runs started before the device was below 50 °C"


@pytest.mark.parametrize(
    ("threads", "cpus", "words"),
    [
        (4, (0, 1), "fp32.pte: 4 threads on 2 cores wait for each other"),
        (2, (0,), "fp32.pte: 2 threads on 1 cores wait for each other"),
        (2, (2, 3), ""),
        (1, (0, 1, 2, 3), ""),
        (4, (), ""),
    ],
)
def test_more_threads_than_cores(
    result: ArtifactResult, threads: int, cpus: tuple[int, ...], words: str
) -> None:
    """The cores are those that the runner may use, not those that the device has."""
    assert result.runner
    runner = result.runner.model_copy(update={"threads": threads, "cpus": cpus})
    crowded = result.model_copy(update={"runner": runner})
    notes = artifact_notes(crowded, snr_min_db=20, cosine_min=0.99)
    texts = [(note.level, note.text) for note in notes if note.code == "threads"]
    assert texts == ([("warning", words)] if words else [])


def test_a_short_p99_is_labelled(result: ArtifactResult) -> None:
    runs = tuple(run.model_copy(update={"steady_ns": run.steady_ns * 2}) for run in result.runs)
    assert codes(result.model_copy(update={"runs": runs})) == ["short_p99"]
    whole = tuple(
        run.model_copy(update={"steady_ns": tuple(ns * 60 for ns in run.steady_ns)}) for run in runs
    )
    assert codes(result.model_copy(update={"runs": whole})) == []


def test_the_runners_own_share_is_said_when_it_matters(result: ArtifactResult) -> None:
    for overhead_ns, expected in ((9_000.0, []), (30_000.0, ["overhead"]), (None, [])):
        runs = tuple(
            run.model_copy(update={"overhead_ns_per_iteration": overhead_ns}) for run in result.runs
        )
        assert codes(result.model_copy(update={"runs": runs})) == expected
    slow = tuple(
        run.model_copy(update={"overhead_ns_per_iteration": 30_000.0}) for run in result.runs
    )
    text = artifact_notes(result.model_copy(update={"runs": slow}), snr_min_db=20, cosine_min=0.99)[
        0
    ].text
    assert text == "fp32.pte: the runner's own timing takes 30000 ns, 3 % of the median"
