"""What a board and its first user may be called: the rules of the systems that are told so. Owns no
writing of them."""

from __future__ import annotations

import re

from edgekit.errors import UsageError

HOST_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
"""A label of RFC 1123, section 2.1. A dot would make a domain of the rest, and `NAME.local` is
another name then."""
USER_NAME = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
"""As useradd(8) takes it."""
PI_USER_NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")
"""As userconf of Raspberry Pi OS takes it. It keeps the user `pi` where it refuses a name."""
TAKEN = {
    *("root", "daemon", "bin", "sys", "sync", "games", "man", "lp", "mail", "news", "uucp"),
    *("proxy", "www-data", "backup", "list", "irc", "gnats", "nobody", "nogroup", "adm", "tty"),
    *("disk", "kmem", "dialout", "fax", "voice", "cdrom", "floppy", "tape", "sudo", "audio"),
    *("dip", "operator", "src", "shadow", "utmp", "video", "sasl", "plugdev", "staff", "users"),
    *("messagebus", "sshd", "netdev", "input", "render", "gpio", "i2c", "spi"),
}
"""Users and groups that Debian's base-passwd and Raspberry Pi OS make. A new user gets a group of
the same name, and is not made where there is one."""


def check_host_name(name: str) -> None:
    """Raises UsageError: not a name that a network knows a host by."""
    if not HOST_NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} cannot be a host name",
            hint="1 to 63 letters of ASCII, digits and hyphens, no hyphen first or last, no dot",
        )


def check_user_name(name: str) -> None:
    """Raises UsageError: not a name that a first user can have on any of the systems."""
    if name in TAKEN:
        raise UsageError(
            f"{name!r} cannot be the first user: the system has a user or group of that name",
            hint="choose another name (--user)",
        )
    if not USER_NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} cannot be a user name",
            hint="1 to 32 of a-z, 0-9, `-` and `_`, no digit or `-` first",
        )


def check_pi_user_name(name: str) -> None:
    """Raises UsageError: Raspberry Pi OS does not make a user of that name."""
    if not PI_USER_NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} cannot be a user name on Raspberry Pi OS",
            hint="1 to 31 of a-z, 0-9 and `-`, a letter first",
        )
