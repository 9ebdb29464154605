"""Targets from a board's own report, and host keys, on the command line and from Python, with a
real SSH server."""

from __future__ import annotations

import json
import shlex
import subprocess
from pathlib import Path

import pytest

import edgekit
from edgekit.boards.adding import address_of
from edgekit.cli import run
from edgekit.devices.facts import DeviceFacts
from edgekit.devices.target import AdbTarget, SshTarget
from edgekit.devices.target_files import load_target, new_target
from edgekit.errors import IdentityError, UsageError
from tools.testbed import adbd
from tools.testbed.sshd import Server


@pytest.mark.device
def test_add_by_fingerprint(
    address: str, ssh_server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a terminal nothing is trusted and nothing written; the error has the command that
    does it."""
    command = ["target", "add", "pi5", "--ssh", address]
    assert run(command) == 6
    stderr = capsys.readouterr().err
    assert not Path("targets").exists()
    shown = subprocess.run(
        ["ssh-keygen", "-lf", str(ssh_server.directory / "host_key.pub")],
        capture_output=True,
        text=True,
        check=True,
    )
    fingerprint = shown.stdout.split()[1]
    assert f"edgekit target add pi5 --ssh {address} --fingerprint {fingerprint}" in stderr
    assert run([*command, "--fingerprint", "SHA256:" + "A" * 43]) == 6
    assert run([*command, "--fingerprint", fingerprint, "--json"]) == 0
    added = json.loads(capsys.readouterr().out)
    assert added["file"] == "targets/pi5.yaml"
    assert added["facts"]["arch"] in added["target"]["description"]
    target = load_target("pi5")
    assert isinstance(target, SshTarget)
    assert address_of(target) == address
    text = Path("targets/pi5.yaml").read_text()
    assert text.startswith(
        "# yaml-language-server: $schema=target.schema.json\n# edgekit bench BUNDLE --target pi5\n"
    )
    assert (
        json.loads(Path("targets/target.schema.json").read_text())["title"] == "edgekit target"
    ), "an editor finds it"
    assert load_target(uncommented(text)) == target, "what is commented out says the defaults"


@pytest.mark.device
def test_the_remedy_has_all_that_was_given(
    address: str, ssh_server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is run as it is shown, and so is what comes next."""
    key, place = Path("my key"), Path("my boards")
    key.write_bytes((ssh_server.directory / "user_key").read_bytes())
    key.chmod(0o600)
    options = ["--identity-file", str(key), "--directory", str(place), "--replace"]
    assert run(["target", "add", "pi5", "--ssh", address, *options]) == 6
    remedy = capsys.readouterr().err.replace("\n", " ").partition("then: edgekit ")[2]
    command = shlex.split(remedy)
    assert command[:5] == ["target", "add", "pi5", "--ssh", address]
    assert run(command) == 0
    added = load_target(place / "pi5.yaml")
    assert isinstance(added, SshTarget)
    assert added.identity_file == str(key.absolute())
    following = capsys.readouterr().out.partition("next: edgekit ")[2]
    assert shlex.split(following) == ["target", "check", "my boards/pi5.yaml"]
    assert following.strip() in (place / "pi5.yaml").read_text()
    assert run(shlex.split(following)) == 0


def uncommented(text: str) -> Path:
    """The file with all settings in place, but for the ones that have no default."""
    lines = [
        line.removeprefix("# ") for line in text.splitlines()[3:] if "require_signature" not in line
    ]
    Path("uncommented.yaml").write_text("\n".join(lines) + "\n")
    return Path("uncommented.yaml")


@pytest.mark.device
def test_add_from_python(address: str) -> None:
    with pytest.raises(IdentityError, match="unknown host key"):
        edgekit.add_target("a", ssh=address)
    added = edgekit.add_target("a", ssh=address, confirm=lambda key: True, directory="elsewhere")
    assert added.target == load_target(added.path)
    with pytest.raises(UsageError, match="there already"):
        edgekit.add_target("a", ssh=address, directory="elsewhere")
    assert edgekit.add_target("a", ssh=address, directory="elsewhere", replace=True) == added
    assert edgekit.add_target("1234", ssh=address, directory="elsewhere").target.name == "1234"


@pytest.mark.device
def test_trust(address: str, pi: SshTarget, capsys: pytest.CaptureFixture[str]) -> None:
    known = Path.home() / ".config" / "edgekit" / "known_hosts"
    assert edgekit.trust("pi")[-1].standing == "known"
    known.unlink()
    assert run(["target", "trust", "pi"]) == 6
    assert "no terminal" in capsys.readouterr().err
    assert not known.exists()
    assert run(["target", "trust", "pi", "--yes", "--json"]) == 0
    assert [key["standing"] for key in json.loads(capsys.readouterr().out)["host_keys"]] == [
        "unknown"
    ]
    assert run(["target", "trust", "pi"]) == 0
    assert "known already" in capsys.readouterr().out


def test_host_keys_are_for_ssh() -> None:
    with pytest.raises(UsageError, match="kind local"):
        edgekit.trust("local")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "over SSH or by adb"),
        (["--ssh", "a@b", "--adb", "x"], "over SSH or by adb"),
        (["--ssh", "a@b@c"], "not an address"),
        (["--ssh", "a b@c"], "user: expected a user name"),
        (["--ssh", "host:99999"], "port"),
        (["--adb", "10.0.0.1:5555"], "on the network"),
    ],
)
def test_addresses_that_are_refused(
    here: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["target", "add", "a", *arguments]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("name", ["../a", "a/b", "", "-a", "a b"])
def test_names_that_are_refused(here: Path, name: str) -> None:
    with pytest.raises(UsageError, match="name: expected"):
        edgekit.add_target(name, ssh="nowhere.invalid")


def test_what_a_board_says_of_itself_is_only_text(here: Path) -> None:
    from edgekit.boards.adding import _text

    facts = DeviceFacts(
        machine='evil"\nkind: local\n\x1b[31m: {}', system="# no comment", arch="aarch64"
    )
    target = new_target("a", {"kind": "adb", "serial": "1:2", "allow_network": True})
    Path("a.yaml").write_text(_text(target, facts, "a"))
    loaded = load_target("a.yaml")
    assert isinstance(loaded, AdbTarget)
    assert (loaded.serial, loaded.allow_network) == ("1:2", True)
    assert "\n" not in loaded.description
    assert "\x1b" not in loaded.description
    assert "# no comment" in loaded.description


def test_list(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("targets").mkdir()
    Path("targets/pi.yaml").write_text(
        "edgekit: 1\nname: pi\nkind: ssh\nhost: pi.local\nuser: me\nport: 2222\n"
    )
    Path("targets/bad.yaml").write_text("edgekit: 1\nname: bad\nkind: shs\n")
    targets = {target.name: target for target in edgekit.list_targets()}
    assert (targets["pi"].kind, targets["pi"].address, targets["pi"].file) == (
        "ssh",
        "me@pi.local:2222",
        "targets/pi.yaml",
    )
    assert targets["local"].file == "built in"
    assert "did you mean 'ssh'" in targets["bad"].problem
    assert run(["target", "list"]) == 0
    shown = capsys.readouterr().out
    assert "me@pi.local:2222" in shown
    assert "shs" in shown
    assert run(["target", "list", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["targets"]) == 3


def test_show_and_schema(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["target", "show", "local", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["timeouts"]["connect_seconds"] > 0
    assert run(["target", "schema"]) == 0
    assert json.loads(capsys.readouterr().out) == edgekit.target_json_schema()


@pytest.mark.device
def test_add_by_adb(
    here: Path, adb_daemon: adbd.Daemon, own_adb_server: None, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["target", "add", "phone", "--adb", adb_daemon.serial]
    assert run(command) == 2
    assert "on the network" in capsys.readouterr().err
    assert run([*command, "--allow-network", "--json"]) == 0
    target = load_target("phone")
    assert isinstance(target, AdbTarget)
    assert (target.serial, target.allow_network) == (adb_daemon.serial, True)
    findings = {finding.check: finding for finding in edgekit.check("phone").items}
    assert {findings[name].level for name in ("reachable", "architecture", "tools")} == {"ok"}
