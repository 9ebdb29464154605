"""A request to stop work that another thread does. Owns the flag and the waits that look at it;
what is cleaned up when work stops is decided where the work is."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Cancel:
    """One thread requests it, the thread that works notices it wherever it waits for a board.

    It is noticed once: `check` raises KeyboardInterrupt, as Ctrl-C does in the main thread. What
    the working thread then does to clean up waits undisturbed, so it is the same code for both."""

    def __init__(self, on_check: Callable[[], None] = lambda: None) -> None:
        """`on_check` is called at each look; what it raises ends the wait as well."""
        self._on_check = on_check
        self._requested = threading.Event()
        self._noticed = False
        self._hang_ups: list[Callable[[], None]] = []

    def request(self) -> None:
        """Ask the working thread to stop. Returns at once."""
        self._requested.set()
        for hang_up in list(self._hang_ups):
            hang_up()

    def check(self) -> None:
        """Raise KeyboardInterrupt when a stop is requested, the first time only."""
        self._on_check()
        if self._requested.is_set() and not self._noticed:
            self._noticed = True
            raise KeyboardInterrupt

    def sleep(self, seconds: float) -> None:
        """Wait. Raises KeyboardInterrupt as soon as a stop is requested."""
        if self._noticed:
            time.sleep(seconds)
            return
        self._requested.wait(seconds)
        self.check()

    @contextmanager
    def ending(self, hang_up: Callable[[], None]) -> Iterator[None]:
        """Around a wait inside a library, which cannot look at the flag: a request calls `hang_up`,
        which must make that wait fail, and KeyboardInterrupt is raised in place of its error."""
        self._hang_ups.append(hang_up)
        try:
            self.check()
            yield
        except Exception:
            self.check()
            raise
        finally:
            self._hang_ups.remove(hang_up)
