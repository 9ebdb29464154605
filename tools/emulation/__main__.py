"""`tools/emulated_pi build | start | status | stop`."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys

from edgekit.errors import EdgekitError
from tools.emulation import commands


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="tools/emulated_pi",
        description="A virtual arm64 board with sshd on loopback. Its timings mean nothing.",
    )
    chosen = parser.add_subparsers(dest="command", required=True)
    chosen.add_parser("build", help="make the image; nothing to do when it is there and up to date")
    started = chosen.add_parser(
        "start", help="start it, in some seconds; with the image if that is missing"
    )
    started.add_argument(
        "--port",
        type=int,
        default=commands.PORT,
        help="on loopback; targets/emulated-pi.yaml names the default, %(default)s",
    )
    chosen.add_parser(
        "status", help="what is there and what runs; exit code 1 when it is not running"
    )
    chosen.add_parser("stop", help="switch it off; what was written to it is dropped")
    arguments = parser.parse_args()
    if (
        not commands.is_built()
        and arguments.command in ("build", "start")
        and os.geteuid() != 0
        and shutil.which("fakeroot")
    ):
        built = subprocess.run(
            ["fakeroot", sys.executable, "-m", "tools.emulation", "build"]
        )  # only the build: the board outlives this command
        if built.returncode or arguments.command == "build":
            return built.returncode
    try:
        if arguments.command == "start":
            print(commands.start(arguments.port, say))
            return 0
        if arguments.command == "status":
            text, up = commands.status()
            print(text)
            return 0 if up else 1
        print(commands.build(say) if arguments.command == "build" else commands.stop())
        return 0
    except (RuntimeError, EdgekitError) as error:
        print(f"error: {error}", file=sys.stderr)
        hint = getattr(error, "hint", "")
        if hint:
            print(f"  {hint}", file=sys.stderr)
        return 1


def say(task: str, done: float, total: float, text: str = "") -> None:
    if text and done < total:
        print(f"{text} …", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
