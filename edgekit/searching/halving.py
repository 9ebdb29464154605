"""Which half-trained candidates are trained on. Pure.

Asynchronous successive halving (Li et al. 2020, arXiv:1810.05934): of those that have reached the
same part of their training, one in `factor` goes on, and nobody waits for the others. First go
those that the fewest others beat in everything (Fonseca & Fleming 1993); of these, those that are
the farthest from the others, as the crowding distance of NSGA-II has it (Deb et al. 2002): so a
Pareto front is kept in its whole width, and the best in each quantity always goes on."""

from __future__ import annotations

import math
from collections.abc import Sequence

from edgekit.searching.figures import Figures
from edgekit.searching.goals import Objective


def fractions(factor: int, rungs: int) -> tuple[float, ...]:
    """The parts of a training after which candidates are compared, the whole one last.

    >>> fractions(2, 3)
    (0.25, 0.5, 1.0)
    """
    return tuple(float(factor) ** (rung - rungs + 1) for rung in range(rungs))


def goes_on(
    own: Figures, others: Sequence[Figures], ranked: Sequence[Objective], factor: int
) -> bool:
    """Whether a candidate is trained on. `others` are those that have reached the same part."""
    reached = [own, *others]
    places = max(1, len(reached) // factor)
    beaten = [sum(beats(other, each, ranked) for other in reached) for each in reached]
    ahead = [each for each, count in zip(reached, beaten, strict=True) if count < beaten[0]]
    equal = [each for each, count in zip(reached, beaten, strict=True) if count == beaten[0]]
    room = [_room(each, equal, ranked) for each in equal]
    return len(ahead) + sum(each > room[0] for each in room) < places


def _room(own: Figures, equal: Sequence[Figures], ranked: Sequence[Objective]) -> float:
    """The crowding distance: how far apart the neighbours on both sides are, as a share of the
    range, summed over the quantities; infinite for one that is the best of them in something."""
    known = [each for each in ranked if all(each.name in figures for figures in equal)]
    room = 0.0 if known else math.inf
    for each in known:
        value = own[each.name].value
        values = [figures[each.name].value for figures in equal]
        low, high = min(values), max(values)
        if value == (high if each.higher_is_better else low):
            return math.inf
        below = max((other for other in values if other < value), default=value)
        above = min((other for other in values if other > value), default=value)
        room += (above - below) / (high - low)
    return room


def beats(first: Figures, second: Figures, ranked: Sequence[Objective]) -> bool:
    """Whether the first is at least as good in everything, and better in something. What is not
    known of both is not compared."""
    gains = [
        (first[each.name].value - second[each.name].value) * (1 if each.higher_is_better else -1)
        for each in ranked
        if each.name in first and each.name in second
    ]
    return bool(gains) and min(gains) >= 0 and max(gains) > 0
