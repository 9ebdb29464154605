"""What must hold between the parts of a recipe, and what it names: the order of stages along a
line, references to stages and variants, unique names, built-in data.

Works on the data of the document and takes nothing for granted about them, so that these mistakes
are reported together with all others. What is malformed counts as absent here; the schema reports
it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

from edgekit.backends import BACKENDS
from edgekit.data import SOURCES
from edgekit.recipe.lineage import Link, line, links_in, names, parents
from edgekit.recipe.schema import MAX_STAGES
from edgekit.tasks import TASKS
from edgekit.yaml_documents.problems import KeyPath, Problem, quoted
from edgekit.yaml_documents.validation import closest
from edgekit.yaml_documents.yaml_file import Document, value_at

_TRAIN_AFTER_QUANTIZE = (
    (
        "trains a model that stage {earlier} has quantized: what it would change are no longer the"
        " weights that run"
    ),
    (
        "put it before {earlier}, or let {earlier} use `method: qat`, which trains with fake"
        " quantization"
    ),
)
_AFTER_QUANTIZE = {
    "prune": (
        (
            "prunes a model that stage {earlier} has quantized: the scales and fake-quant observers"
            " were fitted to weights that would be gone, and channels cannot be removed from a"
            " quantized graph"
        ),
        (
            "the sound order is prune, finetune, quantize: put it before {earlier}, or branch off"
            " with a `from` before that"
        ),
    ),
    "train": _TRAIN_AFTER_QUANTIZE,
    "finetune": _TRAIN_AFTER_QUANTIZE,
    "quantize": (
        "quantizes a model that stage {earlier} has quantized already",
        "for a second variant, branch off with a `from` before {earlier}",
    ),
}


def cross_problems(document: Document) -> list[Problem]:
    """All problems between the parts of a recipe, each at the key or value that is to be
    changed."""
    links = links_in(document.data)
    if len(links) > MAX_STAGES:
        return []
    return [
        problem
        for rule in (_tables, _states, _order, _references, _uniqueness, _teachers, _budget)
        for problem in rule(links, document)
    ]


def _tables(links: Sequence[Link], document: Document) -> Iterator[Problem]:
    """Names that no table holds. A name with a colon is the user's own."""
    yield from _unknown(document, ("task",), "task", TASKS)
    yield from _unknown(document, ("task", "name"), "task", TASKS)
    yield from _unknown(document, ("data", "name"), "data", SOURCES)
    backends = value_at(document.data, ("export", "backends"))
    for index in range(len(backends) if isinstance(backends, list) else 0):
        yield from _unknown(document, ("export", "backends", index), "backend", BACKENDS)


def _unknown(
    document: Document, path: KeyPath, kind: str, table: Collection[str]
) -> Iterator[Problem]:
    name = value_at(document.data, path)
    if isinstance(name, str) and name and ":" not in name and name not in table:
        yield Problem(
            document.origin_of(path),
            f"there is no {kind} {quoted(name)}{closest(name, list(table))}",
            f"built-in: {', '.join(table)}; your own: package.module:object",
        )


def _states(links: Sequence[Link], document: Document) -> Iterator[Problem]:
    inputs = value_at(document.data, ("inputs",))
    sections = list(inputs.values()) if isinstance(inputs, dict) else []
    if sections and all(value_at(each, ("from_output",)) is not None for each in sections):
        yield Problem(
            document.origin_of(("inputs",), of_key=True),
            "inputs: all are states, and nothing would come in",
            "an input without `from_output` is one that the data has",
        )


def _order(links: Sequence[Link], document: Document) -> Iterator[Problem]:
    called = names(links)
    parent = parents(links)
    for index, link in enumerate(links):
        origin = document.origin_of(("stages", index, "stage"))
        *before, _ = line(parent, index)
        quantized = [i for i in before if links[i].kind == "quantize"]
        if quantized and link.kind in _AFTER_QUANTIZE:
            message, hint = _AFTER_QUANTIZE[link.kind]
            earlier = quoted(called[quantized[-1]])
            yield Problem(
                origin,
                f"stage {quoted(called[index])} {message.format(earlier=earlier)}",
                hint.format(earlier=earlier),
            )
        if before and link.kind == "import":
            dropped = f"which drops the work of stage {quoted(called[before[-1]])}"
            message = (
                f"stage {quoted(called[index])} takes the model with its loaded weights, {dropped}"
            )
            yield Problem(origin, message, "`import` can only be the first stage")


def _references(links: Sequence[Link], document: Document) -> Iterator[Problem]:
    for index, link in enumerate(links):
        if link.from_ is not None:
            yield from _earlier_stage(links, index, link.from_, ("stages", index, "from"), document)


def _earlier_stage(
    links: Sequence[Link], index: int, name: str, path: KeyPath, document: Document
) -> Iterator[Problem]:
    called = names(links)
    if name in called[:index]:
        return
    later = name in called
    message = (
        f"stage {quoted(name)} does not come before this one"
        if later
        else f"no stage is called {quoted(name)}{closest(name, called[:index])}"
    )
    yield Problem(
        document.origin_of(path),
        f"{path[-1]}: {message}",
        f"stages before this one: {', '.join(called[:index]) or 'none'}",
    )


def _uniqueness(links: Sequence[Link], document: Document) -> Iterator[Problem]:
    called = names(links)
    exports = [link.export for link in links]
    for index, link in enumerate(links):
        if link.export is not None and link.export in exports[:index]:
            first = exports.index(link.export)
            yield Problem(
                document.origin_of(("stages", index, "export")),
                f"variant {quoted(link.export)} is exported by stages[{first}] already",
            )
        elif called[index] in called[:index]:
            key = "stage"
            if link.name:
                key = "name"
            elif link.export:
                key = "export"
            message = (
                f"stage name {quoted(called[index])} belongs to"
                f" stages[{called.index(called[index])}] already"
            )
            yield Problem(
                document.origin_of(("stages", index, key)),
                message,
                "give one of them another `name`",
            )
    if links and not any(exports):
        message = "no stage has `export`: there would be nothing to deploy"
        yield Problem(
            document.origin_of(("stages",), of_key=True),
            message,
            "add `export: NAME` to the last stage",
        )


def _teachers(links: Sequence[Link], document: Document) -> Iterator[Problem]:
    called = names(links)
    parent = parents(links)
    for index in range(len(links)):
        stage_path: KeyPath = ("stages", index)
        for within, teacher in _teachers_in(value_at(document.data, stage_path)):
            path = (*stage_path, *within)
            if teacher not in called[:index]:
                yield from _earlier_stage(links, index, teacher, path, document)
            elif any(links[i].kind == "quantize" for i in line(parent, called.index(teacher))):
                message = (
                    f"teacher: stage {quoted(teacher)} is quantized, and a teacher must be a float"
                    " model"
                )
                yield Problem(
                    document.origin_of(path), message, "name a stage before the quantization"
                )


def _teachers_in(data: Any) -> Iterator[tuple[KeyPath, str]]:
    """The names under `distill.teacher`, at any depth, each with its path."""
    for key, value in data.items() if isinstance(data, dict) else ():
        if key == "distill" and isinstance(teacher := value_at(value, ("teacher",)), str):
            yield (key, "teacher"), teacher
        for path, teacher in _teachers_in(value):
            yield (key, *path), teacher


def _budget(links: Sequence[Link], document: Document) -> Iterator[Problem]:
    exports = [link.export for link in links if link.export]
    hint = f"exported variants: {', '.join(exports) or 'none'}"
    baseline = value_at(document.data, ("budget", "baseline"))
    variants = value_at(document.data, ("budget", "variants"))
    if isinstance(baseline, str) and baseline not in exports:
        message = (
            f"baseline: no stage exports the variant {quoted(baseline)}{closest(baseline, exports)}"
        )
        yield Problem(document.origin_of(("budget", "baseline")), message, hint)
    backends = value_at(document.data, ("export", "backends"))
    for variant, limits in variants.items() if isinstance(variants, dict) else ():
        path: KeyPath = ("budget", "variants", variant)
        if variant not in exports:
            message = f"no stage exports the variant {quoted(variant)}{closest(variant, exports)}"
            yield Problem(document.origin_of(path, of_key=True), message, hint)
        key = "runtimes_min_agreement_percent"
        if (
            isinstance(limits, dict)
            and limits.get(key) is not None
            and isinstance(backends, list)
            and len(backends) < 2
        ):
            origin = document.origin_of((*path, key), of_key=True)
            yield Problem(
                origin,
                f"{key} compares two runtimes, but there is only one backend",
                "export for both: xnnpack and litert",
            )
