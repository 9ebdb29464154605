"""Deployments that are killed at every step: the live bundle is the old one or the new one, and a
plain retry finishes the work."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path

import pytest

from edgekit.bundle.directory import Bundle
from edgekit.deployment import deploy, verify
from edgekit.deployment.calling import call
from edgekit.deployment.tree_scripts import COLLECT, PLANT
from edgekit.devices.local import LocalDevice
from edgekit.errors import DeviceError
from tests.support.bundles import LARGE_BYTES
from tests.support.deployments import DEPLOY, STEPS, contents, live, run_python

CHUNK_BYTES = 1 << 20


def killed_at(step: str, bundle: Bundle, store: Path) -> None:
    done = run_python(DEPLOY, str(bundle.path), str(store), EDGEKIT_FAILPOINT=step)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()


@pytest.mark.parametrize("step", STEPS)
def test_killed_at(step: str, old: Bundle, new: Bundle, store: Path) -> None:
    deploy(old, LocalDevice(), str(store))
    killed_at(step, new, store)
    expected = new if step in ("activated", "collected") else old
    assert live(store) == contents(expected.path)

    report = deploy(new, LocalDevice(), str(store))
    assert live(store) == contents(new.path)
    assert contents(store / "previous") == contents(old.path)
    assert verify(LocalDevice(), str(store)).files == 7
    if step in ("sent", "admitted", "linked", "planted", "activated", "collected"):
        assert report.bytes_moved == 0
    if step == "sending fp32.pte":
        assert report.bytes_moved == LARGE_BYTES - CHUNK_BYTES


def test_the_first_deployment_killed(old: Bundle, store: Path) -> None:
    for step in ("sending fp32.pte", "planted"):
        killed_at(step, old, store)
        assert live(store) is None
    deploy(old, LocalDevice(), str(store))
    assert live(store) == contents(old.path)


def test_a_resumption_killed_again_goes_on_from_there(old: Bundle, store: Path) -> None:
    for _ in range(2):
        killed_at("sending fp32.pte", old, store)
    [tail] = (store / "staging").glob("*.tail")
    assert tail.stat().st_size == CHUNK_BYTES
    report = deploy(old, LocalDevice(), str(store))
    assert report.bytes_moved == LARGE_BYTES - 2 * CHUNK_BYTES
    assert live(store) == contents(old.path)


@pytest.mark.parametrize("damage", ["first byte", "longer than the file"])
def test_a_partial_upload_that_differs_is_started_again(
    damage: str, old: Bundle, store: Path
) -> None:
    killed_at("sending fp32.pte", old, store)
    partial = store / "staging" / old.manifest.artifacts[0].file.sha256
    data = partial.read_bytes()
    partial.write_bytes(b"?" + data[1:] if damage == "first byte" else data * 4)
    report = deploy(old, LocalDevice(), str(store))
    assert report.bytes_moved == LARGE_BYTES
    assert live(store) == contents(old.path)


def test_what_an_interrupted_deployment_staged_is_collected_by_the_next(
    old: Bundle, new: Bundle, store: Path
) -> None:
    killed_at("sending fp32.pte", new, store)
    (store / "staging" / "tree").mkdir()
    (store / "staging" / "tree" / "half").write_text("planted")
    deploy(old, LocalDevice(), str(store))
    assert not list((store / "staging").iterdir())
    assert live(store) == contents(old.path)


def test_a_script_that_outlives_its_host_is_waited_for(
    old: Bundle, new: Bundle, store: Path
) -> None:
    """What the last host started may still be at work when the next one comes: here it takes its
    time, and then collects."""
    deploy(old, LocalDevice(), str(store))
    slow = subprocess.Popen(
        [
            "sh",
            "-c",
            COLLECT.replace("\nalone\n", "\nalone\necho; sleep 1\n"),
            "edgekit",
            str(store),
            "4",
        ],
        stdout=subprocess.PIPE,
    )
    assert slow.stdout
    assert slow.stdout.readline() == b"\n"
    started = time.monotonic()
    deploy(new, LocalDevice(), str(store))
    assert time.monotonic() - started > 0.5
    assert slow.wait(10) == 0
    slow.stdout.close()
    assert live(store) == contents(new.path)


def test_collecting_several_times_at_once_deletes_nothing_that_is_needed(
    shell: str, old: Bundle, new: Bundle, store: Path
) -> None:
    for bundle in (old, new):
        deploy(bundle, LocalDevice(), str(store))
    for _ in range(10):
        started = [
            subprocess.Popen(
                ["sh", "-c", COLLECT, "edgekit", str(store), "4"], stderr=subprocess.DEVNULL
            )
            for _ in range(4)
        ]
        for process in started:
            process.wait(20)
        assert live(store) == contents(new.path)
    assert contents(store / "previous") == contents(old.path)


def test_a_list_of_files_that_is_cut_short_is_not_planted(
    shell: str, old: Bundle, store: Path
) -> None:
    deploy(old, LocalDevice(), str(store))
    [tree] = (store / "bundles").iterdir()
    lines = (tree / ".objects").read_text().splitlines()
    asked = [f"644 ../../objects/{digest} file{number}" for number, digest in enumerate(lines)]
    with pytest.raises(DeviceError, match="cut short"):
        call(
            LocalDevice(),
            PLANT,
            str(store),
            f"bundles/{tree.name}",
            str(len(asked)),
            lines=asked[:-1],
        )
    assert (tree / ".objects").read_text().splitlines() == lines
