"""The chosen recipe of a search as a file: the searched recipe with the values of one candidate,
its comments, order and layout kept."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgekit.errors import UsageError
from edgekit.extras import require_modules
from edgekit.recipe.dotted_keys import KeyRefused, parts_of, path_in, put
from edgekit.recipe.load import load_recipe, resolved, with_bases
from edgekit.searching.candidates import SearchCandidate
from edgekit.searching.result import SearchResult, result_of
from edgekit.searching.space import NO_SEARCH, candidate_recipe
from edgekit.searching.words import in_words
from edgekit.yaml_documents.in_place import first_entry
from edgekit.yaml_documents.problems import KeyPath
from edgekit.yaml_documents.replace_file import replace_file
from edgekit.yaml_documents.round_trip import KeptText
from edgekit.yaml_documents.yaml_file import parse_yaml, read_text


def open_search(study: str = "latest", *, storage: str | None = None) -> SearchResult:
    """What a search has come to so far. Needs the extra `search`.

    Args:
        study: The start of its name, or `latest`.
        storage: Where it is kept, as for `search`.

    Returns:
        All candidates that have ended, with the best ones marked.

    Raises:
        UsageError: No search is called so, or several are.
        StoreError: The storage cannot be read.

    Example:
        >>> len(edgekit.open_search("latest").candidates)
        4
    """
    require_modules(["optuna"])
    from edgekit.searching.studies import find_study

    return result_of(find_study(storage, study))


def apply_search(
    study: str = "latest",
    *,
    candidate: int | None = None,
    output: str | Path | None = None,
    storage: str | None = None,
) -> Path:
    """Write the recipe of a candidate: the file that was searched, with the candidate's values in
    their places. Comments, order and layout stay, and the section `search` too. What the search
    trained is in the cache, so that `run` takes it from there. Needs the extra `search`.

    Args:
        study: The start of the search's name, or `latest`.
        candidate: Its number. Default: the best one, where there is only one.
        output: The file, beside the searched one, as paths in a recipe are relative to it. Default:
            NAME-best.yaml.
        storage: Where the search is kept, as for `search`.

    Returns:
        The file.

    Raises:
        UsageError: No such search or candidate, several best ones, the recipe has changed since in
            what the candidate rests on, or the file cannot be written.
        StoreError: The storage cannot be read.

    Example:
        >>> path = edgekit.apply_search("latest")
        >>> path.name
        'searched-best.yaml'
    """
    result = open_search(study, storage=storage)
    chosen = _chosen(result, candidate)
    file = Path(result.recipe)
    target = Path(output) if output else file.with_name(f"{file.stem}-best.yaml")
    if target.absolute().parent.resolve() != file.parent.resolve():
        raise UsageError(
            f"{target}: not beside {file}, and paths in a recipe are relative to it",
            hint=f"write it into {file.parent}",
        )
    expected = resolved(candidate_recipe(file, result.overrides, chosen.settings).recipe)
    text = _text(file, _changes(result.overrides, chosen))

    def check(staged: Path) -> None:
        load_recipe(staged)
        if resolved(load_recipe(staged, overrides=[NO_SEARCH]).recipe) != expected:
            raise UsageError(
                f"{file}: the values cannot be written into it without changing others",
                hint="set them by hand: " + ", ".join(chosen.settings),
            )

    replace_file(target, _headed(text, result, chosen), check=check)
    return target


def _chosen(result: SearchResult, number: int | None) -> SearchCandidate:
    """Raises UsageError: there is no such candidate, or it is not clear which one."""
    if number is None:
        if len(result.front) == 1:
            return result.front[0]
        several = ", ".join(str(each.number) for each in result.front)
        raise UsageError(
            f"{result.study}: {len(result.front)} candidates are best",
            hint=f"choose one: --candidate {several}" if several else "none keeps all limits",
        )
    candidate = next((each for each in result.candidates if each.number == number), None)
    if candidate is None or candidate.outcome != "trained":
        state = "there is no candidate" if candidate is None else f"{candidate.outcome}: candidate"
        raise UsageError(
            f"{result.study}: {state} {number}", hint="choose one that was trained whole"
        )
    return candidate


def _changes(overrides: Sequence[str], chosen: SearchCandidate) -> list[tuple[str, Any]]:
    """Keys and their values, in the order in which they are set."""
    changes = []
    for override in overrides:
        key, _, text = override.partition("=")
        changes.append((key, parse_yaml(text, f"--set {override}").data))
    return [*changes, *chosen.settings.items()]


def _text(file: Path, changes: Sequence[tuple[str, Any]]) -> str:
    """The text of a recipe with some values changed. Raises UsageError: a key leads nowhere."""
    whole = with_bases(file).data
    kept_text = KeptText(read_text(file))
    for key, value in changes:
        try:
            path = path_in(parts_of(key), whole)
        except KeyRefused as refused:
            raise UsageError(f"{file}: {key}: {refused}") from None
        put(whole, path, value)
        _put(kept_text.data, path, whole)
    return kept_text.text()


def _put(data: Any, path: KeyPath, whole: Any) -> None:
    """Write what `whole` has at a path into a file's data. A list that the file takes from the
    recipe that it extends is written as a whole: a part of it cannot be replaced."""
    for end, part in enumerate(path, 1):
        whole = whole[part]
        missing = part not in data if isinstance(data, dict) else False
        if end == len(path) or (missing and isinstance(whole, list)):
            data[part] = whole
            return
        if missing:
            data[part] = {}
        data = data[part]


def _headed(text: str, result: SearchResult, chosen: SearchCandidate) -> str:
    """With a line above the first key that says what it is."""
    first = first_entry(text)
    start = first.start if first and not first.in_flow else 0
    words = in_words(chosen.figures, result.objectives)
    where = f" on {result.target}" if result.target else ""
    line = f"# Candidate {chosen.number} of the search {result.study}: {words}{where}.\n"
    return text[:start] + line + text[start:]
