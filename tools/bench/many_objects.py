"""A bundle of 2,000 small objects over SSH against one SFTP put per file.

    .venv/bin/python tools/bench/many_objects.py [DELAY_MS]

All connect, send 2,001 files of 4 kB that are new to the board into a fresh directory, and
disconnect. SFTP's put asks for the size after each file; deployment computes the hash of each on
the board, brings all to the disk, and switches over at once. `sftp -b` is OpenSSH's program with
one `put` per file in a batch. With DELAY_MS everything goes through a proxy that delays each
direction by that, as a network does."""

from __future__ import annotations

import itertools
import shutil
import sys
import tempfile
import time
from pathlib import Path

import paramiko
from paired import command_seconds, interleaved, report
from servers import PLACE, Server, board, bundle, proxy, target

from edgekit.boards.deploying import deploy
from edgekit.bundle.directory import Bundle
from edgekit.devices.target import SshTarget

OBJECTS, OBJECT_BYTES, ROUNDS, ROUNDS_DELAYED = 2001, 4096, 9, 3


def deploy_seconds(made: Bundle, where: SshTarget) -> float:
    started = time.perf_counter()
    done = deploy(made, where)
    assert done.objects_moved >= OBJECTS
    return time.perf_counter() - started


def paramiko_seconds(made: Bundle, where: SshTarget, server: Server, into: str) -> float:
    key = paramiko.Ed25519Key.from_private_key_file(str(server.directory / "user_key"))
    started = time.perf_counter()
    with paramiko.SSHClient() as client:
        client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
        client.connect(
            "127.0.0.1",
            where.port or 22,
            server.user,
            pkey=key,
            allow_agent=False,
            look_for_keys=False,
        )
        sftp = client.open_sftp()
        sftp.mkdir(into)
        for number, file in enumerate(made.files()):
            sftp.put(str(made.file(file)), f"{into}/{number}")
    return time.perf_counter() - started


def openssh_seconds(
    made: Bundle, where: SshTarget, server: Server, into: str, batch: Path
) -> float:
    puts = [f"put {made.file(file)} {into}/{number}\n" for number, file in enumerate(made.files())]
    batch.write_text(f"mkdir {into}\n{''.join(puts)}")
    options = [
        "-o",
        "StrictHostKeyChecking=no",
        "-o",
        "UserKnownHostsFile=/dev/null",
        "-i",
        str(server.directory / "user_key"),
    ]
    return command_seconds(
        ["sftp", "-b", str(batch), *options, "-P", str(where.port), f"{server.user}@127.0.0.1"]
    )


def main() -> None:
    delay_ms = float(sys.argv[1]) if len(sys.argv) > 1 else 0.0
    count = itertools.count()
    with (
        board() as server,
        tempfile.TemporaryDirectory() as scratch,
        proxy(server.port, delay_ms=delay_ms) as delayed,
    ):
        where = target(server, port=delayed if delay_ms else 0)

        def new() -> Bundle:
            directory = Path(scratch) / "bundle"
            shutil.rmtree(directory, ignore_errors=True)
            return bundle(directory, [OBJECT_BYTES] * (OBJECTS // 3))

        def place() -> str:
            return f"{PLACE}/{next(count)}"

        values = interleaved(
            {
                "SFTP put per file, paramiko": lambda: paramiko_seconds(
                    new(), where, server, place()
                ),
                "SFTP put per file, sftp -b": lambda: openssh_seconds(
                    new(), where, server, place(), Path(scratch) / "batch"
                ),
                "edgekit deploy": lambda: deploy_seconds(
                    new(), where.model_copy(update={"workdir": f"~/{place()}"})
                ),
            },
            rounds=ROUNDS_DELAYED if delay_ms else ROUNDS,
        )
        report(
            f"2,000 small objects, {delay_ms:g} ms each way",
            values,
            base="SFTP put per file, paramiko",
            unit="s",
            target="at most 0.2 of put per file",
        )


if __name__ == "__main__":
    main()
