"""Which extra of edgekit brings a module, and the error for one that is not installed. How extras
are installed is installing.py's."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from edgekit.errors import UsageError
from edgekit.installing import install_command

OF_EXPORT = (
    *("ai_edge_litert", "ai_edge_quantizer", "executorch", "litert_torch", "safetensors", "scipy"),
    *("sklearn", "torch", "torchao", "torchvision", "ziglang"),
)
EXTRAS = dict.fromkeys(OF_EXPORT, "export") | {
    "PIL": "report",
    "aeon": "data",
    "faster_coco_eval": "detection",
    "mlflow": "mlflow",
    "optuna": "search",
    "plotly": "report",
    "psycopg": "postgres",
    "pyarrow": "parquet",
    "skimage": "data",
    "soundfile": "audio",
    "tomli_w": "flash",
    "zstandard": "flash",
}
"""Extra by module."""


def missing_extra(error: Exception) -> UsageError | None:
    """The error that stands for a module of an extra that is not installed; None for any other
    exception."""
    if not isinstance(error, ModuleNotFoundError) or not error.name:
        return None
    module = error.name.partition(".")[0]
    return _refused([module]) if module in EXTRAS else None


@contextmanager
def naming_extras() -> Iterator[None]:
    """In the block, a missing module of an extra is a UsageError that names the extra."""
    try:
        yield
    except ModuleNotFoundError as error:
        named = missing_extra(error)
        if named is None:
            raise
        raise named from None


def require_modules(modules: Iterable[str]) -> None:
    """Find out before long work whether modules of extras are there; none is imported. Raises
    UsageError."""
    names = dict.fromkeys(module.partition(".")[0] for module in modules)
    missing = [name for name in names if name in EXTRAS and not importlib.util.find_spec(name)]
    if missing:
        raise _refused(missing)


def _refused(modules: list[str]) -> UsageError:
    extra = EXTRAS[modules[0]]
    are = "is" if len(modules) == 1 else "are"
    return UsageError(
        f"{', '.join(modules)} {are} not installed: this needs the extra `{extra}`",
        hint=install_command(extra),
    )
