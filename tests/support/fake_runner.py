"""A runner of protocol 1 that computes nothing: it prints the lines of a healthy run, or misbehaves
as its first argument says.

    python fake_runner.py BEHAVIOUR MEDIAN_NS OUTPUTS_TO_COPY <options of protocol 1>

A model that starts with `slow` takes twice as long. What its model has for inputs and outputs
stands in OUTPUTS_TO_COPY.tensors.json.

Behaviours: good, crash (after partial results), kill (SIGKILL on itself), segv, hang, silent,
rubbish, nonce (that of another run), says (reports a failure of its own), tensors (of another
model), endless (prints without end), noisy (50 MB of stderr), short (writes too few outputs), drop
(writes none), wrong and nan (bad outputs on an evaluation set), "named TEXT" (says TEXT wherever a
name may stand)."""

from __future__ import annotations

import array
import json
import os
import random
import signal
import sys
import time


def main(behaviour: str, median_ns: int, outputs: str, options: dict[str, str]) -> int:
    nonce = options["--nonce"] if behaviour != "nonce" else "0" * 32
    named = behaviour.removeprefix("named ") if behaviour.startswith("named ") else ""

    def send(kind: str, **values: object) -> None:
        sys.stdout.write(json.dumps({"edgekit": 1, "nonce": nonce, "type": kind, **values}) + "\n")
        sys.stdout.flush()

    def memory(mark: str, anon_bytes: int) -> None:
        send(
            "memory",
            mark=mark,
            rss_anon_bytes=anon_bytes,
            rss_file_bytes=1 << 20,
            rss_shmem_bytes=0,
            pss_bytes=None,
            peak_rss_bytes=3 * anon_bytes,
        )

    if behaviour == "rubbish":
        sys.stdout.write("\x1b[2Jsegmentation fault (core dumped)\n")
        return 0
    if behaviour == "noisy":
        for _ in range(800):
            os.write(2, b"warning: \x1b[31mx\x1b[0m\n" * 3000)
    threads = int(options["--threads"])
    about = {
        "runtime": "litert",
        "runtime_version": named or "0",
        "runner": "ai_edge_litert",
        "arch": os.uname().machine,
        "clock": "CLOCK_MONOTONIC",
    }
    send(
        "hello",
        pid=os.getpid(),
        threads=threads,
        at_ns=10**9,
        cpus=[int(cpu) for cpu in options.get("--cpus", "").split(",") if cpu],
        **about,
    )
    if behaviour == "says":
        send("error", code=3, message="cannot load the model: \x1b[31mbad magic")
        return 3
    memory("baseline", 1 << 20)
    with open(options["--model"], "rb") as model:
        content = model.read()
    size = len(content)
    if content.startswith(b"slow"):
        median_ns *= 2
    send("load", ns=7_000_000, start_ns=20_000_000, arena_bytes=4096, model_bytes=size)
    memory("loaded", 2 << 20)
    with open(outputs + ".tensors.json") as stream:
        spec = json.load(stream)
    for tensor in (*spec["inputs"], *spec["outputs"]) if named else ():
        tensor["name"] = named
    send(
        "tensors",
        **(
            spec
            if behaviour != "tensors"
            else {"inputs": spec["outputs"], "outputs": spec["inputs"]}
        ),
    )
    send("first", ns=3 * median_ns)
    memory("first", 3 << 20)
    if behaviour == "silent":
        time.sleep(60)
    mode = options.get("--mode", "measure")
    if mode == "sustain":
        window_ns = int(options["--window-ns"])
        for at in range(int(options["--min-ns"]) // window_ns + 1):
            level = median_ns * (2 if at > 5 else 1)  # as if it throttled
            send(
                "window",
                at_ns=10**9 + at * window_ns,
                iterations=100 * at,
                ns=[level] * (64 if at else 0),
                values=probed(options),
            )
    if mode == "profile":
        send("samples", phase="steady", offset=0, ns=[median_ns, median_ns])
        for name, share in (
            ("DELEGATE_CALL", 1.0),
            ("Convolution (NHWC, F32) IGEMM #1", 0.75),
            ("Mean (ND) #1", 0.25),
        ):
            send(
                "operator",
                name=name,
                instruction=0,
                delegate_id=-1,
                delegated="#" in name,
                ns=[int(median_ns * share)] * 2,
            )
        send("end", iterations=2, ok=True)
        return 0
    random.seed(nonce)
    level_ns = median_ns * random.uniform(0.99, 1.01)
    times = [
        int(level_ns * random.uniform(0.98, 1.03)) for _ in range(int(options["--min-iterations"]))
    ]
    send("samples", phase="warmup", offset=0, ns=[2 * median_ns])
    if mode == "measure":
        send("samples", phase="steady", offset=0, ns=times)
    if behaviour == "crash":
        sys.stderr.write("free(): invalid pointer\n")
        os.abort()
    if behaviour in ("kill", "segv"):
        os.kill(os.getpid(), signal.SIGKILL if behaviour == "kill" else signal.SIGSEGV)
    while behaviour in ("hang", "endless"):
        (
            send("samples", phase="steady", offset=0, ns=[1] * 4096)
            if behaviour == "endless"
            else time.sleep(0.05)
        )
    memory("steady", 3 << 20)
    send("overhead", ns_per_iteration=40.5)
    with open(outputs, "rb") as reference:
        computed = reference.read()
    if mode == "evaluate":
        computed = evaluated(options["--inputs"], behaviour)
    if behaviour != "drop":
        with open(options["--outputs"], "wb") as written:
            written.write(computed[:-1] if behaviour == "short" else computed)
        send("outputs", samples=int(options["--samples"]), bytes=len(computed))
    memory("end", 3 << 20)
    iterations = {"measure": len(times), "evaluate": int(options["--samples"])}.get(mode)
    send("end", iterations=100 * at if iterations is None else iterations, ok=True)
    return 0


def probed(options: dict[str, str]) -> list[int]:
    values = []
    for path in filter(None, options.get("--probes", "").split(":")):
        with open(path) as stream:
            values.append(int(stream.read()))
    return values


def evaluated(inputs: str, behaviour: str) -> bytes:
    """For each sample of two floats x, y the class scores (x, y, 0); `wrong` swaps the first two of
    the first sample of a chunk."""
    with open(inputs, "rb") as stream:
        inputs_xy = array.array("f", stream.read())
    scores = array.array(
        "f",
        (
            value
            for i in range(0, len(inputs_xy), 2)
            for value in (inputs_xy[i], inputs_xy[i + 1], 0.0)
        ),
    )
    if behaviour == "wrong":
        scores[0], scores[1] = scores[1], scores[0]
    if behaviour == "nan":
        scores[0] = float("nan")
    return scores.tobytes()


if __name__ == "__main__":
    flat_options = sys.argv[4:]
    sys.exit(
        main(
            sys.argv[1],
            int(sys.argv[2]),
            sys.argv[3],
            dict(zip(flat_options[::2], flat_options[1::2], strict=True)),
        )
    )
