"""A gate's verdict as files for CI systems: JUnit XML and Markdown. Text from devices and files is
made inert."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from edgekit.reporting.verdicts import change, margin, value, verdict_words
from edgekit.sanitize import printable
from edgekit.verdict.rules import Finding
from edgekit.workflow.gate import GateResult


def junit(gated: GateResult) -> str:
    """One test case a metric of an artifact: a failure where it regressed, or is inconclusive and
    the recipe does not let that pass."""
    suite = ElementTree.Element(
        "testsuite",
        name=f"edgekit gate on {printable(gated.candidate.target)}",
        time=f"{gated.candidate.seconds:.3f}",
    )
    failures = skipped = 0
    for finding in gated.findings:
        case = ElementTree.SubElement(
            suite, "testcase", classname=printable(finding.pair), name=printable(finding.label)
        )
        if _fails(finding, gated):
            failures += 1
            ElementTree.SubElement(case, "failure", type=finding.verdict, message=_line(finding))
        elif finding.verdict in ("inconclusive", "not_judged"):
            skipped += 1
            ElementTree.SubElement(case, "skipped", message=_line(finding))
        else:
            ElementTree.SubElement(case, "system-out").text = _line(finding)
    for name, reason in [(key, "not in the candidate") for key in gated.missing] + [
        ("outputs", text) for text in gated.wrong
    ]:
        failed = name == "outputs" or gated.limits.inconclusive == "fail"
        failures += failed
        skipped += not failed
        case = ElementTree.SubElement(
            suite,
            "testcase",
            classname=printable(name),
            name="outputs" if name == "outputs" else "present",
        )
        ElementTree.SubElement(case, "failure" if failed else "skipped", message=printable(reason))
    suite.attrib |= {
        "tests": str(len(suite)),
        "failures": str(failures),
        "errors": "0",
        "skipped": str(skipped),
    }
    return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def junit_error(reason: str) -> str:
    """One test case with an error: there is no verdict."""
    suite = ElementTree.Element(
        "testsuite", name="edgekit gate", tests="1", failures="0", errors="1", skipped="0"
    )
    case = ElementTree.SubElement(suite, "testcase", classname="edgekit", name="gate")
    ElementTree.SubElement(case, "error", message=printable(reason, limit=500))
    return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def markdown_error(reason: str) -> str:
    """A heading, and why there is no verdict."""
    return f"### edgekit gate: ERROR\n\n{_cell(reason)}\n"


def markdown(gated: GateResult) -> str:
    """A heading, the verdict, and a table."""
    names = [f"{m.bundle_name} {m.bundle_id[:12]}" for m in (gated.candidate, gated.baseline)]
    target = _cell(gated.candidate.target)
    lines = [
        f"### edgekit gate: {'passed' if gated.passed else 'FAILED'}",
        "",
        f"{_cell(names[0])} against baseline {_cell(names[1])} on {target}: {_cell(gated.summary)}",
        "",
        "| artifact | metric | baseline | candidate | change (95 %) | allowed | verdict |",
        "|---|---|---:|---:|---:|---:|---|",
    ]
    for finding in gated.findings:
        numbers = (
            value(finding, finding.a),
            value(finding, finding.b),
            change(finding),
            margin(finding),
        )
        cells = (
            finding.pair,
            finding.label,
            *numbers,
            _line(finding) if finding.verdict == "inconclusive" else verdict_words(finding),
        )
        lines.append(f"| {' | '.join(_cell(cell) for cell in cells)} |")
    return "\n".join([*lines, *(["", _cell(gated.remedy)] if gated.remedy else [])]) + "\n"


def _fails(finding: Finding, gated: GateResult) -> bool:
    return finding.verdict == "regressed" or (
        finding.verdict == "inconclusive" and gated.limits.inconclusive == "fail"
    )


def _line(finding: Finding) -> str:
    words = verdict_words(finding)
    return printable(
        f"{words}: {finding.reason}" if finding.reason and finding.reason not in words else words,
        limit=500,
    )


def _cell(text: str) -> str:
    """Text that is neither HTML nor Markdown."""
    shown = (
        printable(text, limit=500).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    )
    return re.sub(r"([\\|*_`\[\]!#])", r"\\\1", shown)
