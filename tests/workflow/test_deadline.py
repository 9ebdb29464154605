"""A deadline: its misses are counted, shown, compared, gated and judged."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

import edgekit
from edgekit.bundle.directory import Bundle
from edgekit.cli import run
from edgekit.measure.measurement import Measurement
from edgekit.recipe.limits import Budget, Gate, VariantBudget
from edgekit.recipe.stored import stored_sections
from edgekit.reporting import verdicts
from edgekit.reporting.export import write_csv
from edgekit.reporting.gate_files import junit, markdown
from edgekit.reporting.measurement_tables import measurement_section
from edgekit.reporting.page.latency import deadline_tables
from edgekit.verdict.rules import Finding
from edgekit.workflow.inputs import bench_settings
from tests.support.desk import QUICK
from tests.support.measured import make_bundle, make_measurement
from tests.support.terminal import printed

ONLY_DEADLINE: dict[str, Any] = {
    "latency_p50_max_ratio": None,
    "peak_memory_max_ratio": None,
    "size_max_ratio": None,
    "metrics": {"top1": None},
}
BETWEEN_MS = 3.0
"""`fast` takes 2 ms and `slow` 4 ms."""


def of_deadline(findings: tuple[Finding, ...]) -> Finding:
    [finding] = [each for each in findings if each.metric == "deadline_misses"]
    return finding


def test_a_build_that_misses_it_does_not_pass(fast: Bundle, slow: Bundle, desk: Path) -> None:
    limits = Gate(deadline_ms=BETWEEN_MS, **ONLY_DEADLINE)
    failed = edgekit.gate(slow, fast, str(desk), limits=limits, settings=QUICK)
    finding = of_deadline(failed.findings)
    assert (finding.verdict, finding.a, finding.b) == ("regressed", 0, 100)
    assert finding.mid == 100
    assert finding.low is not None
    assert finding.low > 98
    assert failed.summary == "worse than the baseline: fp32.pte deadline_misses"
    assert 'name="over 3 ms"' in junit(failed)
    assert "+100.00 points" in markdown(failed)
    assert "REGRESSED" in printed(*verdicts.gate(failed))
    passed = edgekit.gate(fast, slow, str(desk), limits=limits, settings=QUICK)
    assert of_deadline(passed.findings).verdict == "passed"
    assert json.loads(json.dumps(passed.as_dict()))["passed"] is True


def test_too_few_inferences_do_not_pass(fast: Bundle, desk: Path) -> None:
    limits = Gate(deadline_ms=BETWEEN_MS, deadline_max_rise_points=0.1, **ONLY_DEADLINE)
    gated = edgekit.gate(fast, fast, str(desk), limits=limits, settings=QUICK)
    finding = of_deadline(gated.findings)
    assert (finding.verdict, finding.a, finding.b) == ("inconclusive", 0, 0)
    assert "640 and 640 inferences" in finding.reason
    assert not gated.passed
    assert gated.remedy == "more --runs or bench.min_iterations decide the deadline"
    assert "export.evaluation_set" not in gated.remedy


def test_a_gate_without_one_judges_none(fast: Bundle, desk: Path) -> None:
    gated = edgekit.gate(fast, fast, str(desk), limits=Gate(), settings=QUICK)
    assert [each.metric for each in gated.findings if "deadline" in each.metric] == []
    both = edgekit.gate(fast, fast, str(desk), limits=Gate(deadline_ms=3), settings=QUICK)
    names = [each.metric for each in both.findings]
    assert {"deadline_misses", "top1"} <= set(names)


def test_two_builds_are_compared_by_it(
    fast: Bundle, slow: Bundle, desk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = {**QUICK, "deadline_ms": BETWEEN_MS}
    compared = edgekit.compare(slow, fast, str(desk), settings=settings)
    finding = of_deadline(compared.findings)
    assert (finding.verdict, finding.mid) == ("better", -100)
    assert "over 3 ms" in printed(*verdicts.comparison(compared))
    again = edgekit.compare_stored(compared.a, compared.b)
    assert of_deadline(again.findings) == finding
    without = edgekit.compare(slow, fast, str(desk), settings=QUICK)
    assert not [each for each in without.findings if each.metric == "deadline_misses"]
    command = ["compare", str(slow.path), str(fast.path), "-t", str(desk), "--runs", "2"]
    assert run([*command, "--deadline-ms", "3", "--json"]) == 0
    findings = json.loads(capsys.readouterr().out)["findings"]
    [quick] = [each for each in findings if each["metric"] == "deadline_misses"]
    assert quick["verdict"] == "inconclusive"
    assert "quick" in quick["reason"]


def test_bench_shows_and_stores_it(
    slow: Bundle, desk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    [measured] = edgekit.bench(
        slow, str(desk), settings={**QUICK, "runs": 3, "deadline_ms": BETWEEN_MS}
    ).values()
    misses = measured.summaries["fp32.pte"].misses
    assert misses
    assert (misses.count, misses.total, misses.groups) == (192, 192, 3)
    summary = measured.as_dict()["artifacts"][0]["summary"]["deadline_misses"]
    assert (summary["misses"], summary["samples"], summary["percent"]) == (192, 192, 100)
    assert "Deadline of 3 ms on desk" in printed(measurement_section(measured, "fp32"))
    stream = io.StringIO()
    write_csv([measured], stream)
    row = next(csv.DictReader(io.StringIO(stream.getvalue())))
    assert (row["deadline_ms"], row["deadline_misses"]) == ("3.0", "192")
    assert float(row["deadline_miss_percent"]) == 100
    assert run(["results", "show", "latest"]) == 0
    assert "Deadline of 3 ms" in capsys.readouterr().out
    for wrong in ("0", "-1", "nan"):
        command = ["bench", str(slow.path), "-t", str(desk), f"--deadline-ms={wrong}"]
        assert run(command) == 2
        assert "deadline_ms" in capsys.readouterr().err


@pytest.fixture
def measured(tmp_path: Path) -> Measurement:
    made = make_measurement(make_bundle(tmp_path / "bundle"))
    settings = made.settings.model_copy(update={"deadline_ms": 1.0})
    return made.model_copy(update={"settings": settings})


def test_the_page_shows_it(measured: Measurement) -> None:
    [table] = deadline_tables(measured)
    assert table.title == "Deadline of 1 ms"
    first = measured.summaries["fp32.pte"].misses
    assert first
    assert 0 < first.count < first.total
    assert table.rows[0][2].text == f"{first.count:,}"
    assert table.rows[0][3].text == f"{100 * first.share:.2f}"
    assert table.rows[-1][3].text == "100.00"
    bare = measured.settings.model_copy(update={"deadline_ms": None})
    assert list(deadline_tables(measured.model_copy(update={"settings": bare}))) == []


def test_meaningless_times_miss_no_deadline(measured: Measurement) -> None:
    emulated = measured.model_copy(
        update={"timings": "meaningless", "timings_reason": "runs under qemu"}
    )
    assert emulated.deadline_misses("fp32.pte", 1.0) is None
    assert measured.deadline_misses("fp32.pte", 1.0) is not None
    assert "†" in printed(measurement_section(emulated, "fp32"))
    [table] = deadline_tables(emulated)
    assert table.rows[0][3].text.endswith("†")


@pytest.mark.parametrize(
    ("sections", "expected"),
    [
        ({}, None),
        ({"budget": {"variants": {"a": {"deadline_ms": 7}, "b": {"deadline_ms": 5}}}}, 5),
        ({"gate": {"deadline_ms": 6}, "budget": {"variants": {"a": {"deadline_ms": 5}}}}, 6),
        ({"bench": {"deadline_ms": 9}, "gate": {"deadline_ms": 6}}, 9),
    ],
)
def test_tables_show_the_deadline_of_the_limits(
    fast: Bundle, sections: dict[str, Any], expected: float | None
) -> None:
    manifest = fast.manifest.model_copy(update={"recipe": {"edgekit": 2, **sections}})
    bundle = Bundle(path=fast.path, manifest=manifest)
    assert bench_settings(bundle, None).deadline_ms == expected
    assert bench_settings(bundle, {"deadline_ms": 2}).deadline_ms == 2


def test_a_share_needs_its_deadline() -> None:
    with pytest.raises(ValidationError, match="needs deadline_ms beside it"):
        VariantBudget(deadline_max_miss_percent=1.0)
    with pytest.raises(ValidationError, match="needs deadline_ms beside it"):
        Gate(deadline_max_rise_points=1.0)
    budget = Budget(variants={"int8": VariantBudget(deadline_ms=5)})
    recipe = {"edgekit": 2, "budget": budget.model_dump(), "gate": Gate(deadline_ms=5).model_dump()}
    assert stored_sections(recipe).budget == budget
