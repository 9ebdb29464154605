"""What a budget asks for and its networks cannot give."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from edgekit.linting.document_rules import LintFinding, origin_near
from edgekit.recipe.load import LoadedRecipe
from edgekit.yaml_documents.problems import KeyPath

if TYPE_CHECKING:
    from edgekit.pipeline.preview import Preview


FILE_SLACK_RATIO, FILE_SLACK_BYTES = 1.25, 65536
"""By how much a float artifact may be larger than its weights: names, graph, alignment. Generous,
so that only the impossible is called so."""


def budget_findings(loaded: LoadedRecipe, seen: Preview) -> Iterator[LintFinding]:
    recipe = loaded.recipe
    by_variant = {
        stage.export: seen.stages[index]
        for index, stage in enumerate(recipe.stages)
        if stage.export
    }
    baseline = by_variant[recipe.budget.baseline or next(iter(by_variant))]
    largest = baseline.weight_bytes * FILE_SLACK_RATIO + FILE_SLACK_BYTES
    for variant, limits in recipe.budget.variants.items():
        least = by_variant[variant].weight_bytes
        path: KeyPath = ("budget", "variants", variant)
        if limits.size_max_bytes is not None and limits.size_max_bytes < least:
            message = (
                f"size_max_bytes {limits.size_max_bytes}: the weights of {variant} alone take"
                f" {least}"
            )
            yield LintFinding(
                "budget-out-of-reach",
                "error",
                origin_near(loaded, *path, "size_max_bytes"),
                message,
                "prune more, or raise the limit",
            )
        if (
            limits.size_min_shrink_ratio is not None
            and least
            and limits.size_min_shrink_ratio > largest / least
        ):
            limit_text = f"size_min_shrink_ratio {limits.size_min_shrink_ratio:g}"
            message = (
                f"{limit_text}: {variant} holds {least} bytes of weights, at best"
                f" {largest / least:.2g} times fewer than the baseline"
            )
            yield LintFinding(
                "budget-out-of-reach",
                "error",
                origin_near(loaded, *path, "size_min_shrink_ratio"),
                message,
                "prune more, or lower the limit",
            )
