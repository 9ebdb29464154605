"""Outputs that int8 hurts: of an int8 stage whose network a build has left in the cache, as its
weights are not known before."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from edgekit.cache import Cache, cache_root
from edgekit.errors import EdgekitError
from edgekit.linting.document_rules import LintFinding, error_finding, origin_near
from edgekit.pipeline.planning import PlannedStage, checked_whole, plan
from edgekit.progress import silent
from edgekit.recipe.load import LoadedRecipe

if TYPE_CHECKING:
    from edgekit.pipeline.stages import Stages

SAMPLES = 16
LOW_DB = 20.0
"""The noise is then a tenth of the signal."""


def precision_findings(loaded: LoadedRecipe) -> Iterator[LintFinding]:
    """Each output with less than LOW_DB, and which layers to leave in float for it."""
    try:
        planned = checked_whole(plan(loaded), cache_root())
        built = [
            stage
            for stage in planned.stages
            if loaded.recipe.stages[stage.index].entry.scheme.in_graph and stage.cached
        ]
        if not built:
            return
        from edgekit.pipeline.stages import Stages

        stages = Stages(loaded, planned, Cache(cache_root(), "stages"), silent)
        for stage in built:
            yield from _lossy_outputs(stages, stage)
    except EdgekitError as error:
        yield error_finding("precision", origin_near(loaded, "stages"), error)


def _lossy_outputs(stages: Stages, stage: PlannedStage) -> Iterator[LintFinding]:
    from edgekit.compress.quantize.sensitivity import cheapest_float
    from edgekit.pipeline.sensitivity import partly_quantized

    network, samples = partly_quantized(stages, stage.index, SAMPLES)
    lossy = {name: db for name, db in network.snr_db_by_output().items() if db < LOW_DB}
    if not lossy:
        return
    layers, reached_db = cheapest_float(network, network.sensitivities(), reach_db=LOW_DB)
    for name, db in lossy.items():
        yield LintFinding(
            "int8-hurts",
            "warning",
            origin_near(stages.loaded, "stages", stage.index, "method"),
            f"output {name}: {db:.1f} dB between int8 and float, on {samples} test samples of the"
            " last build",
            f"keep_float: [{', '.join(layers)}] gives {reached_db:.1f} dB",
        )
