"""A wireless network, and how it is written for each program that reads it on a board. Owns the
rules of IEEE 802.11 for names and passwords; where the files lie is firstboot.py's.

No program is handed a quote or a backslash to understand: each has a form of its own for bytes,
hexadecimal or decimal, and the key stands in place of the passphrase it comes from."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from edgekit.errors import UsageError

MAX_SSID_BYTES = 32
PASSPHRASE = re.compile(r"[ -~]{8,63}")
"""IEEE 802.11-2020, J.4.1: 8 to 63 characters of ASCII, 32 to 126."""
KEY = re.compile(r"[0-9A-Fa-f]{64}")
COUNTRY = re.compile(r"[A-Z]{2}")
PLAIN = re.compile(rb"[A-Za-z0-9_]([A-Za-z0-9 _.-]*[A-Za-z0-9_.-])?")
"""Names that every program and the shell scripts between them take as they are."""
NOT_ITSELF = re.compile(rb"(\s*[0-9]{1,3}\s*;)+\s*|.*\\;.*|.*[\x00-\x1f\x7f].*", re.DOTALL)
"""Names that cloud-init hands on, but not as they are: NetworkManager takes them for a list of
bytes, or for escaped ones (nm-keyfile.c, get_bytes), and control characters end a line of
wpa_supplicant.conf."""


@dataclass(frozen=True)
class Wifi:
    """`ssid` is the network's name, 1 to 32 bytes; `password` its passphrase, or the key itself in
    64 hexadecimal digits, None for an open network; `country` two letters of ISO 3166, such as DE,
    without which Raspberry Pi OS leaves the radio off.

    Raises UsageError: not so."""

    ssid: bytes
    password: str | None
    country: str

    def __post_init__(self) -> None:
        if not 1 <= len(self.ssid) <= MAX_SSID_BYTES:
            raise UsageError(
                f"the name of a wireless network has 1 to {MAX_SSID_BYTES} bytes, this one has"
                f" {len(self.ssid)}",
                hint="letters beyond ASCII take 2 to 4 bytes each",
            )
        if not COUNTRY.fullmatch(self.country):
            raise UsageError(
                f"{self.country!r} is no country: Raspberry Pi OS leaves the radio off without one",
                hint="--wifi-country takes two capital letters, such as DE",
            )
        if self.password is not None:
            _check_password(self.password)

    @property
    def key(self) -> str | None:
        """The pre-shared key in 64 hexadecimal digits (IEEE 802.11-2020, J.4.1: PBKDF2 with
        HMAC-SHA1, the SSID as salt, 4096 rounds); None for an open network."""
        if self.password is None or KEY.fullmatch(self.password):
            return self.password and self.password.lower()
        return hashlib.pbkdf2_hmac("sha1", self.password.encode(), self.ssid, 4096, 32).hex()


def _check_password(password: str) -> None:
    """Raises UsageError, without the password in it."""
    hint = "8 to 63 characters of ASCII without control characters, or a key of 64 hex digits"
    if PASSPHRASE.fullmatch(password) or KEY.fullmatch(password):
        return
    if not password:
        raise UsageError(
            "the password of the wireless network is empty", hint=f"{hint}; unset: an open network"
        )
    if 8 <= len(password) <= 63:
        raise UsageError(
            "the password of the wireless network holds a character that the standard does not"
            " allow",
            hint=hint,
        )
    raise UsageError(
        f"the password of the wireless network has {len(password)} characters, and the standard"
        " asks for 8 to 63",
        hint=hint,
    )


def supplicant_conf(wifi: Wifi) -> bytes:
    """wpa_supplicant.conf, see wpa_supplicant.conf(5): without quotes, a name and a key are
    hexadecimal."""
    secret = "key_mgmt=NONE" if wifi.key is None else f"psk={wifi.key}"
    return (
        "ctrl_interface=DIR=/var/run/wpa_supplicant GROUP=netdev\n"
        "update_config=1\n"
        f"country={wifi.country}\n"
        f"network={{\n\tssid={wifi.ssid.hex()}\n\t{secret}\n}}\n"
    ).encode()


def toml_section(wifi: Wifi) -> dict[str, object]:
    """The section `wlan` of custom.toml. Raspberry Pi OS hands it through a shell script to a file
    of NetworkManager, as it is; that takes a name as a list of bytes, too (nm-settings-keyfile(5),
    `ssid`)."""
    plain = PLAIN.fullmatch(wifi.ssid) is not None
    name = wifi.ssid.decode() if plain else "".join(f"{byte};" for byte in wifi.ssid)
    secret = {} if wifi.key is None else {"password": wifi.key, "password_encrypted": True}
    return {"ssid": name, **secret, "country": wifi.country}


def netplan_section(wifi: Wifi) -> dict[str, object]:
    """A device below `wifis` of a network configuration (netplan, version 2). Its passphrase stays
    as it is, as WPA3 has no use for the key; netplan quotes it as wpa_supplicant reads it.

    Raises UsageError: a name that YAML or netplan's backends do not hand on as it is."""
    try:
        name = wifi.ssid.decode()
    except UnicodeDecodeError:
        name = ""
    if not name or NOT_ITSELF.fullmatch(wifi.ssid):
        raise UsageError(
            f"cloud-init cannot hand on the name {wifi.ssid!r} of a wireless network",
            hint="use an image of Raspberry Pi OS Bookworm, or a cable",
        )
    return {
        "dhcp4": True,
        "optional": True,
        "regulatory-domain": wifi.country,
        "access-points": {name: {} if wifi.password is None else {"password": wifi.password}},
    }
