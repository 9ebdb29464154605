"""The files that `edgekit gate` writes for CI systems, from before the measurement on: until there
is a verdict, they say that there is none, and never what an earlier gate decided."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from edgekit.errors import EdgekitError, UsageError
from edgekit.reporting import gate_files
from edgekit.whole_file import write_whole
from edgekit.workflow.gate import GateResult

UNFINISHED = "the gate did not finish"


@dataclass(frozen=True)
class VerdictFiles:
    """Where the verdict goes: as JUnit XML, as Markdown, and as Markdown that is added to a
    file."""

    junit: Path | None
    markdown: Path | None
    summary: Path | None

    def begin(self) -> None:
        """Find out whether all can be written. Raises UsageError."""
        self._write(gate_files.junit_error(UNFINISHED), gate_files.markdown_error(UNFINISHED), "")

    def fail(self, error: EdgekitError) -> None:
        """Say why there is no verdict; the error itself is more important than these files."""
        reason = error.message
        markdown = gate_files.markdown_error(reason)
        self._tried(gate_files.junit_error(reason), markdown, markdown)

    def write(self, gated: GateResult) -> UsageError | None:
        """The verdict, and what went wrong: it must not hide the verdict."""
        markdown = gate_files.markdown(gated)
        return self._tried(gate_files.junit(gated), markdown, markdown)

    def _tried(self, junit: str, markdown: str, summary: str) -> UsageError | None:
        try:
            self._write(junit, markdown, summary)
        except UsageError as error:
            return error
        return None

    def _write(self, junit: str, markdown: str, summary: str) -> None:
        for path, text in ((self.junit, junit), (self.markdown, markdown)):
            if path:
                try:
                    write_whole(path, text)
                except OSError as error:
                    raise _refused(path, error) from None
        if self.summary:
            try:
                with self.summary.open("a", encoding="utf-8") as stream:
                    stream.write(summary)
            except OSError as error:
                raise _refused(self.summary, error) from None


def named_in(arguments: Sequence[str]) -> VerdictFiles:
    """The files that a command line names which cannot be understood as a whole. What is added to
    is left alone."""
    paths = {
        option: Path(value)
        for before, argument in pairwise(["", *arguments])
        for option, value in [argument.split("=", 1) if "=" in argument else (before, argument)]
        if not value.startswith("-")
    }
    return VerdictFiles(paths.get("--junit"), paths.get("--markdown"), None)


def _refused(path: Path, error: OSError) -> UsageError:
    return UsageError(f"{path}: cannot be written: {error.strerror or error}")
