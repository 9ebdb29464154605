"""Where a user's files are: the home directory, and the directories for caches, data and settings.
A service or a container may have none of them."""

from __future__ import annotations

import getpass
import os
import pwd
from collections.abc import Callable
from pathlib import Path

import platformdirs

from edgekit.errors import UsageError


def home() -> Path | None:
    """The home directory, which need not be there; None where HOME is not set and the system does
    not know the user."""
    try:
        return Path.home()
    except RuntimeError:
        return None


def below_home(*parts: str) -> tuple[Path, ...]:
    """The path of something below the home directory; none without one."""
    place = home()
    return () if place is None else (place.joinpath(*parts),)


def system_home() -> Path | None:
    """The home directory that the system has for this user, whatever HOME says."""
    try:
        return Path(pwd.getpwuid(os.getuid()).pw_dir)
    except KeyError:
        return None


def ssh_home() -> Path | None:
    """Whose `.ssh` counts: that of HOME where it has one, else that of the system's home directory,
    which is where `ssh` itself looks."""
    place = home()
    if place is not None and (place / ".ssh").is_dir():
        return place
    return system_home() or place


def below_ssh_home(*parts: str) -> tuple[Path, ...]:
    """The path of something below `ssh_home`; none without one."""
    place = ssh_home()
    return () if place is None else (place.joinpath(*parts),)


def cache_directory() -> Path:
    """`EDGEKIT_CACHE`, else the user's. Raises UsageError."""
    written = os.environ.get("EDGEKIT_CACHE")
    if written:
        return expanded(written, "EDGEKIT_CACHE")
    return _of_user(platformdirs.user_cache_dir, "EDGEKIT_CACHE")


def data_directory() -> Path:
    """For what must not be lost. Raises UsageError."""
    return _of_user(platformdirs.user_data_dir, "EDGEKIT_DB")


def config_directory() -> Path | None:
    """For settings; None where there is no place for them."""
    try:
        return Path(platformdirs.user_config_dir("edgekit"))
    except RuntimeError:
        return None


def expanded(path: str, what: str) -> Path:
    """An absolute path, with `~` replaced. Raises UsageError: whose home that is, is not known."""
    try:
        return Path(path).expanduser().absolute()
    except RuntimeError:
        raise UsageError(
            f"{what}: {path}: that home directory is not known", hint="write an absolute path"
        ) from None


def user_name() -> str:
    """Who the user is. Raises UsageError: the system has no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # by version of Python
        raise UsageError(
            f"the system has no name for user {os.getuid()}, and SSH needs one",
            hint="set USER to a name, such as USER=pi",
        ) from None


def _of_user(directory: Callable[[str], str], variable: str) -> Path:
    try:
        return Path(directory("edgekit"))
    except RuntimeError:
        raise UsageError(
            f"there is no home directory: HOME is not set, and the system has none for user"
            f" {os.getuid()}",
            hint=f"set HOME, or {variable}",
        ) from None
