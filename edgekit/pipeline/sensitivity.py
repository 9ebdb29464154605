"""The sensitivity of a recipe's int8 stage, layer by layer: runs or reads its stages, and asks
compress/sensitivity.py on samples of the test set.

Imports torch when called.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.cache import Cache, cache_root, writing_to
from edgekit.compress.quantize.layer_sensitivity import LayerSensitivity
from edgekit.errors import UsageError
from edgekit.extras import require_modules
from edgekit.pipeline.planning import PlannedStage, checked_whole, plan
from edgekit.pipeline.same_data import require_same_train
from edgekit.progress import Progress, silent
from edgekit.recipe.load import LoadedRecipe, as_loaded
from edgekit.yaml_documents.validation import closest

if TYPE_CHECKING:
    from edgekit.compress.quantize.sensitivity import PartlyQuantized
    from edgekit.pipeline.stages import Stages


@dataclass(frozen=True)
class SensitivityReport:
    """`snr_db` is that of the whole int8 network against itself in float, on `samples` of the test
    set. `keep_float` are the layers that would have to stay float to reach what was asked for,
    `reached_db` what they give, and `more_bytes` what they cost in weights; without such a wish
    they are empty, `snr_db` and 0."""

    stage: str
    samples: int
    snr_db: float
    layers: tuple[LayerSensitivity, ...]
    keep_float: tuple[str, ...]
    reached_db: float
    more_bytes: int


def sensitivity(
    recipe: str | Path | LoadedRecipe,
    *,
    stage: str | None = None,
    samples: int = 64,
    reach_db: float | None = None,
    overrides: Sequence[str] = (),
    progress: Progress = silent,
) -> SensitivityReport:
    """Which layers an int8 stage loses its precision in, measured at the network's output.

    What it needs and is not in the cache is run, as by `build`. Needs the extra `export`.

    Args:
        recipe: A loaded recipe or its file.
        stage: The name of a `ptq` or `qat` stage. Default: the only one there is.
        samples: How many samples of the test set are used.
        reach_db: A signal-to-noise ratio in dB. Then the layers to keep in float to reach it are
            looked for, too.
        overrides: Values to replace, as `key.path=value`.
        progress: Told where the work is.

    Returns:
        The ratio of the whole network in dB, each layer's part in the loss, and the layers to keep
        in
        float.

    Raises:
        UsageError: The recipe is not valid, or has no such stage.
        ModelError: The model, its weights or its data cannot be used.
        BusyError: Another process computes the same stage.

    Example:
        >>> precision = edgekit.sensitivity("quickstart.yaml", stage="int8", samples=16)
        >>> precision.samples, precision.keep_float
        (16, ())
    """
    loaded = as_loaded(recipe, overrides)
    cache = cache_root()
    planned = checked_whole(plan(loaded, cache=cache), cache)
    chosen = _wanted(loaded, planned.stages, stage)
    require_modules(["torch", "safetensors"])
    from edgekit.compress.quantize.sensitivity import cheapest_float
    from edgekit.pipeline.stages import Stages

    with writing_to(cache):
        stages = Stages(loaded, planned, Cache(cache, "stages"), progress)
        require_same_train(loaded, cache, stages.data.train)
        network, looked_at = partly_quantized(stages, chosen.index, samples)
    sensitivities, snr_db = network.sensitivities(progress), network.snr_db()
    keep_float, reached = (
        ((), snr_db)
        if reach_db is None
        else cheapest_float(network, sensitivities, reach_db=reach_db, progress=progress)
    )
    return SensitivityReport(
        chosen.name,
        looked_at,
        snr_db,
        sensitivities,
        keep_float,
        reached,
        3 * sum(layer.weights for layer in sensitivities if layer.name in keep_float),
    )


def partly_quantized(stages: Stages, index: int, samples: int) -> tuple[PartlyQuantized, int]:
    """The network of an int8 stage on the first `samples` of the test set, and how many there are.
    What the stage needs and is not in the cache is run."""
    from torch.fx import GraphModule

    from edgekit.compress.quantize.sensitivity import PartlyQuantized
    from edgekit.models.calling import batch_size

    graph = stages.checkpoint(index).model
    assert isinstance(graph, GraphModule)
    test = stages.data.test
    batch = test.at(slice(0, samples))
    return PartlyQuantized(graph, batch, test.states), batch_size(batch)


def _wanted(loaded: LoadedRecipe, stages: Sequence[PlannedStage], name: str | None) -> PlannedStage:
    quantized = [each for each in stages if loaded.recipe.stages[each.index].entry.scheme.in_graph]
    names = [each.name for each in quantized]
    named = quantized if name is None else [each for each in quantized if each.name == name]
    if len(named) == 1:
        return named[0]
    if not quantized:
        raise UsageError(
            f"{loaded.path} has no stage with method ptq or qat",
            hint="only those have int8 activations to look at",
        )
    if name is None:
        raise UsageError(
            f"{loaded.path} has several int8 stages: {', '.join(names)}",
            hint="name one with --stage",
        )
    raise UsageError(
        f"{loaded.path} has no int8 stage {name!r}{closest(name, names)}",
        hint=f"int8 stages: {', '.join(names)}",
    )
