"""Both runners, the real ones, on tiny models in their formats."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.runners import FORMATS, Runner


@pytest.fixture(params=FORMATS)
def runner(request: pytest.FixtureRequest, models: tuple[Path, dict[str, Any]]) -> Runner:
    return Runner(request.param, request.getfixturevalue(f"{request.param}_argv"), models[0])
