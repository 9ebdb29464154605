"""What a person sees: the right numbers, within 100 columns, and nothing a device says can steer
the terminal."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest
from rich.console import RenderableType

from edgekit.bundle.directory import Bundle
from edgekit.bundle.manifest import ArtifactAgreement, TraceRow
from edgekit.measure.measurement import Measurement, MeasurementNote
from edgekit.reporting import build_tables, measurement_tables, numbers, terminal, verdicts
from edgekit.reporting.tables import new_table, number_columns
from edgekit.stats import MedianRatio, QuantileEstimate
from edgekit.store.baselines import Baseline
from edgekit.store.results import MeasurementRow
from edgekit.verdict.budget import JudgedLimit
from edgekit.verdict.rules import Finding
from tests.support.measured import make_bundle, make_measurement, top1
from tests.support.terminal import printed

KEYS = [
    "fp32.pte",
    "fp32.tflite",
    "int8.pte",
    "int8.tflite",
    "pruned_int8.pte",
    "pruned_int8.tflite",
]
HOSTILE = "\x1b[2J\x1b]0;owned\x07[bold red]x[/] <script> \u202e"


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    """Six artifacts, as of a recipe with three variants."""
    two = make_bundle(tmp_path / "bundle")
    template = two.manifest.artifacts[0]
    backends = {"pte": ("xnnpack", "executorch"), "tflite": ("litert", "litert")}
    artifacts = []
    for i, key in enumerate(KEYS):
        variant, _, suffix = key.partition(".")
        backend, runtime = backends[suffix]
        file = template.file.model_copy(
            update={
                "name": key,
                "bytes": 8_970_000 // (i // 2 + 1) ** 2,
                "deflated_bytes": 8_000_000 // (i // 2 + 1) ** 2,
            }
        )
        accuracy = template.verification.model_copy(
            update={
                "metrics": (top1(9200 - 40 * i, 10_000),),
                "agreement_percent": 98.4,
            }
        )
        artifacts.append(
            template.model_copy(
                update={
                    "variant": variant,
                    "backend": backend,
                    "runtime": runtime,
                    "file": file,
                    "verification": accuracy,
                }
            )
        )
    comparison = ArtifactAgreement(
        a="int8.pte",
        b="int8.tflite",
        samples=10_000,
        agreement_percent=99.87,
        agreement_label="same top-1",
        snr_db=38.2,
    )
    manifest = two.manifest.model_copy(
        update={"artifacts": tuple(artifacts), "comparisons": (comparison,)}
    )
    return two.model_copy(update={"manifest": manifest})


def measured(bundle: Bundle, **values: object) -> Measurement:
    medians = dict(zip(KEYS, (10.89e6, 12.1e6, 4.01e6, 4.4e6, 2.2e6, 2.6e6), strict=True))
    return make_measurement(bundle, medians_ns=medians, **values)  # type: ignore[arg-type]


def drawn(parts: Iterable[RenderableType]) -> str:
    return "\n".join(line.rstrip() for line in printed(*parts).splitlines())


def line(text: str, start: str) -> str:
    return next(line for line in text.splitlines() if line.startswith(start))


TRACE = [
    TraceRow(
        stage="fp32",
        kind="train",
        parent=None,
        parameters=2_241_000,
        nonzero_fraction=1.0,
        macs=300_774_272,
        bytes=8_970_000,
        deflated_bytes=8_300_000,
        metrics=(top1(9200, 10_000),),
        seconds=314.2,
    ),
    TraceRow(
        stage="pruned_int8",
        kind="quantize qat",
        parent="fp32",
        parameters=1_141_000,
        nonzero_fraction=0.73,
        macs=150_774_272,
        bytes=None,
        deflated_bytes=None,
        metrics=(),
        seconds=2.0,
        reused=True,
    ),
]
CHECKS = [
    JudgedLimit("int8.pte", "latency_p50_max_ms", 5.0, 4.01, True),
    JudgedLimit(
        "pruned_int8.tflite",
        "latency_min_speedup_ratio",
        5.0,
        4.6,
        False,
        "inconclusive, 95 % interval 4.50 to 5.10",
    ),
    JudgedLimit("int8.tflite", "size_max_bytes", 2_500_000, 2_410_000, True),
    JudgedLimit("int8.pte", "peak_memory_max_bytes", 2_500_000, None, False, "not measured"),
    JudgedLimit("int8", "runtimes_min_agreement_percent", 99.5, 99.87, True),
]


def test_everything_fits_a_hundred_columns(bundle: Bundle) -> None:
    shown = drawn(terminal.summary(bundle.manifest, TRACE, {}, {"pi4": measured(bundle)}, CHECKS))
    shown += drawn(terminal.measurement_report(measured(bundle)))
    assert max(map(len, shown.splitlines())) <= 100
    for key in KEYS:
        assert sum(row.startswith(key + " ") for row in shown.splitlines()) >= 5
    assert "…" not in shown


ROW = MeasurementRow(
    id="0a1b2c3d4e5f" * 2,
    created="2026-11-28T17:22:00.000+00:00",
    session="1",
    bundle_name="fashion_mnist_mobilenetv2_qat",
    bundle_id="5f19b536d428" * 5,
    target="pi5-kitchen",
    machine="Raspberry Pi 4 Model B Rev 1.5",
    artifacts=("fp32.pte", "int8.pte"),
    runs=10,
    quick=True,
    valid=False,
    timings="meaningless",
    failure="",
)


def words(text: str) -> set[str]:
    return {word for word in text.split() if word.strip("─")}


@pytest.mark.parametrize("width", [80, 72, 60])
def test_no_word_and_no_number_is_broken_on_a_narrow_terminal(width: int, bundle: Bundle) -> None:
    long_name = bundle.manifest.artifacts[0].model_copy(update={"variant": "pruned-int8-mixed"})
    parts = [
        *terminal.summary(bundle.manifest, TRACE, {}, {"pi4": measured(bundle)}, CHECKS),
        *terminal.measurement_report(measured(bundle)),
        build_tables.artifact_table([*bundle.manifest.artifacts, long_name], "fp32"),
        terminal.results_table([ROW]),
        verdicts.baselines_table(
            [
                Baseline(
                    name="main",
                    bundle_name="fashion_mnist_mobilenetv2_qat",
                    bundle_id="5f19b536d428" * 5,
                    created="2026-11-28T17:22:00",
                    directory="/srv",
                )
            ]
        ),
    ]
    narrow = printed(*parts, width=width)
    assert max(len(row.rstrip()) for row in narrow.splitlines()) <= width
    assert words(narrow) <= words(printed(*parts, width=400))
    assert "…" not in narrow


def test_a_table_that_is_too_wide_goes_on_below_its_names() -> None:
    table = new_table("Numbers", "artifact")
    number_columns(table, "first", "second", "third")
    table.add_row("int8.pte", "1", "2", "3")
    assert [row.rstrip() for row in printed(table, width=24).splitlines()] == [
        "Numbers",
        "artifact  first  second",
        "───────────────────────",
        "int8.pte      1       2",
        "",
        "artifact  third",
        "───────────────",
        "int8.pte      3",
    ]


def test_titles_and_captions_leave_no_stray_words() -> None:
    """They are as wide as the terminal, however narrow their table is."""
    title, caption = "What each of the two builds gave", "† meaningless: runs under qemu"
    table = new_table(title, "artifact", caption=caption)
    number_columns(table, "size")
    table.add_row("a", "1")
    shown = [row.rstrip() for row in printed(table, width=40).splitlines()]
    assert (shown[0], shown[-1]) == (title, caption)


def test_a_list_of_results_tells_builds_apart(bundle: Bundle) -> None:
    for width in (80, 160):
        assert "5f19b536d428" in printed(terminal.results_table([ROW]), width=width)


def test_a_model_that_edgekit_did_not_build_has_no_empty_columns(bundle: Bundle) -> None:
    foreign = bundle.manifest.artifacts[0]
    verification = foreign.verification.model_copy(
        update={"metrics": (), "agreement_percent": None}
    )
    foreign = foreign.model_copy(update={"verification": verification, "variant": "tokens"})
    shown = drawn([build_tables.artifact_table([foreign], "tokens")])
    assert shown.splitlines()[:2] == ["Artifacts", "artifact     size  deflated"]
    assert "against" not in shown


@pytest.mark.parametrize(
    ("name", "allowed", "measured", "shown"),
    [
        ("size_min_shrink_ratio", 2.0, 1.9961, ("2.000×", "1.996×")),
        ("size_min_shrink_ratio", 2.0, 2.0, ("2.00×", "2.00×")),
        ("size_min_shrink_ratio", 2.0, 3.49, ("2.00×", "3.49×")),
        ("size_max_bytes", 2_500_000, 2_500_400, ("2,500,000 B", "2,500,400 B")),
        ("latency_p50_max_ms", 5.0, 5.0004, ("5.0000 ms", "5.0004 ms")),
        ("runtimes_min_agreement_percent", 99.5, 99.4996, ("99.5000 %", "99.4996 %")),
        ("deadline_max_miss_percent", 1.0, None, ("1.00 %", "n/a")),
        ("unknown", 1.0, 1.0000004, ("1.0000000", "1.0000004")),
    ],
)
def test_numbers_that_decide_have_the_digits_that_decide(
    name: str, allowed: float, measured: float | None, shown: tuple[str, str]
) -> None:
    assert numbers.limits(name, allowed, measured) == shown
    kind = top1(9200, 10_000)
    assert numbers.limits("metrics.top1.min", 92.0, 91.9996, kind) == ("92.0000 %", "91.9996 %")


@pytest.mark.parametrize(
    ("low", "shown"),
    [
        (1.0504, "1.0600× (1.0504–1.0700)"),
        (1.05, "1.060× (1.050–1.070)"),
        (1.0499996, "1.0600000× (1.0499996–1.0700000)"),
    ],
)
def test_a_bound_near_the_margin_does_not_look_like_it(low: float, shown: str) -> None:
    finding = Finding("a.pte", "latency_p50", "worse", 1.0, 1.06, low, 1.06, 1.07, margin=1.05)
    assert verdicts.change(finding) == shown


def test_the_trace(bundle: Bundle) -> None:
    shown = drawn([build_tables.trace_table(TRACE)])
    assert (
        " ".join(line(shown, "fp32").split())
        == "fp32 train 2.24 M 100.0 301 M 8.97 MB 8.30 MB 92.00 (91.5–92.5) 314.2"
    )
    assert (
        " ".join(line(shown, "pruned_int8").split())
        == "pruned_int8 quantize qat 1.14 M 73.0 151 M n/a n/a n/a cached"
    )


def test_how_long_exports_took(bundle: Bundle) -> None:
    seconds = {"fp32.pte": {"load": 0.5, "lower": 180.0, "verify": 3.25, "write": 0.01}}
    shown = drawn(terminal.summary(bundle.manifest, (), seconds, {}, ()))
    assert line(shown, "exported").strip() == "exported fp32.pte in 183.8 s, lower 180.0 s"


def test_artifacts_against_the_baseline_of_their_backend(bundle: Bundle) -> None:
    shown = drawn([build_tables.artifact_table(bundle.manifest.artifacts, "fp32")])
    assert line(shown, "fp32.tflite").split()[5:8] == ["–", "91.60", "(91.0–92.1)"]
    assert line(shown, "int8.pte").split()[5:] == [
        "4.00×",
        "91.20",
        "(90.6–91.7)",
        "0.80",
        "98.4",
    ]
    assert line(shown, "int8.tflite").split()[8] == "0.80"


def test_latency_with_intervals_and_speedup(bundle: Bundle) -> None:
    shown = drawn([measurement_tables.latency_table(measured(bundle), "fp32")])
    measurement = measured(bundle)
    p50, ratio = measurement.summaries["int8.pte"].p50, measurement.speedup("fp32.pte", "int8.pte")
    assert ratio is not None
    assert numbers.estimate_ms(p50) in line(shown, "int8.pte")
    assert f"{ratio.mid:.2f}× ({ratio.low:.2f}–{ratio.high:.2f})" in line(shown, "int8.pte")
    assert line(shown, "fp32.pte").split()[3] == "–"
    assert line(shown, "int8.pte").split()[6] == "n/a"
    assert line(shown, "int8.pte").endswith("9.44 MB")


def test_quick_runs_show_no_interval(bundle: Bundle) -> None:
    quick = measured(bundle, runs=3)
    shown = drawn([measurement_tables.measurement_section(quick, "fp32")])
    assert "(" not in line(shown, "int8.pte")
    assert "warning: all artifacts: quick: 3 runs, 10 make a full measurement" in shown


def test_meaningless_latencies_are_marked_each(bundle: Bundle) -> None:
    emulated = measured(bundle, timings="meaningless", timings_reason="runs under qemu")
    shown = drawn([measurement_tables.latency_table(emulated, "fp32")])
    assert "† meaningless: runs under qemu" in shown
    assert line(shown, "artifact").count("†") == 6
    assert line(shown, "int8.pte").count("†") == 5
    assert "n/a†" not in shown


def test_notes_come_worst_first_and_grouped(bundle: Bundle) -> None:
    notes = [
        MeasurementNote(level="note", code="governor", text="governed by ondemand"),
        MeasurementNote(
            level="warning", code="unstable", text="int8.pte: unstable", artifact="int8.pte"
        ),
        MeasurementNote(
            level="invalid", code="throttled", text="the device throttled: under-voltage"
        ),
        *(
            MeasurementNote(level="unknown", code="x", text=f"{key}: unknown", artifact=key)
            for key in KEYS
        ),
    ]
    shown = drawn(
        measurement_tables.notes(
            measured(bundle, notes=tuple(notes), failure="pi4: int8.pte, run 3 of 10: hung")
        )
    ).splitlines()
    assert shown == [
        "ended early: pi4: int8.pte, run 3 of 10: hung",
        "invalid: the device throttled: under-voltage",
        "warning: int8.pte: unstable",
        "unknown: all artifacts: unknown",
        "note: governed by ondemand",
    ]


def test_the_verdict(bundle: Bundle) -> None:
    shown = drawn([terminal.budget_table(CHECKS)])
    assert line(shown, "met      int8.pte").split()[3:] == ["5.00", "ms", "4.01", "ms"]
    assert "NOT MET" in line(shown, "NOT MET  int8.pte")
    assert line(shown, "met      int8 ").split()[3:] == ["99.50", "%", "99.87", "%"]


def test_an_artifact_without_a_complete_run(bundle: Bundle) -> None:
    measurement = measured(bundle)
    crashed = measurement.artifacts[0].model_copy(update={"runs": ()})
    shown = drawn(
        terminal.measurement_report(
            measurement.model_copy(update={"artifacts": (crashed, *measurement.artifacts[1:])})
        )
    )
    assert "no complete run" in shown


def test_hostile_text_is_inert(bundle: Bundle) -> None:
    note = MeasurementNote(level="warning", code="x", text=HOSTILE)
    device = measured(bundle).device.model_copy(update={"machine": HOSTILE, "cpu": HOSTILE})
    measurement = measured(
        bundle, target=HOSTILE, failure=HOSTILE, bundle_name=HOSTILE, notes=(note,), device=device
    )
    row = MeasurementRow(
        HOSTILE,
        HOSTILE,
        HOSTILE,
        HOSTILE,
        HOSTILE,
        HOSTILE,
        HOSTILE,
        (HOSTILE,),
        1,
        True,
        False,
        HOSTILE,
        HOSTILE,
    )
    check = JudgedLimit(HOSTILE, HOSTILE, 1.0, None, False, HOSTILE)
    trace = [TRACE[0].model_copy(update={"stage": HOSTILE, "kind": HOSTILE})]
    parts = [
        *terminal.measurement_report(measurement),
        terminal.results_table([row]),
        terminal.budget_table([check]),
        build_tables.trace_table(trace),
    ]
    shown = drawn(parts)
    assert "\x1b" not in shown
    assert "\x07" not in shown
    assert "\u202e" not in shown
    assert "".join(shown.split()).count("[boldred]x[/]") >= 10


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.00 kB"),
        (38_420, "38.4 kB"),
        (999_400, "999 kB"),
        (999_900, "1.00 MB"),
        (None, "n/a"),
    ],
)
def test_sizes(count: int | None, text: str) -> None:
    assert numbers.size(count) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.3044, "0.304"),
        (4.008, "4.01"),
        (9.999, "10.0"),
        (38.42, "38.4"),
        (1240.4, "1240"),
        (0, "0"),
        (0.00149, "0.00149"),
    ],
)
def test_significant_digits(value: float, text: str) -> None:
    assert numbers.significant(value) == text


def test_estimates_and_ratios() -> None:
    assert numbers.estimate_ms(QuantileEstimate(4.01e6, 3.974e6, 4.05e6, 10)) == "4.01 (3.97–4.05)"
    assert numbers.estimate_ms(QuantileEstimate(4.01e6, None, None, 3)) == "4.01"
    assert numbers.estimate_ms(None) == "n/a"
    assert numbers.ratio(MedianRatio(2.611, 2.72, 2.829)) == "2.72× (2.61–2.83)"
    assert numbers.ratio(MedianRatio(0.0, 2.72, float("inf"))) == "2.72×"
    assert numbers.metric(top1(9200, 10_000)) == "92.00 (91.5–92.5)"
    assert numbers.metric(None) == "n/a"
