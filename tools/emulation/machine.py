"""The emulated board as a process: start it fresh, from the memory saved when it had booted, or
stop it. Runs as the user, listens on loopback only.

Each start is the same board: what was written to its disk is dropped when it stops. Owns only the
process whose id it wrote down."""

from __future__ import annotations

import contextlib
import math
import os
import random
import shlex
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edgekit.progress import Progress
from tools.emulation.programs import run

QEMU = "qemu-system-aarch64"
BOOT_S = 180.0
SERVER_PORTS = 20_000, 32_000
MEMORY_MB = 768
MACHINE = (
    *(
        "-M",
        "virt",
        "-cpu",
        "cortex-a72",
        "-smp",
        "2",
        "-m",
        str(MEMORY_MB),
        "-accel",
        "tcg,thread=multi",
    ),
    *("-display", "none", "-nodefaults"),
)
KERNEL_SETTINGS = "console=ttyAMA0 quiet mitigations=off audit=0 net.ifnames=0"


@dataclass(frozen=True)
class Machine:
    """A running board: `pid` of its qemu, `port` of its sshd on loopback, `state` where its console
    and monitor are, `image` what it runs from."""

    pid: int
    port: int
    state: Path
    image: Path


def start(image: Path, state: Path, port: int) -> Machine:
    """Start the board in `image` and wait until it lets its user in. `state` is a directory for
    this one process.

    Raises RuntimeError: it does not start, with the end of its console.
    """
    state.mkdir(parents=True, exist_ok=True, mode=0o700)
    saved = image / "memory"
    drive = f"if=none,id=disk,file={image / 'disk.qcow2'},format=qcow2,snapshot=on"
    _write_known_hosts(image, state, port)
    machine = _launch(
        image, state, port, drive, "/dev/vda", ("-incoming", f"exec:cat {shlex.quote(str(saved))}")
    )
    with _stopping_on_error(machine):
        _wait(machine)
    return machine


def start_card(image: Path, card: Path, state: Path, port: int) -> Machine:
    """Start a machine from a card: a flashed copy of the `card.img` in `image`, which is changed by
    it. Returns when its sshd answers.

    Raises RuntimeError: it does not start, with the end of its console.
    """
    state.mkdir(parents=True, exist_ok=True, mode=0o700)
    machine = _launch(
        image, state, port, f"if=none,id=disk,file={card},format=raw", "/dev/vda2", ()
    )
    with _stopping_on_error(machine):
        _wait_for_sshd(machine)
    return machine


@contextlib.contextmanager
def _stopping_on_error(machine: Machine) -> Iterator[None]:
    try:
        yield
    except BaseException:
        stop(machine)
        raise


def save(image: Path, progress: Progress) -> None:
    """Boot once, and keep memory and disk as they are then: `memory`, `disk.qcow2`. Raises
    RuntimeError."""
    task, state = "boot the emulated board and save it", image / "booting"
    progress(task, 0, 1)
    disk = image / "disk.qcow2"
    run("qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", "disk.raw", str(disk))
    state.mkdir(mode=0o700)
    port = free_port()
    _write_known_hosts(image, state, port)
    machine = _launch(
        image, state, port, f"if=none,id=disk,file={disk},format=qcow2", "/dev/vda", ()
    )
    try:
        _wait(machine)
        ssh(
            machine, "root", "sync; echo 3 >/proc/sys/vm/drop_caches"
        )  # a smaller memory to read back at each start
        _monitor(machine, f'migrate "exec:cat >{shlex.quote(str(image / "memory.part"))}"')
        deadline = time.monotonic() + BOOT_S
        while "completed" not in (text := _monitor(machine, "info migrate")):
            if "failed" in text or time.monotonic() > deadline:
                raise RuntimeError(f"its memory cannot be saved: {text}")
            time.sleep(0.1)
    finally:
        stop(machine)
    (image / "memory.part").rename(image / "memory")
    shutil.rmtree(state)
    progress(task, 1, 1)


def running(state: Path, image: Path) -> Machine | None:
    """The board that `state` belongs to, if it runs. A process id that was given to another program
    since does not count."""
    try:
        pid, port = map(int, (state / "pid").read_text().split())
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (OSError, ValueError):
        return None
    return (
        Machine(pid, port, state, image)
        if os.fsencode(_monitor_option(state)) in arguments
        else None
    )


def stop(machine: Machine) -> None:
    """Switch it off. Nothing is lost: nothing of it is kept."""
    if running(machine.state, machine.image) is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(machine.pid, signal.SIGTERM)
        deadline = time.monotonic() + 10
        while running(machine.state, machine.image) is not None and time.monotonic() < deadline:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(machine.pid, os.WNOHANG)
            time.sleep(0.02)
    (machine.state / "pid").unlink(missing_ok=True)


def ssh(machine: Machine, user: str, command: str, timeout_s: float = 60.0) -> str:
    """Run a command on the board with the user's own OpenSSH client. Raises RuntimeError."""
    options = (
        "BatchMode=yes",
        "StrictHostKeyChecking=yes",
        f"UserKnownHostsFile={machine.state / 'known_hosts'}",
        "ConnectTimeout=20",
        "LogLevel=ERROR",
    )
    argv = [
        "ssh",
        "-F",
        "none",
        *(part for option in options for part in ("-o", option)),
        "-p",
        str(machine.port),
    ]
    done = subprocess.run(
        [*argv, "-i", str(machine.image / "user_key"), f"{user}@127.0.0.1", command],
        capture_output=True,
        text=True,
        timeout=timeout_s,
    )
    if done.returncode:
        raise RuntimeError(
            f"`{command}` on the emulated board: {done.stderr.strip() or done.returncode}"
        )
    return done.stdout


def _write_known_hosts(image: Path, state: Path, port: int) -> None:
    key = " ".join((image / "host_key.pub").read_text().split()[:2])
    (state / "known_hosts").write_text(f"[127.0.0.1]:{port} {key}\n")


def _launch(
    image: Path, state: Path, port: int, drive: str, root: str, more: tuple[str, ...]
) -> Machine:
    (state / "monitor").unlink(missing_ok=True)
    argv = [
        *(
            QEMU,
            *MACHINE,
            "-kernel",
            str(image / "kernel"),
            "-initrd",
            str(image / "initrd"),
            "-append",
            f"{KERNEL_SETTINGS} root={root}",
        ),
        *("-serial", f"file:{state / 'console'}", "-monitor", _monitor_option(state)),
        *(
            "-drive",
            drive,
            "-device",
            "virtio-blk-device,drive=disk",
            "-device",
            "virtio-rng-device",
        ),
        *(
            "-netdev",
            f"user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:{port}-:22",
            "-device",
            "virtio-net-device,netdev=net",
        ),
        *more,
    ]
    with (state / "qemu.log").open("wb") as log:
        try:
            process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                cwd=image,
            )
        except FileNotFoundError:
            raise RuntimeError(f"{QEMU} is not installed") from None
    (state / "pid").write_text(f"{process.pid} {port}\n")
    while process.poll() is None and running(state, image) is None:
        time.sleep(0.01)  # a program that has just been started has no command line for a moment
    return Machine(process.pid, port, state, image)


def _wait(machine: Machine) -> None:
    """Until the board's sshd answers; then its clock is set, which stood still while it was
    saved."""
    _wait_for_sshd(machine)
    ssh(machine, "root", f"date -u -s @{time.time():.0f}")
    _require_running(
        machine
    )  # it was not another board that answered on a port which this one could not have


def _wait_for_sshd(machine: Machine) -> None:
    deadline = time.monotonic() + BOOT_S
    while not _banner(machine.port):
        _require_running(machine, deadline)
        time.sleep(0.1)


def _require_running(machine: Machine, deadline: float = math.inf) -> None:
    with contextlib.suppress(ChildProcessError):
        os.waitpid(machine.pid, os.WNOHANG)
    if running(machine.state, machine.image) is None or time.monotonic() > deadline:
        logs = [path for name in ("qemu.log", "console") if (path := machine.state / name).exists()]
        text = "\n".join(path.read_text(errors="replace")[-1500:] for path in logs).strip()
        raise RuntimeError(f"the emulated board does not start: {text or 'it says nothing'}")


def _banner(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as probe:
            return probe.recv(4) == b"SSH-"
    except OSError:
        return False


def _monitor_option(state: Path) -> str:
    return f"unix:{state / 'monitor'},server,nowait"


def _monitor(machine: Machine, command: str) -> str:
    """What qemu's monitor answers to a line; the prompt ends an answer."""
    with socket.socket(socket.AF_UNIX) as line:
        line.settimeout(60)
        line.connect(str(machine.state / "monitor"))
        next(_prompts(line))
        line.sendall(command.encode() + b"\n")
        return next(_prompts(line))


def _prompts(line: socket.socket) -> Iterator[str]:
    received = b""
    while chunk := line.recv(65536):
        received += chunk
        if received.endswith(b"(qemu) "):
            yield received.decode(errors="replace")
            received = b""
    raise RuntimeError("qemu ended")


def free_port() -> int:
    """A port of loopback that nobody listens on, below those the kernel gives to connections: it is
    still free when a server is started on it."""
    while True:
        port = random.SystemRandom().randrange(*SERVER_PORTS)
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port
