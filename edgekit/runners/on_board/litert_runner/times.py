"""Where the times of inferences go: into lines as they come, into windows, into the legs of the
warm-up."""

from __future__ import annotations

import array

from .options import MOST_ITERATIONS, NEVER_NS, Options
from .process import now_ns, read_number
from .protocol import Protocol

VALUES_PER_LINE = 4096
TIMES_PER_WINDOW = 64
# a line is due after this long, so that the host sees progress and a crash costs little
SILENCE_NS = 2_000_000_000


class Windows:
    """At the end of every window a line with the time, the inferences so far and what the probes
    say, read between two inferences."""

    most = NEVER_NS

    def __init__(self, protocol: Protocol, options: Options) -> None:
        self._protocol, self._options = protocol, options
        self._keeps = TIMES_PER_WINDOW if options.mode == "sustain" else 0
        self._values: list[int] = []
        self._opened_at = now_ns()
        self._sent = self.count = 0
        if options.window_ns:
            self._send(self._opened_at)

    def add(self, ns: int, now: int) -> None:
        self.count += 1
        if len(self._values) < self._keeps:
            self._values.append(ns)
        if self._options.window_ns and now - self._opened_at >= self._options.window_ns:
            self._send(now)

    def flush(self, now: int) -> None:
        if self._options.window_ns and self.count > self._sent:
            self._send(now)

    def _send(self, now: int) -> None:
        probed = [read_number(path) for path in self._options.probes]
        self._protocol.send(
            "window", at_ns=now, iterations=self.count, ns=self._values, values=probed
        )
        self._values.clear()
        self._sent, self._opened_at = self.count, now


class Times:
    """Every time of one phase, printed in lines while it goes on."""

    most = MOST_ITERATIONS

    def __init__(self, protocol: Protocol, phase: str, windows: Windows | None = None) -> None:
        self._protocol, self._phase, self._windows = protocol, phase, windows
        self._values: list[int] = []
        self._sent_at = now_ns()
        self.count = 0

    def add(self, ns: int, now: int) -> None:
        self._values.append(ns)
        self.count += 1
        if len(self._values) == VALUES_PER_LINE or now - self._sent_at > SILENCE_NS:
            self._send(now)
        if self._windows:
            self._windows.add(ns, now)

    def flush(self, now: int) -> None:
        self._send(now)
        if self._windows:
            self._windows.flush(now)

    def _send(self, now: int) -> None:
        self._sent_at = now
        if self._values:
            self._protocol.send(
                "samples", phase=self._phase, offset=self.count - len(self._values), ns=self._values
            )
            self._values.clear()


class Leg:
    """A leg of the warm-up, on its way into `times`. It is steady when the medians of its halves
    are within a twentieth of each other, or when it is too short to tell."""

    FEWEST_TO_TELL = 4

    def __init__(self, times: Times, length_ns: int) -> None:
        self._times, self._half_at = times, now_ns() + length_ns // 2
        self._halves = (array.array("q"), array.array("q"))
        self.most = times.most

    @property
    def count(self) -> int:
        return self._times.count

    def add(self, ns: int, now: int) -> None:
        half = self._halves[now >= self._half_at]
        if len(half) < VALUES_PER_LINE:
            half.append(ns)
        self._times.add(ns, now)

    def flush(self, now: int) -> None:
        self._times.flush(now)

    def steady(self) -> bool:
        if min(map(len, self._halves)) < self.FEWEST_TO_TELL:
            return True
        before, after = (sorted(half)[len(half) // 2] for half in self._halves)
        return abs(after - before) * 20 <= before
