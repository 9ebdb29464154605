"""The first boot of a flashed card: user, SSH key, host name, wireless network and host key, by the
image's own mechanism.

    cloud-init      user-data, meta-data and network-config: on the boot partition where the image
                    keeps them (Ubuntu, Raspberry Pi OS from Trixie on), else as a NoCloud seed in
                    the root file system (Debian's cloud images). See cloud-init's documentation,
                    datasource NoCloud.
    custom.toml     Raspberry Pi OS Bookworm: read once by raspberrypi-sys-mods' init_config.
    userconf        Raspberry Pi OS Bullseye: userconf.txt, ssh and wpa_supplicant.conf on the boot
                    partition.

The host key is made here and put on the card, so that the board is known before it is first
reached."""

from __future__ import annotations

import hashlib
import io
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from ruamel.yaml import YAML
from ruamel.yaml.scalarstring import LiteralScalarString

from edgekit.errors import DeviceError
from edgekit.extras import naming_extras
from edgekit.flash.disk import Disk
from edgekit.flash.filesystem import Entry, Ext4, Fat, boot_partition, root_partition
from edgekit.flash.names import check_host_name, check_pi_user_name, check_user_name
from edgekit.flash.store import FIRST_USER
from edgekit.flash.wifi import Wifi, netplan_section, supplicant_conf, toml_section

SEED = "/var/lib/cloud/seed/nocloud"
KEY_FILES = "/etc/ssh/ssh_host_ed25519_key"
REGENERATE_KEYS = "/etc/systemd/system/multi-user.target.wants/regenerate_ssh_host_keys.service"
"""Raspberry Pi OS makes new host keys at the first boot; without this link it keeps the one that is
there."""
NO_PASSWORD = "*"


@dataclass(frozen=True)
class FirstBoot:
    """What the board is to be. `ssh_public_keys` are lines of an authorized_keys file. Nobody can
    log in by password. Raises UsageError: a name that no system takes."""

    hostname: str
    user: str
    ssh_public_keys: tuple[str, ...]
    wifi: Wifi | None = None

    def __post_init__(self) -> None:
        check_host_name(self.hostname)
        check_user_name(self.user)


@dataclass(frozen=True)
class HostKey:
    """An Ed25519 host key in OpenSSH's formats."""

    private: str
    public: str

    def known_hosts_line(self, host: str, port: int = 22) -> str:
        name = host if port == 22 else f"[{host}]:{port}"
        return f"{name} {' '.join(self.public.split()[:2])}\n"


def new_host_key() -> HostKey:
    key = Ed25519PrivateKey.generate()
    plain = serialization.NoEncryption()
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, plain
    ).decode()
    public = (
        key.public_key()
        .public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
        .decode()
    )
    return HostKey(private, f"{public} edgekit")


def prepare_first_boot(disk: Disk, settings: FirstBoot, host_key: HostKey) -> str:
    """Write what the image's first boot reads, and the host key; returns the mechanism's name.

    Raises DeviceError: none of the known mechanisms is in the image. UsageError: the image's
    mechanism cannot hand on a name.
    """
    boot = boot_partition(disk)
    root = root_partition(disk)
    mechanism = next((name for name, is_used in _MECHANISMS.items() if is_used(boot, root)), None)
    if mechanism is None:
        hint = "use an image of Raspberry Pi OS, Ubuntu or Debian with cloud-init"
        raise DeviceError(
            f"{disk.path}: the image has no first-boot mechanism that edgekit knows"
            f" ({', '.join(_MECHANISMS)})",
            hint=hint,
        )
    _PREPARE[mechanism](boot, root, settings, host_key)
    root.write(
        [
            Entry(KEY_FILES, content=host_key.private.encode(), mode=0o600),
            Entry(f"{KEY_FILES}.pub", content=f"{host_key.public}\n".encode()),
        ]
    )
    root.remove(REGENERATE_KEYS)
    return mechanism


def cloud_init_files(settings: FirstBoot, host_key: HostKey) -> dict[str, bytes]:
    """user-data, meta-data and, for a wireless network, network-config."""
    user = {
        "name": settings.user,
        "uid": FIRST_USER,
        "shell": "/bin/bash",
        "groups": ["sudo", "video"],
        "sudo": "ALL=(ALL) NOPASSWD:ALL",
        "lock_passwd": True,
        "ssh_authorized_keys": list(settings.ssh_public_keys),
    }
    data = {
        "hostname": settings.hostname,
        "users": [user],
        "ssh_pwauth": False,
        "ssh_deletekeys": False,
        "ssh_keys": {
            "ed25519_private": LiteralScalarString(host_key.private),
            "ed25519_public": host_key.public,
        },
    }
    instance = hashlib.sha256(f"{host_key.public}{secrets.token_hex(8)}".encode()).hexdigest()[:16]
    files = {
        "user-data": b"#cloud-config\n" + _yaml(data),
        "meta-data": _yaml(
            {"instance-id": f"edgekit-{instance}", "local-hostname": settings.hostname}
        ),
    }
    if settings.wifi is not None:
        network = {
            "version": 2,
            "ethernets": {"eth0": {"dhcp4": True, "optional": True}},
            "wifis": {"wlan0": netplan_section(settings.wifi)},
        }
        files["network-config"] = _yaml(network)
    return files


def custom_toml(settings: FirstBoot) -> bytes:
    """Of Raspberry Pi OS Bookworm. Raises UsageError: the extra `flash` is not installed, or the
    system does not take the user's name."""
    check_pi_user_name(settings.user)
    with naming_extras():
        import tomli_w
    sections: dict[str, object] = {
        "config_version": 1,
        "system": {"hostname": settings.hostname},
        "user": {"name": settings.user, "password": NO_PASSWORD, "password_encrypted": True},
        "ssh": {
            "enabled": True,
            "password_authentication": False,
            "authorized_keys": list(settings.ssh_public_keys),
        },
    }
    if settings.wifi is not None:
        sections["wlan"] = toml_section(settings.wifi)
    return tomli_w.dumps(sections).encode()


def _cloud_init(boot: Fat | None, root: Ext4, settings: FirstBoot, host_key: HostKey) -> None:
    files = cloud_init_files(settings, host_key)
    if boot is not None and boot.exists("/user-data"):
        for name, content in files.items():
            boot.write(f"/{name}", content)
    else:
        root.write(
            [
                Entry(f"{SEED}/{name}", content=content, mode=0o600)
                for name, content in files.items()
            ]
        )


def _custom_toml(boot: Fat | None, root: Ext4, settings: FirstBoot, host_key: HostKey) -> None:
    assert boot is not None
    boot.write("/custom.toml", custom_toml(settings))


def _userconf(boot: Fat | None, root: Ext4, settings: FirstBoot, host_key: HostKey) -> None:
    """The user is renamed at the first boot, and its home directory with it; the keys go to where
    it is until then."""
    assert boot is not None
    check_pi_user_name(settings.user)
    boot.write("/userconf.txt", f"{settings.user}:{NO_PASSWORD}\n".encode())
    boot.write("/ssh", b"\n")
    keys = "".join(f"{key}\n" for key in settings.ssh_public_keys).encode()
    root.write(
        [
            Entry("/home/pi/.ssh", mode=0o700, owner=FIRST_USER),
            Entry("/home/pi/.ssh/authorized_keys", content=keys, mode=0o600, owner=FIRST_USER),
            Entry("/etc/hostname", content=f"{settings.hostname}\n".encode()),
        ]
    )
    if settings.wifi is not None:
        boot.write("/wpa_supplicant.conf", supplicant_conf(settings.wifi))


_MECHANISMS: dict[str, Callable[[Fat | None, Ext4], bool]] = {
    "cloud-init": (
        lambda boot, root: (
            (boot is not None and boot.exists("/user-data")) or root.exists("/etc/cloud/cloud.cfg")
        )
    ),
    "custom.toml": (
        lambda boot, root: (
            boot is not None and root.exists("/usr/lib/raspberrypi-sys-mods/init_config")
        )
    ),
    "userconf": (
        lambda boot, root: boot is not None and root.exists("/usr/lib/userconf-pi/userconf")
    ),
}
_PREPARE: dict[str, Callable[[Fat | None, Ext4, FirstBoot, HostKey], None]] = {
    "cloud-init": _cloud_init,
    "custom.toml": _custom_toml,
    "userconf": _userconf,
}


def _yaml(data: object) -> bytes:
    stream = io.BytesIO()
    yaml = YAML()
    yaml.default_flow_style = False
    yaml.width = 10_000
    yaml.dump(data, stream)
    return stream.getvalue()


def read_public_keys(files: Sequence[Path]) -> tuple[str, ...]:
    """The keys in `*.pub` files. Raises DeviceError: unreadable, or a private key."""
    keys = []
    for file in files:
        try:
            text = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise DeviceError(
                f"{file}: {error}", hint="ssh-keygen -t ed25519 makes a key"
            ) from None
        if "PRIVATE KEY" in text:
            raise DeviceError(
                f"{file} is a private key, which does not leave this machine",
                hint=f"give {file}.pub",
            )
        keys += [
            line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")
        ]
    if not keys:
        raise DeviceError(
            "no public key: nobody could log in", hint="--ssh-key ~/.ssh/id_ed25519.pub"
        )
    return tuple(keys)
