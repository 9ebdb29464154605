"""What a board cannot run. Connects to it, and asks the package index for its runtimes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

from edgekit.backends.lookup import load_backend
from edgekit.devices.target import Target
from edgekit.errors import EdgekitError
from edgekit.linting.document_rules import LintFinding, origin_near
from edgekit.recipe.load import LoadedRecipe
from edgekit.yaml_documents.problems import quoted


def board_findings(loaded: LoadedRecipe, target: Target) -> Iterator[LintFinding]:
    from edgekit.devices import connect
    from edgekit.runners.board_platform import platform_of
    from edgekit.runners.runtime import runtime_for

    origin = origin_near(loaded, "export")
    try:
        with closing(connect(target)) as device:
            platform = platform_of(target, device)
    except EdgekitError as error:
        yield LintFinding("board", "error", origin, f"{target.name}: {error.message}", error.hint)
        return
    backends = [load_backend(name, loaded.path.parent) for name in loaded.recipe.export.backends]
    for runtime in dict.fromkeys(backend.runtime for backend in backends):
        if target.runners.program(runtime) is None:
            try:
                runtime_for(runtime, platform)
            except EdgekitError as error:
                yield LintFinding(
                    "no-runtime",
                    "error",
                    origin,
                    f"{quoted(target.name)} cannot run {runtime}: {error.message}",
                    error.hint,
                )
