"""Exports in child processes: their artifacts, and every way a child can end without one."""

from __future__ import annotations

import functools
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from edgekit.backends.lookup import load_backend
from edgekit.compress import checkpoint as checkpoints
from edgekit.data.load import load_dataset
from edgekit.data.saved import save_split
from edgekit.errors import ExportError, ModelError
from edgekit.export import processes as exports
from edgekit.export.artifact import Purpose, export_artifact
from edgekit.export.processes import ExportJob, export_artifacts
from edgekit.export.verify import Thresholds
from edgekit.models.create import create_model
from edgekit.tasks.classification import CLASSIFICATION
from tests.support.bundles import write_bundle
from tests.support.splits import one_input
from tests.support.tiers import require_root

pytestmark = pytest.mark.torch

LOCAL_MODULE = """
import os, signal, time
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

def sleeps(pid_file):
    with open(pid_file + ".part", "w") as stream:
        stream.write(str(os.getpid()))
    os.rename(pid_file + ".part", pid_file)
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
    told: list[tuple[str, float, float, str]] = []
    jobs = [job(base, backend=backend) for backend in ("xnnpack", "litert")]
    artifacts = export_artifacts(jobs, parallel=2, progress=lambda *message: told.append(message))
    assert [artifact.key for artifact in artifacts] == ["tiny.pte", "tiny.tflite"]
    model = create_model("own_export_nets:net", {}, seed=0, base=base)
    data = load_dataset("own_export_nets:data", {}, inputs=one_input((1, 8, 8)), seed=0, base=base)
    for one, artifact in zip(jobs, artifacts, strict=True):
        assert artifact.verification.metrics[0].samples == 20
        assert json.loads((one.output / "classes.json").read_text()) == ["cat", "dog", "eel"]
        assert [text for key, *_, text in told if key == artifact.key] == [
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
    ("number", "said"),
    [
        (signal.SIGKILL, "was killed, probably out of memory"),
        (signal.SIGSEGV, "crashed with SIGSEGV"),
    ],
)
def test_a_child_that_dies_is_reported_and_the_old_artifact_stays(
    number: int, said: str, base: Path
) -> None:
    doomed = job(base, factory="dies", args={"number": number})
    doomed.output.mkdir()
    (doomed.output / "tiny.pte").write_bytes(b"old")
    (doomed.output / ".staging-left").mkdir()
    with pytest.raises(
        ExportError, match=rf"tiny\.pte: the exporter {said} \(step: load\)"
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


@pytest.mark.timeout(60)
def test_a_child_that_ended_before_anyone_looked(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a busy machine: its end, and what the nursery says of it, are found at the same time,
    and nothing more will come to wake this process."""

    class Late(selectors.DefaultSelector):
        def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
            time.sleep(0.1)
            return sorted(super().select(timeout), key=lambda event: event[0].data is None)

    artifact = write_bundle(base / "bundle", "x").manifest.artifacts[0]
    monkeypatch.setattr(selectors, "DefaultSelector", Late)
    monkeypatch.setattr(
        exports, "_nursery", functools.partial(nursery_at_once, result=artifact.model_dump_json())
    )
    assert export_artifacts([job(base)]) == [artifact]


@contextmanager
def nursery_at_once(scratch: Path, *, result: str) -> Iterator[socket.socket]:
    """A nursery whose children end as soon as they are ordered."""
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)

    def answer() -> None:
        packet, descriptors, _, _ = socket.recv_fds(there, 1 << 16, 2)
        told = json.loads(packet)
        output = Path(json.loads(Path(told["job"]).read_text())["output"])
        output.mkdir()
        (output / "result.json").write_text(result)
        for descriptor in descriptors:
            os.close(descriptor)
        there.send(json.dumps({"key": told["key"], "status": 0}).encode())

    thread = threading.Thread(target=answer)
    thread.start()
    with here, there:
        yield here
        thread.join()


def test_what_the_child_refuses_keeps_its_class_and_names_the_artifact(base: Path) -> None:
    with pytest.raises(ModelError, match=r"tiny\.tflite: .*no such net"):
        export_artifacts([job(base, factory="raises", backend="litert")])


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


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_no_child_outlives_its_parent(number: int, base: Path, tmp_path: Path) -> None:
    """On Ctrl-C the parent kills its children; when it is killed itself, the kernel does."""
    pid_file = tmp_path / "pid"
    sleeping = job(base, factory="sleeps", args={"pid_file": str(pid_file)})
    script = PARENT.format(root=str(Path(__file__).parents[2]), job=sleeping)
    parent = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.PIPE)
    try:
        child = int(wait_for(pid_file))
        parent.send_signal(number)
        _, stderr = parent.communicate(timeout=30)
        assert parent.returncode != 0
        assert number == signal.SIGKILL or b"KeyboardInterrupt" in stderr
        deadline = time.monotonic() + 10
        while alive(child):
            assert time.monotonic() < deadline, f"child {child} still runs"
            time.sleep(0.05)
    finally:
        parent.kill()


def wait_for(path: Path) -> str:
    deadline = time.monotonic() + 120
    while not path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return path.read_text()


def alive(pid: int) -> bool:
    """Whether a process runs (a zombie does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


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
