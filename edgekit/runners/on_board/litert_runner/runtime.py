"""The package that runs a .tflite: ai_edge_litert, or tflite_runtime on older boards. Packages in
`site/python.zip` beside the runner come first, so that a board needs no pip."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any

from .failure import EXIT_LOAD, Failure


def import_runtime() -> tuple[str, str, Any]:
    """The name of the runtime's package, its version, and its module with `Interpreter`. The first
    package that is there is used."""
    beside = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    packages = os.path.join(beside, "site", "python.zip")
    if os.path.isfile(packages):
        sys.path.insert(0, packages)
        importlib.import_module("edgekit_packed")
    for package in ("ai_edge_litert", "tflite_runtime"):
        try:
            version = getattr(importlib.import_module(package), "__version__", "unknown")
            return package, version, importlib.import_module(package + ".interpreter")
        except ModuleNotFoundError as error:
            if error.name != package:
                raise Failure(EXIT_LOAD, f"{package} does not import: {error}") from None
        except Exception as error:
            raise Failure(EXIT_LOAD, f"{package} does not import: {error}") from None
    raise Failure(
        EXIT_LOAD, "neither ai_edge_litert nor tflite_runtime is installed for " + sys.executable
    )
