"""Eight targets at the same time against one after the other.

    .venv/bin/python tools/bench/parallel_targets.py

Each target is a store of its own behind a proxy of its own that lets 4 MB/s through, as eight
boards on slow networks would be; behind all of them is one real sshd. A bundle of 8 MB that is new
to all of them is deployed by the code that `edgekit run -t A -t B …` uses for several targets."""

from __future__ import annotations

import contextlib
import tempfile
import time
from pathlib import Path

from paired import interleaved, report
from servers import board, bundle, proxy, target

from edgekit.boards.deploying import deploy
from edgekit.bundle.directory import Bundle
from edgekit.cancel import Cancel
from edgekit.deployment import DeployReport
from edgekit.devices.target import SshTarget, Target
from edgekit.progress import Progress
from edgekit.workflow.fleet import on_each

TARGETS, BYTES, BYTES_PER_S, ROUNDS = 8, 8_000_000, 4_000_000, 3


def deployed(made: Bundle, targets: list[SshTarget], *, together: bool) -> float:
    """Seconds until all of them have the bundle."""
    groups = [targets] if together else [[target] for target in targets]
    started = time.perf_counter()

    def work(*, target: Target, progress: Progress, cancel: Cancel) -> DeployReport:
        return deploy(made, target, progress=progress, cancel=cancel)

    for group in groups:
        assert not on_each(group, work).failures
    return time.perf_counter() - started


def main() -> None:
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(board())
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        ports = [
            stack.enter_context(proxy(server.port, bytes_per_s=BYTES_PER_S)) for _ in range(TARGETS)
        ]
        targets = [target(server, f"board{number}", port=port) for number, port in enumerate(ports)]

        def new() -> Bundle:
            return bundle(Path(tempfile.mkdtemp(dir=scratch)) / "bundle", [BYTES])

        ways = {
            "one after the other": lambda: deployed(new(), targets, together=False),
            "together": lambda: deployed(new(), targets, together=True),
        }
        values = interleaved(ways, rounds=ROUNDS)
        title = f"{TARGETS} targets of {BYTES_PER_S / 1e6:g} MB/s, {BYTES / 1e6:g} MB each"
        report(
            title,
            values,
            base="together",
            unit="s",
            target="one after the other takes at least 5 times as long",
        )


if __name__ == "__main__":
    main()
