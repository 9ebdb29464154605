"""From a model's name to an `nn.Module`. Owns what names mean; the built-in networks are in
built_in.py, weights in weights.py."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from edgekit.errors import ModelError
from edgekit.models import MODELS
from edgekit.registry.factory import call_factory, load_factory, suggestion


def create_model(
    name: str, args: Mapping[str, Any], *, seed: int, base: Path | None = None
) -> nn.Module:
    """Build a network with random weights that follow from `seed`; the caller's random state is
    left alone.

    `name` is a built-in (`edgekit.models.MODELS`), a model of torchvision (`mobilenet_v2`), or
    `package.module:factory`, where the module may lie in `base`, the recipe's directory (default:
    the working directory). `args` are the factory's keyword arguments.

    Raises ModelError: unknown name (with suggestions), arguments the factory does not take (with
    its signature), a factory that fails, or one that does not return an nn.Module."""
    base = base or Path.cwd()
    factory = _factory(name, base)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = call_factory(factory, args, f"model {name}", base=base)
    if not isinstance(model, nn.Module):
        raise ModelError(
            f"model {name}: its factory returned {type(model).__name__}, not an nn.Module"
        )
    return model


def _factory(name: str, base: Path) -> Callable[..., Any]:
    if name in MODELS:
        return MODELS.resolve(name)
    if ":" in name:
        return load_factory(name, base, "model")
    import torchvision  # seconds, and only this branch needs it

    names = torchvision.models.list_models(module=torchvision.models)
    if name in names:
        return torchvision.models.get_model_builder(name)
    hint = (
        suggestion(name, [*MODELS, *names])
        or f"built-in: {', '.join(MODELS)}; any torchvision classifier; or package.module:factory"
    )
    raise ModelError(f"there is no model {name!r}", hint=hint)
