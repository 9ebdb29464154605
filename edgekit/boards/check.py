"""The doctor: is a board ready to measure on, what is missing, and the command that fixes it. Owns
what is looked at, and in which order; leaves the board as it was. The judgements are in
check_items.py and store_items.py."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from typing import Any

from edgekit.boards import check_items, store_items
from edgekit.boards.adding import address_of
from edgekit.boards.check_items import CheckItem
from edgekit.boards.deploying import AnyTarget
from edgekit.boards.store_probe import parse_store, store_section
from edgekit.devices import Device, connect
from edgekit.devices.fact_parsing import parse_facts, parse_state
from edgekit.devices.fact_scripts import FACTS, STATE, ask
from edgekit.devices.target import Target
from edgekit.devices.target_files import as_target
from edgekit.errors import EdgekitError
from edgekit.runners.board_platform import platform_in, platform_section
from edgekit.runners.runtime import host_platform


@dataclass(frozen=True)
class CheckReport:
    """What was found, the most basic first. `exit_code` is that of the first problem, 0 if there is
    none."""

    target: str
    address: str
    items: tuple[CheckItem, ...]

    @property
    def exit_code(self) -> int:
        return next((item.exit_code for item in self.items if item.exit_code), 0)

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "target": self.target,
            "address": self.address,
            "findings": [asdict(item) for item in self.items],
            "exit_code": self.exit_code,
        }


def check(target: AnyTarget) -> CheckReport:
    """Look at a target's board. A board that cannot be reached is an item, not an error.

    Args:
        target: A target, as a value, a name or a file.

    Returns:
        What was looked at, the most basic first, each with a fix where something is wrong.

    Raises:
        UsageError: The target cannot be read.

    Example:
        >>> first = edgekit.check("desk").items[0]
        >>> first.check, first.level
        ('reachable', 'ok')
    """
    board = as_target(target)
    return CheckReport(board.name, address_of(board), tuple(_items(board)))


def _items(target: Target) -> Iterator[CheckItem]:
    started = time.monotonic()
    try:
        device = connect(target)
    except EdgekitError as error:
        yield _failed("reachable", error)
        return
    with closing(device):
        yield CheckItem("reachable", "ok", f"in {time.monotonic() - started:.2f} s")
        try:
            yield from _answers(target, device)
        except EdgekitError as error:
            yield _failed("board", error)


def _answers(target: Target, device: Device) -> Iterator[CheckItem]:
    """What one program on the board finds out. Raises what `ask` raises."""
    before = time.time()
    answer = ask(device, store_section(target.workdir), platform_section(target), FACTS, STATE)
    now = (before + time.time()) / 2
    yield from _guarded("platform", lambda: _platform(answer, target, device))
    store = parse_store(answer)
    yield check_items.of_clock(store.clock, now, target)
    yield check_items.of_tools(store.missing_tools, target)
    yield store_items.of_disk(store, target)
    yield store_items.of_programs(store, target)
    yield from store_items.of_store(store, target)
    yield from _guarded(
        "state", lambda: check_items.of_state(parse_facts(answer), parse_state(answer), target)
    )


def _platform(answer: bytes, target: Target, device: Device) -> Iterator[CheckItem]:
    here = target.kind == "local"
    platform = host_platform() if here else platform_in(answer, target, device.name)
    return check_items.of_platform(platform, target)


def _guarded(check: str, look: Callable[[], Iterator[CheckItem]]) -> Iterator[CheckItem]:
    """What was found until a look failed, and that it failed."""
    try:
        yield from look()
    except EdgekitError as error:
        yield _failed(check, error)


def _failed(check: str, error: EdgekitError) -> CheckItem:
    return CheckItem(check, "problem", error.message, error.hint, error.exit_code)
