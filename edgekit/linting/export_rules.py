"""What would come of publishing a stage: layers that stay float, and what each backend foresees."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from edgekit.backends.lookup import load_backend, runs
from edgekit.compress.sections import QuantizeBase
from edgekit.errors import EdgekitError
from edgekit.linting.document_rules import LintFinding, error_finding, finding, origin_near
from edgekit.pipeline.planning import dynamic_sizes
from edgekit.prose import some
from edgekit.recipe.lineage import stage_name
from edgekit.recipe.load import LoadedRecipe

if TYPE_CHECKING:
    from edgekit.pipeline.preview import Preview


def export_findings(loaded: LoadedRecipe, index: int, seen: Preview) -> Iterator[LintFinding]:
    """What the backends would run into with a stage that is published."""
    stage = loaded.recipe.stages[index]
    if not stage.export:
        return
    if stage.entry.scheme.activations == "static":
        yield from _guarded(loaded, index, lambda: _stays_float(loaded, index, seen))
    if dynamic_sizes(loaded.recipe):
        yield from _guarded(loaded, index, lambda: _fixes_sizes(loaded, index, seen))
    for name in loaded.recipe.export.backends:
        yield from _guarded(loaded, index, functools.partial(_predicted, loaded, index, seen, name))


def _guarded(
    loaded: LoadedRecipe, index: int, look: Callable[[], Iterator[LintFinding]]
) -> Iterator[LintFinding]:
    try:
        yield from look()
    except EdgekitError as error:
        yield error_finding("cannot-export", origin_near(loaded, "stages", index), error)


def _predicted(loaded: LoadedRecipe, index: int, seen: Preview, name: str) -> Iterator[LintFinding]:
    """What one backend foresees. A scheme that it does not run is found without the model
    (document_rules.py)."""
    stage = loaded.recipe.stages[index]
    backend = load_backend(name, loaded.path.parent)
    scheme = stage.entry.scheme
    if not runs(backend, scheme):
        return
    from edgekit.models.calling import rows

    model = seen.models[stage_name(loaded.recipe, index)]
    keep_float = stage.keep_float if isinstance(stage, QuantizeBase) else ()
    example = rows(seen.example, slice(1))
    for remark in backend.predict(model, example, scheme=scheme, keep_float=keep_float):
        yield finding(loaded, index, remark)


def _fixes_sizes(loaded: LoadedRecipe, index: int, seen: Preview) -> Iterator[LintFinding]:
    """Raises ExportError for a network that does not run in every size that is to be dynamic, or
    whose graph would not."""
    from edgekit.backends.tracing import trace, without_guards
    from edgekit.captured_graph import capture
    from edgekit.export.sizes import require_runs
    from edgekit.models.calling import rows

    model = seen.models[stage_name(loaded.recipe, index)].eval()
    if loaded.recipe.stages[index].entry.scheme.in_graph:
        model = without_guards(capture(model, seen.example))
    example, dynamic = rows(seen.example, slice(1)), dynamic_sizes(loaded.recipe)
    require_runs(model, example, dynamic)
    trace(model, example, dynamic)
    yield from ()


def _stays_float(loaded: LoadedRecipe, index: int, seen: Preview) -> Iterator[LintFinding]:
    from edgekit.compress.quantize.float_layers import float_layers
    from edgekit.compress.quantize.pt2e import prepare_ptq

    stage = loaded.recipe.stages[index]
    assert isinstance(stage, QuantizeBase)
    left = float_layers(
        prepare_ptq(
            seen.models[stage_name(loaded.recipe, index)], seen.example, keep_float=stage.keep_float
        )
    )
    if unasked := [name for name in left if not _kept(name, stage.keep_float)]:
        message = (
            f"{some(unasked)} will not be quantized: the quantizer has no int8 form of what is"
            " there"
        )
        fix = "method: dynamic or weight_only, or list them in keep_float"
        yield LintFinding(
            "stays-float", "warning", origin_near(loaded, "stages", index, "method"), message, fix
        )


def _kept(name: str, patterns: Sequence[str]) -> bool:
    from edgekit.compress.patterns import matches

    return matches(name, patterns)
