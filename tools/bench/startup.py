"""How much longer `edgekit --help` takes than a bare Python. Run: .venv/bin/python
tools/bench/startup.py"""

from __future__ import annotations

import sys
from pathlib import Path

from paired import command_seconds, interleaved, report

EDGEKIT = str(Path(sys.executable).with_name("edgekit"))


def main() -> None:
    values = interleaved(
        {
            "python -c pass": lambda: command_seconds([sys.executable, "-c", "pass"]),
            "edgekit --help": lambda: command_seconds([EDGEKIT, "--help"]),
        },
        rounds=15,
    )
    report("start-up", values, base="python -c pass", unit="s", target="at most 0.5 s apart")


if __name__ == "__main__":
    main()
