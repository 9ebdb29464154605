"""What the user's own client makes of a host: `ssh -G` is asked, which reads the user's
configuration and the system's as `ssh` does. Where there is no `ssh`, or HOME has another `.ssh`
than the one `ssh` reads, the files are read here. Opens no connection."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from edgekit.devices import ssh_config_file
from edgekit.errors import IdentityError
from edgekit.places import below_ssh_home, ssh_home, system_home
from edgekit.sanitize import printable

ANSWER_S = 20.0
SYSTEM = Path("/etc/ssh/ssh_config")
HINT = "mend the file; `ssh -G HOST` shows what OpenSSH makes of it"
LISTS = ("userknownhostsfile", "globalknownhostsfile")
"""Keywords whose value in an answer is several words."""

Settings = dict[str, list[str]]
"""By keyword in small letters. What is not set may be missing."""


def settings_of(
    host: str, *, port: int | None, user: str | None, jumps: str | None, config: Path | None = None
) -> Settings:
    """The settings for a host; what is given here has priority. With `config` only that file
    counts.

    Raises IdentityError: a configuration that cannot be read or understood. UsageError: the system
    has no name for this user."""
    program = None if config else client()
    if program:
        return parse(_asked(program, host, port, user, jumps))
    overrides = {"port": port and str(port), "user": user, "proxyjump": jumps}
    files = [(config, config.parent)] if config else _files()
    try:
        return ssh_config_file.settings(
            files, host, {keyword: [value] for keyword, value in overrides.items() if value}
        )
    except OSError as error:
        raise IdentityError(f"{error.filename}: {error.strerror}", hint=HINT) from None


def client() -> str | None:
    """The program `ssh`, where there is one that reads the same `.ssh` as edgekit."""
    known, used = system_home(), ssh_home()
    same = known and used and os.path.realpath(known) == os.path.realpath(used)
    return shutil.which("ssh") if same else None


def parse(answer: str) -> Settings:
    """What `ssh -G` prints: a keyword and its value in each line."""
    settings: Settings = {}
    for line in answer.splitlines():
        keyword, _, value = line.partition(" ")
        settings.setdefault(keyword, []).extend(value.split() if keyword in LISTS else [value])
    return settings


def _files() -> list[tuple[Path, Path]]:
    users = [(directory / "config", directory) for directory in below_ssh_home(".ssh")]
    return [*users, (SYSTEM, SYSTEM.parent)]


def _asked(program: str, host: str, port: int | None, user: str | None, jumps: str | None) -> str:
    options = {"-l": user, "-p": port and str(port), "-J": jumps}
    words = [word for option, value in options.items() if value for word in (option, value)]
    try:
        done = subprocess.run(
            [program, "-G", *words, "--", host],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=ANSWER_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise IdentityError(
            f"`ssh -G {host}` did not answer within {ANSWER_S:g} s",
            hint="a command or a name server that ~/.ssh/config asks hangs",
        ) from None
    except OSError as error:
        raise IdentityError(f"{program}: {error.strerror}", hint="is it a program?") from None
    if done.returncode:
        raise IdentityError(f"`ssh -G {host}`: {_complaint(done.stderr)}", hint=HINT)
    return done.stdout.decode("utf-8", "surrogateescape")


def _complaint(stderr: bytes) -> str:
    """What went wrong, with file and line; how many such lines there are is left out."""
    lines = stderr.decode("utf-8", "replace").splitlines()
    complaints = [line.strip() for line in lines if line.strip() and ": terminating," not in line]
    return printable(" / ".join(complaints)) or "it failed and says nothing"
