"""Deploying to a real directory with real shells: what arrives, what is not sent again, what is
kept, and what is refused."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgekit.bundle.directory import Bundle
from edgekit.deployment import RUNTIMES_KEPT, deploy, hold, provision, rollback, verify
from edgekit.deployment.tree_scripts import ACTIVATE
from edgekit.devices import CompletedProgram
from edgekit.devices.local import LocalDevice
from edgekit.errors import DeviceError, TransportError
from edgekit.runners.runtime import Runtime, describe_file
from tests.support.bundles import LARGE_BYTES, noise, write_bundle
from tests.support.deployments import contents, live


def total_bytes(bundle: Bundle) -> int:
    return sum(
        {
            path.read_bytes(): path.stat().st_size
            for path in bundle.path.rglob("*")
            if path.is_file()
        }.values()
    )


def script_runtime(directory: Path, text: str) -> Runtime:
    """A runtime that is a shell script with a library in a folder."""
    (directory / "lib").mkdir(parents=True)
    (directory / "run").write_text(
        f'#!/bin/sh\necho "{text} $(cat "$(dirname "$0")/lib/a library.txt") $1"\n'
    )
    (directory / "lib" / "a library.txt").write_text(f"library of {text}")
    files = (
        describe_file(directory / "run", "run", 0o755),
        describe_file(directory / "lib" / "a library.txt", "lib/a library.txt", 0o644),
    )
    return Runtime("executorch", "1.0", "x86_64", files, ("{directory}/run",))


def test_fresh_then_unchanged_then_new(shell: str, old: Bundle, new: Bundle, store: Path) -> None:
    device = LocalDevice()
    first = deploy(old, device, str(store))
    assert live(store) == contents(old.path)
    assert first.activated
    assert (first.bundle_id, first.bytes_moved, first.reused) == (
        old.manifest.id,
        total_bytes(old),
        0,
    )
    assert Path(first.artifacts["fp32.pte"]).read_bytes() == (old.path / "fp32.pte").read_bytes()

    again = deploy(old, device, str(store))
    assert (again.bytes_moved, again.objects_moved, again.reused) == (0, 0, first.objects_moved)

    second = deploy(new, device, str(store))
    assert live(store) == contents(new.path)
    assert contents(store / "previous") == contents(old.path)
    assert second.reused == 3  # the small model, its outputs, the common inputs
    assert second.bytes_moved == total_bytes(new) - 12 - 8 - 64
    assert verify(device, str(store)).bundle.startswith(new.manifest.id[:12])
    assert not list((store / "staging").iterdir())


def test_a_rebuild_with_other_seconds_is_another_tree_of_the_same_bundle(
    old: Bundle, store: Path, tmp_path: Path
) -> None:
    device = LocalDevice()
    deploy(old, device, str(store))
    rebuilt = write_bundle(tmp_path / "rebuilt", "old", shared=b"same in both")
    assert rebuilt.manifest.id == old.manifest.id
    manifest = rebuilt.path / "manifest.json"
    manifest.write_text(manifest.read_text().replace("2026-01-01", "2026-01-02"))
    report = deploy(rebuilt, device, str(store))
    assert report.objects_moved == 1
    assert live(store) == contents(rebuilt.path)


def test_progress_and_plan(old: Bundle, store: Path) -> None:
    device = LocalDevice()
    plan = deploy(old, device, str(store), dry_run=True)
    assert not store.exists()
    assert not plan.activated
    steps: list[tuple[float, float]] = []
    report = deploy(
        old,
        device,
        str(store),
        progress=lambda task, done, total, text="": steps.append((done, total)),
    )
    assert (report.bytes_moved, report.objects_moved) == (plan.bytes_moved, plan.objects_moved)
    assert steps[-1] == (float(report.bytes_moved), float(report.bytes_moved))
    assert steps == sorted(steps)
    before = sorted(store.rglob("*"))
    assert deploy(old, device, str(store), dry_run=True).bytes_moved == 0
    assert sorted(store.rglob("*")) == before


def test_home_directory(old: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    report = deploy(old, LocalDevice(), "~/edge/kit")
    assert report.directory.startswith(f"{tmp_path}/edge/kit/bundles/")
    assert verify(LocalDevice(), "~/edge/kit").files == 7


def test_store_is_private(old: Bundle, store: Path) -> None:
    deploy(old, LocalDevice(), str(store))
    assert stat.S_IMODE(store.stat().st_mode) == 0o700


def test_rollback_swaps(shell: str, old: Bundle, new: Bundle, store: Path) -> None:
    device = LocalDevice()
    with pytest.raises(DeviceError, match="previous"):
        rollback(device, str(store))
    deploy(old, device, str(store))
    deploy(new, device, str(store))
    assert rollback(device, str(store)).bundle.startswith(old.manifest.id[:12])
    assert live(store) == contents(old.path)
    rollback(device, str(store))
    assert live(store) == contents(new.path)


def test_rollback_to_a_damaged_bundle_is_refused(old: Bundle, new: Bundle, store: Path) -> None:
    device = LocalDevice()
    deploy(old, device, str(store))
    deploy(new, device, str(store))
    target = (store / "previous" / "fp32.pte").resolve()
    target.write_bytes(b"other" + target.read_bytes()[5:])
    with pytest.raises(DeviceError, match=r"altered or missing: fp32\.pte"):
        rollback(device, str(store))
    assert live(store) == contents(new.path)


def test_verify_sees_every_kind_of_damage(shell: str, old: Bundle, store: Path) -> None:
    device = LocalDevice()
    store.mkdir(parents=True)
    with pytest.raises(DeviceError, match="no bundle is current"):
        verify(device, str(store))
    deploy(old, device, str(store))
    link = store / "current" / "int8.pte"
    target = os.readlink(link)

    link.unlink()
    with pytest.raises(DeviceError, match="not the deployed ones"):
        verify(device, str(store))
    assert deploy(old, device, str(store)).bytes_moved == 0  # mends links
    assert os.readlink(link) == target

    (store / "current" / "extra.pte").symlink_to(target)
    with pytest.raises(DeviceError, match="not the deployed ones"):
        verify(device, str(store))
    (store / "current" / "extra.pte").unlink()

    place = link.resolve()
    place.chmod(0o644)
    place.write_bytes(b"same in BOTH")  # same size
    with pytest.raises(DeviceError, match=r"int8\.pte"):
        verify(device, str(store))
    assert deploy(old, device, str(store)).bytes_moved == 12  # mends content
    assert verify(device, str(store)).files == 7


@pytest.mark.parametrize(
    "put",
    [
        lambda tree: (tree / "notes.txt").write_text("surplus"),
        lambda tree: (tree / "reference" / " odd name").write_text("surplus"),
        lambda tree: (tree / "elsewhere").symlink_to("/etc/hostname"),
        lambda tree: (tree / "extra.pte").symlink_to(os.readlink(tree / "int8.pte")),
        lambda tree: os.mkfifo(tree / "pipe"),
    ],
    ids=["file", "file in a folder", "link elsewhere", "link to content", "pipe"],
)
def test_more_than_was_deployed_is_not_whole(
    shell: str, old: Bundle, store: Path, put: Callable[[Path], object]
) -> None:
    device = LocalDevice()
    deploy(old, device, str(store))
    put(store / "current")
    with pytest.raises(DeviceError, match=r"more than was deployed|not the deployed ones"):
        verify(device, str(store))
    assert deploy(old, device, str(store)).bytes_moved == 0  # and removes it
    assert verify(device, str(store)).files == 7
    assert live(store) == contents(old.path)


def test_old_bundles_and_their_content_are_collected(
    shell: str, old: Bundle, new: Bundle, store: Path, tmp_path: Path
) -> None:
    device = LocalDevice()
    argv = provision(device, str(store), script_runtime(tmp_path / "runtime", "kept"))
    for bundle in (old, new, write_bundle(tmp_path / "third", "third")):
        deploy(bundle, device, str(store))
    assert len(list((store / "bundles").iterdir())) == 2
    stored = {path.read_bytes() for path in (store / "objects").iterdir()}
    needed = {*contents(store / "current").values(), *contents(store / "previous").values()}
    assert needed < stored
    assert (old.path / "fp32.pte").read_bytes() not in stored
    assert len(stored - needed) == 2  # the runtime's
    assert device.run(argv, timeout_s=10).ok


def test_runtimes_start_where_they_were_put(shell: str, store: Path, tmp_path: Path) -> None:
    device = LocalDevice()
    runtime = script_runtime(tmp_path / "runtime", "one")
    argv = provision(device, str(store), runtime)
    assert argv == provision(device, str(store), runtime)
    assert (
        LocalDevice().run(["/usr/bin/env", f"PATH={os.defpath}", *argv, "x"], timeout_s=10).stdout
        == b"one library of one x\n"
    )


def test_only_the_last_runtimes_are_kept(old: Bundle, store: Path, tmp_path: Path) -> None:
    device = LocalDevice()
    started = [
        provision(device, str(store), script_runtime(tmp_path / f"r{i}", f"runtime {i}"))
        for i in range(RUNTIMES_KEPT + 2)
    ]
    deploy(old, device, str(store))
    assert [Path(argv[0]).exists() for argv in started] == [False] * 2 + [True] * RUNTIMES_KEPT


def test_a_lock_that_is_held_already_is_used(old: Bundle, store: Path) -> None:
    with hold(LocalDevice(), str(store)) as lock:
        assert deploy(old, LocalDevice(), str(store), lock=lock).activated


# what goes wrong


class Flipping(LocalDevice):
    """Changes a bit of every large file on its way."""

    def push(self, local: Path, remote: str, **options: Any) -> None:
        super().push(local, remote, **options)
        data = bytearray(Path(remote).read_bytes())
        if len(data) == LARGE_BYTES:
            data[LARGE_BYTES // 2] ^= 1
            Path(remote).write_bytes(data)


def test_a_flipped_bit_is_never_activated(
    shell: str, old: Bundle, new: Bundle, store: Path
) -> None:
    deploy(old, LocalDevice(), str(store))
    with pytest.raises(TransportError, match=r"fp32\.pte arrived damaged"):
        deploy(new, Flipping(), str(store))
    assert live(store) == contents(old.path)
    assert not list((store / "staging").iterdir())
    assert (
        deploy(new, LocalDevice(), str(store)).objects_moved == 1 + 0
    )  # what was right is not sent again
    assert live(store) == contents(new.path)


class Deaf(LocalDevice):
    """Runs the activation, but its reply is lost."""

    def run(self, argv: Any, **options: Any) -> CompletedProgram:
        done = super().run(argv, **options)
        if argv[2:3] == [ACTIVATE]:
            raise TransportError("the connection was lost")
        return done


def test_a_lost_reply_to_the_activation(old: Bundle, new: Bundle, store: Path) -> None:
    deploy(old, LocalDevice(), str(store))
    with pytest.raises(TransportError):
        deploy(new, Deaf(), str(store))
    assert live(store) == contents(new.path)
    assert deploy(new, LocalDevice(), str(store)).bytes_moved == 0
    assert contents(store / "previous") == contents(old.path)


@pytest.mark.parametrize("place", ["objects", "staging", "bundles", "runtimes"])
def test_a_link_out_of_the_store_is_refused(
    place: str, old: Bundle, store: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    store.mkdir(parents=True)
    (store / place).symlink_to(outside)
    with pytest.raises(DeviceError, match=f"{place} is a symbolic link"):
        deploy(old, LocalDevice(), str(store))
    assert not list(outside.iterdir())


@pytest.mark.parametrize("kind", ["directory", "link"])
@pytest.mark.parametrize("place", ["objects", "staging"])
def test_what_is_no_plain_file_is_not_written_to(
    place: str, kind: str, old: Bundle, store: Path, tmp_path: Path
) -> None:
    victim = tmp_path / "victim"
    victim.write_text("untouched")
    (store / place).mkdir(parents=True)
    entry = store / place / old.manifest.artifacts[0].file.sha256
    entry.mkdir() if kind == "directory" else entry.symlink_to(victim)
    with pytest.raises(DeviceError, match="not a plain file"):
        deploy(old, LocalDevice(), str(store))
    assert victim.read_text() == "untouched"


def test_a_directory_called_current_is_refused(old: Bundle, store: Path) -> None:
    (store / "current").mkdir(parents=True)
    with pytest.raises(DeviceError, match="current is not a symbolic link"):
        deploy(old, LocalDevice(), str(store))


@pytest.mark.parametrize("workdir", ["/proc/edgekit", "/dev/null/x"])
def test_no_place_for_a_store(workdir: str, old: Bundle) -> None:
    with pytest.raises(DeviceError) as raised:
        deploy(old, LocalDevice(), workdir)
    assert "\n" not in raised.value.message
    assert workdir.rpartition("/")[0] in raised.value.message


def test_a_disk_that_is_too_small_is_seen_before_anything_is_sent(
    old: Bundle, tiny_disk: Path
) -> None:
    with pytest.raises(DeviceError, match="MiB free") as raised:
        deploy(old, LocalDevice(), str(tiny_disk))
    assert raised.value.hint
    assert not list((tiny_disk / "objects").iterdir())


class Optimistic(LocalDevice):
    """Reports more free space than there is, as a disk that others fill meanwhile."""

    def run(self, argv: Any, **options: Any) -> CompletedProgram:
        done = super().run(argv, **options)
        return CompletedProgram(
            **{**vars(done), "stdout": done.stdout.replace(b"free ", b"free 9999")}
        )


def test_a_disk_that_fills_up_leaves_nothing_behind(old: Bundle, tiny_disk: Path) -> None:
    with pytest.raises(DeviceError, match=os.strerror(errno.ENOSPC)):
        deploy(old, Optimistic(), str(tiny_disk))
    assert not [path for path in (tiny_disk / "staging").iterdir() if path.stat().st_size > 100_000]
    assert live(tiny_disk) is None


def test_a_name_that_cannot_be_a_file_is_refused(store: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(noise("x", 10))
    for name in ["../x", "a/../../x", "/etc/x", "a\nb", " a", "", ".objects"]:
        runtime = Runtime(
            "executorch", "1", "x86_64", (describe_file(tmp_path / "file", name, 0o644),), ("x",)
        )
        with pytest.raises(DeviceError, match="cannot be the name"):
            provision(LocalDevice(), str(store), runtime)
