"""A user without a home directory, without a name, with a cache that cannot be written, and with a
file system that has no locks: case 70 of the faults. Real processes, as a user without a name."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.tiers import cannot_run, require_root

NOBODY = 54_321
"""A user whom no system knows."""
TARGET = "edgekit: 1\nname: board\nkind: ssh\nhost: 127.0.0.1\nport: 9\n"
BUSY_LOCKS = """
#include <errno.h>
int flock(int file, int operation) { errno = ENOLCK; return -1; }
"""


def edgekit(
    *arguments: str, cwd: Path, prefix: tuple[str, ...] = (), **environment: str
) -> subprocess.CompletedProcess[str]:
    """The command line with nothing of this user's environment."""
    return subprocess.run(
        [*prefix, sys.executable, "-m", "edgekit.cli", *arguments],
        capture_output=True,
        text=True,
        cwd=cwd,
        timeout=300,
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(Path(__file__).parents[1]),
            **environment,
        },
    )


@pytest.fixture
def nameless(tmp_path: Path) -> tuple[str, ...]:
    """What starts a program as a user without a name. The right to read is for Python itself, which
    may lie in somebody's home."""
    require_root("becomes another user")
    setpriv = shutil.which("setpriv") or cannot_run("needs setpriv: apt-get install util-linux")
    tmp_path.chmod(0o777)
    read = "+dac_read_search"
    return (
        str(setpriv),
        f"--reuid={NOBODY}",
        f"--regid={NOBODY}",
        "--clear-groups",
        f"--inh-caps={read}",
        f"--ambient-caps={read}",
    )


@pytest.mark.parametrize(
    ("command", "code", "text"),
    [
        (["target", "list"], 0, ""),
        (["target", "schema"], 0, ""),
        (["results", "list"], 2, "there is no home directory"),
        (["results", "list", "--db", "~/results.db"], 2, "that home directory is not known"),
        (["results", "list", "--db", "results.db"], 0, ""),
        (["doctor"], 4, "there is no home directory"),
        (["target", "check", "board.yaml"], 2, f"the system has no name for user {NOBODY}"),
        (["target", "check", "local"], 7, "set workdir in the target"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_user_without_a_home_and_a_name(
    command: list[str], code: int, text: str, nameless: tuple[str, ...], tmp_path: Path
) -> None:
    (tmp_path / "board.yaml").write_text(TARGET)
    done = edgekit(*command, cwd=tmp_path, prefix=nameless)
    words = f"{done.stdout} {done.stderr}"
    assert done.returncode == code, words
    assert text in " ".join(words.split())
    assert "Traceback" not in words
    assert not list(tmp_path.glob("~*"))


def test_with_its_places_given_such_a_user_can_work(
    nameless: tuple[str, ...], tmp_path: Path
) -> None:
    places = {"EDGEKIT_CACHE": str(tmp_path / "cache"), "EDGEKIT_DB": str(tmp_path / "results.db")}
    assert edgekit("results", "list", cwd=tmp_path, prefix=nameless, **places).returncode == 0
    assert edgekit("baseline", "list", cwd=tmp_path, prefix=nameless, **places).returncode == 0


def test_a_home_that_is_not_there(tmp_path: Path) -> None:
    """Programs on this machine still start."""
    home = str(tmp_path / "gone")
    done = edgekit("target", "check", "local", cwd=tmp_path, HOME=home)
    assert "no such program" not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert done.returncode in (0, 7), done.stderr


def test_paths_in_the_environment_may_begin_with_the_home_directory(tmp_path: Path) -> None:
    done = edgekit("doctor", "--json", cwd=tmp_path, HOME=str(tmp_path), EDGEKIT_CACHE="~/kept")
    assert f"{tmp_path}/kept" in done.stdout


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    require_root("mounts a small file system")
    place = tmp_path / "small"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(place)], check=True)
    yield place
    subprocess.run(["umount", str(place)], check=True)


@pytest.mark.torch
@pytest.mark.parametrize("trouble", ["full", "read-only", "a file"])
def test_a_cache_that_cannot_be_written(trouble: str, small: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        "edgekit: 2\nname: tiny\nmodel: {name: small_cnn, args: {num_classes: 10}}\n"
        "inputs: {image: {shape: [1, 8, 8]}}\ndata: {name: digits, train_limit: 64}\n"
        "stages: [{stage: train, epochs: 1, export: fp32}]\n"
    )
    cache = small / "cache"
    if trouble == "read-only":
        subprocess.run(["mount", "-o", "remount,ro", str(small)], check=True)
    elif trouble == "a file":
        cache.write_text("")
    done = edgekit("build", str(recipe), cwd=tmp_path, HOME=str(tmp_path), EDGEKIT_CACHE=str(cache))
    words = " ".join(done.stderr.split())
    assert (done.returncode, "Traceback" in words) == (4, False), done.stderr
    assert "cannot be written" in words or "cannot write" in words
    assert "EDGEKIT_CACHE" in words or "free space" in words


def test_a_file_system_without_locks(tmp_path: Path) -> None:
    """As NFS without its lock daemon."""
    compiler = shutil.which("gcc") or cannot_run("needs gcc: apt-get install gcc")
    (tmp_path / "locks.c").write_text(BUSY_LOCKS)
    library = tmp_path / "locks.so"
    command = [str(compiler), "-shared", "-fPIC", "-o", str(library), str(tmp_path / "locks.c")]
    subprocess.run(command, check=True)
    code = f"""
from pathlib import Path
from edgekit.cache import Cache
from edgekit.errors import UsageError
from edgekit.progress import silent
from edgekit.runners.build_cache import building
for use in (
    lambda: Cache(Path({str(tmp_path)!r}), "stages").claim("k", "a stage"),
    lambda: building(Path({str(tmp_path / "runtime")!r}), "builds", silent),
):
    try:
        with use():
            print("locked")
    except UsageError as error:
        print(error.message, error.hint)
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, "LD_PRELOAD": str(library)},
    )
    lines = done.stdout.splitlines()
    assert len(lines) == 2, done.stderr
    for line in lines:
        assert "locks do not work there" in line
        assert "EDGEKIT_CACHE" in line
