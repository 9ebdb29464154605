"""`tools/flash_pi.py` as a user runs it, on files that stand for cards."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from edgekit import keygen, load_target, sign
from edgekit.flash import Wifi, new_host_key
from edgekit.flash.disk import Disk
from edgekit.flash.filesystem import boot_partition, root_partition
from edgekit.flash.firstboot import KEY_FILES, SEED
from edgekit.flash.wifi import supplicant_conf
from tests.support.bundles import write_bundle

SCRIPT = Path(__file__).parents[2] / "tools" / "flash_pi.py"


def flash(
    directory: Path, *arguments: str | bytes, wifi_password: str | None = None
) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if k != "EDGEKIT_WIFI_PASSWORD"}
    if wifi_password is not None:
        environment["EDGEKIT_WIFI_PASSWORD"] = wifi_password
    return subprocess.run(
        [sys.executable, str(SCRIPT), *arguments],
        cwd=directory,
        env=environment,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )


def test_an_image_becomes_a_card_and_a_target(
    make_card: Callable[..., Disk], tmp_path: Path
) -> None:
    image = make_card({}, {"etc/cloud/cloud.cfg": "#"}, "os.img").path
    packed, key = tmp_path / "os: a #1.img.gz", tmp_path / "me: a #1.pub"
    packed.write_bytes(gzip.compress(image.read_bytes(), 1))
    key.write_text(" ".join(new_host_key().public.split()))
    arguments = (
        str(packed),
        "card",
        "--hostname",
        "desk",
        "--ssh-key",
        str(key),
        "--address",
        "127.0.0.1:2222",
    )
    refused = flash(tmp_path, *arguments)
    assert refused.returncode == 2
    assert "add --yes" in refused.stderr
    assert not (tmp_path / "card").exists()
    done = flash(tmp_path, *arguments, "--yes")
    assert done.returncode == 0, done.stderr
    assert "first boot by cloud-init" in done.stdout
    target = load_target(tmp_path / "targets" / "desk.yaml")
    assert target.kind == "ssh"
    assert (target.name, target.host, target.port, target.user, target.workdir) == (
        "desk",
        "127.0.0.1",
        2222,
        "pi",
        "~/edgekit",
    )
    assert packed.name in target.description
    assert target.identity_file is None  # its private half is not here
    root = root_partition(Disk(tmp_path / "card", None, True))
    public = root.read(f"{KEY_FILES}.pub").decode().split()[1]
    assert Path(str(target.known_hosts)).read_text() == f"[127.0.0.1]:2222 ssh-ed25519 {public}\n"
    assert key.read_text().encode() in root.read(f"{SEED}/user-data")


def test_the_target_names_the_key_that_was_made_for_it(
    make_card: Callable[..., Disk], tmp_path: Path
) -> None:
    image, key = make_card({}, {"etc/cloud/cloud.cfg": "#"}, "os.img").path, new_host_key()
    (tmp_path / "me: a #1.pub").write_text(key.public)
    (tmp_path / "me: a #1").write_text(key.private)
    done = flash(
        tmp_path, str(image), "card", "--hostname", "desk", "--ssh-key", "me: a #1.pub", "--yes"
    )
    assert done.returncode == 0, done.stderr
    target = load_target(tmp_path / "targets" / "desk.yaml")
    assert target.kind == "ssh"
    assert target.identity_file == str(tmp_path / "me: a #1")


def test_a_card_for_an_emulator_is_labelled(make_card: Callable[..., Disk], tmp_path: Path) -> None:
    image = make_card(
        {},
        {"etc/cloud/cloud.cfg": "#", "etc/edgekit-emulated": 'by\x1b[2J qemu: "fast"\n'},
        "os.img",
    ).path
    (tmp_path / "me.pub").write_text(new_host_key().public)
    done = flash(tmp_path, str(image), "card", "--hostname", "desk", "--ssh-key", "me.pub", "--yes")
    assert done.returncode == 0, done.stderr
    target = load_target(tmp_path / "targets" / "desk.yaml")
    assert (target.timings, target.timings_reason) == ("meaningless", 'by\ufffd[2J qemu: "fast"')


def test_only_signed_bundles_are_placed(make_card: Callable[..., Disk], tmp_path: Path) -> None:
    """Asked for by the command or by the target that is there already; found out before the card is
    touched."""
    image, bundle = (
        make_card({}, {"etc/cloud/cloud.cfg": "#"}, "os.img").path,
        write_bundle(tmp_path / "bundle", "card"),
    )
    (tmp_path / "me.pub").write_text(new_host_key().public)
    (private, public), (other, _) = keygen(tmp_path / "release"), keygen(tmp_path / "other")
    command = (str(image), "card", "--hostname", "desk", "--ssh-key", "me.pub", "--yes")
    with_bundle = (*command, "--bundle", str(bundle.path))
    done = flash(tmp_path, *with_bundle, "--require-signature", str(public))
    assert (done.returncode, "is not signed" in done.stderr) == (9, True), done.stderr
    done = flash(tmp_path, *command, "--require-signature", public.name)
    assert done.returncode == 0, done.stderr
    assert load_target(tmp_path / "targets" / "desk.yaml").require_signature == str(public)
    (tmp_path / "card").unlink()
    sign(bundle.path, other)
    done = flash(tmp_path, *with_bundle)
    assert (done.returncode, "is not valid" in done.stderr) == (9, True), done.stderr
    assert not (tmp_path / "card").exists()
    sign(bundle.path, private)
    assert flash(tmp_path, *command).returncode == 0
    assert load_target(tmp_path / "targets" / "desk.yaml").require_signature == str(public), (
        "flashed anew, it still demands it"
    )


def test_mistakes_are_one_line_without_a_traceback(
    make_card: Callable[..., Disk], tmp_path: Path
) -> None:
    image, key = make_card({}, {}, "os.img").path, tmp_path / "me.pub"
    key.write_text("ssh-ed25519 AAAA me")
    cases = {
        (str(image), "/dev/null"): (2, "neither a disk nor a file"),
        (str(tmp_path / "none.img"), "card"): (2, "No such file"),
        (str(image), "card"): (7, "no first-boot mechanism"),
    }
    for paths, (code, message) in cases.items():
        done = flash(tmp_path, *paths, "--hostname", "desk", "--ssh-key", str(key), "--yes")
        assert (done.returncode, message in done.stderr, "Traceback" in done.stderr) == (
            code,
            True,
            False,
        ), done.stderr
    assert not (tmp_path / "targets").exists()


def test_what_cannot_work_is_refused_before_the_card_is_touched(tmp_path: Path) -> None:
    """A board with it would never be seen on the network, or its target could not be read."""
    (tmp_path / "me.pub").write_text(new_host_key().public)
    usual = ("os.img", "card", "--ssh-key", "me.pub", "--yes")
    desk, net = ("--hostname", "desk"), ("--wifi", "net", "--wifi-country", "DE")
    cases: list[tuple[tuple[str, ...], str | None, str]] = [
        ((*desk, *net), "", "is empty"),
        ((*desk, "--wifi", "net"), "password", "--wifi-country takes two capital letters"),
        ((*desk, "--wifi-country", "DE"), "password", "--wifi-country without a network"),
        ((*desk, "--address", "host:port"), None, "is not an address of a machine"),
        ((*desk, "--target-name", "../desk"), None, "name: expected up to 64 letters"),
    ]
    for arguments, password, message in cases:
        done = flash(tmp_path, *usual, *arguments, wifi_password=password)
        assert (done.returncode, message in done.stderr, "Traceback" in done.stderr) == (
            2,
            True,
            False,
        ), done.stderr
    assert not (tmp_path / "card").exists()
    assert not (tmp_path / "targets").exists()


def test_a_target_is_readable_whatever_its_names(
    make_card: Callable[..., Disk], tmp_path: Path
) -> None:
    """A host name of digits, a key in a folder beyond ASCII, a network name that is no UTF-8."""
    image, key = make_card({}, {"usr/lib/userconf-pi/userconf": "#!"}, "os.img").path, "📶/me.pub"
    (tmp_path / "📶").mkdir()
    (tmp_path / key).write_text(new_host_key().public)
    (tmp_path / key).with_suffix("").write_text("private")
    network = ("--wifi", b"caf\xe9", "--wifi-country", "DE")
    done = flash(
        tmp_path,
        *(str(image), "card", "--hostname", "1234", "--ssh-key", key, "--yes", *network),
        wifi_password='a"b\\c123',
    )
    assert done.returncode == 0, done.stderr
    target = load_target(tmp_path / "targets" / "1234.yaml")
    assert target.kind == "ssh"
    assert (target.name, target.host) == ("1234", "1234.local")
    assert target.identity_file == str(tmp_path / "📶" / "me")
    boot = boot_partition(Disk(tmp_path / "card", None, True))
    assert boot
    expected = supplicant_conf(Wifi(b"caf\xe9", 'a"b\\c123', "DE"))
    assert boot.read("/wpa_supplicant.conf") == expected
