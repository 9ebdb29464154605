"""Damaged copies of good inputs. Bytes are changed as they stand; values of a JSON document are
changed where they lie, so that it still is one and deeper checks are reached."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

WORDS = (
    b"null",
    b"~",
    b"true",
    b"-1",
    b"0",
    b"1e999",
    b"nan",
    b"99999999999999999999",
    b"0x7fffffff",
    b"''",
    b"[",
    b"{}",
    b"&a",
    b"*a",
    b"<<: *a",
    b"!!python/object:os.system",
    b"${HOME}",
    b"$(id)",
    b"../../etc/passwd",
    b"\x00",
    b"\x1b[2J",
    b"\xff\xfe",
    b"\xed\xa0\xbd",
    b"\xe2\x80\xae",
    b"%n%s",
    b"\r\n",
    b"\t",
    b"A" * 5000,
)
VALUES: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    1 << 70,
    1e308,
    "",
    "a\x00b",
    "\x1b]0;x\x07",
    "../..",
    "x" * 5000,
    [],
    [[]],
    {},
    {"": None},
)
LARGEST_CHANGE_BYTES = 64


def mutated(data: bytes, random: Random) -> bytes:
    """A copy with one to eight changes."""
    for _ in range(random.choice((1, 1, 2, 4, 8))):
        data = random.choice(CHANGES)(data, random)
    return data


def mutated_json(data: bytes, random: Random) -> bytes:
    """A copy of a JSON document with one to four of its values changed, removed or repeated."""
    document = json.loads(data)
    for _ in range(random.choice((1, 1, 2, 4))):
        _change_value(document, random)
    return json.dumps(document).encode()


def _flip(data: bytes, random: Random) -> bytes:
    changed = bytearray(data)
    if changed:
        changed[random.randrange(len(changed))] ^= 1 << random.randrange(8)
    return bytes(changed)


def _overwrite(data: bytes, random: Random) -> bytes:
    start = random.randrange(len(data) + 1)
    count = random.randrange(1, LARGEST_CHANGE_BYTES)
    return data[:start] + random.randbytes(count) + data[start + count :]


def _remove(data: bytes, random: Random) -> bytes:
    start = random.randrange(len(data) + 1)
    return data[:start] + data[start + random.randrange(1, LARGEST_CHANGE_BYTES) :]


def _repeat(data: bytes, random: Random) -> bytes:
    start = random.randrange(len(data) + 1)
    return data[:start] + data[max(0, start - random.randrange(1, 4096)) :]


def _cut(data: bytes, random: Random) -> bytes:
    return data[: random.randrange(len(data) + 1)]


def _insert_word(data: bytes, random: Random) -> bytes:
    start = random.randrange(len(data) + 1)
    return data[:start] + random.choice(WORDS) + data[start:]


def _replace_value(data: bytes, random: Random) -> bytes:
    """What follows a colon, an equals sign or a space in one of the lines."""
    lines = data.split(b"\n")
    number = random.randrange(len(lines))
    for separator in random.sample((b": ", b"=", b" ", b":"), 4):
        key, present, _ = lines[number].partition(separator)
        if present:
            lines[number] = key + separator + random.choice(WORDS)
            break
    return b"\n".join(lines)


def _move_line(data: bytes, random: Random) -> bytes:
    lines = data.split(b"\n")
    line = lines.pop(random.randrange(len(lines)))
    for _ in range(random.randrange(3)):  # also left out, or twice
        lines.insert(random.randrange(len(lines) + 1), line)
    return b"\n".join(lines)


CHANGES: Sequence[Callable[[bytes, Random], bytes]] = (
    _flip,
    _overwrite,
    _remove,
    _repeat,
    _cut,
    _insert_word,
    _replace_value,
    _move_line,
)


def _change_value(document: Any, random: Random) -> None:
    """Walk down to some value and change it in place."""
    holder: Any = document
    while True:
        if not isinstance(holder, dict | list) or not holder:
            return
        key = random.choice(list(holder) if isinstance(holder, dict) else range(len(holder)))
        value = holder[key]
        if isinstance(value, dict | list) and value and random.random() < 0.8:
            holder = value
            continue
        break
    match random.randrange(4):
        case 0:
            del holder[key]
        case 1 if isinstance(holder, list):
            holder.append(value)
        case 2 if isinstance(holder, dict):
            holder[random.choice(("", "extra", f"{key}_", "é" * 300))] = value
        case _:
            holder[key] = random.choice(VALUES)
