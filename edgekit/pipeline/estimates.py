"""What the stages of a recipe come to before anything is trained, as figures. They are counted on
real networks by preview.py, which needs torch; this module does not, so that what only shows or
passes on the figures stays light."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

from edgekit.pipeline.stage_estimate import StageEstimate
from edgekit.recipe.load import LoadedRecipe, as_loaded


def estimate(
    recipe: str | Path | LoadedRecipe, *, overrides: Sequence[str] = ()
) -> tuple[StageEstimate, ...]:
    """What each stage's network will be, before anything is trained. Needs the extra `export`.

    Args:
        recipe: A loaded recipe or its file.
        overrides: Values to replace, as `key.path=value`.

    Returns:
        For each stage its parameters, its multiply-accumulate operations for one sample, and its
        bytes of weights and of activations.

    Raises:
        UsageError: The recipe is not valid.
        ModelError: The model cannot be made.

    Example:
        >>> stages = edgekit.estimate("quickstart.yaml")
        >>> fp32, int8 = stages[:2]
        >>> fp32.name, int8.weight_bytes < fp32.weight_bytes / 3
        ('fp32', True)
    """
    loaded = as_loaded(recipe, overrides)
    from edgekit.pipeline.preview import preview

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what the libraries say of themselves
        return preview(loaded).stages
