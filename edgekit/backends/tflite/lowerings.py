"""Operators that LiteRT's converter has no lowering for, found before or after a conversion."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO

from torch import Tensor, nn
from torch.export import ExportedProgram

from edgekit.backends.tracing import trace
from edgekit.captured_graph import layer_of
from edgekit.errors import ExportError


def require_float_lowerings(model: nn.Module, example: Mapping[str, Tensor]) -> None:
    """Raises ExportError for operators of a float model that LiteRT's converter has no lowering
    for, named with their module."""
    program = trace(model.eval(), example)
    # The converter prints its steps.
    with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
        require_lowerings(program)


def require_lowerings(program: ExportedProgram) -> None:
    """Raises ExportError for operators of the decomposed program that the converter has no lowering
    for."""
    from litert_torch import fx_infra
    from litert_torch.backend import lowerings

    program = fx_infra.safe_run_decompositions(
        program, fx_infra.decomp.pre_lower_decomp(), can_skip=False
    )
    missing = {
        str(node.target).removesuffix(".default"): layer_of(node)
        for node in reversed(program.graph.nodes)
        if node.op == "call_function"
        and hasattr(node.target, "_schema")
        and lowerings.lookup(node.target) is None
    }
    if missing:
        operators = ", ".join(
            f"{operator} in {layer or 'the model itself'}" for operator, layer in missing.items()
        )
        raise ExportError(
            f"LiteRT has no lowering for {operators}",
            hint="replace the operator in the model",
            details={
                "operators": [
                    {"operator": operator, "module": layer} for operator, layer in missing.items()
                ]
            },
        )
