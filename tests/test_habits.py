"""What keeps tests and tools apart: helpers are in tests/support, servers in tools/testbed, and
whatever cannot run says so through tests/support/tiers.py. And what keeps modules apart: none
imports itself by way of others. And that a value is called by what it holds."""

from __future__ import annotations

import ast
import graphlib
from collections.abc import Collection, Mapping
from pathlib import Path

import pytest

from tests.support.tiers import cannot_run

ROOT = Path(__file__).parents[1]
TESTS = sorted((ROOT / "tests").rglob("*.py"))
TOOLS = sorted((ROOT / "tools").rglob("*.py"))
PACKAGE = {
    ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): file
    for file in sorted((ROOT / "edgekit").rglob("*.py"))
}
TIERS = ROOT / "tests" / "support" / "tiers.py"


def imported_modules(source: str) -> set[str]:
    """Full names of modules that a source imports, and of what it imports from them."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def in_tests(name: str) -> bool:
    return name.split(".")[0] == "tests"


@pytest.mark.parametrize("file", TESTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_tests_import_only_helpers(file: Path) -> None:
    names = filter(in_tests, imported_modules(file.read_text(encoding="utf-8")))
    assert [name for name in names if not name.startswith("tests.support.")] == []


@pytest.mark.parametrize("file", TOOLS, ids=lambda path: str(path.relative_to(ROOT)))
def test_tools_import_no_tests(file: Path) -> None:
    names = filter(in_tests, imported_modules(file.read_text(encoding="utf-8")))
    assert list(names) == []


def test_an_import_of_a_test_module_is_noticed() -> None:
    source = "from tests.store.conftest import bundle\nimport tests.test_readme, os"
    assert set(filter(in_tests, imported_modules(source))) == {
        "tests.store.conftest.bundle",
        "tests.test_readme",
    }


def skips(source: str) -> list[str]:
    """Ways to leave a test out that name no tier: pytest.skip, skipif and their like."""
    names = {"skip", "skipif", "importorskip", "skipTest", "SkipTest"}
    return [
        ast.unparse(node)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Attribute) and node.attr in names
    ]


@pytest.mark.parametrize("file", TESTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_only_tiers_skips(file: Path) -> None:
    if file != TIERS:
        assert skips(file.read_text(encoding="utf-8")) == []


def test_a_skip_is_noticed() -> None:
    assert skips("@pytest.mark.skipif(True, reason='')\ndef test_a():\n    pytest.skip('')") == [
        "pytest.mark.skipif",
        "pytest.skip",
    ]


def test_a_lost_tier_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEKIT_TEST_TIERS", "extras,root")
    with pytest.raises(pytest.fail.Exception, match="should be able to run it: no disk"):
        cannot_run("no disk", need="root")
    monkeypatch.delenv("EDGEKIT_TEST_TIERS")
    with pytest.raises(BaseException, match="no disk") as caught:
        cannot_run("no disk", need="root")
    assert type(caught.value).__name__ == "Skipped"


def run_time_imports(source: str, room: str, modules: Collection[str]) -> set[str]:
    """Which of `modules` a source in the package `room` imports when it runs, in functions too.
    What stands under `if TYPE_CHECKING` gives a name to a type, and nothing else."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            node.body = [ast.Pass()]
        if isinstance(node, ast.ImportFrom) and node.level == 1:
            node.module, node.level = f"{room}.{node.module}", 0
    names = imported_modules(ast.unparse(tree))
    return {name if name in modules else name.rpartition(".")[0] for name in names} & set(modules)


def import_cycle(graph: Mapping[str, set[str]]) -> list[str]:
    """Modules of which each imports the one before it, the first one twice; empty when there are
    none."""
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return list(error.args[1])
    return []


@pytest.mark.slow
def test_no_module_imports_itself_by_way_of_others() -> None:
    graph = {
        name: run_time_imports(file.read_text(encoding="utf-8"), name.rpartition(".")[0], PACKAGE)
        for name, file in PACKAGE.items()
    }
    assert graph["edgekit.pipeline.stages"]  # there are edges
    assert import_cycle(graph) == []


def test_a_cycle_is_noticed() -> None:
    typing = "if TYPE_CHECKING:\n    from p.b import B\n"
    within = "def f():\n    from p import a\n"
    assert run_time_imports(typing, "p", {"p.a", "p.b"}) == set()
    assert run_time_imports(within, "p", {"p.a", "p.b"}) == {"p.a"}
    assert run_time_imports("from .a import A", "p", {"p.a", "p.b"}) == {"p.a"}
    assert import_cycle({"p.a": {"p.b"}, "p.b": {"p.a"}}) in (
        ["p.a", "p.b", "p.a"],
        ["p.b", "p.a", "p.b"],
    )


EMPTY_NAMES = frozenset({"found", "given", "got", "held", "kept", "one", "said", "told", "wanted"})
"""They say that there is a value, and not what it holds."""


def empty_names(source: str) -> list[str]:
    """Such names of variables, parameters and attributes that a source sets, each with its
    line."""
    names = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Store):
            names.append((node.lineno, node.id if isinstance(node, ast.Name) else node.attr))
        elif isinstance(node, ast.arg):
            names.append((node.lineno, node.arg))
    return [f"{name} in line {line}" for line, name in sorted(names) if name in EMPTY_NAMES]


@pytest.mark.parametrize(
    "file", [*PACKAGE.values(), *TOOLS, *TESTS], ids=lambda path: str(path.relative_to(ROOT))
)
def test_a_value_is_called_by_what_it_holds(file: Path) -> None:
    assert empty_names(file.read_text(encoding="utf-8")) == []


def test_an_empty_name_is_noticed() -> None:
    source = (
        "def f(one, *, told=0):\n    self.kept = found = one\n    return [held for held in told]"
    )
    assert empty_names(source) == [
        "one in line 1",
        "told in line 1",
        "found in line 2",
        "kept in line 2",
        "held in line 3",
    ]
