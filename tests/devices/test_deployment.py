"""Deployment over every transport there is: it uses nothing but the device protocol."""

from __future__ import annotations

from pathlib import Path

from edgekit.bundle.directory import Bundle
from edgekit.deployment import deploy, provision, rollback, verify
from edgekit.devices import Device
from edgekit.runners.runtime import Runtime, describe_file
from tests.support.bundles import LARGE_BYTES, noise


def test_deploy_change_and_roll_back(device: Device, remote: str, old: Bundle, new: Bundle) -> None:
    store = f"{remote}/store"
    first = deploy(old, device, store)
    assert first.objects_moved == 6
    assert deploy(old, device, store).bytes_moved == 0
    assert deploy(new, device, store).objects_moved == 3
    assert verify(device, store).bundle.startswith(new.manifest.id[:12])
    assert rollback(device, store).bundle.startswith(old.manifest.id[:12])
    assert device.run(["cat", f"{store}/current/int8.pte"], timeout_s=20).stdout == b"same in both"


def test_resume(device: Device, remote: str, old: Bundle, tmp_path: Path) -> None:
    artifact = old.manifest.artifacts[0].file
    part = tmp_path / "part"
    part.write_bytes((old.path / artifact.name).read_bytes()[:1_234_567])
    device.run(["mkdir", "-p", f"{remote}/staging"], timeout_s=20)
    device.push(part, f"{remote}/staging/{artifact.sha256}")
    whole = sum(
        {
            path.read_bytes(): path.stat().st_size for path in old.path.rglob("*") if path.is_file()
        }.values()
    )
    assert whole > LARGE_BYTES
    assert deploy(old, device, remote).bytes_moved == whole - 1_234_567
    assert verify(device, remote).files == 7


def test_a_runtime(device: Device, remote: str, tmp_path: Path) -> None:
    program = tmp_path / "run"
    program.write_text('#!/bin/sh\necho "$1 $(wc -c <"$(dirname "$0")/lib/data")"\n')
    (tmp_path / "data").write_bytes(noise("data", 5000))
    files = (
        describe_file(program, "run", 0o755),
        describe_file(tmp_path / "data", "lib/data", 0o644),
    )
    argv = provision(
        device, f"{remote}/store", Runtime("litert", "1", "any", files, ("{directory}/run",))
    )
    assert device.run([*argv, "it's"], timeout_s=20).stdout.split() == [b"it's", b"5000"]
