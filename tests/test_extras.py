"""A module that an extra brings and that is not installed: case 69 of the faults."""

from __future__ import annotations

import importlib
import json
import sys
import tomllib
from pathlib import Path

import pytest

from edgekit.bundle.directory import open_bundle, write_manifest
from edgekit.bundle.manifest import NamedTask
from edgekit.cli import run
from edgekit.errors import UsageError
from edgekit.extras import EXTRAS, naming_extras, require_modules
from tests.support.desk import make_desk
from tests.support.measured import make_bundle
from tests.support.sessions import with_evaluation

TASK = """
from edgekit.tasks.classification import CLASSIFICATION

class Needy(type(CLASSIFICATION)):
    def score(self, outputs, targets):
        import soundfile

TASK = Needy()
"""


def need_soundfile() -> None:
    with naming_extras():
        import soundfile  # noqa: F401


def need_nothing_known() -> None:
    with naming_extras():
        importlib.import_module("no_such_module")


def test_it_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "soundfile", None)
    with pytest.raises(UsageError, match="soundfile is not installed") as raised:
        need_soundfile()
    assert "[audio]" in raised.value.hint
    with pytest.raises(ModuleNotFoundError):
        need_nothing_known()


def test_several_are_found_out_without_an_import(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    for name in ("torch", "executorch"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    with pytest.raises(UsageError, match="torch, executorch are not installed") as raised:
        require_modules(["torch", "executorch.exir", "torch.nn", "json", "somebodys_own"])
    assert "[export]" in raised.value.hint
    require_modules(["json", "somebodys_own"])


def test_every_extra_is_one() -> None:
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    assert set(EXTRAS.values()) == {*project["optional-dependencies"]} - {"test", "dev"}


def test_what_a_task_lacks_is_found_out_before_anything_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EDGEKIT_DB", str(tmp_path / "results.db"))
    monkeypatch.setitem(sys.modules, "soundfile", None)
    (tmp_path / "needy_task.py").write_text(TASK)
    bundle = with_evaluation(make_bundle(tmp_path / "net", ["fp32.pte"]))
    named = bundle.manifest.model_copy(update={"task": NamedTask(name="needy_task:TASK", args={})})
    write_manifest(bundle.path, named)
    desk = make_desk(tmp_path, open_bundle(bundle.path))
    command = ["bench", str(bundle.path), "-t", str(desk), "--accuracy", "all", "--json"]
    assert run(command) == 2
    answer = json.loads(capsys.readouterr().out)
    assert "soundfile" in answer["error"]
    assert not (tmp_path / "device").exists(), "nothing was deployed"
