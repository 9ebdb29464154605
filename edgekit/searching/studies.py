"""A study in its storage: candidates begun, ended, and taken back from processes that are gone.
Imports Optuna, whose tables they are, so that its dashboard opens a study.

A candidate is a trial of Optuna's. It ends in one transaction, after all that is known of it was
written beside it; so it counts once or not at all. One whose process ended on the way fails, and
another takes its place with the same values."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import optuna
from optuna.exceptions import StorageInternalError, UpdateFinishedTrialError
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, Trial, TrialState
from sqlalchemy import inspect
from sqlalchemy.engine import URL
from sqlalchemy.exc import SQLAlchemyError

from edgekit.errors import StoreError, UsageError
from edgekit.recipe.search_section import Parameter
from edgekit.sanitize import printable
from edgekit.searching.candidates import Ending, SearchCandidate, candidate_of
from edgekit.searching.owners import beating, is_gone, this_process
from edgekit.searching.samplers import OWNER, RETRY_OF, SeededByTurn
from edgekit.searching.space import suggested
from edgekit.store.database import (
    BUSY_SECONDS,
    alone_with,
    database_url,
    make_engine,
    shown,
    sqlite_file,
    translated,
)

ENVIRONMENT = "EDGEKIT_SEARCH_DB"
FILE = "searches.db"
ABOUT = "edgekit"
"""The attribute of a study that says what is searched."""
RECORD, SEEN = "edgekit:candidate", "edgekit:seen"
FIXED = "fixed_params"
"""Where Optuna keeps the values of a trial that is to be repeated."""
OPENINGS = 4
"""Two processes that make the tables at the same time get in each other's way."""


class Study:
    """An open study."""

    def __init__(self, study: optuna.Study, url: URL) -> None:
        self._study = study
        self._url = url

    @property
    def name(self) -> str:
        return self._study.study_name

    @property
    def about(self) -> dict[str, Any]:
        """What is searched, as it was written when the study was made."""
        with reaching(self._url):
            return dict(self._study.user_attrs.get(ABOUT, {}))

    @property
    def place(self) -> str:
        """Where it is kept, without a password."""
        return shown(self._url)

    def begin(
        self, most: int, parameters: Mapping[str, Parameter]
    ) -> tuple[Trial, dict[str, Any]] | None:
        """The next candidate with its values; None when `most` have ended or are worked on by
        others."""
        with reaching(self._url):
            self._take_back()
            trials = self._study.get_trials(deepcopy=False)
            waiting = any(trial.state == TrialState.WAITING for trial in trials)
            if len(_counted(trials)) >= most and not waiting:
                return None
            trial = self._study.ask()
            before = self._study.get_trials(deepcopy=False)[: trial.number]
            if len(_counted(before)) >= most:  # another process was first
                self._study.tell(trial, state=TrialState.FAIL)
                return None
            settings = suggested(trial, parameters)
            # From here on all values are there: nobody repeats a candidate without an owner.
            trial.set_user_attr(OWNER, this_process())
            return trial, settings

    @contextmanager
    def at_work(self, trial: Trial) -> Iterator[None]:
        """Signs of life of a candidate while the block runs. One that ends with an error, Ctrl-C
        included, is given back."""
        try:
            with beating(lambda: trial.set_user_attr(SEEN, time.time())):
                yield
        except BaseException:
            with suppress(StoreError), reaching(self._url):
                self._give_back(trial.number)
            raise

    def end(self, trial: Trial, ending: Ending) -> None:
        """Write down what came of a candidate. Nothing happens where another process was given
        it."""
        state = TrialState.PRUNED if ending.values is None else TrialState.COMPLETE
        with reaching(self._url), suppress(UpdateFinishedTrialError):
            trial.set_user_attr(RECORD, ending.candidate.record())
            for limit, excess in ending.excesses.items():
                trial.set_constraint(limit, excess)
            for step, value in enumerate(ending.reports):
                trial.report(value, step)
            with suppress(ValueError):  # as Optuna says that a trial has ended
                self._study.tell(trial, ending.values, state=state)

    def candidates(self) -> tuple[SearchCandidate, ...]:
        """Those that have ended, in the order in which they were begun."""
        with reaching(self._url):
            trials = self._study.get_trials(deepcopy=False)
        try:
            return tuple(
                candidate_of(trial.number, trial.user_attrs[RECORD])
                for trial in trials
                if trial.state in (TrialState.COMPLETE, TrialState.PRUNED)
            )
        except (LookupError, TypeError, ValueError):
            raise StoreError(
                f"{self.place}: the study {self.name} holds trials that edgekit did not make",
                hint="it may be of a newer edgekit",
            ) from None

    def trials(self) -> list[FrozenTrial]:
        """As Optuna has them."""
        with reaching(self._url):
            return self._study.get_trials(deepcopy=False)

    def _take_back(self) -> None:
        for trial in self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            begun = trial.datetime_start.timestamp() if trial.datetime_start else 0.0
            if is_gone(trial.user_attrs.get(OWNER), trial.user_attrs.get(SEEN), begun):
                self._give_back(trial.number)

    def _give_back(self, number: int) -> None:
        """Let another trial take its place with the same values, or with its seed where it had no
        values yet. Of several processes one does so."""
        trial = self._study.get_trials(deepcopy=False)[number]
        try:
            self._study.tell(number, state=TrialState.FAIL)
        except (ValueError, UpdateFinishedTrialError):
            return
        values = trial.params if OWNER in trial.user_attrs else trial.system_attrs.get(FIXED, {})
        self._study.enqueue_trial(dict(values), user_attrs={RETRY_OF: number})


def _counted(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    return [trial for trial in trials if trial.state != TrialState.FAIL]


def make_study(
    storage: str | None,
    name: str,
    *,
    higher_is_better: Sequence[bool],
    seed: int,
    trials: int,
    about: Mapping[str, Any],
) -> Study:
    """The study of a name, made where there is none. Raises StoreError."""
    url = storage_url(storage)
    with reaching(url):
        study = optuna.create_study(
            study_name=name,
            storage=_opened(url),
            directions=["maximize" if higher else "minimize" for higher in higher_is_better],
            sampler=SeededByTurn(seed, objectives=len(higher_is_better), trials=trials),
            pruner=optuna.pruners.NopPruner(),
            load_if_exists=True,
        )
        if ABOUT not in study.user_attrs:
            study.set_user_attr(ABOUT, dict(about))
    return Study(study, url)


def find_study(storage: str | None, start: str) -> Study:
    """The study whose name begins so, or the `latest`. Raises UsageError: there is none, or several
    are called so; StoreError."""
    url = storage_url(storage)
    file = sqlite_file(url)
    if file is not None and not file.exists():
        raise UsageError("there is no search yet", hint="see `edgekit search --help`")
    with reaching(url):
        opened = _opened(url)
        made = {
            study.study_name: study.user_attrs[ABOUT]["created"]
            for study in opened.get_all_studies()
            if ABOUT in study.user_attrs
        }
        called = [name for name in made if start == "latest" or name.startswith(start)]
        if start in made:
            called = [start]
        if not called or (len(called) > 1 and start != "latest"):
            many = f"{len(called)} searches are called" if called else "no search is called"
            raise UsageError(
                f"{many} {printable(start)}…",
                hint=f"there are {', '.join(called or made) or 'none'}",
            )
        name = max(called, key=lambda each: str(made[each]))
        return Study(optuna.load_study(study_name=name, storage=opened), url)


def storage_url(storage: str | None) -> URL:
    """Where studies are kept: a URL or a file, EDGEKIT_SEARCH_DB, or a file in the user's data
    directory. Raises StoreError."""
    return database_url(storage, environment=ENVIRONMENT, file=FILE)


@contextmanager
def reaching(url: URL) -> Iterator[None]:
    """What goes wrong with a storage in the block becomes a StoreError that names it."""
    try:
        with translated(url), quiet():
            try:
                yield
            except (StorageInternalError, ImportError) as error:
                raise error.__cause__ or error from None
    except StorageInternalError as error:
        raise StoreError(f"{shown(url)}: {printable(str(error))}") from None


@contextmanager
def quiet() -> Iterator[None]:
    """Optuna says nothing on its own in the block."""
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        optuna.logging.set_verbosity(verbosity)


def _opened(url: URL) -> RDBStorage:
    file = sqlite_file(url)
    if file is None:
        return _with_tables(url, {"pool_pre_ping": True})
    file.parent.mkdir(parents=True, exist_ok=True)
    with alone_with(file):
        _require_own(url)
        return _with_tables(url, {"connect_args": {"timeout": BUSY_SECONDS}})


def _with_tables(url: URL, options: dict[str, Any]) -> RDBStorage:
    address = url.render_as_string(hide_password=False)
    address = address.replace("{", "{{").replace("}", "}}")  # Optuna takes it as a template
    for _ in range(OPENINGS - 1):
        with suppress(SQLAlchemyError, StorageInternalError):
            return RDBStorage(address, engine_kwargs={**options})
        time.sleep(0.5)
    return RDBStorage(address, engine_kwargs={**options})


def _require_own(url: URL) -> None:
    """Refuse an SQLite file that holds something else. Raises StoreError."""
    file = sqlite_file(url)
    if file is None or not file.exists():
        return
    engine = make_engine(url)
    try:
        tables = inspect(engine).get_table_names()
    finally:
        engine.dispose()
    if tables and "studies" not in tables:
        raise StoreError(
            f"{file}: not a database of searches",
            hint="it was not touched; name another one with --storage",
        )
