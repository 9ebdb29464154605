"""What goes to users: an sdist and a wheel that hold everything, and a wheel that installs into an
empty environment, stays light and works there."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import edgekit
from tools.testbed.sshd import Server

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
LIGHT_BYTES = 150e6
"""What a base install may take, with all its dependencies, before Python compiles any of it. numpy
is half of it."""


@pytest.fixture(scope="module")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source, dist = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    shutil.copytree(
        ROOT / "edgekit", source / "edgekit", ignore=shutil.ignore_patterns("__pycache__")
    )
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(dist), str(source)]
    done = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": ""}
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return dist


@pytest.fixture(scope="module")
def installed(distributions: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` directory of an environment that holds the wheel and what it depends on, nothing
    else."""
    environment = tmp_path_factory.mktemp("installed") / "venv"
    uv = [sys.executable, "-m", "uv"]
    subprocess.run(
        [*uv, "venv", "--quiet", "--python", sys.executable, str(environment)], check=True
    )
    command = [
        *uv,
        "pip",
        "install",
        "--quiet",
        "--link-mode",
        "copy",
        "--python",
        str(environment / "bin" / "python"),
    ]
    done = subprocess.run(
        [*command, *map(str, distributions.glob("*.whl"))], capture_output=True, text=True
    )
    assert done.returncode == 0, f"it needs a package index, or a warm uv cache: {done.stderr}"
    return environment / "bin"


def call(
    program: Path,
    *arguments: str,
    cwd: Path,
    cache: Path | None = None,
    exits: tuple[int, ...] = (0,),
) -> str:
    environment = {
        "HOME": str(cwd),
        "PATH": os.environ["PATH"],
        "EDGEKIT_CACHE": str(cache or cwd / "cache"),
    }
    done = subprocess.run(
        [str(program), *arguments],
        capture_output=True,
        text=True,
        cwd=cwd,
        env=environment,
        timeout=300,
    )
    assert done.returncode in exits, done.stdout + done.stderr
    return done.stdout


def test_both_hold_every_file_of_the_package(distributions: Path) -> None:
    package_files = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "edgekit").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    name = f"edgekit_deploy-{edgekit.__version__}"
    with zipfile.ZipFile(distributions / f"{name}-py3-none-any.whl") as wheel:
        archived = set(wheel.namelist())
    assert package_files <= archived
    assert f"{name}.dist-info/licenses/LICENSE" in archived
    with tarfile.open(distributions / f"{name}.tar.gz") as source:
        archived = {member.removeprefix(f"{name}/") for member in source.getnames()}
    assert package_files | {"LICENSE", "README.md", "pyproject.toml"} <= archived


def test_the_wheel_works_in_an_empty_environment(installed: Path, tmp_path: Path) -> None:
    program = installed / "edgekit"
    assert call(program, "--version", cwd=tmp_path) == f"edgekit {edgekit.__version__}\n"
    assert "recipe" in call(program, "--help", cwd=tmp_path)
    assert json.loads(call(program, "recipe", "schema", cwd=tmp_path))["title"] == "edgekit recipe"
    assert json.loads(call(program, "target", "schema", cwd=tmp_path))["title"] == "edgekit target"
    assert [
        target["name"]
        for target in json.loads(call(program, "target", "list", "--json", cwd=tmp_path))["targets"]
    ] == ["local"]
    recipe = shutil.copy(ROOT / "recipes" / "quickstart.yaml", tmp_path)
    call(program, "recipe", "validate", str(recipe), cwd=tmp_path)
    assert json.loads(call(program, "results", "list", "--json", cwd=tmp_path)) is not None, (
        "the database's migrations came along"
    )


def test_recipes_are_written_without_an_extra(installed: Path, tmp_path: Path) -> None:
    arguments = ["--from", "small_cnn", "--data", "digits", "--method", "fp16"]
    call(installed / "edgekit", "recipe", "new", "mine.yaml", *arguments, cwd=tmp_path)
    call(installed / "edgekit", "recipe", "lint", "mine.yaml", cwd=tmp_path)


@pytest.mark.parametrize(
    ("arguments", "extra"),
    [
        (["build", "quickstart.yaml"], "export"),
        (["run", "quickstart.yaml", "--target", "local"], "export"),
        (["sweep", "quickstart.yaml", "--over", "seed=1,2"], "export"),
        (["search", "digits_search.yaml"], "export"),
        (["search", "show"], "search"),
        (["sensitivity", "quickstart.yaml", "--stage", "int8"], "export"),
        (["results", "export", "--format", "parquet", "-o", "results.parquet"], "parquet"),
        (["results", "log-mlflow"], "mlflow"),
        (["results", "list", "--db", "postgresql://user@host/database"], "postgres"),
    ],
    ids=lambda value: " ".join(value[:2]) if isinstance(value, list) else value,
)
def test_an_extra_that_is_missing_is_named(
    installed: Path, tmp_path: Path, arguments: list[str], extra: str
) -> None:
    """Case 69 of the faults."""
    for name in ("quickstart.yaml", "digits_search.yaml"):
        shutil.copy(ROOT / "recipes" / name, tmp_path)
    done = subprocess.run(
        [installed / "edgekit", *arguments, *([] if arguments[0] == "results" else ["--json"])],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={"HOME": str(tmp_path), "PATH": os.environ["PATH"]},
        timeout=120,
    )
    printed = done.stdout + done.stderr
    assert done.returncode == 2, printed
    assert f"[{extra}]" in printed
    assert "Traceback" not in printed
    assert not (tmp_path / "build").exists()


@pytest.mark.nightly
@pytest.mark.device
def test_a_base_install_measures_and_judges(
    installed: Path, ssh_server: Server, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    """All that needs neither a recipe nor torch, on a bundle that is ready and a real sshd."""
    _write_target(tmp_path, ssh_server)
    bundle = str(ROOT / "tests" / "captured" / "format1" / "bundle")
    on_board = ["--target", "board"]
    assert pytestconfig.cache
    cache = pytestconfig.cache.mkdir("edgekit-base-install")  # of what it fetches for boards

    def edgekit_prints(*arguments: str, exits: tuple[int, ...] = (0,)) -> str:
        return call(installed / "edgekit", *arguments, cwd=tmp_path, cache=cache, exits=exits)

    edgekit_prints("target", "check", "board")
    edgekit_prints("target", "setup", "board")
    edgekit_prints("deploy", bundle, *on_board)
    benched = json.loads(edgekit_prints("bench", bundle, *on_board, *ONE_RUN, "--json"))
    assert benched["artifacts"][0]["evaluation"]["metrics"][0]["name"] == "top1"
    compared = json.loads(edgekit_prints("compare", bundle, bundle, *on_board, *ONE_RUN, "--json"))
    assert "top1" in {finding["metric"] for finding in compared["findings"]}
    against_itself = ["gate", bundle, "--baseline", bundle, "--artifact", "int8.tflite"]
    # 1: on a busy machine latency may be inconclusive
    gated = json.loads(edgekit_prints(*against_itself, *on_board, "--json", exits=(0, 1)))
    verdicts = {finding["metric"]: finding["verdict"] for finding in gated["findings"]}
    assert verdicts["top1"] == verdicts["size"] == "passed"
    assert len(json.loads(edgekit_prints("results", "list", "--json"))["measurements"]) == 5
    edgekit_prints("results", "export", "--format", "csv", "--output", "results.csv")
    assert "metric_top1" in (tmp_path / "results.csv").read_text().splitlines()[0]


ONE_RUN = ("--runs", "1", "--accuracy", "all")


def _write_target(directory: Path, server: Server) -> None:
    shutil.copy(server.directory / "user_key", directory / "key")
    kind, key, *_ = (server.directory / "host_key.pub").read_text().split()
    (directory / "known_hosts").write_text(f"[127.0.0.1]:{server.port} {kind} {key}\n")
    (directory / "targets").mkdir()
    (directory / "targets" / "board.yaml").write_text(
        f"""edgekit: 1
name: board
kind: ssh
host: 127.0.0.1
port: {server.port}
user: {server.user}
identity_file: ../key
known_hosts: ../known_hosts
workdir: /tmp/edgekit-base-install-{secrets.token_hex(6)}
"""
    )


def test_a_base_install_is_light(installed: Path) -> None:
    output = call(
        installed / "python",
        "-c",
        "import importlib.util as i; print(i.find_spec('torch'))",
        cwd=installed,
    )
    assert output == "None\n"
    files = [
        path
        for path in installed.parent.rglob("*")
        if path.is_file() and not path.is_symlink() and path.suffix != ".pyc"
    ]
    total = sum(path.stat().st_size for path in files)
    assert total < LIGHT_BYTES
