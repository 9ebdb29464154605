"""The runners, the real ones, on tiny models in their formats."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.runners import RUNNERS, Runner


@pytest.fixture(params=RUNNERS)
def runner(request: pytest.FixtureRequest, models: tuple[Path, dict[str, Any]]) -> Runner:
    name = request.param
    argv = request.getfixturevalue(f"{name}_argv")
    return Runner(RUNNERS[name], argv, models[0], is_native=name != "litert")
