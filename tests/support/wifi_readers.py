"""What a board reads a wireless network with: wpa_supplicant itself, and what netplan and Raspberry
Pi OS make of the files that were written for them."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import toml
from ruamel.yaml import YAML

from tests.support.tiers import cannot_run

SUPPLICANT_PATH = "/usr/sbin:/sbin:/usr/bin:/bin"
NO_INTERFACE = "edgekit-none"


def read_by_supplicant(conf: bytes, directory: Path) -> tuple[bytes, bytes | None]:
    """Name and key, or passphrase, that Debian's wpa_supplicant reads. It ends when it does not
    find the interface, after it has read all."""
    program = shutil.which("wpa_supplicant", path=SUPPLICANT_PATH)
    if program is None:
        cannot_run("needs apt-get install wpasupplicant")
    file = directory / "wpa_supplicant.conf"
    file.write_bytes(conf)
    argv = [program, "-c", str(file), "-i", NO_INTERFACE, "-D", "wired", "-dd", "-K"]
    printed = subprocess.run(argv, capture_output=True, text=True, timeout=20, check=False).stdout
    assert f"{NO_INTERFACE}: Failed to initialize driver interface" in printed, printed
    name = re.search(r"^ssid - hexdump_ascii\(len=\d+\):\n((?:     .*\n)+)", printed, re.MULTILINE)
    assert name, printed
    key = re.search(r"^PSK - hexdump\(len=32\): ([0-9a-f ]+)$", printed, re.MULTILINE)
    phrase = re.search(
        r"^PSK \(ASCII passphrase\) - hexdump_ascii\(len=\d+\):\n((?:     .*\n)+)",
        printed,
        re.MULTILINE,
    )
    if key is None and phrase is None:
        return _dumped(name[1]), None
    return _dumped(name[1]), bytes.fromhex(key[1]) if key else _dumped(phrase[1] if phrase else "")


def _dumped(lines: str) -> bytes:
    """The bytes of a hexdump_ascii: 16 a line, the text beside them."""
    return b"".join(bytes.fromhex(line[5:53]) for line in lines.splitlines())


def read_by_netplan(network_config: bytes, directory: Path) -> tuple[bytes, bytes | None]:
    """As netplan hands on a network configuration: between quotes as it is, and 64 digits without
    quotes (networkd.c, append_wpa_auth_conf)."""
    (device,) = YAML(typ="safe").load(network_config)["wifis"].values()
    ((name, settings),) = device["access-points"].items()
    password = settings.get("password")
    quoted = f'"{password}"' if password is None or len(password) != 64 else password
    secret = "key_mgmt=NONE" if password is None else f"psk={quoted}"
    conf = f'network={{\n  ssid="{name}"\n  {secret}\n}}\n'
    return read_by_supplicant(conf.encode(), directory)


def read_by_pi_os(custom_toml: bytes) -> tuple[bytes, bytes | None]:
    """As Raspberry Pi OS Bookworm hands on custom.toml: read by the library `toml`, copied into a
    file of NetworkManager by a shell script that takes -h, -p and the like for options, and read
    there with GLib's escapes."""
    wlan = toml.loads(custom_toml.decode())["wlan"]
    assert tomllib.loads(custom_toml.decode())["wlan"] == wlan
    assert wlan.get("password_encrypted", True), "a key that the board need not make"
    text, key = wlan["ssid"], wlan.get("password")
    assert not text.startswith("-"), "an option of the script"
    assert "\n" not in text, "the end of the line"
    if re.fullmatch(r"\s*[0-9]{1,3}\s*;(\s*[0-9]{1,3}\s*;)*\s*", text):
        name = bytes(int(number) for number in text.split(";")[:-1])
    else:
        assert "\\" not in text, "an escape"
        name = text.strip().encode()
    return name, None if key is None else bytes.fromhex(key)
