"""A headless Chromium that a test looks through: the DevTools protocol over a pair of pipes, so
that nothing listens and nothing else is needed."""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.support.tiers import cannot_run

ANSWER_SECONDS = 240.0
"""Five seconds do on a quiet machine; a busy one has been seen to take a minute and a half."""


def program() -> str:
    """Debian's chromium, or another that is installed; else the test cannot run."""
    executable = next(
        (
            path
            for name in ("chromium", "chromium-browser", "google-chrome")
            if (path := shutil.which(name))
        ),
        None,
    )
    return executable or cannot_run("no Chromium: apt-get install chromium")


class Browser:
    """One page in one browser process. `events` are all that the page did: requests, messages on
    the console, exceptions, refusals by its policy."""

    def __init__(self, profile: Path) -> None:
        down, up = os.pipe(), os.pipe()
        flags = (
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--remote-debugging-pipe",
            "--disable-background-networking",
            "--no-first-run",
        )
        more = (
            "--disable-component-update",
            "--disable-dev-shm-usage",
            "--hide-scrollbars",
            f"--user-data-dir={profile}",
            "about:blank",
        )
        # Chromium reads commands from 3 and writes to 4; a plain sh knows no descriptors of two
        # digits to move there.
        self._process = subprocess.Popen(
            ["bash", "-c", f'exec "$0" "$@" 3<&{down[0]} 4>&{up[1]}', program(), *flags, *more],
            pass_fds=(down[0], up[1]),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(down[0])
        os.close(up[1])
        self._to, self._from, self._rest, self._number = down[1], up[0], b"", 0
        self._session: str | None = None
        self.events: list[dict[str, Any]] = []
        target = next(
            info for info in self.ask("Target.getTargets")["targetInfos"] if info["type"] == "page"
        )
        self._session = self.ask(
            "Target.attachToTarget", targetId=target["targetId"], flatten=True
        )["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.ask(f"{domain}.enable")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._to)
        os.close(self._from)

    def ask(self, method: str, **parameters: Any) -> Any:
        """Send a command and wait for its answer."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters} | (
            {"sessionId": self._session} if self._session else {}
        )
        os.write(self._to, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + ANSWER_SECONDS
        while time.monotonic() < deadline:
            answer = self._answer(self._number)
            if answer is not None:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return answer["result"]
        raise TimeoutError(f"{method}: no answer in {ANSWER_SECONDS:g} s")

    def open(
        self, page: Path, *, width: int = 1280, height: int = 900, scheme: str = "light"
    ) -> None:
        """Load a file and wait until it and its scripts are done."""
        self.look(width=width, height=height, scheme=scheme)
        self.events.clear()
        self.ask("Page.navigate", url=page.resolve().as_uri())
        deadline = time.monotonic() + ANSWER_SECONDS
        while not any(event["method"] == "Page.loadEventFired" for event in self.events):
            assert time.monotonic() < deadline, "the page does not finish loading"
            self.evaluate("1")
        self.evaluate("new Promise(done => requestAnimationFrame(() => setTimeout(done, 300)))")

    def look(self, *, width: int = 1280, height: int = 900, scheme: str = "light") -> None:
        """Change the window and what the reader prefers."""
        self.ask(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        self.ask(
            "Emulation.setEmulatedMedia",
            media="screen",
            features=[{"name": "prefers-color-scheme", "value": scheme}],
        )

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression; promises are awaited."""
        result = self.ask(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def screenshot(self, to: Path, *, whole: bool = True) -> None:
        """The page as PNG."""
        to.write_bytes(
            base64.b64decode(
                self.ask("Page.captureScreenshot", captureBeyondViewport=whole)["data"]
            )
        )

    def print(self, to: Path) -> None:
        """The page as PDF, as its style for print says."""
        self.ask("Emulation.setEmulatedMedia", media="", features=[])
        to.write_bytes(
            base64.b64decode(
                self.ask("Page.printToPDF", preferCSSPageSize=True, printBackground=True)["data"]
            )
        )

    def requests(self) -> list[str]:
        """Addresses that the page asked for, beside itself and data inside it."""
        asked = [
            event["params"]["request"]["url"]
            for event in self.events
            if event["method"] == "Network.requestWillBeSent"
        ]
        return [url for url in asked if not url.startswith(("file:", "data:", "blob:"))]

    def complaints(self) -> list[str]:
        """Errors and warnings on the console, uncaught exceptions, refusals by the page's
        policy."""
        messages = [
            str(event["params"]["exceptionDetails"])
            for event in self.events
            if event["method"] == "Runtime.exceptionThrown"
        ]
        messages += [
            str(event["params"]["args"])
            for event in self.events
            if event["method"] == "Runtime.consoleAPICalled"
        ]
        return messages + [
            event["params"]["entry"]["text"]
            for event in self.events
            if event["method"] == "Log.entryAdded"
        ]

    def _answer(self, number: int) -> dict[str, Any] | None:
        """The answer to a command among what the browser says next, which otherwise are events."""
        if not select.select([self._from], [], [], 1.0)[0]:
            return None
        data = os.read(self._from, 1 << 20)
        assert data, "the browser ended"
        *complete, self._rest = (self._rest + data).split(b"\0")
        messages = [json.loads(text) for text in complete]
        self.events += [message for message in messages if "method" in message]
        return next((message for message in messages if message.get("id") == number), None)
