"""edgekit's LiteRT runner: load a .tflite, warm up, iterate, print raw times, memory marks and
facts as runner protocol 1. It judges nothing.

Runs on the device as `python3 -I litert_runner.py`: the standard library, numpy, and ai_edge_litert
or (on older boards) tflite_runtime; Python 3.8 or newer. Packages in `site/python.zip` beside this
file come first, so that a board needs no pip. Timed are setting the inputs (set_tensor copies them)
and invoke(), as the native runner times set-input and execute; reading a sample and printing lie
outside. The default delegate (XNNPACK) is in use. Exit codes: 0 ok, 2 usage, 3 cannot load, 4
execution failed, 5 input or output file."""

from __future__ import annotations

import array
import gc
import importlib
import itertools
import json
import math
import os
import re
import sys
import time
from collections.abc import Callable
from typing import Any

USAGE = """\
usage: litert_runner.py --model PATH --nonce HEX [--inputs FILE --samples K] [--outputs FILE]
                        [--threads T] [--warmup-min-ns N] [--min-iterations N]
                        [--min-ns N] [--max-ns N] [--mode measure|evaluate|sustain]
                        [--cpus N,N…] [--window-ns N] [--probes PATH:PATH…]
"""
EXIT_USAGE, EXIT_LOAD, EXIT_EXECUTION, EXIT_IO = 2, 3, 4, 5
VALUES_PER_LINE = 4096
TIMES_PER_WINDOW = 64
MOST_LEGS = 10  # of the warm-up
MOST_ITERATIONS = 1 << 20  # of one phase: bounds what a tiny model prints
# a line is due after this long, so that the host sees progress and a crash costs little
SILENCE_NS = 2_000_000_000
HOUR_NS = 3_600_000_000_000
NEVER_NS = (1 << 63) - 1
DTYPES = ("float32", "float16", "int8", "uint8", "int16", "int32", "int64", "bool")
OPTIONS = (
    "--model",
    "--nonce",
    "--inputs",
    "--samples",
    "--outputs",
    "--threads",
    "--warmup-min-ns",
    "--min-iterations",
    "--min-ns",
    "--max-ns",
    "--mode",
    "--cpus",
    "--window-ns",
    "--probes",
)

now_ns = time.monotonic_ns  # CLOCK_MONOTONIC on Linux


class Failure(Exception):
    """Ends the program with an exit code and a message for people."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class Options:
    """The command line, checked strictly: known names, each once, each with a value in its
    range."""

    def __init__(self, argv: list[str]) -> None:
        given = pairs(argv)
        self.model = given.get("--model", "")
        self.nonce = given.get("--nonce", "")
        self.inputs = given.get("--inputs", "")
        self.outputs = given.get("--outputs", "")
        self.mode = given.get("--mode", "measure")
        self.samples = whole_number(given, "--samples", 1, 1, 1 << 31)
        self.threads = whole_number(given, "--threads", 1, 1, 256)
        self.warmup_min_ns = whole_number(given, "--warmup-min-ns", 0, 0, HOUR_NS)
        self.min_iterations = whole_number(given, "--min-iterations", 1, 1, MOST_ITERATIONS)
        self.min_ns = whole_number(given, "--min-ns", 0, 0, HOUR_NS)
        self.max_ns = whole_number(given, "--max-ns", NEVER_NS, 1, NEVER_NS)
        require(self.model, "--model: missing")
        require(
            re.match(r"[0-9a-fA-F]{1,128}\Z", self.nonce),
            "--nonce: expected 1 to 128 hexadecimal digits",
        )
        self.window_ns = whole_number(given, "--window-ns", 0, 0, HOUR_NS)
        self.cpus = [
            whole_number({"--cpus": part}, "--cpus", 0, 0, 1023)
            for part in given.get("--cpus", "").split(",")
            if part
        ]
        self.probes = [path for path in given.get("--probes", "").split(":") if path]
        require(
            self.mode in ("measure", "evaluate", "sustain"),
            f"--mode: expected measure, evaluate or sustain, got '{self.mode}'",
        )
        require(len(self.probes) <= 32, "--probes: at most 32")
        require(self.mode != "sustain" or self.window_ns, "--mode sustain: needs --window-ns")
        require(
            ("--inputs" in given) == ("--samples" in given),
            "--inputs and --samples belong together",
        )
        require(
            self.mode != "evaluate" or (self.inputs and self.outputs),
            "--mode evaluate: needs --inputs, --samples and --outputs",
        )


def pairs(argv: list[str]) -> dict[str, str]:
    given: dict[str, str] = {}
    for i in range(0, len(argv), 2):
        name = argv[i]
        require(name in OPTIONS, f"unknown option '{name}'")
        require(i + 1 < len(argv), name + ": needs a value")
        require(name not in given, name + ": given twice")
        given[name] = argv[i + 1]
    return given


def whole_number(given: dict[str, str], name: str, default: int, low: int, high: int) -> int:
    text = given.get(name, str(default))
    value = int(text) if re.match(r"[0-9]{1,19}\Z", text) else -1
    require(
        low <= value <= high, f"{name}: expected a whole number from {low} to {high}, got '{text}'"
    )
    return value


def require(condition: Any, message: str) -> None:
    if not condition:
        raise Failure(EXIT_USAGE, message)


class Protocol:
    """The lines of one run. Standard output is kept for them alone: whatever a library prints goes
    to standard error."""

    def __init__(self, nonce: str) -> None:
        self._nonce = nonce
        self._stdout = os.dup(1)
        os.dup2(2, 1)

    def send(self, kind: str, **fields: Any) -> None:
        line = dict({"edgekit": 1, "nonce": self._nonce, "type": kind}, **fields)
        data = memoryview(json.dumps(line, separators=(",", ":"), allow_nan=False).encode() + b"\n")
        while data:
            data = data[os.write(self._stdout, data) :]


class Windows:
    """At the end of every window a line with the time, the inferences so far and what the probes
    say, read between two inferences."""

    most = NEVER_NS

    def __init__(self, protocol: Protocol, options: Options) -> None:
        self._protocol, self._options = protocol, options
        self._keeps = TIMES_PER_WINDOW if options.mode == "sustain" else 0
        self._values: list[int] = []
        self._opened_at = now_ns()
        self._sent = self.count = 0
        if options.window_ns:
            self._send(self._opened_at)

    def add(self, ns: int, now: int) -> None:
        self.count += 1
        if len(self._values) < self._keeps:
            self._values.append(ns)
        if self._options.window_ns and now - self._opened_at >= self._options.window_ns:
            self._send(now)

    def flush(self, now: int) -> None:
        if self._options.window_ns and self.count > self._sent:
            self._send(now)

    def _send(self, now: int) -> None:
        probed = [read_number(path) for path in self._options.probes]
        self._protocol.send(
            "window", at_ns=now, iterations=self.count, ns=self._values, values=probed
        )
        self._values.clear()
        self._sent, self._opened_at = self.count, now


class Times:
    """Every time of one phase, printed in lines while it goes on."""

    most = MOST_ITERATIONS

    def __init__(self, protocol: Protocol, phase: str, windows: Windows | None = None) -> None:
        self._protocol, self._phase, self._windows = protocol, phase, windows
        self._values: list[int] = []
        self._sent_at = now_ns()
        self.count = 0

    def add(self, ns: int, now: int) -> None:
        self._values.append(ns)
        self.count += 1
        if len(self._values) == VALUES_PER_LINE or now - self._sent_at > SILENCE_NS:
            self._send(now)
        if self._windows:
            self._windows.add(ns, now)

    def flush(self, now: int) -> None:
        self._send(now)
        if self._windows:
            self._windows.flush(now)

    def _send(self, now: int) -> None:
        self._sent_at = now
        if self._values:
            self._protocol.send(
                "samples", phase=self._phase, offset=self.count - len(self._values), ns=self._values
            )
            self._values.clear()


class Leg:
    """A leg of the warm-up, on its way into `times`. It is steady when the medians of its halves
    are within a twentieth of each other, or when it is too short to tell."""

    FEWEST_TO_TELL = 4

    def __init__(self, times: Times, length_ns: int) -> None:
        self._times, self._half_at = times, now_ns() + length_ns // 2
        self._halves = (array.array("q"), array.array("q"))
        self.most = times.most

    @property
    def count(self) -> int:
        return self._times.count

    def add(self, ns: int, now: int) -> None:
        half = self._halves[now >= self._half_at]
        if len(half) < VALUES_PER_LINE:
            half.append(ns)
        self._times.add(ns, now)

    def flush(self, now: int) -> None:
        self._times.flush(now)

    def steady(self) -> bool:
        if min(map(len, self._halves)) < self.FEWEST_TO_TELL:
            return True
        before, after = (sorted(half)[len(half) // 2] for half in self._halves)
        return abs(after - before) * 20 <= before


def read_proc(path: str) -> str:
    try:
        with open(path, encoding="ascii", errors="replace") as stream:
            return stream.read()
    except OSError:
        return ""


def field_bytes(text: str, name: str) -> int | None:
    """`Name:   123 kB` at the start of a line of /proc/self/status or smaps_rollup, in bytes; None
    when it is not there."""
    match = re.search(rf"^{name}:\s+([0-9]+) kB", text, re.MULTILINE)
    return int(match.group(1)) * 1024 if match else None


def read_number(path: str) -> int | None:
    """The whole number a small file starts with, as those of /sys do."""
    match = re.match(r"\s*(-?[0-9]{1,18})\b", read_proc(path))
    return int(match.group(1)) if match else None


def device_ticks() -> list[int]:
    """Processor time of all processes in ticks since boot, by kind: user nice system idle iowait
    irq softirq steal, see proc(5)."""
    match = re.match(r"cpu((?: +[0-9]{1,18}){8})", read_proc("/proc/stat"))
    return [int(ticks) for ticks in match.group(1).split()] if match else []


def bind_to(cpus: list[int]) -> None:
    """Some processors for this thread and those it starts from now on."""
    try:
        if cpus:
            os.sched_setaffinity(0, cpus)
    except OSError as error:
        raise Failure(EXIT_USAGE, f"--cpus: {error.strerror}") from None


def since_process_start_ns() -> int | None:
    """From the start of the process to now, in the kernel's ticks (usually 10 ms); None when not
    known. `starttime` is field 22, see proc(5)."""
    fields = read_proc("/proc/self/stat").rpartition(")")[2].split()
    if len(fields) < 20:
        return None
    start_ns = int(fields[19]) * (1_000_000_000 // os.sysconf("SC_CLK_TCK"))
    return max(0, time.clock_gettime_ns(time.CLOCK_BOOTTIME) - start_ns)


def reset_peak_rss() -> None:
    """Make VmHWM start again at the present size. Not every kernel and user may; then the peak
    counts from the start of the process."""
    try:
        with open("/proc/self/clear_refs", "w", encoding="ascii") as stream:
            stream.write("5")
    except OSError:
        pass


def send_memory(protocol: Protocol, mark: str) -> None:
    status = read_proc("/proc/self/status")
    protocol.send(
        "memory",
        mark=mark,
        rss_anon_bytes=field_bytes(status, "RssAnon") or 0,
        rss_file_bytes=field_bytes(status, "RssFile") or 0,
        rss_shmem_bytes=field_bytes(status, "RssShmem") or 0,
        pss_bytes=field_bytes(read_proc("/proc/self/smaps_rollup"), "Pss"),
        peak_rss_bytes=field_bytes(status, "VmHWM"),
    )


def import_runtime() -> tuple[str, str, Any]:
    """The name of the runtime's package, its version, and its module with `Interpreter`. The first
    package that is there is used."""
    packages = os.path.join(os.path.dirname(os.path.abspath(__file__)), "site", "python.zip")
    if os.path.isfile(packages):
        sys.path.insert(0, packages)
        importlib.import_module("edgekit_packed")
    for package in ("ai_edge_litert", "tflite_runtime"):
        try:
            version = getattr(importlib.import_module(package), "__version__", "unknown")
            return package, version, importlib.import_module(package + ".interpreter")
        except ModuleNotFoundError as error:
            if error.name != package:
                raise Failure(EXIT_LOAD, f"{package} does not import: {error}") from None
        except Exception as error:
            raise Failure(EXIT_LOAD, f"{package} does not import: {error}") from None
    raise Failure(
        EXIT_LOAD, "neither ai_edge_litert nor tflite_runtime is installed for " + sys.executable
    )


class Model:
    """An interpreter with its tensors allocated, and a buffer that holds one sample: the inputs one
    after the other."""

    def __init__(self, runtime: Any, path: str, threads: int) -> None:
        import numpy  # only here: the memory baseline is taken with it loaded, by the runtime

        try:
            self._interpreter = runtime.Interpreter(model_path=path, num_threads=threads)
            self._interpreter.allocate_tensors()
        except (RuntimeError, ValueError) as error:
            raise Failure(EXIT_LOAD, f"cannot load the model: {error}") from None
        self._inputs = self._interpreter.get_input_details()
        self._outputs = self._interpreter.get_output_details()
        sizes = [
            math.prod(map(int, detail["shape"])) * dtype_of(detail).itemsize
            for detail in self._inputs
        ]
        self.sample: Any = numpy.zeros(sum(sizes), numpy.uint8)
        ends = list(itertools.accumulate(sizes))
        self._views = [
            (
                int(detail["index"]),
                self.sample[ends[i] - sizes[i] : ends[i]]
                .view(dtype_of(detail))
                .reshape(detail["shape"]),
            )
            for i, detail in enumerate(self._inputs)
        ]

    def describe(self) -> dict[str, Any]:
        return {
            "inputs": [described(detail) for detail in self._inputs],
            "outputs": [described(detail) for detail in self._outputs],
        }

    def run(self) -> None:
        """One inference, which is what is timed: hand over the inputs, invoke."""
        for index, view in self._views:
            self._interpreter.set_tensor(index, view)
        self._interpreter.invoke()

    def outputs(self) -> list[bytes]:
        return [
            self._interpreter.get_tensor(int(detail["index"])).tobytes() for detail in self._outputs
        ]

    def fill_pseudo_random(self) -> None:
        """Hashed element numbers (SplitMix64): the same bytes in both runners. Floats lie in [-1,
        1); wider integers may be indices, and stay 0."""
        import numpy

        element = 0
        for _, view in self._views:
            name = view.dtype.name
            if name in ("float32", "int8", "uint8", "bool"):
                z = (
                    numpy.arange(view.size, dtype=numpy.uint64) + numpy.uint64(element + 1)
                ) * numpy.uint64(0x9E3779B97F4A7C15)
                z = (z ^ (z >> numpy.uint64(30))) * numpy.uint64(0xBF58476D1CE4E5B9)
                z = (z ^ (z >> numpy.uint64(27))) * numpy.uint64(0x94D049BB133111EB)
                z = z ^ (z >> numpy.uint64(31))
                element += view.size
                if name == "float32":
                    values = (z >> numpy.uint64(40)).astype(numpy.float32) / numpy.float32(
                        8388608
                    ) - numpy.float32(1)
                else:
                    values = (
                        (z >> numpy.uint64(63 if name == "bool" else 56))
                        .astype(numpy.uint8)
                        .view(name)
                    )
                view[...] = values.reshape(view.shape)


def dtype_of(detail: dict[str, Any]) -> Any:
    import numpy

    dtype = numpy.dtype(detail["dtype"])
    if dtype.name not in DTYPES:
        raise Failure(
            EXIT_LOAD,
            f"the model has an input or output of type {dtype.name}, which edgekit does not know",
        )
    return dtype


def described(detail: dict[str, Any]) -> dict[str, Any]:
    scales = detail["quantization_parameters"]["scales"]
    quantized = len(scales) == 1 and float(scales[0]) > 0
    return {
        "name": str(detail["name"])[:256],
        "dtype": dtype_of(detail).name,
        "shape": [int(size) for size in detail["shape"]],
        "scale": float(scales[0]) if quantized else None,
        "zero_point": (
            int(detail["quantization_parameters"]["zero_points"][0]) if quantized else None
        ),
    }


class Samples:
    """Fills the model's sample buffer from the inputs file, read (not mapped, so that its pages are
    no part of the memory figures) before each inference, outside the timed region, as a camera or a
    microphone would."""

    def __init__(self, path: str, count: int, model: Model) -> None:
        self.count, self._sample, self._buffer = count, -1, memoryview(model.sample)
        self._fd: int | None = None
        if not path:
            model.fill_pseudo_random()
            return
        try:
            self._fd = os.open(path, os.O_RDONLY)
            size = os.fstat(self._fd).st_size
        except OSError as error:
            raise Failure(EXIT_IO, f"cannot open {path}: {error.strerror}") from None
        if size != count * len(self._buffer):
            raise Failure(
                EXIT_IO,
                f"{path}: holds {size} bytes, {count} samples of this model are"
                f" {count * len(self._buffer)}",
            )

    def load(self, iteration: int) -> None:
        """Samples are cycled through."""
        sample = iteration % self.count
        if (
            self._fd is not None
            and sample != self._sample
            and os.preadv(self._fd, [self._buffer], sample * len(self._buffer)) != len(self._buffer)
        ):
            raise Failure(EXIT_IO, "the inputs file became shorter")
        self._sample = sample


def timed(body: Callable[[], object]) -> int:
    start = now_ns()
    body()
    return now_ns() - start


def repeat(
    times: Times | Windows | Leg,
    samples: Samples,
    body: Callable[[], object],
    done: Callable[[int, int], bool],
) -> int:
    """Run `body` on one sample after the other until `done(iterations, elapsed_ns)`, checked after
    each."""
    start = now_ns()
    while True:
        samples.load(times.count)
        ns = timed(body)
        now = now_ns()
        times.add(ns, now)
        if times.count >= times.most or done(times.count, now - start):
            break
    times.flush(now)
    return times.count


def overhead_ns_per_iteration() -> float:
    """Mean time of the loop's own clock readings and call around an empty body."""
    iterations = 10_000
    return sum(timed(int) for _ in range(iterations)) / iterations


def write_outputs(
    options: Options, protocol: Protocol, model: Model, samples: Samples, times: Times | None
) -> int:
    """Run every sample once and write what comes out; `times` may be None."""
    written = 0
    try:
        with open(options.outputs, "wb") as stream:
            for i in range(samples.count):
                samples.load(i)
                ns = timed(model.run)
                for data in model.outputs():
                    written += stream.write(data)
                if times:
                    times.add(ns, now_ns())
    except OSError as error:
        raise Failure(EXIT_IO, f"cannot write {options.outputs}: {error.strerror}") from None
    if times:
        times.flush(now_ns())
    protocol.send("outputs", samples=samples.count, bytes=written)
    return samples.count


def warm_up(options: Options, protocol: Protocol, model: Model, samples: Samples) -> None:
    """The time that is asked for, and as long again until the times are steady, at most ten times
    as long in all."""
    times, steady, legs = Times(protocol, "warmup"), not options.warmup_min_ns, 0
    while not steady and legs < MOST_LEGS and times.count < times.most:
        leg = Leg(times, options.warmup_min_ns)
        repeat(leg, samples, model.run, lambda count, elapsed: elapsed >= options.warmup_min_ns)
        steady, legs = leg.steady(), legs + 1


def measure(options: Options, protocol: Protocol, model: Model, samples: Samples) -> int:
    samples.load(0)
    protocol.send("first", ns=timed(model.run))
    send_memory(protocol, "first")
    warm_up(options, protocol, model, samples)

    def enough(count: int, elapsed: int) -> bool:
        return (
            count >= options.min_iterations and elapsed >= options.min_ns
        ) or elapsed >= options.max_ns

    windows = Windows(protocol, options)
    iterations = repeat(
        windows if options.mode == "sustain" else Times(protocol, "steady", windows),
        samples,
        model.run,
        enough,
    )
    send_memory(protocol, "steady")
    protocol.send("overhead", ns_per_iteration=overhead_ns_per_iteration())
    if options.outputs:
        write_outputs(options, protocol, model, samples, None)
    return iterations


def run(options: Options, protocol: Protocol, runtime: Any, start_ns: int | None) -> None:
    cpu_ns, ticks = time.process_time_ns(), device_ticks()
    reset_peak_rss()
    send_memory(protocol, "baseline")
    if not os.path.isfile(options.model):
        raise Failure(EXIT_LOAD, options.model + ": no such file")
    start = now_ns()
    model = Model(runtime, options.model, options.threads)
    load_ns = now_ns() - start
    protocol.send(
        "load",
        ns=load_ns,
        start_ns=start_ns,
        arena_bytes=None,
        model_bytes=os.path.getsize(options.model),
    )
    send_memory(protocol, "loaded")
    protocol.send("tensors", **model.describe())
    samples = Samples(options.inputs, options.samples, model)
    gc.collect()
    gc.disable()  # a collection in a timed region would be the runner's time, not the model's
    try:
        if options.mode == "evaluate":
            iterations = write_outputs(options, protocol, model, samples, Times(protocol, "steady"))
        else:
            iterations = measure(options, protocol, model, samples)
    except (RuntimeError, ValueError) as error:
        raise Failure(EXIT_EXECUTION, f"inference failed: {error}") from None
    send_memory(protocol, "end")
    spent = [now - ticks[i] for i, now in enumerate(device_ticks())] if ticks else []
    protocol.send(
        "end", iterations=iterations, cpu_ns=time.process_time_ns() - cpu_ns, ticks=spent, ok=True
    )


def main(argv: list[str]) -> int:
    protocol: Protocol | None = None
    try:
        options = Options(argv)
        bind_to(options.cpus)
        package, version, runtime = import_runtime()
        start_ns = since_process_start_ns()
        protocol = Protocol(options.nonce)
        protocol.send(
            "hello",
            runtime="litert",
            runtime_version=str(version),
            runner=package,
            arch=os.uname().machine,
            pid=os.getpid(),
            threads=options.threads,
            clock="CLOCK_MONOTONIC",
            at_ns=now_ns(),
            cpus=sorted(os.sched_getaffinity(0)),
        )
        run(options, protocol, runtime, start_ns)
        return 0
    except Failure as failure:
        sys.stderr.write(f"litert_runner: {failure}\n{USAGE if failure.code == EXIT_USAGE else ''}")
        if protocol:
            protocol.send("error", code=failure.code, message=str(failure))
        return failure.code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
