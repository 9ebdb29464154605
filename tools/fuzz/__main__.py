"""Damages what edgekit reads from others, and looks for answers that it may not give: a traceback,
an exit code that is not documented, more than five seconds.

    python -m tools.fuzz                      every kind, 1000 cases each
    python -m tools.fuzz recipe target        these kinds
    python -m tools.fuzz --minutes 60         every kind in turn for so long
    python -m tools.fuzz recipe --case 17     one case again, with its traceback

The seed and the number of a case decide what it is. An input that shows a fault is written to
`fuzz-failures/`. Exit code 1: there were faults."""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tools.fuzz.cases import Fault, run_case
from tools.fuzz.kinds import KINDS

USUAL_CASES = 1000
BATCH = 50
"""Cases of a kind before the next kind has its turn, with --minutes."""

FAILURES = Path("fuzz-failures")


def main() -> int:
    options = _options()
    logging.disable()  # warnings about damaged inputs are as they should be
    kinds = [KINDS[name] for name in options.kinds or KINDS if options.kinds or name != "bench"]
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(prefix="edgekit-fuzz-") as name:
        directory = Path(name)
        if options.case is not None:
            run_case(kinds[0], options.seed, options.case, directory, tell=True)
            return 0
        end = time.monotonic() + 60 * options.minutes if options.minutes else None
        start = 0
        while True:
            batch = BATCH if end else options.cases
            for kind in kinds:
                for case in range(start, start + batch):
                    outcome = run_case(kind, options.seed, case, directory)
                    counts[f"{kind.name}: {outcome.name}"] += 1
                    if isinstance(outcome, Fault):
                        _keep(kind.name, options.seed, case, outcome)
            start += batch
            if end is None or time.monotonic() > end:
                break
    for outcome_name, count in sorted(counts.items()):
        print(f"{outcome_name:44s} {count:7d}")
    print(f"seed {options.seed}, {sum(counts.values())} cases")
    return int(any(name.endswith("FAULT") for name in counts))


def _keep(kind: str, seed: int, case: int, fault: Fault) -> None:
    FAILURES.mkdir(exist_ok=True)
    file = FAILURES / f"{kind}-{seed}-{case}"
    file.write_bytes(fault.data)
    print(f"{kind} case {case}: {fault.what}; input: {file}", file=sys.stderr)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tools.fuzz",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=", ".join(KINDS))
    parser.add_argument("--cases", type=int, default=USUAL_CASES)
    parser.add_argument("--minutes", type=float)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--case", type=int)
    options = parser.parse_args()
    unknown = [name for name in options.kinds if name not in KINDS]
    if unknown or (options.case is not None and len(options.kinds) != 1):
        parser.error(f"there are {', '.join(KINDS)}; --case takes one of them")
    return options


if __name__ == "__main__":
    sys.exit(main())
