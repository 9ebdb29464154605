"""A board that has no Python measures every artifact of a bundle, in the native runners."""

from __future__ import annotations

import pytest

from edgekit.bundle.directory import Bundle
from edgekit.devices.target import SshTarget
from edgekit.measure.session import Extras, Side, bench
from edgekit.measure.settings import Settings

pytestmark = [pytest.mark.device, pytest.mark.torch, pytest.mark.nightly]


def test_all_artifacts_are_measured_and_profiled(quickstart_bundle: Bundle, pi: SshTarget) -> None:
    values = pi.model_dump(exclude_unset=True) | {"runners": {"litert": {"python": "/nowhere"}}}
    settings = Settings(runs=1, warmup_min_seconds=0, min_iterations=2, min_seconds=0)
    [measured] = bench(
        [Side.whole(quickstart_bundle)],
        SshTarget.model_validate(values),
        settings,
        extras=Extras(profile=True),
    )
    assert len(measured.artifacts) == 6
    assert measured.valid
    for result in measured.artifacts:
        assert result.complete_runs
        assert result.runner
        assert result.runner.runner == "native"
        assert result.python_because == ""
        assert result.outputs
        assert result.profile
        assert result.profile.operators
        layers = {operator.layer for operator in result.profile.operators} - {""}
        assert layers or result.artifact.runtime == "litert", "its exports keep no names"
