"""Exports in child processes: their artifacts, and every way a child can end without one."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from edgekit.backends.lookup import load_backend
from edgekit.compress import checkpoint as checkpoints
from edgekit.data.load import load_dataset
from edgekit.data.saved import save_split
from edgekit.errors import ExportError, ModelError
from edgekit.export.artifact import Purpose, export_artifact
from edgekit.export.processes import ExportJob, export_artifacts
from edgekit.export.verify import Thresholds
from edgekit.models.create import create_model
from edgekit.tasks.classification import CLASSIFICATION
from tests.support.splits import one_input
from tests.support.tiers import require_root

pytestmark = pytest.mark.torch

LOCAL_MODULE = """
import os, signal, subprocess, time
import torch
from torch import nn

def net():
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 3))

def data():
    generator = torch.Generator().manual_seed(0)
    images, labels = torch.rand(24, 1, 8, 8, generator=generator), torch.arange(24) % 3
    return images, labels, images[:20], labels[:20], ["cat", "dog", "eel"]

def dies(number):
    print("last words")
    os.kill(os.getpid(), number)

def raises():
    raise ValueError("no such net")

def leaves(pid_file):
    while not os.path.exists(pid_file):
        time.sleep(0.05)
    print("last words")
    os._exit(7)

def says(pid_file, *others):
    with open(pid_file + ".part", "w") as stream:
        print(os.getpid(), *others, file=stream)
    os.rename(pid_file + ".part", pid_file)
    return net()

def sleeps(pid_file):
    says(pid_file, subprocess.Popen(["sleep", "600"]).pid)
    time.sleep(600)
"""


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A recipe's directory with a module of the user's own."""
    directory = tmp_path / "recipe"
    directory.mkdir()
    (directory / "own_export_nets.py").write_text(LOCAL_MODULE)
    return directory


def job(
    base: Path,
    *,
    factory: str = "net",
    args: dict[str, object] | None = None,
    backend: str = "xnnpack",
    **changes: Any,
) -> ExportJob:
    """An export of an untrained net; its checkpoint is complete only when the factory is `net`."""
    directory = base.parent / f"checkpoint-{factory}"
    spec = checkpoints.ModelSpec(f"own_export_nets:{factory}", args or {}, 0, base)
    if not directory.exists():
        directory.mkdir()
        model = create_model("own_export_nets:net", {}, seed=0, base=base)
        checkpoints.save(
            checkpoints.Checkpoint(spec, model, quantization=changes.pop("quantization", None)),
            directory,
        )
    return ExportJob(
        checkpoint=directory,
        base=base,
        task="classification",
        test=saved_data(base),
        variant="tiny",
        backend=backend,
        key=f"tiny.{load_backend(backend).suffix}",
        verify={"samples": 8, "snr_min_db": 60.0},
        output=base.parent / f"output-{backend}",
    )


def saved_data(base: Path) -> Path:
    directory = base.parent / "test-split"
    if not directory.exists():
        directory.mkdir()
        inputs = one_input((1, 8, 8))
        data = load_dataset("own_export_nets:data", {}, inputs=inputs, seed=0, base=base)
        save_split(data.test, data.classes, directory)
    return directory


def test_both_runtimes_at_once_equal_to_exports_in_this_process(base: Path, tmp_path: Path) -> None:
    messages: list[tuple[str, float, float, str]] = []
    jobs = [job(base, backend=backend) for backend in ("xnnpack", "litert")]
    exports = export_artifacts(jobs, parallel=2, progress=lambda *message: messages.append(message))
    for export in exports:
        assert list(export.seconds) == ["load", "lower", "verify", "write"]
        assert 0.01 < sum(export.seconds.values()) < 600
    artifacts = [export.artifact for export in exports]
    assert [artifact.key for artifact in artifacts] == ["tiny.pte", "tiny.tflite"]
    model = create_model("own_export_nets:net", {}, seed=0, base=base)
    data = load_dataset("own_export_nets:data", {}, inputs=one_input((1, 8, 8)), seed=0, base=base)
    for export_job, artifact in zip(jobs, artifacts, strict=True):
        assert artifact.verification.metrics[0].samples == 20
        assert json.loads((export_job.output / "classes.json").read_text()) == ["cat", "dog", "eel"]
        assert [text for key, *_, text in messages if key == artifact.key] == [
            "load",
            "lower",
            "verify",
            "write",
            "done",
        ]
        here = export_artifact(
            model,
            load_backend(artifact.backend),
            purpose=Purpose("tiny", artifact.backend, artifact.key),
            task=CLASSIFICATION,
            test=data.test,
            thresholds=Thresholds(samples=8, snr_min_db=60),
            output=tmp_path / "here",
        )
        assert here.file == artifact.file


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (signal.SIGKILL, "was killed, probably out of memory"),
        pytest.param(signal.SIGSEGV, "crashed with SIGSEGV", marks=pytest.mark.nightly),
    ],
)
def test_a_child_that_dies_is_reported_and_the_old_artifact_stays(
    number: int, message: str, base: Path
) -> None:
    doomed = job(base, factory="dies", args={"number": number})
    doomed.output.mkdir()
    (doomed.output / "tiny.pte").write_bytes(b"old")
    (doomed.output / ".staging-left").mkdir()
    with pytest.raises(
        ExportError, match=rf"tiny\.pte: the exporter {message} \(step: load\)"
    ) as caught:
        export_artifacts([doomed])
    assert caught.value.exit_code == 4
    assert {
        "variant": "tiny",
        "backend": "xnnpack",
        "step": "load",
    }.items() <= caught.value.details.items()
    assert "last words" in caught.value.details["stderr"]
    assert [path.name for path in doomed.output.iterdir()] == ["tiny.pte"]
    assert (doomed.output / "tiny.pte").read_bytes() == b"old"


def test_a_child_that_ended_before_anyone_looked(base: Path, tmp_path: Path) -> None:
    """As on a busy machine: the process that waits for it finds all that the child said and its end
    at the same time, and nothing more will come to wake that process."""
    texts: list[str] = []

    def progress(task: str, done: float, total: float, text: str = "") -> None:
        texts.append(text)
        if text == "load":
            child = int(wait_for(tmp_path / "pid"))
            server = os.getpgid(child)
            os.kill(server, signal.SIGSTOP)
            wait_for_end(child)
            os.kill(server, signal.SIGCONT)

    quiet = job(base, factory="says", args={"pid_file": str(tmp_path / "pid")})
    (export,) = export_artifacts([quiet], progress=progress)
    assert export.artifact.key == "tiny.pte"
    assert texts == ["load", "lower", "verify", "write", "done"]


def test_when_a_child_fails_the_others_are_killed(base: Path, tmp_path: Path) -> None:
    args: dict[str, object] = {"pid_file": str(tmp_path / "pids")}
    jobs = [
        dataclasses.replace(job(base, factory=factory, args=args), key=key)
        for key, factory in (("sleeping.pte", "sleeps"), ("failing.pte", "leaves"))
    ]
    with pytest.raises(ExportError, match=r"^failing\.pte: the exporter failed: last words"):
        export_artifacts(jobs, parallel=2)
    for pid in wait_for(tmp_path / "pids").split():
        wait_for_end(int(pid))


@pytest.mark.nightly
def test_when_the_process_that_forks_is_killed_so_are_its_children(
    base: Path, tmp_path: Path
) -> None:
    def progress(task: str, done: float, total: float, text: str = "") -> None:
        child, _ = wait_for(tmp_path / "pids").split()
        os.kill(os.getpgid(int(child)), signal.SIGKILL)

    sleeping = job(base, factory="sleeps", args={"pid_file": str(tmp_path / "pids")})
    with pytest.raises(ExportError, match=r"lost the process .* \(step: load\)"):
        export_artifacts([sleeping], progress=progress)
    for pid in wait_for(tmp_path / "pids").split():
        wait_for_end(int(pid))


def test_what_the_child_refuses_keeps_its_class_and_names_the_artifact(base: Path) -> None:
    with pytest.raises(ModelError, match=r"tiny\.tflite: .*no such net"):
        export_artifacts([job(base, factory="raises", backend="litert")])


@pytest.mark.nightly
def test_a_child_that_takes_too_long_is_killed(base: Path, tmp_path: Path) -> None:
    slow = job(base, factory="sleeps", args={"pid_file": str(tmp_path / "pid")})
    with pytest.raises(ExportError, match=r"took longer than 0\.5 s"):
        export_artifacts([slow], timeout_s=0.5)
    assert list(slow.output.glob("*")) == []


PARENT = """
import sys
sys.path.insert(0, {root!r})
from pathlib import PosixPath
from edgekit.export.processes import ExportJob, export_artifacts
assert "torch" not in sys.modules
export_artifacts([{job!r}])
"""


@pytest.mark.nightly
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_no_child_outlives_its_parent(number: int, base: Path, tmp_path: Path) -> None:
    """On Ctrl-C the parent kills its children; when it is killed itself, the kernel does."""
    pid_file = tmp_path / "pids"
    sleeping = job(base, factory="sleeps", args={"pid_file": str(pid_file)})
    script = PARENT.format(root=str(Path(__file__).parents[2]), job=sleeping)
    parent = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.PIPE)
    try:
        child, its_own = map(int, wait_for(pid_file).split())
        parent.send_signal(number)
        _, stderr = parent.communicate(timeout=30)
        assert parent.returncode != 0
        assert number == signal.SIGKILL or b"KeyboardInterrupt" in stderr
        wait_for_end(child)
        if number == signal.SIGINT:
            wait_for_end(its_own)
    finally:
        parent.kill()


def wait_for(path: Path) -> str:
    deadline = time.monotonic() + 120
    while not path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return path.read_text()


def wait_for_end(pid: int) -> None:
    deadline = time.monotonic() + 60
    while alive(pid):
        assert time.monotonic() < deadline, f"process {pid} still runs"
        time.sleep(0.05)


def alive(pid: int) -> bool:
    """Whether a process runs (a zombie does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.nightly
def test_a_full_disk_leaves_nothing(base: Path, tmp_path: Path) -> None:
    require_root("mounts a tiny tmpfs")
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8k", "tmpfs", str(small)], check=True)
    try:
        net = create_model("own_export_nets:net", {}, seed=0, base=base)
        data = load_dataset(
            "own_export_nets:data", {}, inputs=one_input((1, 8, 8)), seed=0, base=base
        )
        with pytest.raises(
            ExportError, match=r"cannot write to .*: No space left on device"
        ) as caught:
            export_artifact(
                torch.nn.Sequential(net, torch.nn.Linear(3, 4000)),
                load_backend("xnnpack"),
                purpose=Purpose("v", "xnnpack", "v.pte"),
                task=CLASSIFICATION,
                test=data.test,
                thresholds=Thresholds(samples=4),
                output=small,
            )
        assert caught.value.exit_code == 4
        assert list(small.rglob("*")) == []
    finally:
        subprocess.run(["umount", str(small)], check=True)
