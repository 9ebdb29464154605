"""What callers may name in place of a value: bundles and targets by path or name, settings by key.
Owns turning them into values; what the values do is elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from edgekit.boards.deploying import AnyTarget
from edgekit.bundle.directory import Bundle, open_bundle
from edgekit.bundle.foreign_model import is_model, open_model
from edgekit.devices.target import AdbTarget, LocalTarget, SshTarget, Target
from edgekit.devices.target_files import as_target
from edgekit.errors import UsageError
from edgekit.measure.settings import Settings, settings_with
from edgekit.recipe.stored import stored_sections

AnyBundle = Bundle | str | Path
"""A bundle, its directory, or a `.tflite` or `.pte` file that edgekit did not build."""

AnyTargets = AnyTarget | Sequence[AnyTarget]
"""One target or several, each as a value, a name or a file."""


@contextmanager
def opened_bundle(
    bundle: AnyBundle,
    *,
    signature: str | None = None,
    shapes: Mapping[str, Sequence[int]] | None = None,
) -> Iterator[Bundle]:
    """A bundle while the block runs; for a model file one with random inputs, with the signature
    and the shapes that `open_model` takes.

    Raises UsageError (no bundle there; a signature or shapes for what is no model file),
    ResultError (a manifest that is not acceptable), ModelError (not a model that edgekit can
    run)."""
    if not isinstance(bundle, Bundle) and is_model(Path(bundle)):
        with open_model(bundle, signature=signature, shapes=shapes) as opened:
            yield opened
        return
    opened = bundle if isinstance(bundle, Bundle) else open_bundle(bundle)
    if signature is not None or shapes:
        raise UsageError(
            f"{opened.path}: a bundle is measured as it was built",
            hint="a signature and shapes can be chosen for a .tflite or .pte file",
        )
    yield opened


def read_targets(targets: AnyTargets) -> list[Target]:
    """All targets, read before any is used, so that a typing error costs nothing. Raises
    UsageError."""
    if isinstance(targets, str | Path | LocalTarget | SshTarget | AdbTarget):
        return [as_target(targets)]
    return [as_target(target) for target in targets]


def bench_settings(bundle: Bundle, changes: Mapping[str, float] | None) -> Settings:
    """How a bundle is measured: what its recipe says, with some settings replaced. A deadline that
    is only in the recipe's limits is shown, too.

    Raises UsageError: no such setting, or a value out of range."""
    sections = stored_sections(bundle.manifest.recipe)
    settings = settings_with(sections.bench, changes or {})
    if settings.deadline_ms is not None:
        return settings
    of_budget = [limits.deadline_ms for limits in sections.budget.variants.values()]
    deadline_ms = sections.gate.deadline_ms or min(filter(None, of_budget), default=None)
    return settings.model_copy(update={"deadline_ms": deadline_ms})
