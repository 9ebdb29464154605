"""Files on a card that is not mounted, its first boot, its store, and the script that does it
all."""

from __future__ import annotations

import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path

import paramiko
import pytest
from ruamel.yaml import YAML

from edgekit.deployment import deploy
from edgekit.devices.local import LocalDevice
from edgekit.errors import DeviceError, UsageError
from edgekit.flash import (
    FirstBoot,
    HostKey,
    Wifi,
    install_store,
    new_host_key,
    prepare_first_boot,
    read_platform,
    read_public_keys,
)
from edgekit.flash.disk import Disk
from edgekit.flash.filesystem import Entry, boot_partition, partitions, root_partition
from edgekit.flash.firstboot import KEY_FILES, REGENERATE_KEYS, SEED, custom_toml
from edgekit.flash.platform import parse_status
from edgekit.flash.wifi import supplicant_conf
from tests.support.bundles import write_bundle
from tests.support.cards import BOOT, ROOT, STATUS, is_clean, on_root

ME = FirstBoot(
    "desk",
    "eve",
    ("ssh-ed25519 AAAA me",),
    Wifi(b'my "net"', "s3cret: #", "DE"),
)
CLOUD = {"etc/cloud/cloud.cfg": "# here"}
MakeCard = Callable[..., Disk]


def test_partitions(make_card: MakeCard) -> None:
    assert [(part.offset, part.bytes) for part in partitions(make_card({}, {}))] == [BOOT, ROOT]


def test_files_on_both_partitions(make_card: MakeCard, tmp_path: Path) -> None:
    card = make_card({"config.txt": "old"}, {"etc/old": "x"})
    boot = boot_partition(card)
    assert boot
    assert boot.exists("/config.txt")
    boot.write("/config.txt", b"new \x00 bytes")
    assert boot.read("/config.txt") == b"new \x00 bytes"
    root = root_partition(card)
    (tmp_path / "big").write_bytes(bytes(range(256)) * 8000)
    entries = [
        Entry("/opt/box", mode=0o700, owner=1000),
        Entry("/opt/box/a/b/run", content=tmp_path / "big", mode=0o755, owner=1000),
        Entry("/opt/box/link", target="a/b/run", owner=1000),
        Entry("/etc/old", content=b"new"),
    ]
    root.write(entries)
    root.write(entries)  # writing again replaces
    assert root.read("/opt/box/a/b/run") == (tmp_path / "big").read_bytes()
    assert root.read("/etc/old") == b"new"
    assert "Mode:  0755" in on_root(card, "stat /opt/box/a/b/run")
    assert 'Fast link dest: "a/b/run"' in on_root(card, "stat /opt/box/link")
    status = on_root(card, "stat /opt/box")
    assert "Mode:  0700" in status
    assert "User:  1000" in status
    root.remove("/opt/box/link")
    root.remove("/opt/box/link")
    assert not root.exists("/opt/box/link")
    assert is_clean(card)


def test_no_room_writes_nothing(make_card: MakeCard, tmp_path: Path) -> None:
    card = make_card({}, {})
    (tmp_path / "huge").write_bytes(bytes(ROOT[1]))
    with pytest.raises(DeviceError, match=r"25\.2 MB are to be placed, the root file system has"):
        root_partition(card).write([Entry("/opt/huge", content=tmp_path / "huge")])
    assert not root_partition(card).exists("/opt/huge")


@pytest.mark.parametrize(
    "path", ["relative", "/a/../b", "/a b", "/a\nrm /etc", "/a;b", "/", "/-x/$(id)"]
)
def test_paths_that_tools_could_misread_are_refused(path: str, make_card: MakeCard) -> None:
    with pytest.raises(UsageError, match="cannot be the path"):
        root_partition(make_card({}, {})).write([Entry(path, content=b"x")])


def test_a_card_without_linux(make_card: MakeCard, tmp_path: Path) -> None:
    card = make_card({}, {})
    with card.path.open("r+b") as stream:
        stream.seek(ROOT[0] + 1024)
        stream.write(bytes(1024))
    with pytest.raises(DeviceError, match="no partition with an ext4 file system"):
        root_partition(card)
    (tmp_path / "empty").write_bytes(bytes(1 << 20))
    with pytest.raises(DeviceError, match="partition table cannot be read"):
        partitions(Disk(tmp_path / "empty", 1 << 20, True))


@pytest.mark.parametrize("place", ["boot partition", "root file system"])
def test_cloud_init(place: str, make_card: MakeCard) -> None:
    card, key = (
        make_card({"user-data": "#cloud-config\n"} if place == "boot partition" else {}, CLOUD),
        new_host_key(),
    )
    assert prepare_first_boot(card, ME, key) == "cloud-init"
    boot, root = boot_partition(card), root_partition(card)
    assert boot
    read = {
        name: boot.read(f"/{name}") if place == "boot partition" else root.read(f"{SEED}/{name}")
        for name in ("user-data", "meta-data", "network-config")
    }
    assert read["user-data"].startswith(b"#cloud-config\n")
    data, meta, network = (YAML(typ="safe").load(text) for text in read.values())
    assert data["users"][0] | {"groups": []} == {
        "name": "eve",
        "uid": 1000,
        "shell": "/bin/bash",
        "groups": [],
        "sudo": "ALL=(ALL) NOPASSWD:ALL",
        "lock_passwd": True,
        "ssh_authorized_keys": ["ssh-ed25519 AAAA me"],
    }
    assert data["hostname"] == meta["local-hostname"] == "desk"
    assert data["ssh_keys"] == {"ed25519_private": key.private, "ed25519_public": key.public}
    assert network["wifis"]["wlan0"]["access-points"] == {'my "net"': {"password": "s3cret: #"}}
    assert_host_key(card, key)


def test_raspberry_pi_os_bookworm(make_card: MakeCard) -> None:
    wants = REGENERATE_KEYS.removeprefix("/")
    card, key = (
        make_card(
            {"cmdline.txt": "console"},
            {"usr/lib/raspberrypi-sys-mods/init_config": "#!", wants: "link"},
        ),
        new_host_key(),
    )
    assert prepare_first_boot(card, ME, key) == "custom.toml"
    boot = boot_partition(card)
    assert boot
    settings = tomllib.loads(boot.read("/custom.toml").decode())
    assert ME.wifi
    assert settings["ssh"] == {
        "enabled": True,
        "password_authentication": False,
        "authorized_keys": list(ME.ssh_public_keys),
    }
    assert settings["wlan"] == {
        "ssid": "109;121;32;34;110;101;116;34;",
        "password": ME.wifi.key,
        "password_encrypted": True,
        "country": "DE",
    }
    assert "wlan" not in tomllib.loads(custom_toml(FirstBoot("a", "b", ())).decode())
    assert not root_partition(card).exists(REGENERATE_KEYS)
    assert_host_key(card, key)


def test_raspberry_pi_os_bullseye(make_card: MakeCard) -> None:
    card = make_card({}, {"usr/lib/userconf-pi/userconf": "#!", "home/pi/.profile": ""})
    assert prepare_first_boot(card, ME, new_host_key()) == "userconf"
    boot, root = boot_partition(card), root_partition(card)
    assert boot
    assert boot.read("/userconf.txt") == b"eve:*\n"
    assert boot.exists("/ssh")
    assert ME.wifi
    assert boot.read("/wpa_supplicant.conf") == supplicant_conf(ME.wifi)
    assert root.read("/home/pi/.ssh/authorized_keys") == b"ssh-ed25519 AAAA me\n"
    assert "Mode:  0600" in on_root(card, "stat /home/pi/.ssh/authorized_keys")


def test_an_image_without_a_first_boot(make_card: MakeCard) -> None:
    with pytest.raises(DeviceError, match="no first-boot mechanism that edgekit knows"):
        prepare_first_boot(make_card({}, {}), ME, new_host_key())


def assert_host_key(card: Disk, key: HostKey) -> None:
    root = root_partition(card)
    assert root.read(KEY_FILES).decode() == key.private
    assert root.read(f"{KEY_FILES}.pub").decode() == f"{key.public}\n"
    assert "Mode:  0600" in on_root(card, f"stat {KEY_FILES}")
    assert is_clean(card)


def test_host_keys_are_openssh_keys(tmp_path: Path) -> None:
    key = new_host_key()
    (tmp_path / "key").write_text(key.private)
    assert (
        paramiko.Ed25519Key.from_private_key_file(str(tmp_path / "key")).get_base64()
        == key.public.split()[1]
    )
    assert key.known_hosts_line("desk.local") == f"desk.local ssh-ed25519 {key.public.split()[1]}\n"
    assert key.known_hosts_line("127.0.0.1", 2222).startswith("[127.0.0.1]:2222 ssh-ed25519 ")
    assert new_host_key() != key


def test_public_keys(tmp_path: Path) -> None:
    (tmp_path / "a.pub").write_text("# mine\nssh-ed25519 AAAA a\n\n")
    (tmp_path / "a").write_text(new_host_key().private)
    assert read_public_keys([tmp_path / "a.pub"]) == ("ssh-ed25519 AAAA a",)
    for files, message in (
        ([tmp_path / "a"], "is a private key"),
        ([tmp_path / "none"], "No such file"),
        ([], "nobody could log in"),
    ):
        with pytest.raises(DeviceError, match=message):
            read_public_keys(files)


def test_the_system_on_a_card(make_card: MakeCard) -> None:
    platform = read_platform(make_card({}, {}))
    assert (platform.arch, platform.glibc, platform.python, platform.python_version) == (
        "aarch64",
        "2.36",
        "python3",
        "3.11",
    )
    assert parse_status(STATUS.split("\n\n")[0]).python is None
    assert (
        parse_status(
            STATUS + "\nPackage: python3-numpy\nStatus: install ok installed\nVersion:"
            " 1:1.24.2-1+deb12u1\n"
        ).numpy
        == "1.24.2"
    )
    for status in (
        "",
        STATUS.replace("arm64", "s390x"),
        STATUS.replace("ok installed", "deinstall ok config-files"),
    ):
        with pytest.raises(DeviceError, match="libc6"):
            parse_status(status)


def test_a_store_on_the_card_is_the_devices_own(make_card: MakeCard, tmp_path: Path) -> None:
    """What is copied back from the card passes for a deployed bundle, and deploying it again moves
    nothing."""
    bundle, here = write_bundle(tmp_path / "bundle", "card"), LocalDevice("card")
    deployed = deploy(bundle, here, str(tmp_path / "store"))
    card = make_card({}, {})
    assert install_store(card, tmp_path / "store", "/opt/edgekit") >= deployed.bytes_moved
    assert is_clean(card)
    subprocess.run(
        ["debugfs", "-R", f"rdump /opt/edgekit {tmp_path}", f"{card.path}?offset={ROOT[0]}"],
        check=True,
        capture_output=True,
    )
    again = deploy(bundle, here, str(tmp_path / "edgekit"), dry_run=True)
    assert (again.bytes_moved, again.objects_moved, again.activated) == (0, 0, True)
