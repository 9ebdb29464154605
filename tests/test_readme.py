"""The README's commands are commands: each names one that exists, with options it has, and is run
here, or is listed with the reason why it cannot be."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

import edgekit
from edgekit.bundle.manifest import Bundle
from edgekit.cli import app, run
from edgekit.recipe.json_schema import recipe_json_schema
from edgekit.recipe.reference import reference

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```console\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
LINES = [
    line.removeprefix("$ ")
    for block in BLOCKS
    for line in block.splitlines()
    if line.startswith("$ ")
]
IN_CI = re.findall(r"^ *- (?:if: .*\n *)?run: (edgekit .*)$", README, re.MULTILINE)
COMMANDS = [line.partition("  #")[0].rstrip() for line in LINES if line.startswith("edgekit ")]
SETTINGS = "bench: {runs: 1, warmup_min_seconds: 0.01, min_seconds: 0.01, min_iterations: 64}\n"
"""A measurement as short as it can be, in place of the recipe's own."""
FLAWED = """\
# yaml-language-server: $schema=recipe.schema.json
edgekit: 1
name: net
model: {name: small_cnn, args: {num_classes: 10}}
input: {shape: [1, 8, 8]}
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
FEWER = {
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
VERDICTS = {"edgekit gate": {0, 1}, "edgekit recipe lint net.yaml": {1}}
"""A gate between a bundle and itself is passed on an idle machine; on a busy one it may be
inconclusive, which fails."""
NOT_HERE = {
    "bash tools/quickstart": "installs several GB",
    "bash tools/test": "is what runs this",
    "edgekit target add pi5 --ssh pi@raspberrypi.local": (
        "needs a board (tests/boards/test_adding.py)"
    ),
    "edgekit target check pi5": "needs a board (tests/boards/test_check.py)",
    "edgekit target setup pi5": "needs a board (tests/boards/test_deploying.py)",
    "edgekit run recipes/quickstart.yaml -t pi5 -t pixel": (
        "needs two boards (tests/boards/test_several.py)"
    ),
    "edgekit target check board": "needs a board (tests/boards/test_check.py)",
    "sudo apt-get install mmdebstrap qemu-system-arm qemu-utils e2fsprogs fdisk dosfstools mtools cpio openssh-client": (
        "changes the machine"
    ),
    "tools/emulated_pi start": "takes minutes (tests/devices/test_emulated_pi.py)",
    "edgekit run recipes/quickstart.yaml --target emulated-pi --set bench.runs=1": (
        "takes minutes (tests/devices/test_emulated_pi.py)"
    ),
    "edgekit sweep recipes/quickstart.yaml": "builds three times (tests/workflow/test_run.py)",
    "edgekit run recipes/quickstart.yaml --target pi5-desk": (
        "needs a card and a board (tests/devices/test_flashed_card.py)"
    ),
    "python tools/flash_pi.py": "needs a card and an image (tests/devices/test_flashed_card.py)",
}
"""Commands by how they begin, with the reason why they are not run here, and where what they do is
tested."""


TO_THE_LETTER = {
    block[2:].partition("\n")[0]: block.partition("\n")[2]
    for block in BLOCKS
    if block.startswith("$ edgekit recipe lint net.yaml")
}
"""What some of them print, where nothing in it depends on machine or time."""


def not_here(line: str) -> str | None:
    return next(
        (
            beginning
            for beginning in NOT_HERE
            if line == beginning or line.startswith(f"{beginning} ")
        ),
        None,
    )


def test_there_are_some() -> None:
    assert len(COMMANDS) > 8
    assert IN_CI
    assert sum(not_here(line) is None for line in COMMANDS) > 8


def test_what_is_not_run_is_in_the_readme() -> None:
    assert {not_here(line.partition("  #")[0].rstrip()) for line in LINES} - {None} == set(NOT_HERE)
    assert all(line.startswith("edgekit ") or not_here(line) for line in LINES)
    assert all(
        (ROOT / path).is_file()
        for reason in NOT_HERE.values()
        for path in re.findall(r"tests/[a-z_/]+\.py", reason)
    )


@pytest.mark.parametrize("line", [*COMMANDS, *IN_CI])
def test_a_command_exists_with_these_options(line: str) -> None:
    _, *words = shlex.split(line, comments=True)
    command = typer.main.get_command(app)
    while hasattr(command, "commands"):
        assert words, f"{line}: which command of {list(command.commands)}?"
        command = command.commands[words.pop(0)]
    options = {option for parameter in command.params for option in parameter.opts}
    assert {word.partition("=")[0] for word in words if re.match(r"-[-a-z]", word)} <= options


def test_the_table_of_commands_has_all_of_them() -> None:
    rows = re.findall(
        r"^\| (`edgekit .*?) \| ",
        README.partition("## Commands\n")[2].partition("\n## ")[0].replace("\\|", "/"),
        re.MULTILINE,
    )
    named = {
        tuple(words[1:] if words[0] == "edgekit" else words)
        for row in rows
        for one in re.findall(r"`([^`]*)`", row)
        for words in [_first_words(one)]
    }
    assert {path for names in named for path in _spread(names)} == set(
        _paths(typer.main.get_command(app))
    )


def _first_words(command: str) -> list[str]:
    return [word for word in command.split() if re.fullmatch(r"[a-z][a-z/-]*", word)]


def _spread(names: tuple[str, ...]) -> list[str]:
    return [" ".join((*names[:-1], last)) for last in names[-1].split("/")]


def _paths(command: typer.Typer, above: str = "") -> Iterator[str]:
    for name, one in command.commands.items():  # type: ignore[attr-defined]
        yield from (
            _paths(one, f"{above}{name} ") if hasattr(one, "commands") else [f"{above}{name}"]
        )


@pytest.fixture(scope="module")
def user(
    quickstart_cache: Path, quickstart_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """A working directory with what the README's reader has: recipes, targets, a finished bundle,
    two model files."""
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
def bundle(user: Path) -> Bundle:
    """Built and measured once, so that what is said of a bundle and of its measurements can be
    said."""
    result = edgekit.run("recipes/quickstart.yaml", targets=["local"])
    edgekit.run("recipes/quickstart.yaml", targets=["local"])
    return result.build.bundle


@pytest.mark.torch
@pytest.mark.slow
@pytest.mark.parametrize("line", [line for line in COMMANDS if not not_here(line)])
def test_it_runs(line: str, user: Path, bundle: Bundle, capsys: pytest.CaptureFixture[str]) -> None:
    """In the order of the README. Ids stand for those of the bundle and of the measurements that
    are there; runs are fewer."""
    ids = (row.id for row in edgekit.open_store().rows())
    line = re.sub(r"build/quickstart-[0-9a-f]{12}", str(bundle.path), line)
    line = re.sub(r"(?<=--measurement )[0-9a-f]{4}", lambda _: next(ids), line)
    more = [
        word for beginning, words in FEWER.items() if line.startswith(beginning) for word in words
    ]
    expected = next(
        (codes for beginning, codes in VERDICTS.items() if line.startswith(beginning)), {0}
    )
    assert run([*shlex.split(line, comments=True)[1:], *more]) in expected, capsys.readouterr().err
    if line in TO_THE_LETTER:
        assert TO_THE_LETTER[line] == capsys.readouterr().out


@pytest.mark.torch
@pytest.mark.slow
def test_the_python_runs(user: Path, bundle: Bundle) -> None:
    examples = [
        text
        for text in re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
        if "edgekit.run(" in text
    ]
    assert len(examples) == 1
    exec(examples[0], {})  # noqa: S102


def test_recipes_and_targets_in_it_are_valid(tmp_path: Path) -> None:
    """Whole recipes as they are, sections within the smallest recipe or target that takes them."""
    blocks = re.findall(r"^```yaml\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    small = {
        "recipe": (
            "edgekit: 1\nname: a\nmodel: {name: small_cnn}\ninput: {shape: [1, 8, 8]}\ndata: {name:"
            " digits}\nstages: [{stage: train, export: a}]\n"
        ),
        "target": "edgekit: 1\nname: a\nkind: local\n",
    }
    kinds = {
        "edgekit": "recipe",
        "gate": "recipe",
        "control": "target",
        "runners": "target",
        "jobs": None,
    }
    for block in blocks:
        key = block.partition(":")[0]
        kind, path = kinds[key], tmp_path / f"{key}.yaml"
        if kind:
            path.write_text(block if key == "edgekit" else small[kind] + block)
            edgekit.load_recipe(path) if kind == "recipe" else edgekit.load_target(path)


@pytest.mark.parametrize(
    "script", sorted({word for line in LINES for word in line.split() if word.startswith("tools/")})
)
def test_scripts_are_there(script: str) -> None:
    assert (ROOT / script).is_file()


def test_the_files_it_names_are_there() -> None:
    for name in set(
        re.findall(
            r"`((?:recipes|tests|tools)/[A-Za-z0-9_./-]+\.[a-z]+)`",
            (ROOT / "README.md").read_text(),
        )
    ):
        assert (ROOT / name).exists(), name


def test_the_codes_of_lint_are_all_there() -> None:
    table = README.partition("| severity | means | codes |\n")[2].partition("\n\n")[0]
    files = [*ROOT.glob("edgekit/linting/*.py"), *ROOT.glob("edgekit/compress/*/*.py")]
    sources = [file.read_text() for file in files]
    used = {
        (severity, code)
        for text in sources
        for code, severity in re.findall(
            r'(?:Finding|Remark)\(\s*"([a-z0-9-]+)",\s*"([a-z]+)"', text
        )
    }
    told = {
        (row.split(" | ")[0].strip("| "), code)
        for row in table.splitlines()[1:]
        for code in re.findall(r"`([a-z0-9-]+)`", row)
    }
    assert len(used) > 20
    assert used <= told
    assert {code for _, code in told} == {code for _, code in used}


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
