"""What deployment finds on a board: its clock, the tools there, free space, and what is in the
store. Asks only; findings.py judges."""

from __future__ import annotations

import re
from dataclasses import dataclass

from edgekit.devices.fact_parsing import parse_sources
from edgekit.devices.fact_scripts import Section

FILES = (
    "cat",
    "chmod",
    "df",
    "find",
    "ln",
    "ls",
    "mkdir",
    "mv",
    "readlink",
    "rm",
    "sync",
    "tar",
    "touch",
)
TOOLS = (*FILES, "grep", "sha256sum", "sort", "tail", "wc", "xargs")
"""What deployment runs on a board."""
SCRIPT = r"""
echo "clock:$(date +%s)"
for tool in $2; do command -v "$tool" >/dev/null 2>&1 || echo "missing:$tool"; done
case $1 in "~/"*) root=$HOME/${1#"~/"} ;; *) root=$1 ;; esac
place=$root
while [ ! -d "$place" ] && [ -n "$place" ]; do place=${place%/*}; done
echo "root:$root"
[ -w "${place:-/}" ] && echo "writable:yes"
set -- $(df -Pk "${place:-/}" 2>/dev/null | tail -n 1)
echo "free:$4"
for link in current previous; do
  if [ -L "$root/$link" ]; then echo "$link:$(readlink "$root/$link")"; fi
done
for tree in "$root"/runtimes/*; do
  if [ -d "$tree" ]; then echo "runtime:${tree##*/}"; fi
done
"""
"""WORKDIR TOOLS."""


@dataclass(frozen=True)
class StoreProbe:
    """What a board answered. `clock` is seconds since 1970; `links` are the targets of the store's
    `current` and `previous`, by name; None and empty: not known, not there."""

    clock: int | None
    missing_tools: tuple[str, ...]
    free_kib: int | None
    writable: bool
    links: dict[str, str]
    runtimes: tuple[str, ...]


def store_section(workdir: str) -> Section:
    """What to ask a board for `parse_store`."""
    return Section(SCRIPT, (workdir, " ".join(TOOLS)))


def parse_store(answer: bytes) -> StoreProbe:
    sources = parse_sources(answer)
    return StoreProbe(
        clock=_number(sources, "clock"),
        missing_tools=tuple(tool for tool in sources.get("missing", ()) if tool in TOOLS),
        free_kib=_number(sources, "free"),
        writable="writable" in sources,
        links={link: sources[link][0] for link in ("current", "previous") if link in sources},
        runtimes=sources.get("runtime", ()),
    )


def _number(sources: dict[str, tuple[str, ...]], key: str) -> int | None:
    text = sources.get(key, ("",))[0].strip()
    return int(text) if re.fullmatch(r"[0-9]{1,15}", text) else None
