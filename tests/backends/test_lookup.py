"""Names of backends, also of a user's own, and the names of the files they make."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgekit.backends import BACKENDS
from edgekit.backends.lookup import backend_fingerprint, file_names, load_backend, runs
from edgekit.compress.scheme import FLOAT, Scheme
from edgekit.errors import ExportError, ModelError

OWN = """
from edgekit.backends.xnnpack import XnnpackBackend

class Mine(XnnpackBackend):
    name = "mine"

MINE = Mine()
NOTHING = 3
"""


@pytest.fixture
def base(tmp_path: Path) -> Path:
    (tmp_path / "own_backend.py").write_text(OWN)
    return tmp_path


@pytest.mark.parametrize("name", list(BACKENDS))
def test_every_built_in_backend_is_called_as_in_the_table(name: str) -> None:
    backend = load_backend(name)
    assert backend.name == name
    assert runs(backend, FLOAT)


def test_a_backend_beside_the_recipe(base: Path) -> None:
    backends = [load_backend("xnnpack"), load_backend("own_backend:MINE", base)]
    assert file_names("int8", backends) == ("int8.xnnpack.pte", "int8.mine.pte")
    assert file_names("int8", backends[1:]) == ("int8.pte",)


def test_changing_its_source_changes_its_fingerprint(base: Path) -> None:
    before = backend_fingerprint("own_backend:MINE", base)
    assert before == backend_fingerprint("own_backend:MINE", base)
    (base / "own_backend.py").write_text(OWN + "\n# another\n")
    assert before != backend_fingerprint("own_backend:MINE", base)


def test_what_is_no_backend_is_refused(base: Path) -> None:
    with pytest.raises(ModelError, match="a int, which is no backend"):
        load_backend("own_backend:NOTHING", base)
    with pytest.raises(ModelError, match="there is no backend 'xnpack'") as caught:
        load_backend("xnpack")
    assert caught.value.hint == "did you mean xnnpack?"


def test_a_scheme_that_a_backend_does_not_run_has_a_remedy() -> None:
    backend = load_backend("portable")
    assert runs(backend, Scheme("int8", "static", in_graph=True))
    with pytest.raises(ExportError, match="does not run float16 weights") as caught:
        backend.require(Scheme("float16"))
    assert "xnnpack or litert" in caught.value.hint
    for name in BACKENDS:
        assert not runs(load_backend(name), Scheme("int4"))
