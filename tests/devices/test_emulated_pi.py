"""The whole way to another architecture: the quickstart's bundle, over real SSH, on a virtual arm64
board, in both runtimes.

Slow: the first time an image is built (a minute or two), the runner is cross-compiled (about a
minute) and the quickstart is trained and exported (another); all of it is kept, the image in the
user's cache, the rest in pytest's."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from edgekit.bundle.directory import Bundle
from edgekit.deployment import deploy, provision, verify
from edgekit.devices import connect
from edgekit.devices.fact_scripts import collect
from edgekit.devices.target import SshTarget
from edgekit.devices.target_files import load_target
from edgekit.recipe.schema import Recipe
from edgekit.runners.board_platform import platform_of
from edgekit.runners.own_libc import system_libraries
from edgekit.runners.runtime import Platform, runtime_for
from tests.support.measured import bench
from tests.support.tiers import cannot_run
from tools.emulation import machine

pytestmark = [pytest.mark.device, pytest.mark.nightly, pytest.mark.torch]
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def board(emulated_image: Path) -> Iterator[machine.Machine]:
    with tempfile.TemporaryDirectory(prefix="edgekit-pi-") as directory:
        started = machine.start(emulated_image, Path(directory), machine.free_port())
        try:
            yield started
        finally:
            machine.stop(started)


@pytest.fixture(scope="module")
def target(board: machine.Machine) -> SshTarget:
    shipped = load_target(ROOT / "targets" / "emulated-pi.yaml")
    changes = {
        "port": board.port,
        "identity_file": str(board.image / "user_key"),
        "known_hosts": str(board.state / "known_hosts"),
    }
    assert isinstance(shipped, SshTarget)
    return shipped.model_copy(update=changes)


def test_the_board_is_another_machine(target: SshTarget) -> None:
    with closing(connect(target)) as device:
        facts, platform = collect(device), platform_of(target, device)
        clock = device.run(["date", "+%s"], timeout_s=30).stdout
    assert (facts.arch, platform.arch) == ("aarch64", "aarch64")
    assert facts.cpu == "Cortex-A72"
    assert (platform.python, platform.is_host) == ("python3", False)
    assert abs(int(clock) - time.time()) < 60


def test_runtimes_are_on_it_already(target: SshTarget) -> None:
    sent: list[float] = []
    with closing(connect(target)) as device:
        for format in ("executorch", "litert"):
            runtime = runtime_for(format, platform_of(target, device))
            provision(
                device,
                target.workdir,
                runtime,
                progress=lambda task, done, total, text="": sent.append(total),
            )
    assert set(sent) == {0}


def test_a_runner_that_brings_its_own_c_library(target: SshTarget) -> None:
    """As a phone gets it: started through its own loader, with nothing of the board's."""
    if not system_libraries("aarch64"):
        cannot_run(
            "needs a C library to bring along: apt-get install libc6-arm64-cross"
            " libgcc-s1-arm64-cross libstdc++6-arm64-cross"
        )
    with closing(connect(target)) as device:
        loader, *rest = provision(
            device, target.workdir, runtime_for("executorch", Platform("aarch64"))
        )
        version = device.run([loader, *rest, "--version"], timeout_s=60).stdout
        used = device.run([loader, *rest[:-1], "--list", rest[-1]], timeout_s=60).stdout.decode()
    assert json.loads(version)["arch"] == "aarch64"
    needed = [line.split(" => ")[1] for line in used.splitlines() if " => " in line]
    assert needed
    assert all(path.startswith(str(Path(loader).parents[1])) for path in needed), used


def test_the_quickstart_runs_there_as_it_does_here(
    quickstart_bundle: Bundle, target: SshTarget
) -> None:
    measured = bench(
        quickstart_bundle,
        target,
        runs=1,
        warmup_min_seconds=0,
        min_iterations=2,
        min_seconds=0,
        max_seconds=60,
    )
    limits = Recipe.model_validate(quickstart_bundle.manifest.recipe).verify
    assert [result.artifact.key for result in measured.artifacts] == [
        artifact.key for artifact in quickstart_bundle.manifest.artifacts
    ]
    assert {result.artifact.runtime for result in measured.artifacts} == {"executorch", "litert"}
    for result in measured.artifacts:
        assert result.runner
        assert (result.runner.arch, len(result.complete_runs)) == ("aarch64", 1)
        for output in result.outputs:
            assert output.finite
            assert output.snr_db is None or output.snr_db >= limits.snr_min_db
            assert output.cosine >= limits.cosine_min
            print(
                f"{result.artifact.key}: equal {output.equal}, largest difference"
                f" {output.max_abs_error:.3g}, SNR {output.snr_db} dB"
            )
    assert measured.timings == "meaningless"
    assert any("emulated by qemu" in note.text for note in measured.notes)


def test_what_was_deployed_is_there(quickstart_bundle: Bundle, target: SshTarget) -> None:
    with closing(connect(target)) as device:
        deploy(quickstart_bundle, device, target.workdir)
        assert deploy(quickstart_bundle, device, target.workdir).bytes_moved == 0
        assert verify(device, target.workdir).bundle.startswith(quickstart_bundle.manifest.id[:12])


def test_a_port_that_is_taken(board: machine.Machine, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"does not start: .*host forwarding"):
        machine.start(board.image, tmp_path, board.port)
    assert machine.running(board.state, board.image) == board
