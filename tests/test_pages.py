"""What the pages say is so: each command exists with its options, and is run here or listed with
the reason why it cannot be; recipes and targets load; Python runs; links lead somewhere."""

from __future__ import annotations

import ast
import inspect
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer

import edgekit
from edgekit.bundle.directory import Bundle
from edgekit.cli import app, run
from edgekit.compress.remarks import Remark
from edgekit.linting.document_rules import LintFinding
from edgekit.metrics import metric_value
from edgekit.recipe.json_schema import recipe_json_schema
from edgekit.recipe.reference import reference
from edgekit.tasks.task import load_task
from tests.support.pages import ROOT, Page, read_pages

PAGES = read_pages()
BY_NAME = {page.name: page for page in PAGES}
README = BY_NAME["README.md"]
HISTORY = "CHANGELOG.md"
"""What it tells of may be gone."""
WRITTEN = tuple(page for page in PAGES if page.name != HISTORY)
LINES = list(dict.fromkeys(line for page in WRITTEN for line in page.command_lines()))
IN_CI = [
    line
    for page in WRITTEN
    for block in page.blocks("yaml")
    for line in re.findall(r"^ *- (?:if: .*\n *)?run: (edgekit .*)$", block, re.MULTILINE)
]
IN_TEXT = list(
    dict.fromkeys(
        span for page in WRITTEN for span in page.code_spans() if span.startswith("edgekit ")
    )
)
PYTHON = [
    (page, number, block)
    for page in WRITTEN
    for number, block in enumerate(page.blocks("python"), start=1)
]


def without_comment(line: str) -> str:
    return line.partition("  #")[0].rstrip()


COMMANDS = list(dict.fromkeys(without_comment(line) for line in LINES))
SETTINGS = "bench: {runs: 1, warmup_min_seconds: 0.01, min_seconds: 0.01, min_iterations: 64}\n"
"""A measurement as short as it can be, in place of the recipe's own."""
FLAWED = """\
# yaml-language-server: $schema=recipe.schema.json
edgekit: 2
name: net
model: {name: small_cnn, args: {num_classes: 10}}
inputs: {image: {shape: [1, 8, 8]}}
data: {name: digits}
stages:
  - {stage: train, export: fp32}
  - stage: prune
    method: structured
    ratio: 0.5
    round_to: 4          # as before
    include: ["block*", classifier]
  - stage: quantize
    method: qat
    export: int8
    freeze_observer_epoch: 5
    train: {epochs: 2}
budget:
  variants:
    int8: {size_max_bytes: 10000}
"""
SMALLEST = {
    "recipe": (
        "edgekit: 2\nname: a\nmodel: {name: small_cnn}\ninputs: {image: {shape: [1, 8, 8]}}\n"
        "data: {name: digits}\nstages: [{stage: train, export: a},"
        " {stage: prune, name: pruned, method: structured, macs: 0.5},"
        " {stage: finetune, name: finetuned}]\n"
    ),
    "target": "edgekit: 1\nname: a\nkind: local\n",
}
"""The smallest documents that a section of a page is put into."""
SECTIONS = {
    "data": "recipe",
    "task": "recipe",
    "gate": "recipe",
    "export": "recipe",
    "inputs": "recipe",
    "search": "recipe",
    "control": "target",
    "runners": "target",
}
"""The document that a section with this first key belongs to."""
DEFAULT_COMMANDS = {"search": "run"}
"""Groups that are a command as well: what follows them is no command, but its argument."""
NO_DOCUMENT = {"jobs"}
"""First keys of YAML that is not edgekit's."""
MORE_OPTIONS = {
    "edgekit gate": ["--runs", "10"],
    "edgekit compare": ["--runs", "1"],
    "edgekit run mine.yaml": [
        "--set",
        "bench.runs=1",
        "--set",
        "stages.fp32.epochs=2",
        "--set",
        "export.backends=[litert]",
    ],
}
"""What is added here to the commands that begin like this, to make them quick."""
EXIT_CODES = {"edgekit gate": {0, 1}, "edgekit recipe lint net.yaml": {1}}
"""A gate between a bundle and itself is passed on an idle machine; on a busy one it may be
inconclusive, which fails."""
NOT_RUN = {
    "bash tools/quickstart": "installs several GB (tests/test_recipes.py runs the recipe)",
    "bash tools/test": "is what runs this (tests/test_pages.py)",
    "python3 -m venv .venv": "needs an empty environment (tests/test_package.py)",
    ".venv/bin/pip install": "installs several GB (tests/test_package.py)",
    "edgekit target add pi5": "needs a board (tests/boards/test_adding.py)",
    "edgekit target check pi5": "needs a board (tests/boards/test_check.py)",
    "edgekit target check board": "needs a board (tests/boards/test_check.py)",
    "edgekit target setup pi5": "needs a board (tests/boards/test_deploying.py)",
    "edgekit run recipes/quickstart.yaml -t pi5": "needs boards (tests/boards/test_several.py)",
    "sudo apt-get install": "changes the machine (tests/devices/test_emulated_pi.py)",
    "tools/emulated_pi start": "takes minutes (tests/devices/test_emulated_pi.py)",
    "edgekit run recipes/quickstart.yaml --target emulated-pi": (
        "takes minutes (tests/devices/test_emulated_pi.py)"
    ),
    "edgekit sweep recipes/quickstart.yaml": "builds three times (tests/workflow/test_sweep.py)",
    "edgekit search recipes/digits_search.yaml": (
        "trains several times (tests/searching/test_search.py)"
    ),
    "edgekit search show latest": "needs a search (tests/searching/test_search.py)",
    "edgekit search apply latest": "needs a search (tests/searching/test_search.py)",
    "edgekit run recipes/quickstart.yaml --target pi5-desk": (
        "needs a card and a board (tests/devices/test_flashed_card.py)"
    ),
    "edgekit bench model.tflite --signature decode": (
        "needs a file with several (tests/bundle/test_foreign_model.py)"
    ),
    "edgekit bench model.pte --shape": (
        "needs a file of dynamic sizes (tests/bundle/test_foreign_model.py)"
    ),
    ".venv/bin/python -m tools.fuzz": "takes minutes (tests/fuzz/test_cases.py)",
    "python tools/flash_pi.py": "needs a card and an image (tests/devices/test_flashed_card.py)",
    "python tools/provision_android.py": ("needs phones (tests/devices/test_provision_android.py)"),
}
"""Commands by how they begin, with the reason why they are not run here, and the test of what they
do."""
PYTHON_NOT_RUN = {
    "import sys\n": "is tools/flash.py, and needs a board (tests/boards/test_deploying.py)",
    "from pathlib import Path\nfrom edgekit.runners.runtime import": (
        "fetches packages (tests/runners/test_board.py)"
    ),
}
"""The same for Python."""
PRINTED = {
    block[2:].partition("\n")[0]: block.partition("\n")[2]
    for page in WRITTEN
    for block in page.blocks("console")
    if block.startswith("$ edgekit recipe lint net.yaml")
}
"""What some of them print, where nothing in it depends on machine or time."""


def reason_not_run(command: str) -> str | None:
    """The beginning in NOT_RUN that a command has."""
    for beginning in NOT_RUN:
        if command == beginning or command.startswith(f"{beginning} "):
            return beginning
    return None


RUN_HERE = [command for command in COMMANDS if not reason_not_run(command)]


def test_there_are_some() -> None:
    assert len(PAGES) > 10
    assert len(RUN_HERE) > 15
    assert len(IN_CI) > 1
    assert len(IN_TEXT) > 20


def test_the_readme_is_short() -> None:
    assert len(README.text.splitlines()) <= 200


def test_what_is_not_run_is_on_a_page_and_tested_elsewhere() -> None:
    assert {reason_not_run(command) for command in COMMANDS} - {None} == set(NOT_RUN)
    assert all(command.startswith("edgekit ") for command in RUN_HERE)
    for reason in (*NOT_RUN.values(), *PYTHON_NOT_RUN.values()):
        tests = re.findall(r"tests/[a-z_/]+\.py", reason)
        assert tests, reason
        assert all((ROOT / test).is_file() for test in tests), reason


@pytest.mark.parametrize(
    "line", [*(line for line in COMMANDS if line.startswith("edgekit ")), *IN_CI, *IN_TEXT]
)
def test_a_command_exists_with_these_options(line: str) -> None:
    words = shlex.split(line.replace("[", "").replace("]", ""), comments=True)[1:]
    for path in alternatives(words):
        command, rest = command_at(path)
        options = {"--help"}
        for parameter in command.params:
            options |= {*parameter.opts, *parameter.secondary_opts}
        used = {word.partition("=")[0] for word in rest if re.match(r"-[-a-z]", word)}
        assert used <= options, f"{line}: {sorted(used - options)}"


def alternatives(words: list[str]) -> list[list[str]]:
    """`baseline set|list` stands for two commands."""
    for position, word in enumerate(words):
        if re.fullmatch(r"[a-z-]+(\|[a-z-]+)+", word):
            return [[*words[:position], name] for name in word.split("|")]
    return [words]


def command_at(words: list[str]) -> tuple[Any, list[str]]:
    """The command that words lead to, and the words after its name. A word in capitals stands for
    any command."""
    command: Any = typer.main.get_command(app)
    rest = list(words)
    while hasattr(command, "commands") and rest and not re.match(r"-|[A-Z]+$", rest[0]):
        if rest[0] not in command.commands and command.name in DEFAULT_COMMANDS:
            break
        assert rest[0] in command.commands, f"{words}: one of {sorted(command.commands)}"
        command = command.commands[rest.pop(0)]
    if rest and command.name in DEFAULT_COMMANDS:
        command = command.commands[DEFAULT_COMMANDS[command.name]]
    return command, rest


def test_the_table_of_commands_has_all_of_them() -> None:
    rows = [
        span
        for span in BY_NAME["edgekit/cli/README.md"].code_spans()
        if span.startswith("edgekit ")
    ]
    documented = set()
    for row in rows:
        for words in alternatives(row.split()[1:]):
            documented.add(command_name(words))
    assert set(all_commands(typer.main.get_command(app))) <= documented


def command_name(words: list[str]) -> str:
    names = []
    for word in words:
        if not re.fullmatch(r"[a-z][a-z-]*", word):
            break
        names.append(word)
    return " ".join(names)


def all_commands(group: Any, above: str = "") -> Iterator[str]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from all_commands(command, f"{above}{name} ")
        else:
            yield f"{above}{name}"


@pytest.fixture(scope="module")
def reader(
    quickstart_cache: Path, quickstart_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """A working directory with what a reader has: recipes, targets, a finished bundle, model
    files."""
    place = tmp_path_factory.mktemp("reader")
    for folder in ("recipes", "targets"):
        shutil.copytree(ROOT / folder, place / folder)
    recipe = place / "recipes" / "quickstart.yaml"
    text = recipe.read_text()
    recipe.write_text(text[: text.index("bench:")] + SETTINGS)
    (place / "net.yaml").write_text(FLAWED)
    (place / "targets" / "local.yaml").write_text(
        f"edgekit: 1\nname: local\nkind: local\nworkdir: {place}/device\n"
    )
    for name in ("old", "new", "model"):
        shutil.copy(quickstart_bundle.path / "int8.tflite", place / f"{name}.tflite")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        patch.setenv("EDGEKIT_CACHE", str(quickstart_cache))
        patch.setenv("EDGEKIT_DB", f"sqlite:///{place}/results.db")
        patch.setenv("HOME", str(place))
        yield place


@pytest.fixture(scope="module")
def bundle(reader: Path) -> Bundle:
    """Built and measured once, so that the bundle and its measurements can be looked at; a model
    file before it, so that there is a bundle to roll back to."""
    assert run(["bench", "old.tflite", "--runs", "1"]) == 0
    result = edgekit.run("recipes/quickstart.yaml", targets=["local"])
    edgekit.run("recipes/quickstart.yaml", targets=["local"])
    return result.build.bundle


@pytest.mark.torch
@pytest.mark.slow
@pytest.mark.parametrize("command", RUN_HERE)
def test_it_runs(
    command: str, reader: Path, bundle: Bundle, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the order of the pages. Ids stand for those of the bundle and of the measurements that
    are there; runs are fewer."""
    ids = (row.id for row in edgekit.open_store().rows())
    line = re.sub(r"build/quickstart-[0-9a-f]{12}", str(bundle.path), command)
    line = re.sub(r"(?<=--measurement )[0-9a-f]{4}", lambda _: next(ids), line)
    words, expected = shlex.split(line)[1:], {0}
    for beginning, more in MORE_OPTIONS.items():
        words += more if command.startswith(beginning) else []
    for beginning, codes in EXIT_CODES.items():
        expected = codes if command.startswith(beginning) else expected
    assert run(words) in expected, capsys.readouterr().err
    if command in PRINTED:
        assert PRINTED[command] == capsys.readouterr().out


@pytest.mark.torch
@pytest.mark.slow
@pytest.mark.parametrize("page", dict.fromkeys(page for page, _, _ in PYTHON), ids=lambda p: p.name)
def test_the_python_runs(page: Page, reader: Path, bundle: Bundle) -> None:
    """The blocks of a page are one program, but for those that cannot be run here."""
    names: dict[str, Any] = {}
    for other, number, block in PYTHON:
        if other == page and not any(block.startswith(start) for start in PYTHON_NOT_RUN):
            exec(compile(block, f"{page.name}, block {number}", "exec"), names)  # noqa: S102


def test_python_that_is_not_run_is_on_a_page() -> None:
    for start in PYTHON_NOT_RUN:
        assert any(block.startswith(start) for _, _, block in PYTHON), start


def test_the_task_on_the_page_of_recipes_is_a_task(tmp_path: Path) -> None:
    (block,) = BY_NAME["recipes/README.md"].blocks("python")
    (tmp_path / "my_tasks.py").write_text(block)
    task = load_task("my_tasks:DISTANCE", tmp_path)
    outputs = {"output_0": np.array([[1.0], [2.0], [5.0]])}
    errors = task.score(outputs, np.array([1.0, 3.0, 3.0]))["mae"]
    assert metric_value(task.metrics[0], errors).value == pytest.approx(1.0)
    agreement = task.agreement(outputs, {"output_0": np.array([[1.5], [4.0], [5.0]])})
    assert agreement is not None
    assert agreement.tolist() == [1.0, 0.0, 1.0]


def test_every_room_is_on_the_map() -> None:
    """The packages of edgekit, in the table of edgekit/README.md."""
    table = BY_NAME["edgekit/README.md"].text.partition("| room | owns |\n")[2].partition("\n\n")[0]
    listed = re.findall(r"`(\w+)/`", table)
    rooms = {path.parent.name for path in (ROOT / "edgekit").glob("*/__init__.py")}
    assert sorted(listed) == sorted(rooms)


def test_recipes_and_targets_are_valid(tmp_path: Path) -> None:
    """Whole documents as they are, sections within the smallest document that takes them."""
    for page in WRITTEN:
        for number, block in enumerate(page.blocks("yaml")):
            path = tmp_path / f"{number}.yaml"
            first_key = block.partition(":")[0]
            if first_key in NO_DOCUMENT:
                continue
            kind = SECTIONS.get(first_key) or ("target" if "\nkind: " in block else "recipe")
            path.write_text(_document(kind, first_key, block) if first_key in SECTIONS else block)
            edgekit.load_recipe(path) if kind == "recipe" else edgekit.load_target(path)


def _document(kind: str, key: str, section: str) -> str:
    """The smallest document with this section in place of its own."""
    lines = SMALLEST[kind].splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith(f"{key}:")) + section


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Page) -> None:
    for link in page.links():
        name, _, anchor = link.partition("#")
        path = (page.path.parent / name).resolve() if name else page.path
        assert path.exists(), link
        assert path.is_relative_to(ROOT), link
        if anchor:
            assert anchor in BY_NAME[str(path.relative_to(ROOT))].anchors(), link


@pytest.mark.parametrize("page", WRITTEN, ids=lambda page: page.name)
def test_the_files_it_names_are_there(page: Page) -> None:
    """Paths from the root of the project, and recipes of the gallery."""
    words = {word for span in page.code_spans() for word in span.split()}
    words |= {word for line in page.command_lines() for word in line.split()}
    for word in words:
        if re.fullmatch(r"(?:recipes|tests|tools|edgekit)/[A-Za-z0-9_./-]*\w/?", word):
            assert (ROOT / word).exists(), word
    for recipe in re.findall(r"^\| `(\w+\.yaml)`", page.text, re.MULTILINE):
        assert (ROOT / "recipes" / recipe).is_file(), recipe


def test_the_gallery_has_every_shipped_recipe() -> None:
    gallery = BY_NAME["recipes/README.md"].text.partition("## The gallery\n")[2]
    listed = set(re.findall(r"^\| `(\w+\.yaml)`", gallery, re.MULTILINE))
    assert listed == {path.name for path in (ROOT / "recipes").glob("*.yaml")}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_nobody_is_told_to_install_by_name(page: Page) -> None:
    """The name on the public index is a stranger's."""
    assert not re.search(r"pip install (?:-\S+ )*['\"]?edgekit\b", page.text)


def test_the_codes_of_lint_are_all_there() -> None:
    table = BY_NAME["recipes/README.md"].text.partition("| severity | means | codes |\n")[2]
    documented = set()
    for row in table.partition("\n\n")[0].splitlines()[1:]:
        severity = row.split(" | ")[0].strip("| ")
        documented |= {(severity, code) for code in re.findall(r"`([a-z0-9-]+)`", row)}
    used = set(codes_of_lint())
    assert len(used) > 20
    assert used <= documented
    assert {code for _, code in documented} == {code for _, code in used}


def codes_of_lint() -> Iterator[tuple[str, str]]:
    """Severity and code of every finding of lint that is made anywhere in edgekit, as a
    LintFinding, of an error, or as the Remark that a method of compression makes."""
    for path in (ROOT / "edgekit").rglob("*.py"):
        module = ast.parse(path.read_text())
        for node in ast.walk(module):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "error_finding":
                yield "error", ast.literal_eval(node.args[0])
        for kind in (LintFinding, Remark):
            if path == Path(inspect.getfile(kind)) or imports(module, kind):
                for node in ast.walk(module):
                    if isinstance(node, ast.Call) and getattr(node.func, "id", "") == kind.__name__:
                        yield from codes_of(node)


def imports(module: ast.Module, kind: type) -> bool:
    """Whether it imports this class."""
    return any(
        isinstance(node, ast.ImportFrom)
        and node.module == kind.__module__
        and kind.__name__ in [name.name for name in node.names]
        for node in ast.walk(module)
    )


def codes_of(call: ast.Call) -> Iterator[tuple[str, str]]:
    """The code, with each severity that the second argument can be."""
    code, severity = call.args[:2]
    if not isinstance(code, ast.Constant) or not isinstance(code.value, str):
        return  # a LintFinding made of a Remark
    for part in ast.walk(severity):
        if isinstance(part, ast.Constant) and part.value in ("error", "warning", "note"):
            yield part.value, code.value


@pytest.mark.parametrize(
    ("kind", "schema"), [("recipe", recipe_json_schema()), ("target", edgekit.target_json_schema())]
)
def test_the_references_are_todays_and_hold_every_key(kind: str, schema: dict[str, Any]) -> None:
    command = f"edgekit {kind} schema --markdown -o {kind}s/REFERENCE.md"
    text = (ROOT / f"{kind}s/REFERENCE.md").read_text()
    assert text == reference(schema, command) + "\n", f"run: {command}"
    for name, section in schema["$defs"].items():
        part = text.partition(f"## {name}\n")[2].partition("\n## ")[0]
        assert all(f"`{key}`" in part for key in section["properties"]), name
