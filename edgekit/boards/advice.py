"""Command lines for a person to copy: what to run on this machine so that something happens on a
board. Runs nothing."""

from __future__ import annotations

import shlex

from edgekit.devices.target import Target

GOVERNORS = "/sys/devices/system/cpu/cpufreq/policy*/scaling_governor"


def on(target: Target, command: str, *, root: bool = False) -> str:
    """The command line that runs a shell command on a board, with `sudo` where that is the way to
    become root."""
    if target.kind == "adb":
        serial = ["-s", target.serial] if target.serial else []
        return shlex.join(
            ["adb", *serial, "shell", f"su -c {shlex.quote(command)}" if root else command]
        )
    as_root = f"sudo sh -c {shlex.quote(command)}" if root else command
    if target.kind == "local":
        return as_root
    port = ["-p", str(target.port)] if target.port else []
    key = ["-i", target.identity_file] if target.identity_file else []
    where = f"{target.user}@{target.host}" if target.user else target.host
    return shlex.join(["ssh", "-t", *port, *key, where, as_root])


def install(target: Target, *packages: str) -> str:
    """Debian's way; empty for Android, which has none."""
    return (
        ""
        if target.kind == "adb"
        else on(target, shlex.join(["apt-get", "install", "-y", *packages]), root=True)
    )


def set_clock(target: Target) -> str:
    return (
        on(target, "settings put global auto_time 1")
        if target.kind == "adb"
        else on(target, "timedatectl set-ntp true", root=True)
    )


def set_governor(target: Target) -> str:
    """Until the next start of the board."""
    return on(target, f'for f in {GOVERNORS}; do echo performance >"$f"; done', root=True)
