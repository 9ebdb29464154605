"""What deployment finds on a board: its clock, the tools there, free space, whether a program
starts where runtimes are kept, and what is in the store. Leaves nothing behind. The judgements are
in check_items.py and store_items.py."""

from __future__ import annotations

import re
from dataclasses import dataclass

from edgekit.devices.fact_parsing import parse_sources
from edgekit.devices.fact_scripts import Section
from edgekit.sanitize import printable

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
echo "mount:$6"
while read -r device mount type options rest; do
  [ "$mount" != "$6" ] || { echo "type:$type"; echo "options:$options"; }
done </proc/mounts
try=$place/.edgekit-check.$$  # of this process alone, so that nobody else can have put it there
if said=$( (umask 077 && mkdir "$try") 2>&1); then
  # `cat` names the reason of an error, which the printf of some shells does not.
  program="#!$(command -v sh)
echo starts:yes"
  if said=$( { echo "$program" | cat >"$try/program"; } 2>&1); then
    chmod 700 "$try/program"
    "$try/program" 2>/dev/null || echo "refused:$?"
  else
    echo "unwritten:$said"
  fi
  rm -f "$try/program"
  rmdir "$try"
else
  echo "unwritten:$said"
fi
for link in current previous; do
  if [ -L "$root/$link" ]; then echo "$link:$(readlink "$root/$link")"; fi
done
for tree in "$root"/runtimes/*; do
  if [ -d "$tree" ]; then echo "runtime:${tree##*/}"; fi
done
"""
"""WORKDIR TOOLS."""


@dataclass(frozen=True)
class Mount:
    """The mount that the work directory lies on, or will: where, of which type, with which options.
    Empty: not known."""

    point: str = ""
    filesystem: str = ""
    options: tuple[str, ...] = ()


@dataclass(frozen=True)
class StoreProbe:
    """What a board answered. `clock` is seconds since 1970; `links` are the targets of the store's
    `current` and `previous`, by name; None and empty: not known, not there.

    `starts` is whether a program of two lines started in the work directory, None where it could
    not be written, and `unwritten` why; `refused` is the exit code of its start."""

    clock: int | None
    missing_tools: tuple[str, ...]
    free_kib: int | None
    writable: bool
    mount: Mount
    starts: bool | None
    refused: int | None
    unwritten: str
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
        mount=_mount(sources),
        starts="starts" in sources if {"starts", "refused"} & set(sources) else None,
        refused=_number(sources, "refused"),
        unwritten=printable(sources.get("unwritten", ("",))[-1].rpartition(": ")[2]),
        links={link: sources[link][0] for link in ("current", "previous") if link in sources},
        runtimes=sources.get("runtime", ()),
    )


def _mount(sources: dict[str, tuple[str, ...]]) -> Mount:
    """Of several mounts at one place the last is the one that is seen."""
    point, filesystem, options = (
        printable(sources.get(key, ("",))[-1].strip()) for key in ("mount", "type", "options")
    )
    return Mount(point, filesystem, tuple(options.split(",")) if options else ())


def _number(sources: dict[str, tuple[str, ...]], key: str) -> int | None:
    text = sources.get(key, ("",))[0].strip()
    return int(text) if re.fullmatch(r"[0-9]{1,15}", text) else None
