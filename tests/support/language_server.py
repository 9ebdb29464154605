"""The YAML language server that editors run, over its own protocol (LSP: JSON-RPC with
Content-Length headers on stdin and stdout)."""

from __future__ import annotations

import json
import os
import queue
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.tiers import cannot_run

PROGRAM = (
    Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    / "edgekit-test/npm/node_modules/.bin/yaml-language-server"
)
ANSWER_S = 60


class LanguageServer:
    """A running server with a document open in it. Positions are (line, character) from 0, as the
    protocol has them."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._messages: queue.Queue[dict[str, Any]] = queue.Queue()
        self._id = 0
        threading.Thread(target=self._read, daemon=True).start()
        self.ask(
            "initialize",
            {
                "processId": os.getpid(),
                "rootUri": None,
                "capabilities": {"workspace": {"configuration": True}},
            },
        )
        self._send({"method": "initialized", "params": {}})

    def open(self, path: Path) -> list[dict[str, Any]]:
        """Open a file; the diagnostics of it."""
        document = {
            "uri": path.as_uri(),
            "languageId": "yaml",
            "version": 1,
            "text": path.read_text(),
        }
        self._send({"method": "textDocument/didOpen", "params": {"textDocument": document}})
        return self._until(
            lambda m: (
                m.get("method") == "textDocument/publishDiagnostics"
                and m["params"]["uri"] == path.as_uri()
            )
        )["params"]["diagnostics"]

    def completions(self, path: Path, line: int, character: int) -> dict[str, dict[str, Any]]:
        answer = self._at("textDocument/completion", path, line, character)
        return {item["label"]: item for item in answer["items"]}

    def hover(self, path: Path, line: int, character: int) -> str:
        answer = self._at("textDocument/hover", path, line, character)
        return str(answer["contents"]["value"]) if answer else ""

    def ask(self, method: str, params: Any) -> Any:
        self._id += 1
        self._send({"id": self._id, "method": method, "params": params})
        answer = self._until(lambda m: m.get("id") == self._id and "method" not in m)
        assert "error" not in answer, answer
        return answer["result"]

    def _at(self, method: str, path: Path, line: int, character: int) -> Any:
        return self.ask(
            method,
            {
                "textDocument": {"uri": path.as_uri()},
                "position": {"line": line, "character": character},
            },
        )

    def _until(self, is_awaited: Any) -> dict[str, Any]:
        while True:
            message = self._messages.get(timeout=ANSWER_S)
            if is_awaited(message):
                return message
            if "id" in message and "method" in message:  # a question of the server
                items = message.get("params", {}).get("items", [])
                # The list of public schemas is somewhere on the network, where nothing shall be
                # looked for.
                settings = {
                    "yaml": {
                        "schemaStore": {"enable": False},
                        "hover": True,
                        "completion": True,
                        "validate": True,
                    }
                }
                result = (
                    [settings.get(item.get("section"), {}) for item in items]
                    if message["method"] == "workspace/configuration"
                    else None
                )
                self._send({"id": message["id"], "result": result})

    def _send(self, message: dict[str, Any]) -> None:
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        assert self._process.stdin is not None
        self._process.stdin.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
        self._process.stdin.flush()

    def _read(self) -> None:
        stream = self._process.stdout
        assert stream is not None
        while header := stream.readline():
            length = int(header.removeprefix(b"Content-Length:"))
            while stream.readline().strip():
                pass
            self._messages.put(json.loads(stream.read(length)))


@contextmanager
def language_server() -> Iterator[LanguageServer]:
    if not shutil.which("npm"):
        cannot_run(
            "no npm: install it, then run tools/test, which installs yaml-language-server",
            need="machine",
        )
    if not PROGRAM.exists():
        cannot_run("no yaml-language-server: run tools/test, which installs it")
    process = subprocess.Popen([PROGRAM, "--stdio"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        yield LanguageServer(process)
    finally:
        process.kill()
        process.communicate()
