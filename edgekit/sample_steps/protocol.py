"""What the program prints: lines of JSON, as the runners do (runner protocol 1)."""

from __future__ import annotations

import json
import os
from typing import Any

VALUES_PER_LINE = 4096


class Protocol:
    """The lines of one run. Standard output is kept for them alone: whatever a library prints goes
    to standard error."""

    def __init__(self, nonce: str) -> None:
        self._nonce = nonce
        self._stdout = os.dup(1)
        os.dup2(2, 1)

    def send(self, kind: str, **fields: Any) -> None:
        line = dict({"edgekit": 1, "nonce": self._nonce, "type": kind}, **fields)
        data = memoryview(json.dumps(line, separators=(",", ":"), allow_nan=False).encode() + b"\n")
        while data:
            data = data[os.write(self._stdout, data) :]

    def send_times(self, step: str, times: list[int]) -> None:
        for start in range(0, len(times), VALUES_PER_LINE):
            part = times[start : start + VALUES_PER_LINE]
            self.send("times", step=step, offset=start, ns=part)
