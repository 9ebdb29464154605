"""Running this machine's programs for the emulated board."""

from __future__ import annotations

import os
import shlex
import subprocess

ADMIN_PATH = "/usr/local/sbin:/usr/sbin:/sbin"
"""Where Debian keeps the programs that make file systems; not on every user's path."""


def run(*argv: str, stdin: str = "", **environment: str) -> None:
    """Run a program. Raises RuntimeError, with the end of what it said."""
    search = f"{os.environ.get('PATH', os.defpath)}:{ADMIN_PATH}"
    try:
        done = subprocess.run(
            argv,
            capture_output=True,
            text=True,
            env={**os.environ, "PATH": search, **environment},
            input=stdin,
        )
    except FileNotFoundError:
        raise RuntimeError(f"{argv[0]} is not installed") from None
    if done.returncode:
        raise RuntimeError(f"{shlex.join(argv)[:200]} …\n{(done.stderr or done.stdout)[-2000:]}")
