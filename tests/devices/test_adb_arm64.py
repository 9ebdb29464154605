"""The whole way over a real adb to an arm64 machine with Android's shell and tools: the native
runners bring their own C library and give what the bundle's reference says. The machine is
emulated: no time in here means anything."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import edgekit
from edgekit.bundle.directory import Bundle
from edgekit.devices.target import AdbTarget
from edgekit.measure.session import Side, bench
from edgekit.measure.settings import Settings
from edgekit.recipe.schema import Recipe
from edgekit.runners.board_platform import platform_of
from tests.support.boards import require_adbd
from tests.support.tiers import cannot_run
from tools.testbed import adbd

pytestmark = [pytest.mark.device, pytest.mark.nightly, pytest.mark.torch]


@pytest.fixture(scope="module")
def phone() -> Iterator[adbd.Daemon]:
    require_adbd()
    if reason := adbd.why_no_arm64_programs():
        cannot_run(reason)
    if reason := adbd.why_no_arm64_kernel():
        cannot_run(reason, need="machine")
    with (
        tempfile.TemporaryDirectory(prefix="edgekit-adbd-") as directory,
        adbd.running(Path(directory), arm64=True) as daemon,
    ):
        yield daemon


@pytest.fixture
def target(phone: adbd.Daemon, own_adb_server: None) -> AdbTarget:
    settings = {
        "workdir": str(phone.directory / "tmp" / "edgekit"),
        "timings": "meaningless",
        "timings_reason": "emulated",
    }
    return AdbTarget.model_validate(
        {
            "edgekit": 1,
            "name": "phone",
            "kind": "adb",
            "serial": phone.serial,
            "allow_network": True,
            **settings,
        }
    )


def test_it_is_arm64_without_glibc_and_python(target: AdbTarget) -> None:
    device = edgekit.connect(target)
    platform = platform_of(target, device)
    assert (platform.arch, platform.glibc, platform.python) == ("aarch64", None, None)
    device.close()


def test_a_bundle_arrives_whole(quickstart_bundle: Bundle, target: AdbTarget) -> None:
    assert edgekit.deploy(quickstart_bundle, target).bytes_moved > 0
    assert edgekit.deploy(quickstart_bundle, target).bytes_moved == 0
    assert edgekit.verify(target).bundle.startswith(quickstart_bundle.manifest.id[:12])


def test_the_native_runners_give_there_what_they_give_here(
    quickstart_bundle: Bundle, target: AdbTarget
) -> None:
    keys = tuple(artifact.key for artifact in quickstart_bundle.manifest.artifacts)
    assert len(keys) == 6
    settings = Settings(runs=1, warmup_min_seconds=0, min_iterations=2, min_seconds=0)
    [measured] = bench([Side(quickstart_bundle, keys)], target, settings)
    limits = Recipe.model_validate(quickstart_bundle.manifest.recipe).verify
    assert tuple(result.key for result in measured.artifacts) == keys
    assert measured.timings == "meaningless"
    for result in measured.artifacts:
        assert result.complete_runs
        assert result.runner
        assert (result.runner.runner, result.runner.arch) == ("native", "aarch64")
        assert result.outputs
        assert all(output.cosine >= limits.cosine_min for output in result.outputs)
        assert (
            all(output.equal for output in result.outputs) or result.artifact.variant == "fp32"
        ), "integers are the same on every machine"
