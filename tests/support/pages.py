"""The pages of the project, every `.md` that a person reads: their blocks, commands, links and
anchors. Owns how Markdown is read; judges nothing."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDERS = ("recipes", "targets", "tools", "tests", "edgekit")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Page:
    """A page: `name` is its path from the root of the project."""

    name: str
    text: str

    @property
    def path(self) -> Path:
        return ROOT / self.name

    @property
    def prose(self) -> str:
        """The text without its blocks of code."""
        return FENCE.sub("", self.text)

    def blocks(self, language: str) -> list[str]:
        """The blocks of code in a language, in order."""
        return [body for name, body in FENCE.findall(self.text) if name == language]

    def command_lines(self) -> list[str]:
        """What follows `$ ` in blocks of a console, comments included."""
        lines = itertools.chain.from_iterable(
            block.splitlines() for block in self.blocks("console")
        )
        return [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]

    def code_spans(self) -> list[str]:
        """Code within the text, between single backticks."""
        return [span.replace("\\|", "|") for span in re.findall(r"`([^`\n]+)`", self.prose)]

    def links(self) -> list[str]:
        """Targets of links, without those to other sites."""
        targets = re.findall(r"\]\(([^)\s]+)\)", self.prose)
        return [target for target in targets if "://" not in target]

    def anchors(self) -> set[str]:
        """What a link to a heading of this page may name after `#`."""
        headings = re.findall(r"^#+ (.+)$", self.prose, re.MULTILINE)
        return {anchor_of(heading) for heading in headings}


def anchor_of(heading: str) -> str:
    """The anchor that a forge gives a heading: lower case, punctuation dropped, `-` for spaces."""
    letters = re.sub(r"[^\w\- ]", "", heading.lower())
    return letters.strip().replace(" ", "-")


def read_pages() -> tuple[Page, ...]:
    """All pages, the README first and then the folders in the order of FOLDERS."""
    paths = [ROOT / "README.md", *sorted(set(ROOT.glob("*.md")) - {ROOT / "README.md"})]
    for folder in FOLDERS:
        paths += sorted((ROOT / folder).rglob("*.md"))
    return tuple(Page(str(path.relative_to(ROOT)), path.read_text()) for path in paths)
