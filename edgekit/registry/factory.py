"""Names of the form `package.module:object`. Owns finding and importing what they name, calling it,
and saying what is wrong with the name or the arguments. A module may lie beside the recipe.
Imports no torch itself; what it imports for the user may."""

from __future__ import annotations

import difflib
import functools
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from edgekit.errors import EdgekitError, ModelError
from edgekit.registry.own_code import in_one_line, own_code

T = TypeVar("T")


def is_object_name(name: str) -> bool:
    """Whether a text has the form `package.module:object`."""
    module_name, _, attribute = name.partition(":")
    return all(part.isidentifier() for part in [*module_name.split("."), attribute])


def load_object(name: str, base: Path, what: str) -> Any:
    """The object that `package.module:object` names. `base` is searched for modules first; `what`
    (model, task) goes into messages.

    Raises ModelError: not such a name, no such module, a module that fails when imported, no such
    object in it."""
    if not is_object_name(name):
        raise ModelError(f"{what} {name!r}: expected `package.module:object`")
    module_name, _, attribute = name.partition(":")
    with importable(base):
        module = _import(module_name, base, f"{what} {name!r}")
    try:
        return getattr(module, attribute)
    except AttributeError:
        raise ModelError(
            f"{what} {name!r}: module {module_name} has no {attribute}",
            hint=suggestion(attribute, [key for key in vars(module) if not key.startswith("_")]),
        ) from None


def load_factory(name: str, base: Path, what: str) -> Callable[..., Any]:
    """As `load_object`, for a function. Raises ModelError, also for what cannot be called."""
    factory = load_object(name, base, what)
    if not callable(factory):
        raise ModelError(
            f"{what} {name!r}: a {type(factory).__name__}, not a function",
            hint="name a function that returns it",
        )
    return factory


def call_factory(
    factory: Callable[..., Any], args: Mapping[str, Any], what: str, *leading: Any, base: Path
) -> Any:
    """`factory(*given, **args)`. Raises ModelError for arguments it does not take, quoting its
    signature, and for whatever it raises itself."""
    try:
        inspect.signature(factory).bind(*leading, **args)
    except TypeError as error:
        raise ModelError(
            f"{what}: {error}", hint=f"it takes {_signature(factory, len(leading))}"
        ) from None
    hint = f"it takes {_signature(factory, len(leading))}"
    module = getattr(factory, "__module__", None) or ""
    with importable(base), own_code(f"{what}: its factory", module, hint=hint):
        return factory(*leading, **args)


@dataclass(frozen=True)
class OwnObject:
    """What a recipe names itself: its kind (`task`), its name `package.module:object`, and the
    recipe's directory. `error` is raised where its code fails."""

    kind: str
    name: str
    base: Path
    error: type[EdgekitError] = ModelError

    @contextmanager
    def runs(self, part: str) -> Iterator[None]:
        """Within it, a part of the object's code runs (`loss`), and may import what lies beside
        the recipe. Raises `error` for whatever it raises, but an EdgekitError."""
        what = f"{self.kind} {self.name}: its {part}"
        with importable(self.base), own_code(what, self.name, error=self.error):
            yield

    def guarded(self, part: str, function: Callable[..., T]) -> Callable[..., T]:
        """A function of the object that raises as `runs` does."""

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> T:
            with self.runs(part):
                return function(*args, **kwargs)

        return call

    def guarded_iterator(
        self, part: str, function: Callable[..., Iterable[T]]
    ) -> Callable[..., Iterator[T]]:
        """The same for a function that yields: it is run to its end."""

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Iterator[T]:
            with self.runs(part):
                return iter(tuple(function(*args, **kwargs)))

        return call


def suggestion(word: str, known: Iterable[str]) -> str:
    """`did you mean …?` for the nearest known names, or the list of them when it is short."""
    names = sorted(known)
    near = difflib.get_close_matches(word, names, n=3, cutoff=0.6)
    if near:
        return f"did you mean {' or '.join(near)}?"
    return f"known: {', '.join(names)}" if 0 < len(names) <= 20 else ""


@contextmanager
def importable(base: Path) -> Iterator[None]:
    """Within it, modules that lie in the directory `base` can be imported, and win over installed
    ones."""
    entry = str(base.resolve())
    sys.path.insert(0, entry)
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path.remove(entry)


def module_file(module_name: str, base: Path) -> Path | None:
    """The source file of a module, found without importing anything; None for a module that has
    none or does not exist."""
    if local := local_file(module_name, base):
        return local
    top, *rest = module_name.split(".")
    try:
        spec = importlib.util.find_spec(top)
    except ValueError:  # a module without a spec, such as __main__
        return None
    if spec is None:
        return None
    if not rest:
        return Path(spec.origin) if spec.has_location and spec.origin else None
    files = (
        _source(Path(place).joinpath(*rest)) for place in spec.submodule_search_locations or ()
    )
    return next(filter(None, files), None)


def local_file(module_name: str, base: Path) -> Path | None:
    """The source file of a module that lies in the directory `base`; None for any other."""
    return _source(base.joinpath(*module_name.split(".")))


def _source(path: Path) -> Path | None:
    return next(
        (file for file in (path / "__init__.py", path.with_suffix(".py")) if file.is_file()), None
    )


def _import(module_name: str, base: Path, what: str) -> Any:
    _forget_namesake(module_name, base)
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise ModelError(
                f"{what}: module {module_name} needs {error.name}, which is not installed",
                hint=f"pip install {error.name}",
            ) from None
        raise ModelError(
            f"{what}: there is no module {error.name}",
            hint=f"install its package, or put {error.name}.py into {base.resolve()}",
        ) from None
    except Exception as error:  # importing a user's module runs it
        raise ModelError(
            f"{what}: module {module_name} fails when imported: {in_one_line(error, module_name)}"
        ) from error


def _forget_namesake(module_name: str, base: Path) -> None:
    """Drop a module imported earlier from beside another recipe, when one of the same name lies
    beside this one."""
    top = module_name.partition(".")[0]
    file = local_file(top, base)
    loaded = sys.modules.get(top)
    if (
        file is not None
        and loaded is not None
        and Path(getattr(loaded, "__file__", None) or "").resolve() != file.resolve()
    ):
        for name in [name for name in sys.modules if name == top or name.startswith(f"{top}.")]:
            del sys.modules[name]


def _signature(factory: Callable[..., Any], skip: int) -> str:
    """The signature as a user of the recipe sees it: without what edgekit passes itself."""
    signature = inspect.signature(factory)
    parameters = list(signature.parameters.values())[skip:]
    text = str(signature.replace(parameters=parameters, return_annotation=inspect.Signature.empty))
    return f"{getattr(factory, '__name__', 'it')}{text}"
