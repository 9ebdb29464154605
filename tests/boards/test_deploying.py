"""Deploying, verifying, rolling back and setting up by target: command line, Python, and the
flashing script, over real SSH."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

import edgekit
from edgekit.bundle.directory import Bundle
from edgekit.cli import run
from edgekit.deployment import hold
from edgekit.devices import connect
from edgekit.devices.target import SshTarget
from edgekit.errors import DeviceError, RunnerError
from tests.support.targets import write_target
from tests.support.tiers import cannot_run
from tests.support.wheelhouse import make_wheel, only_index

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.device


def test_deploy_verify_and_roll_back(
    pi: SshTarget, old: Bundle, new: Bundle, capsys: pytest.CaptureFixture[str]
) -> None:
    deploy = ["deploy", str(old.path), "--target", "pi"]
    assert run([*deploy, "--dry-run", "--json"]) == 0
    planned = json.loads(capsys.readouterr().out)["targets"]["pi"]
    assert not planned["activated"]
    assert run(["verify", "-t", "pi"]) == 7
    assert run([*deploy, "--json"]) == 0
    done = json.loads(capsys.readouterr().out)["targets"]["pi"]
    assert done["activated"]
    assert done["bytes_moved"] == planned["bytes_moved"] > 0
    assert edgekit.deploy(old, "pi").bytes_moved == 0
    assert run([*deploy, "--dry-run"]) == 0
    assert "is the current one already; 0 B in 0 objects would be sent" in " ".join(
        capsys.readouterr().out.split()
    )
    edgekit.deploy(new.path, pi)
    assert run(["verify", "-t", "pi", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["bundle"].startswith(new.manifest.id[:12])
    assert run(["rollback", "-t", "pi"]) == 0
    assert old.manifest.id[:12] in capsys.readouterr().out
    assert edgekit.verify("pi").bundle.startswith(old.manifest.id[:12])


def test_nothing_to_roll_back_to(pi: SshTarget, old: Bundle) -> None:
    edgekit.deploy(old, pi)
    with pytest.raises(DeviceError, match="no bundle is previous"):
        edgekit.rollback(pi)


def test_busy(pi: SshTarget, old: Bundle) -> None:
    with hold(connect(pi), pi.workdir):
        assert run(["deploy", str(old.path), "-t", "pi"]) == 75


def litert_wheels(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the board's Python, the system's, would get: packages of no content."""
    only_index(folder, monkeypatch)
    monkeypatch.setenv("EDGEKIT_CACHE", str(folder / "cache"))
    version = subprocess.run(
        ["/usr/bin/python3", "-c", "import sys; print('cp%d%d' % sys.version_info[:2])"],
        capture_output=True,
        text=True,
    )
    if version.returncode:
        cannot_run("needs /usr/bin/python3: apt-get install python3")
    tag = version.stdout.strip()
    for name in ("ai_edge_litert-2.3.0", "numpy-2.0.0"):
        make_wheel(
            folder,
            name,
            f"{tag}-{tag}-manylinux_2_17_{platform.machine()}",
            {f"{name.partition('-')[0]}/__init__.py": ""},
        )


def test_the_flashing_script(
    pi: SshTarget, old: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Set up, push, verify; again moves nothing. tools/README.md shows the same lines."""
    litert_wheels(tmp_path / "wheels", monkeypatch)
    ready = SshTarget.model_validate(
        {
            **pi.model_dump(exclude_unset=True),
            "runners": {
                "executorch": {"program": "/bin/true"},
                "litert": {"kind": "python", "python": "/usr/bin/python3"},
            },
        }
    )
    write_target(ready)
    command = [sys.executable, str(ROOT / "tools" / "flash.py"), str(old.path), "pi"]
    lines = []
    for _ in range(2):
        done = subprocess.run(
            command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}
        )
        assert done.returncode == 0, done.stderr
        lines.append(done.stdout)
    assert lines[0].startswith("pi: ")
    assert not lines[0].startswith("pi: 0 bytes")
    assert lines[1].startswith(f"pi: 0 bytes sent; 7 files of {old.manifest.id[:12]}")
    script = (ROOT / "tools" / "flash.py").read_text().partition('"""\n\n')[2]
    assert script in (ROOT / "tools" / "README.md").read_text()
    assert len([line for line in script.splitlines() if line]) <= 10


def test_setup_on_the_command_line(
    pi: SshTarget,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What cannot be had does not keep the rest from the board."""
    litert_wheels(tmp_path / "wheels", monkeypatch)
    ready = SshTarget.model_validate(
        {
            **pi.model_dump(exclude_unset=True),
            "runners": {"litert": {"kind": "python", "python": "/usr/bin/python3"}},
        }
    )
    write_target(ready)
    cache = tmp_path / "carried"
    assert (
        run(
            [
                "target",
                "setup",
                "pi",
                "--runtime",
                "litert",
                "--offline-cache",
                str(cache),
                "--json",
            ]
        )
        == 0
    )
    (runtime,) = json.loads(capsys.readouterr().out)["runtimes"]
    assert runtime["format"] == "litert"
    assert json.loads((cache / "runtimes.json").read_text())
    assert run(["target", "check", "pi", "--json"]) == 0
    findings = {
        finding["check"]: finding for finding in json.loads(capsys.readouterr().out)["findings"]
    }
    assert (
        findings["runtime for .tflite"]["text"]
        == f"litert {runtime['version']} ({platform.machine()})"
    )
    assert findings["runtime for .pte"]["fix"] == "edgekit target setup pi"


def test_setup_installs_what_it_can(
    pi: SshTarget, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    litert_wheels(tmp_path / "wheels", monkeypatch)
    monkeypatch.setattr(
        "edgekit.runners.runtime.RUNTIMES",
        {
            "executorch": "tests.boards.test_deploying:no_runtime",
            "litert": "edgekit.runners.litert:provide",
        },
    )
    ready = SshTarget.model_validate(
        {
            **pi.model_dump(exclude_unset=True),
            "runners": {"litert": {"kind": "python", "python": "/usr/bin/python3"}},
        }
    )
    with pytest.raises(RunnerError, match=r"pi: not today \(installed: litert\)"):
        edgekit.setup(ready)


def no_runtime(*_: object) -> None:
    raise RunnerError("not today")
