"""From the bytes that a program on a device printed to its lines, as untrusted input. Owns the caps
and the reading of one line; what the lines tell together is the reader's that asks."""

from __future__ import annotations

from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from edgekit.errors import ResultError
from edgekit.measure.protocol_lines import Line
from edgekit.sanitize import printable

MAX_OUTPUT_BYTES = 64 << 20
MAX_LINE_BYTES = 128 << 10
MAX_LINES = 20_000
MAX_BRACKETS = 512
"""Opening brackets in a line: bounds how deeply it can be nested before a parser sees it."""

L = TypeVar("L", bound=Line)


def parsed_lines(stdout: bytes, nonce: str, kinds: TypeAdapter[L]) -> list[tuple[int, L]]:
    """The lines with their numbers, each of one of these kinds. Raises ResultError: a line of none
    of them, or of another run; more than the caps allow."""
    lines = enumerate(_split(stdout), 1)
    return [(number, _parsed(number, line, nonce, kinds)) for number, line in lines]


def _split(stdout: bytes) -> list[bytes]:
    """The terminated lines. What follows the last newline was cut off and is no line."""
    if len(stdout) > MAX_OUTPUT_BYTES:
        raise ResultError(
            f"the runner printed more than {MAX_OUTPUT_BYTES >> 20} MiB", hint="lower max_seconds"
        )
    lines = stdout.split(b"\n", MAX_LINES + 1)[:-1]
    if len(lines) > MAX_LINES:
        raise ResultError(f"the runner printed more than {MAX_LINES} lines")
    return lines


def _parsed(number: int, line: bytes, nonce: str, kinds: TypeAdapter[L]) -> L:
    if len(line) > MAX_LINE_BYTES:
        raise bad_line(number, f"longer than {MAX_LINE_BYTES >> 10} KiB")
    if line.count(b"[") + line.count(b"{") > MAX_BRACKETS:
        raise bad_line(number, "nested too deeply, or too many parts")
    try:
        parsed = kinds.validate_json(line)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise bad_line(number, f"{where}: {first['msg']}" if where else first["msg"]) from None
    if parsed.nonce != nonce:
        raise bad_line(number, "carries the nonce of another run")
    return parsed


def bad_line(number: int, reason: str) -> ResultError:
    return ResultError(
        f"line {number} of the runner's output: {printable(reason)}",
        hint="this is not what a healthy runner of this version prints",
    )
