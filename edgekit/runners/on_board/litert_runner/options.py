"""The command line: its names, its limits, and what it says about itself."""

from __future__ import annotations

import re
from typing import Any

from .failure import EXIT_USAGE, Failure

USAGE = """\
usage: litert_runner --model PATH --nonce HEX [--inputs FILE --samples K] [--outputs FILE]
                        [--threads T] [--warmup-min-ns N] [--min-iterations N]
                        [--min-ns N] [--max-ns N] [--mode measure|evaluate|sustain]
                        [--cpus N,N…] [--window-ns N] [--probes PATH:PATH…]
                        [--states INPUT:OUTPUT,… --steps N]
                        [--signature NAME] [--shapes INPUT:NxN…,…]
"""
MOST_ITERATIONS = 1 << 20  # of one phase: bounds what a tiny model prints
HOUR_NS = 3_600_000_000_000
NEVER_NS = (1 << 63) - 1
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
    "--states",
    "--steps",
    "--signature",
    "--shapes",
)


class Options:
    """The command line, checked strictly: known names, each once, each with a value in its
    range."""

    def __init__(self, argv: list[str]) -> None:
        options = pairs(argv)
        self.model = options.get("--model", "")
        self.nonce = options.get("--nonce", "")
        self.inputs = options.get("--inputs", "")
        self.outputs = options.get("--outputs", "")
        self.mode = options.get("--mode", "measure")
        self.samples = whole_number(options, "--samples", 1, 1, 1 << 31)
        self.threads = whole_number(options, "--threads", 1, 1, 256)
        self.warmup_min_ns = whole_number(options, "--warmup-min-ns", 0, 0, HOUR_NS)
        self.min_iterations = whole_number(options, "--min-iterations", 1, 1, MOST_ITERATIONS)
        self.min_ns = whole_number(options, "--min-ns", 0, 0, HOUR_NS)
        self.max_ns = whole_number(options, "--max-ns", NEVER_NS, 1, NEVER_NS)
        require(self.model, "--model: missing")
        require(
            re.match(r"[0-9a-fA-F]{1,128}\Z", self.nonce),
            "--nonce: expected 1 to 128 hexadecimal digits",
        )
        self.window_ns = whole_number(options, "--window-ns", 0, 0, HOUR_NS)
        self.cpus = [
            whole_number({"--cpus": part}, "--cpus", 0, 0, 1023)
            for part in parts(options, "--cpus")
        ]
        self.states = [pair_of_numbers(pair) for pair in parts(options, "--states")]
        self.steps = whole_number(options, "--steps", 1, 1, 1 << 31)
        self.signature = options.get("--signature", "")
        self.shapes = dict(input_shape(pair) for pair in parts(options, "--shapes"))
        self.probes = [path for path in options.get("--probes", "").split(":") if path]
        require(
            self.mode in ("measure", "evaluate", "sustain"),
            f"--mode: expected measure, evaluate or sustain, got '{self.mode}'",
        )
        require(
            ("--states" in options) == ("--steps" in options),
            "--states and --steps belong together",
        )
        require(len(self.probes) <= 32, "--probes: at most 32")
        require(self.mode != "sustain" or self.window_ns, "--mode sustain: needs --window-ns")
        require(
            ("--inputs" in options) == ("--samples" in options),
            "--inputs and --samples belong together",
        )
        require(
            self.mode != "evaluate" or (self.inputs and self.outputs),
            "--mode evaluate: needs --inputs, --samples and --outputs",
        )


def pairs(argv: list[str]) -> dict[str, str]:
    options: dict[str, str] = {}
    for i in range(0, len(argv), 2):
        name = argv[i]
        require(name in OPTIONS, f"unknown option '{name}'")
        require(i + 1 < len(argv), name + ": needs a value")
        require(name not in options, name + ": given twice")
        options[name] = argv[i + 1]
    return options


def parts(options: dict[str, str], name: str) -> list[str]:
    return [part for part in options.get(name, "").split(",") if part]


def pair_of_numbers(text: str) -> tuple[int, int]:
    """An input that is fed from an output of the inference before, by their numbers."""
    numbers = text.split(":")
    require(len(numbers) == 2, f"--states: expected INPUT:OUTPUT, got '{text}'")
    first, second = (whole_number({"--states": part}, "--states", 0, 0, 1023) for part in numbers)
    return first, second


def input_shape(text: str) -> tuple[int, list[int]]:
    """An input by its number, and the shape that it is to have."""
    number, colon, sizes = text.partition(":")
    require(colon, f"--shapes: expected INPUT:NxN…, got '{text}'")
    shape = [
        whole_number({"--shapes": size}, "--shapes", 0, 1, (1 << 31) - 1)
        for size in sizes.split("x")
        if size
    ]
    return whole_number({"--shapes": number}, "--shapes", 0, 0, 1023), shape


def whole_number(options: dict[str, str], name: str, default: int, low: int, high: int) -> int:
    text = options.get(name, str(default))
    value = int(text) if re.match(r"[0-9]{1,19}\Z", text) else -1
    require(
        low <= value <= high, f"{name}: expected a whole number from {low} to {high}, got '{text}'"
    )
    return value


def require(condition: Any, message: str) -> None:
    if not condition:
        raise Failure(EXIT_USAGE, message)
