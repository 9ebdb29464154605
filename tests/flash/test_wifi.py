"""Wireless networks: what the standard allows arrives on the board as it was given, read back by
what reads it there; what it does not allow is refused before a card is touched."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.errors import UsageError
from edgekit.flash.firstboot import FirstBoot, cloud_init_files, custom_toml, new_host_key
from edgekit.flash.wifi import Wifi, netplan_section, supplicant_conf, toml_section
from tests.support.wifi_readers import read_by_netplan, read_by_pi_os, read_by_supplicant

KEY = "f42c6fc52df0ebef9ebb4b90b38a5f902e83fe1b135a70e23aed762e9710a12e"
NAMES = [
    "Café 📶".encode(),
    b'a"b\\c',
    b"my net_1.5-GHz",
    b"-p",
    b" lead and trail ",
    b"a#b # c",
    b"$(reboot) `id` ;",
    b"x",
    "日本語のネット".encode(),
    b"0123456789abcdef0123456789abcdef",
]
RAW_NAMES = [b"12;34;", b"a\\;b", b"\xff\xfe\x00", b"line\nbreak", b"\t"]
"""Allowed, too, but cloud-init cannot hand them on."""
PASSWORDS = ['a"b\\c123', "p" * 63, "        ", "#$(id)`'\"", KEY.upper(), None]


def derived(name: bytes, password: str | None) -> bytes | None:
    """The key that a network of this name and password has, by IEEE 802.11."""
    if password is None:
        return None
    if len(password) == 64:
        return bytes.fromhex(password)
    return hashlib.pbkdf2_hmac("sha1", password.encode("ascii"), name, 4096, 32)


@pytest.mark.parametrize(
    ("name", "password", "key"),
    [
        (b"IEEE", "password", KEY),
        (
            b"ThisIsASSID",
            "ThisIsAPassword",
            "0dc0d6eb90555ed6419756b9a15ec3e3209b63df707dd508d14581f8982721af",
        ),
        (
            b"Z" * 32,
            "a" * 32,
            "becb93866bb8c3832cb777c2f559807c8c59afcb6eae734885001300a981cc62",
        ),
    ],
)
def test_the_keys_of_the_standards_examples(name: bytes, password: str, key: str) -> None:
    """IEEE 802.11-2020, J.4.3."""
    assert Wifi(name, password, "DE").key == key
    assert Wifi(name, key.upper(), "DE").key == key
    assert Wifi(name, None, "DE").key is None


@pytest.mark.parametrize("name", NAMES + RAW_NAMES)
def test_bullseye_reads_what_was_given(name: bytes, tmp_path: Path) -> None:
    for password in PASSWORDS:
        conf = supplicant_conf(Wifi(name, password, "DE"))
        assert read_by_supplicant(conf, tmp_path) == (name, derived(name, password))
        assert b"\ncountry=DE\n" in conf


@pytest.mark.parametrize("name", NAMES + RAW_NAMES)
def test_bookworm_reads_what_was_given(name: bytes) -> None:
    for password in PASSWORDS:
        board = FirstBoot("desk", "eve", ("ssh-ed25519 AAAA Zoë 📶",), Wifi(name, password, "DE"))
        assert read_by_pi_os(custom_toml(board)) == (name, derived(name, password))


@pytest.mark.parametrize("name", NAMES)
def test_cloud_init_reads_what_was_given(name: bytes, tmp_path: Path) -> None:
    for password in PASSWORDS:
        board = FirstBoot("desk", "eve", ("ssh-ed25519 AAAA Zoë 📶",), Wifi(name, password, "DE"))
        files = cloud_init_files(board, new_host_key())
        read_name, secret = read_by_netplan(files["network-config"], tmp_path)
        assert read_name == name
        if password is None or len(password) == 64:
            assert secret == derived(name, password)
        else:
            assert secret == password.encode()


@pytest.mark.parametrize("name", RAW_NAMES)
def test_what_cloud_init_cannot_hand_on_is_refused(name: bytes) -> None:
    with pytest.raises(UsageError, match="cloud-init cannot hand on the name"):
        netplan_section(Wifi(name, None, "DE"))


@settings(max_examples=25, deadline=None)
@given(st.binary(min_size=1, max_size=32), st.from_regex(r"\A[ -~]{8,63}\Z"))
def test_any_name_and_password(name: bytes, password: str) -> None:
    wifi = Wifi(name, password, "DE")
    board = FirstBoot("desk", "eve", (), wifi)
    assert read_by_pi_os(custom_toml(board)) == (name, derived(name, password))
    line = f"\tssid={name.hex()}\n\tpsk={derived(name, password).hex()}\n"  # type: ignore[union-attr]
    assert line.encode() in supplicant_conf(wifi)


def test_a_usual_name_stays_readable() -> None:
    assert toml_section(Wifi(b"my net", None, "DE")) == {"ssid": "my net", "country": "DE"}


@pytest.mark.parametrize(
    ("password", "message"),
    [
        ("", "is empty"),
        ("1234567", "has 7 characters"),
        ("p" * 65, "has 65 characters"),
        ("g" * 64, "has 64 characters"),
        ("pässword", "a character that the standard does not allow"),
        ("password\n", "a character that the standard does not allow"),
    ],
)
def test_passwords_that_no_network_has(password: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as refused:
        Wifi(b"net", password, "DE")
    assert not password or password not in f"{refused.value.message} {refused.value.hint}"


@pytest.mark.parametrize("name", [b"", b"x" * 33, "é".encode() * 17])
def test_names_that_no_network_has(name: bytes) -> None:
    with pytest.raises(UsageError, match="has 1 to 32 bytes"):
        Wifi(name, None, "DE")


@pytest.mark.parametrize("country", ["", "de", "DEU", "D1"])
def test_a_country_is_two_capital_letters(country: str) -> None:
    with pytest.raises(UsageError, match="is no country"):
        Wifi(b"net", None, country)


@pytest.mark.parametrize(
    ("hostname", "user", "message"),
    [
        ("-desk", "eve", "cannot be a host name"),
        ("desk-", "eve", "cannot be a host name"),
        ("my desk", "eve", "cannot be a host name"),
        ("desk.lan", "eve", "cannot be a host name"),
        ("Küche", "eve", "cannot be a host name"),
        ("x" * 64, "eve", "cannot be a host name"),
        ("", "eve", "cannot be a host name"),
        ("desk", "Eve", "cannot be a user name"),
        ("desk", "1eve", "cannot be a user name"),
        ("desk", "e:ve", "cannot be a user name"),
        ("desk", "eve\nroot", "cannot be a user name"),
        ("desk", "e" * 33, "cannot be a user name"),
        ("desk", "root", "the system has a user or group of that name"),
        ("desk", "video", "the system has a user or group of that name"),
    ],
)
def test_names_that_no_system_takes(hostname: str, user: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        FirstBoot(hostname, user, ())


def test_raspberry_pi_os_takes_fewer_user_names() -> None:
    """Where it refuses one, it keeps its own user, and nobody can log in."""
    with pytest.raises(UsageError, match="on Raspberry Pi OS"):
        custom_toml(FirstBoot("desk", "eve_1", ()))
    assert cloud_init_files(FirstBoot("desk", "eve_1", ()), new_host_key())
