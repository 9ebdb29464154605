"""A page as one HTML file that needs nothing else: style, script, plotly.js and all data are
inside, and its policy forbids it any request.

All text is escaped by the template; data is JSON in which `<`, `>` and `&` are escapes; the policy
allows only the two scripts whose hashes it names."""

from __future__ import annotations

import base64
import hashlib
import json
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from edgekit.errors import UsageError
from edgekit.installing import install_command
from edgekit.reporting.page.content import Page
from edgekit.reporting.page.values import Figure
from edgekit.sanitize import printable
from edgekit.version import __version__

HERE = files("edgekit.reporting.page")
MOST_CHARACTERS = 10_000


def html(page: Page, *, made: str) -> str:
    """The file's text. `made` is when, for the foot of the page. Raises UsageError without
    plotly."""
    plotly = _script(_plotly_js())
    script = _script(_read("page.js"))
    environment = Environment(
        autoescape=True,
        finalize=_inert,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.from_string(_read("page.html.j2")).render(
        page=page,
        policy=policy(plotly, script),
        style=Markup(_read("page.css")),
        plotly=Markup(plotly),
        script=Markup(script),
        figures=Markup(embedded(figures(page))),
        made=made,
        version=__version__,
    )


def _plotly_js() -> str:
    try:
        from plotly.offline import get_plotlyjs
    except ImportError:
        raise UsageError(
            "the report needs plotly, which is not installed", hint=install_command("report")
        ) from None
    return str(get_plotlyjs())


def figures(page: Page) -> dict[str, Any]:
    """Data and layout by the name of the element that holds the figure."""
    drawn = [
        block for section in page.sections for block in section.blocks if isinstance(block, Figure)
    ]
    return {
        figure.name: {"data": figure.data, "layout": {**figure.layout, "height": figure.height_px}}
        for figure in drawn
    }


def embedded(value: Any) -> str:
    """JSON that no HTML parser can see an end or a tag in. Raises ValueError: NaN or infinity."""
    text = json.dumps(value, allow_nan=False, ensure_ascii=True, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def policy(*scripts: str) -> str:
    """A Content-Security-Policy: these scripts and inline style, and nothing from anywhere.
    plotly.js sets styles and draws images for its downloads."""
    hashes = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
        for script in scripts
    )
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data: blob:;"
        " base-uri 'none'; form-action 'none'"
    )


def _inert(value: object) -> object:
    """What the template writes, without control and invisible characters; line ends stay."""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    return "\n".join(printable(line, limit=MOST_CHARACTERS) for line in value.split("\n"))


def _script(text: str) -> str:
    """A script that may stand in a page: browsers hash it with line ends as line feeds, and nothing
    in it may end it early."""
    return (
        text.replace("\r\n", "\n")
        .replace("\r", "\n")
        .replace("</script", "<\\/script")
        .replace("<!--", "<\\!--")
    )


def _read(name: str) -> str:
    return HERE.joinpath(name).read_text(encoding="utf-8")
