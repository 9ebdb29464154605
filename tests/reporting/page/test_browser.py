"""The page in a real browser: it draws, says nothing on the console, asks for nothing, and runs
nothing but its own scripts."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from edgekit.bundle.directory import Bundle
from edgekit.measure.measurement import Measurement
from edgekit.reporting.page import content, document
from edgekit.workflow.judge import judge
from tests.support.chromium import Browser
from tests.support.hostile import hostile

pytestmark = [pytest.mark.device, pytest.mark.slow]
DRAWN = (
    "[...document.querySelectorAll('.plot')].map(plot => plot.querySelectorAll('.trace path, .point"
    " path, .points path, path.js-line').length)"
)
OVERFLOW = "document.documentElement.scrollWidth - window.innerWidth"
INK = "getComputedStyle(document.querySelector('.plot .xtick text')).fill"


@pytest.fixture
def server() -> Iterator[tuple[str, list[str]]]:
    """An address that must never be asked, and who asked."""
    asked: list[str] = []

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing on stderr."""

    with HTTPServer(("127.0.0.1", 0), Answer) as listening:
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{listening.server_port}/x", asked
        listening.shutdown()


def test_the_page_in_chromium(
    bundle: Bundle, measurement: Measurement, server: tuple[str, list[str]], tmp_path: Path
) -> None:
    url, asked = server
    checks = judge(bundle, {measurement.target: measurement})
    pages = {
        "plain.html": content.page(bundle, [measurement], checks, {}, {}),
        "hostile.html": content.page(None, [hostile(measurement, url)], None, {}, {}),
    }
    for name, page in pages.items():
        (tmp_path / name).write_text(document.html(page, made="2026-01-01"), encoding="utf-8")
    with Browser(tmp_path / "profile") as browser:
        browser.open(tmp_path / "plain.html", width=1280)
        drawn = browser.evaluate(DRAWN)
        assert len(drawn) == 7
        assert all(drawn), f"figures without data: {drawn}"
        light = browser.evaluate(INK)
        for width in (390, 375):
            browser.look(width=width, height=800)
            assert (
                browser.evaluate(f"new Promise(done => setTimeout(() => done({OVERFLOW}), 800))")
                <= 0
            )
        browser.look(scheme="dark")
        assert browser.evaluate(f"new Promise(done => setTimeout(() => done({INK}), 800))") != light
        assert (browser.requests(), browser.complaints()) == ([], [])

        browser.open(tmp_path / "hostile.html", width=390)
        assert browser.evaluate("document.title").endswith("· edgekit report")
        assert browser.evaluate("document.querySelectorAll('img, .plot a').length") == 0
        assert all(browser.evaluate(DRAWN))
        assert browser.evaluate(OVERFLOW) <= 0
        assert (browser.requests(), browser.complaints()) == ([], [])
    assert asked == []
