"""The phases of a run: first inference, warm-up, steady iterations, outputs.

Timed are setting the inputs (set_tensor copies them) and invoke(), as the native runner times
set-input and execute; reading a sample and printing lie outside."""

from __future__ import annotations

from collections.abc import Callable

from .failure import EXIT_IO, Failure
from .model import Model
from .options import Options
from .process import now_ns, send_memory
from .protocol import Protocol
from .samples import Samples
from .times import Leg, Times, Windows

MOST_LEGS = 10  # of the warm-up


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
