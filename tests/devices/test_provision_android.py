"""tools/provision_android.py on a device behind a real adbd and on one that is not there, and
again."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgekit import keygen
from edgekit.bundle.directory import Bundle
from edgekit.devices.target import AdbTarget
from edgekit.devices.target_files import load_target
from tests.support.tiers import cannot_run, require_root
from tools import provision_android
from tools.testbed import adbd

pytestmark = pytest.mark.device
PHONES_TMP = Path("/data/local/tmp")


@pytest.fixture
def phones_tmp() -> Iterator[None]:
    """The folder that every phone has and this machine has not."""
    require_root(f"makes {PHONES_TMP}")
    if PHONES_TMP.exists():
        cannot_run(f"this machine has {PHONES_TMP}, which a test must not use", need="machine")
    made = next(
        parent for parent in (*reversed(PHONES_TMP.parents), PHONES_TMP) if not parent.exists()
    )
    PHONES_TMP.mkdir(parents=True)
    PHONES_TMP.chmod(0o1777)
    yield
    shutil.rmtree(made)


@pytest.mark.usefixtures("own_adb_server", "phones_tmp")
def test_phones_are_made_ready(
    old: Bundle, adb_daemon: adbd.Daemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "edgekit.setup", lambda *_, **__: None, raising=False
    )  # these bytes need no runner, and building one takes a minute
    phones = provision_android.provision_all(
        old, [adb_daemon.serial, "127.0.0.1:1"], directory=tmp_path, allow_network=True
    )
    assert [phone.exit_code for phone in phones] == [0, 5]
    assert "does not see it" in phones[1].message
    assert phones[0].bytes_sent > 0
    again = provision_android.provision(
        old, adb_daemon.serial, directory=tmp_path, allow_network=True
    )
    assert (again.bytes_sent, again.exit_code) == (0, 0)
    written = load_target(tmp_path / f"{phones[0].target}.yaml")
    assert isinstance(written, AdbTarget)
    assert written.serial == adb_daemon.serial
    (_, public), file = keygen(tmp_path / "release"), tmp_path / f"{phones[0].target}.yaml"
    file.write_text(f"{file.read_text()}require_signature: {public.name}\n")
    refused = provision_android.provision(
        old, adb_daemon.serial, directory=tmp_path, allow_network=True
    )
    assert (refused.exit_code, "is not signed" in refused.message) == (9, True), refused
    assert load_target(file).require_signature == str(public), "it still demands it"
