"""A card from its image to a measurement: flashed by tools/flash_pi.py, started for the first time,
known, let in and measured with nothing sent to it.

The card is a file, the board qemu's, the system Debian with its own cloud-init; no Raspberry Pi
reads it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from edgekit import keygen, load_target, open_bundle, sign
from edgekit.bundle.directory import Bundle
from edgekit.bundle.signing import require_signature
from edgekit.deployment import deploy, provision
from edgekit.devices import connect
from edgekit.devices.target import SshTarget
from edgekit.errors import IdentityError, ResultError
from edgekit.flash import new_host_key
from edgekit.runners.board_platform import platform_of
from edgekit.runners.runtime import runtime_for
from tools.emulation import machine

pytestmark = [pytest.mark.device, pytest.mark.nightly, pytest.mark.torch]
ROOT = Path(__file__).parents[2]
CARD_BYTES = 640 << 20
"""More than the image holds, as with any real card."""


@dataclass(frozen=True)
class Flashed:
    """Where the user flashed a card and what this user's programs see; the bundle is signed, as the
    target demands."""

    directory: Path
    environment: Mapping[str, str]
    target: SshTarget
    bundle: Bundle


def call(where: Path, environment: Mapping[str, str], *argv: str | Path) -> str:
    """Run a program as a user who is not asked anything."""
    done = subprocess.run(
        [str(part) for part in argv],
        cwd=where,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def flashed(
    quickstart_bundle: Bundle, emulated_image: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Flashed]:
    """A board that has just been started for the first time from a card that has just been
    flashed."""
    home, port = tmp_path_factory.mktemp("flashed"), machine.free_port()
    inherited = {
        key: value
        for key, value in os.environ.items()
        if key not in ("SSH_AUTH_SOCK", "EDGEKIT_DB")
    }
    cache = emulated_image.parents[1]
    environment = {
        **inherited,
        "HOME": str(home),
        "EDGEKIT_CACHE": str(cache),
        "EDGEKIT_DB": f"sqlite:///{home}/results.db",
        "PYTHONPATH": str(ROOT),
    }
    call(home, environment, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "board_key")
    bundle = shutil.copytree(quickstart_bundle.path, home / quickstart_bundle.path.name)
    private, public = keygen(home / "release")
    sign(bundle, private)
    with (home / "card").open("wb") as stream:
        stream.truncate(CARD_BYTES)
    output = call(
        home,
        environment,
        *(
            sys.executable,
            ROOT / "tools" / "flash_pi.py",
            emulated_image / "card.img",
            "card",
            "--yes",
            "--hostname",
            "desk",
        ),
        *(
            "--ssh-key",
            "board_key.pub",
            "--bundle",
            bundle,
            "--require-signature",
            public,
            "--address",
            f"127.0.0.1:{port}",
        ),
    )
    assert "first boot by cloud-init" in output
    started = machine.start_card(emulated_image, home / "card", home / "machine", port)
    try:
        target = load_target(home / "targets" / "desk.yaml")
        assert isinstance(target, SshTarget)
        yield Flashed(home, environment, target, open_bundle(bundle))
    finally:
        machine.stop(started)


def test_the_first_boot_made_what_was_asked_for(flashed: Flashed) -> None:
    with closing(connect(flashed.target)) as device:
        completed = device.run(
            [
                "sh",
                "-c",
                (
                    "hostname; id -un; id -u; cat /run/cloud-init/cloud-id; df -B1 --output=size /"
                    " | tail -n 1"
                ),
            ],
            timeout_s=60,
        )
    hostname, user, user_id, data_source, root_bytes = completed.stdout.decode().split()
    assert (hostname, user, user_id, data_source) == ("desk", "pi", "1000", "nocloud")
    assert int(root_bytes) > 0.9 * (
        CARD_BYTES - (50 << 20)
    )  # the root file system grew to the card's size


def test_another_machine_at_its_address_is_not_it(flashed: Flashed, tmp_path: Path) -> None:
    (tmp_path / "known_hosts").write_text(
        new_host_key().known_hosts_line("127.0.0.1", flashed.target.port or 22)
    )
    with pytest.raises(IdentityError):
        connect(flashed.target.model_copy(update={"known_hosts": str(tmp_path / "known_hosts")}))


def test_the_target_says_that_it_is_emulated_and_wants_signed_bundles(
    flashed: Flashed, quickstart_bundle: Bundle
) -> None:
    assert (flashed.target.timings, flashed.target.timings_reason) == (
        "meaningless",
        "the board is emulated by qemu",
    )
    with pytest.raises(ResultError, match="is not signed"):
        require_signature(quickstart_bundle, flashed.target)
    require_signature(flashed.bundle, flashed.target)


def test_all_it_needs_is_on_it(flashed: Flashed) -> None:
    target, sent = flashed.target, list[float]()
    with closing(connect(target)) as device:
        report = deploy(flashed.bundle, device, target.workdir, dry_run=True)
        for format in ("executorch", "litert"):
            runtime = runtime_for(format, platform_of(target, device))
            provision(
                device,
                target.workdir,
                runtime,
                progress=lambda task, done, total, text="": sent.append(total),
            )
    assert (report.bytes_moved, report.objects_moved, report.activated) == (0, 0, True)
    assert set(sent) == {0}


def test_it_is_measured_with_no_further_setup(flashed: Flashed) -> None:
    """By the command that the user would type. Models and runtimes are as flash_pi.py left them, to
    the time of the last change."""
    before = files(flashed.target)
    bench = (
        sys.executable,
        "-m",
        "edgekit.cli",
        "bench",
        flashed.bundle.path,
        "--target",
        "desk",
        "--runs",
        "1",
        "--json",
    )
    measured = json.loads(call(flashed.directory, flashed.environment, *bench))
    assert {result["artifact"] for result in measured["artifacts"]} == {
        artifact.key for artifact in flashed.bundle.manifest.artifacts
    }
    assert {
        (result["runner"]["arch"], result["summary"]["runs"]) for result in measured["artifacts"]
    } == {("aarch64", 1)}
    assert files(flashed.target) == before


def files(target: SshTarget) -> str:
    """What is in the store, with size and when it was changed; apart from deployment's marks of
    use, whose names begin with a dot."""
    find = (
        f"find {target.workdir}/objects {target.workdir}/runtimes -type f -not -name '.*' -printf"
        " '%p %s %C@\\n' | sort"
    )
    with closing(connect(target)) as device:
        listing = device.run(["sh", "-c", find], timeout_s=60)
    assert listing.ok
    return listing.stdout.decode()
