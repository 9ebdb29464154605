"""Rules on structured pruning that need the network: which of the layers a recipe names can lose
channels, alone or only with others.

Which layers hang together is DepGraph's answer (compress/structured.py). Imports torch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from edgekit.compress.layers import layers_with_weights
from edgekit.compress.patterns import matches
from edgekit.compress.prune.channel_removal import channel_groups, makes_channels
from edgekit.linting.document_rules import Finding, origin_near, some
from edgekit.recipe.lineage import stage_name
from edgekit.recipe.load import LoadedRecipe
from edgekit.recipe.schema import PruneStructured
from edgekit.yaml_documents.problems import KeyPath

if TYPE_CHECKING:
    from torch import nn

    from edgekit.pipeline.preview import Preview


def channel_findings(loaded: LoadedRecipe, index: int, seen: Preview) -> Iterator[Finding]:
    """Layers that the recipe names to be pruned, and whose channels cannot go, or not as it
    says."""
    stage = loaded.recipe.stages[index]
    if not isinstance(stage, PruneStructured) or seen.stages[index].problem:
        return
    model = seen.models[stage_name(loaded.recipe, index)]
    layers, groups = layers_with_weights(model), channel_groups(model, seen.example)
    yield from _fixed(
        loaded, index, stage, layers, frozenset(name for group in groups for name in group)
    )
    for group in groups:
        with_weights = [name for name in group if name in layers]
        yield from _named_in_part(loaded, index, stage, with_weights, layers)
        yield from _kept_by_another(loaded, index, stage, with_weights)
        yield from _at_odds(loaded, index, stage, with_weights)


def _fixed(
    loaded: LoadedRecipe,
    index: int,
    stage: PruneStructured,
    layers: dict[str, nn.Module],
    prunable: frozenset[str],
) -> Iterator[Finding]:
    named: list[tuple[KeyPath, str]] = [
        (("include", i), pattern) for i, pattern in enumerate(stage.include) if pattern != "*"
    ]
    named += [(("per_layer", pattern), pattern) for pattern in stage.per_layer]
    for path, pattern in named:
        if fixed := [name for name in layers if matches(name, [pattern]) and name not in prunable]:
            message = (
                f"the channels of {some(fixed)} cannot be removed: they are the model's output, or"
                " cannot be followed"
            )
            yield Finding(
                "not-prunable",
                "warning",
                origin_near(loaded, "stages", index, *path),
                message,
                f"take {some(fixed)} out of {path[0]}",
            )


def _named_in_part(
    loaded: LoadedRecipe,
    index: int,
    stage: PruneStructured,
    group: Sequence[str],
    layers: dict[str, nn.Module],
) -> Iterator[Finding]:
    """`include` names some layers of a group but not all that make its channels: none of them is
    pruned."""
    named = [name for name in group if matches(name, stage.include)]
    missing = [name for name in group if name not in named and makes_channels(layers[name])]
    if named and missing:
        position = next(
            i for i, pattern in enumerate(stage.include) if matches(named[0], [pattern])
        )
        message = (
            f"{some(named)} can lose channels only together with {some(missing)}, which include"
            " does not name: all of them stay whole"
        )
        fix = f"add {some(missing)} to include, or take {some(named)} out"
        yield Finding(
            "part-of-group",
            "warning",
            origin_near(loaded, "stages", index, "include", position),
            message,
            fix,
        )


def _kept_by_another(
    loaded: LoadedRecipe, index: int, stage: PruneStructured, group: Sequence[str]
) -> Iterator[Finding]:
    """`exclude` names one layer of a group, and others stay whole with it."""
    named = [name for name in group if matches(name, stage.exclude)]
    others = [name for name in group if name not in named and matches(name, stage.include)]
    if named and others:
        position = next(
            i for i, pattern in enumerate(stage.exclude) if matches(named[0], [pattern])
        )
        message = (
            f"{some(others)} stay whole too: their channels go only together with those of"
            f" {some(named)}"
        )
        yield Finding(
            "kept-with-group",
            "note",
            origin_near(loaded, "stages", index, "exclude", position),
            message,
        )


def _at_odds(
    loaded: LoadedRecipe, index: int, stage: PruneStructured, group: Sequence[str]
) -> Iterator[Finding]:
    """`per_layer` gives layers of one group different ratios: the first one written counts."""
    ratios = {
        pattern: ratio
        for pattern, ratio in stage.per_layer.items()
        if any(matches(name, [pattern]) for name in group)
    }
    first = next(iter(ratios.values()), None)
    for pattern, ratio in ratios.items():
        if ratio != first:
            message = (
                f"{pattern}: {ratio:g} does not count: {some(group)} lose their channels together,"
                f" and {next(iter(ratios))}: {first:g} stands before it"
            )
            fix = "give the layers of a group one ratio"
            yield Finding(
                "ratios-at-odds",
                "warning",
                origin_near(loaded, "stages", index, "per_layer", pattern),
                message,
                fix,
            )
