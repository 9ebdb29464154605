"""How long a build takes when everything is in the cache. Run: .venv/bin/python
tools/bench/cached_build.py [RECIPE]

The first build fills the cache (minutes the first time); the timed ones only read it.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from paired import command_seconds, interleaved, report

EDGEKIT = str(Path(sys.executable).with_name("edgekit"))


def main() -> None:
    recipe = (
        sys.argv[1]
        if len(sys.argv) > 1
        else str(Path(__file__).parents[2] / "recipes" / "quickstart.yaml")
    )

    with tempfile.TemporaryDirectory() as output:
        build = [EDGEKIT, "build", recipe, "--output", output]
        command_seconds(build)
        values = interleaved(
            {
                "python -c pass": lambda: command_seconds([sys.executable, "-c", "pass"]),
                "edgekit build, cached": lambda: command_seconds(build),
            },
            rounds=9,
        )
    report(
        f"cached build of {Path(recipe).name}",
        values,
        base="python -c pass",
        unit="s",
        target="at most 3 s",
    )


if __name__ == "__main__":
    main()
