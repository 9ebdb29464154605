"""A runner that says hostile texts wherever a name may stand, through everything that shows or
keeps results (cases 58 and 59 of the faults)."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from edgekit import store
from edgekit.cli import run
from tests.support.desk import make_desk
from tests.support.measured import make_bundle

TEXTS = {
    "path": "../../../../x",
    "absolute": "/tmp/edgekit-owned",
    "html": "<script>document.title='owned'</script><img src=x onerror=alert(1)>",
    "sql": "'); DROP TABLE measurements; --",
    "formula": "=cmd|'/c calc'!A0",
    "markup": "[bold red]x[/] [link=http://127.0.0.1:9]y[/link]",
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_names_from_a_device_are_text(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "a" / "b" / "c" / "d" / "e"
    place.mkdir(parents=True)
    monkeypatch.chdir(place)
    monkeypatch.setenv("EDGEKIT_DB", str(place / "results.db"))
    bundle = make_bundle(
        place / "bundle",
        ["fp32.pte"],
        recipe={"bench": {"warmup_min_seconds": 0, "min_seconds": 0}},
    )
    desk = make_desk(place, bundle, f"named {text}")
    assert run(["bench", str(bundle.path), "--target", str(desk), "--runs", "1"]) == 0
    for command in (["results", "list"], ["results", "show"], ["report", "-o", "report.html"]):
        assert run(command) == 0
    assert run(["results", "export", "--format", "csv", "-o", "out.csv"]) == 0
    capsys.readouterr()
    assert run(["results", "show", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["artifacts"][0]["runner"]["runtime_version"] == text
    page = (place / "report.html").read_text(encoding="utf-8")
    assert "<script>document" not in page
    assert "<img" not in page[: page.index("<script>")]
    [row] = csv.DictReader((place / "out.csv").open(encoding="utf-8"))
    assert not any(cell.startswith(("=", "+", "@")) for cell in row.values())
    assert any(text in cell for cell in row.values())
    with store.open_store() as opened:
        assert len(opened.rows()) == 1
    outside = [
        path
        for path in tmp_path.rglob("*")
        if not path.is_relative_to(place) and not place.is_relative_to(path)
    ]
    assert outside == []
    assert not Path("/tmp/edgekit-owned").exists()
