"""What can be said of structured pruning once the network is there: which of the layers a recipe
names can lose channels, alone or only with others.

Which layers belong together is dependencies.py's answer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch import nn

from edgekit.compress.layers import layers_with_weights
from edgekit.compress.patterns import matches
from edgekit.compress.prune.channel_removal import channel_groups
from edgekit.compress.prune.dependencies import Followed, makes_channels
from edgekit.compress.prune.structured_section import PruneStructured
from edgekit.compress.remarks import Remark
from edgekit.models.calling import Inputs
from edgekit.prose import some
from edgekit.yaml_documents.problems import KeyPath


def channel_remarks(
    section: PruneStructured, model: nn.Module, example: Inputs
) -> Iterator[Remark]:
    """Layers that the recipe names to be pruned, and whose channels cannot go, or not as it
    says."""
    layers, plan = layers_with_weights(model), channel_groups(model, example)
    groups = [group.members for group in plan.groups]
    yield from _whole(plan)
    yield from _fixed(section, layers, frozenset(name for group in groups for name in group))
    for group in groups:
        with_weights = [name for name in group if name in layers]
        yield from _named_in_part(section, with_weights, layers)
        yield from _whole_with_another(section, with_weights)
        yield from _at_odds(section, with_weights)


def _whole(plan: Followed) -> Iterator[Remark]:
    """Layers that stay whole whatever the recipe names."""
    for group in plan.whole:
        yield Remark(
            "stays-whole",
            "note",
            ("method",),
            f"the channels of {some(group.members)} stay whole: they cannot be followed through"
            f" {group.reason}",
        )


def _fixed(
    section: PruneStructured, layers: dict[str, nn.Module], prunable: frozenset[str]
) -> Iterator[Remark]:
    """`include` and `per_layer` name layers whose channels cannot go."""
    named: list[tuple[KeyPath, str]] = [
        (("include", i), pattern) for i, pattern in enumerate(section.include) if pattern != "*"
    ]
    named += [(("per_layer", pattern), pattern) for pattern in section.per_layer]
    for path, pattern in named:
        fixed = [name for name in layers if matches(name, [pattern]) and name not in prunable]
        if fixed:
            yield Remark(
                "not-prunable",
                "warning",
                path,
                f"the channels of {some(fixed)} cannot be removed: they are the model's output, or"
                " cannot be followed",
                f"take {some(fixed)} out of {path[0]}",
            )


def _named_in_part(
    section: PruneStructured, group: Sequence[str], layers: dict[str, nn.Module]
) -> Iterator[Remark]:
    """`include` names some layers of a group but not all that make its channels: none of them is
    pruned."""
    named = [name for name in group if matches(name, section.include)]
    missing = [name for name in group if name not in named and makes_channels(layers[name])]
    if named and missing:
        yield Remark(
            "part-of-group",
            "warning",
            ("include", _position(named[0], section.include)),
            f"{some(named)} can lose channels only together with {some(missing)}, which include"
            " does not name: all of them stay whole",
            f"add {some(missing)} to include, or take {some(named)} out",
        )


def _whole_with_another(section: PruneStructured, group: Sequence[str]) -> Iterator[Remark]:
    """`exclude` names one layer of a group, and others stay whole with it."""
    named = [name for name in group if matches(name, section.exclude)]
    others = [name for name in group if name not in named and matches(name, section.include)]
    if named and others:
        yield Remark(
            "kept-with-group",
            "note",
            ("exclude", _position(named[0], section.exclude)),
            f"{some(others)} stay whole too: their channels go only together with those of"
            f" {some(named)}",
        )


def _position(name: str, patterns: Sequence[str]) -> int:
    """Which pattern means a layer."""
    return next(i for i, pattern in enumerate(patterns) if matches(name, [pattern]))


def _at_odds(section: PruneStructured, group: Sequence[str]) -> Iterator[Remark]:
    """`per_layer` gives layers of one group different ratios: the first one written counts."""
    ratios = {
        pattern: ratio
        for pattern, ratio in section.per_layer.items()
        if any(matches(name, [pattern]) for name in group)
    }
    first = next(iter(ratios.values()), None)
    for pattern, ratio in ratios.items():
        if ratio != first:
            yield Remark(
                "ratios-at-odds",
                "warning",
                ("per_layer", pattern),
                f"{pattern}: {ratio:g} does not count: {some(group)} lose their channels together,"
                f" and {next(iter(ratios))}: {first:g} stands before it",
                "give the layers of a group one ratio",
            )
