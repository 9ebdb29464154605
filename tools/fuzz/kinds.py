"""What edgekit reads and others write: good inputs of each kind, and the function that reads them.

A reader may refuse an input with an EdgekitError. Anything else that it raises is a fault."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random

import edgekit
from edgekit.bundle.directory import content_sha256
from edgekit.devices import adb_server, fact_parsing, ssh_config, ssh_keys, ssh_settings
from edgekit.errors import Defect, EdgekitError
from edgekit.measure import other_runners
from edgekit.measure.protocol import parse_runner_output
from edgekit.recipe.stored import stored_sections
from tools.fuzz.mutations import mutated, mutated_json

ROOT = Path(__file__).parents[2]
CAPTURED = ROOT / "tests" / "captured"
BUNDLE = CAPTURED / "format1" / "bundle"
SEEDS = Path(__file__).parent / "seeds"
NONCE = "5eed" * 8
"""Of the runner's output among the seeds."""

DOCUMENTED_EXITS = {0, *(error.exit_code for error in EdgekitError.__subclasses__())} - {
    Defect.exit_code
}
KNOWN_HOST = "pi.example.org"


class UndocumentedExit(Exception):
    """A command that ended as no command may."""


@dataclass(frozen=True)
class Kind:
    """`read` gets an input and an empty directory of its own. One case may take `limit_s`."""

    name: str
    seeds: Callable[[], Iterable[bytes]]
    read: Callable[[bytes, Path], object]
    mutate: Callable[[bytes, Random], bytes] = mutated
    limit_s: float = 5


def read_recipe(data: bytes, directory: Path) -> object:
    shutil.copy(ROOT / "recipes" / "quickstart.yaml", directory)  # one recipe extends it
    return edgekit.load_recipe(_written(data, directory / "recipe.yaml"))


def read_target(data: bytes, directory: Path) -> object:
    return edgekit.load_target(str(_written(data, directory / "target.yaml")))


def read_manifest(data: bytes, directory: Path) -> object:
    """Opens the bundle, whose files are not looked at, and reads the recipe's sections in it, as
    gate and report do."""
    _written(data, directory / "manifest.json")
    bundle = edgekit.open_bundle(directory, verify=False)
    return stored_sections(bundle.manifest.recipe)


def read_model(data: bytes, directory: Path) -> object:
    """A `.tflite` has its mark in bytes 4 to 8; all else is taken for a `.pte`."""
    file = _written(data, directory / ("m.tflite" if data[4:8] == b"TFL3" else "m.pte"))
    edgekit.model_signatures(file)
    with edgekit.open_model(file) as bundle:
        return bundle.manifest.id


def bench_model(data: bytes, directory: Path) -> object:
    """The whole command, with the runtime that loads the file in a process of its own."""
    file = _written(data, directory / ("m.tflite" if data[4:8] == b"TFL3" else "m.pte"))
    command = [sys.executable, "-m", "edgekit.cli", "bench", str(file), "--target", "local"]
    done = subprocess.run(
        [*command, "--quick", "--set", "bench.runs=1", "--json"],
        env={**os.environ, "EDGEKIT_DB": str(directory / "results.db")},
        capture_output=True,
        check=False,
        timeout=60,
    )
    if done.returncode not in DOCUMENTED_EXITS:
        raise UndocumentedExit(f"exit code {done.returncode}: {done.stderr.decode()[-2000:]}")
    return json.loads(done.stdout)


def read_runner_output(data: bytes, directory: Path) -> object:
    return parse_runner_output(data, nonce=NONCE, allow_incomplete=True)


def read_other_runner(data: bytes, directory: Path) -> object:
    text = data.decode("utf-8", "replace")
    if "Inference" in text:
        return other_runners.parse_benchmark_model(text)
    return other_runners.parse_executor_runner(text)


def read_ssh_config(data: bytes, directory: Path) -> object:
    """By edgekit's own reading, and as an answer of `ssh -G`."""
    ssh_settings.parse(data.decode("utf-8", "replace"))
    return ssh_config.resolve("pi", config=_written(data, directory / "config"))


def read_known_hosts(data: bytes, directory: Path) -> object:
    login = ssh_config.Login(KNOWN_HOST, 22, "pi")
    return ssh_keys.known_keys(login, [_written(data, directory / "known_hosts")])


def read_capture(data: bytes, directory: Path) -> object:
    return fact_parsing.parse_facts(data), fact_parsing.parse_state(data)


def read_adb_devices(data: bytes, directory: Path) -> object:
    text = data.decode("utf-8", "replace")
    return adb_server.parse_ports(text), adb_server.only_serial(adb_server.parse_devices(text))


def mutated_manifest(data: bytes, random: Random) -> bytes:
    """A manifest whose values were changed, with the hash that fits them, in most cases."""
    if random.random() < 0.2:
        return mutated(data, random)
    values = json.loads(mutated_json(data, random))
    if isinstance(values, dict) and values.pop("content_sha256", None) and random.random() < 0.9:
        values["content_sha256"] = content_sha256(values)
    return json.dumps(values).encode()


def mutated_lines(data: bytes, random: Random) -> bytes:
    """JSON lines of which one or two are changed as documents, or all of it as bytes."""
    if random.random() < 0.4:
        return mutated(data, random)
    lines = data.splitlines()
    for _ in range(random.choice((1, 1, 2))):
        number = random.randrange(len(lines))
        lines[number] = mutated_json(lines[number], random)
    return b"\n".join(lines) + b"\n"


def _written(data: bytes, file: Path) -> Path:
    file.write_bytes(data)
    return file


@cache
def _contents(*patterns: str, below: Path = ROOT) -> list[bytes]:
    files = sorted(file for pattern in patterns for file in below.glob(pattern))
    assert files, f"{below} has no {' or '.join(patterns)}"
    return [file.read_bytes() for file in files]


@cache
def _manifests() -> list[bytes]:
    """Of format 1, and of today's."""
    with edgekit.open_model(BUNDLE / "int8.tflite") as bundle:
        today = (bundle.path / "manifest.json").read_bytes()
    return [*_contents("manifest.json", below=BUNDLE), today]


def _known_hosts() -> list[bytes]:
    key = "AAAAC3NzaC1lZDI1NTE5AAAAI" + "A" * 43
    entries = [KNOWN_HOST, f"[{KNOWN_HOST}]:2222,10.0.0.7", f"*.example.org,!{KNOWN_HOST}"]
    lines = [f"{names} ssh-ed25519 {key} a comment" for names in entries]
    lines += [f"@revoked {lines[0]}", f"@cert-authority {lines[2]}", "# a comment", ""]
    return ["\n".join(lines).encode()]


def _ssh_configs() -> list[bytes]:
    return [(SEEDS / "ssh_config").read_bytes()]


KINDS = {
    kind.name: kind
    for kind in (
        Kind(
            "recipe",
            lambda: _contents("recipes/*.yaml", "tests/captured/format1/recipes/*.yaml"),
            read_recipe,
        ),
        Kind(
            "target",
            lambda: _contents("targets/*.yaml", "tests/captured/format1/targets/*.yaml"),
            read_target,
        ),
        Kind("manifest", _manifests, read_manifest, mutated_manifest),
        Kind("model", lambda: _contents("*.tflite", "*.pte", below=BUNDLE), read_model),
        Kind(
            "bench",
            lambda: _contents("int8.tflite", "int8.pte", below=BUNDLE),
            bench_model,
            limit_s=60,
        ),
        Kind(
            "runner-output",
            lambda: _contents("runner-output.jsonl", below=SEEDS),
            read_runner_output,
            mutated_lines,
        ),
        Kind(
            "other-runner",
            lambda: _contents("other-runners/*.txt", below=CAPTURED),
            read_other_runner,
        ),
        Kind("ssh-config", _ssh_configs, read_ssh_config),
        Kind("known-hosts", _known_hosts, read_known_hosts),
        Kind(
            "capture", lambda: _contents("*/facts.txt", "*/state.txt", below=CAPTURED), read_capture
        ),
        Kind("adb-devices", lambda: [(SEEDS / "adb-devices.txt").read_bytes()], read_adb_devices),
    )
}


def clear(directory: Path) -> None:
    """Empty a case's directory."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
