"""`edgekit.judge`: the verdict on the budget that a bundle's recipe sets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.bundle.directory import Bundle
from edgekit.recipe.stored import stored_sections
from edgekit.verdict import budget
from edgekit.verdict.budget import JudgedLimit

if TYPE_CHECKING:
    from edgekit.measure.measurement import Measurement


def judge(
    bundle: Bundle, measurements: dict[str, Measurement] | None = None
) -> tuple[JudgedLimit, ...]:
    """The verdict on the budget in a bundle's own recipe.

    Args:
        bundle: An open bundle.
        measurements: Measurements of it by the name of their target. Without any, only what was
            found at build time is judged: size, and the task's metrics on the test set.

    Returns:
        One verdict for each limit and artifact.

    Raises:
        UsageError: The recipe in the bundle holds something that this edgekit does not know.

    Example:
        >>> edgekit.judge(edgekit.open_bundle("net"))
        ()
    """
    return budget.judge(
        stored_sections(bundle.manifest.recipe).budget, bundle.manifest, measurements or {}
    )
