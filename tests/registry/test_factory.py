"""Names of the user's functions: found beside the recipe, and every mistake in them said in one
line."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from edgekit.errors import ModelError
from edgekit.registry.factory import call_factory, load_factory, local_file, module_file, suggestion


def load(name: str, base: Path) -> object:
    return load_factory(name, base, "model")


def test_a_module_beside_the_recipe_is_found_and_wins(tmp_path: Path) -> None:
    (tmp_path / "colorsys.py").write_text("def build(): return 'mine'\n")
    assert load_factory("colorsys:build", tmp_path, "model")() == "mine"
    assert str(tmp_path) not in sys.path
    del sys.modules["colorsys"]


def test_modules_of_one_name_beside_two_recipes_are_two_modules(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "factory_nets.py").write_text(f"def build(): return {name!r}\n")
    built = [load_factory("factory_nets:build", tmp_path / name, "model")() for name in "aba"]
    assert built == ["a", "b", "a"]


def test_a_factory_may_import_from_beside_the_recipe_when_called(tmp_path: Path) -> None:
    (tmp_path / "factory_late.py").write_text(
        "def build():\n    import factory_helper\n    return factory_helper.value\n"
    )
    (tmp_path / "factory_helper.py").write_text("value = 7\n")
    factory = load_factory("factory_late:build", tmp_path, "model")
    assert call_factory(factory, {}, "model factory_late:build", base=tmp_path) == 7


@pytest.mark.parametrize("name", ["os.path", "os:", ":f", "os:a b", "a-b:c", "os:path:join"])
def test_what_is_not_such_a_name_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"expected `package.module:object`"):
        load(name, tmp_path)


def test_a_missing_module_says_where_it_could_lie(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="there is no module no_such_nets") as caught:
        load("no_such_nets:build", tmp_path)
    assert str(tmp_path) in caught.value.hint


def test_a_module_whose_own_import_is_missing_is_not_called_missing(tmp_path: Path) -> None:
    (tmp_path / "factory_needs.py").write_text("import no_such_dependency\n")
    with pytest.raises(ModelError, match="factory_needs needs no_such_dependency"):
        load("factory_needs:build", tmp_path)


def test_a_module_that_fails_when_imported_is_named(tmp_path: Path) -> None:
    (tmp_path / "factory_broken.py").write_text("1 / 0\n")
    with pytest.raises(
        ModelError, match=r"factory_broken fails when imported: ZeroDivisionError: division by zero"
    ):
        load("factory_broken:build", tmp_path)


def test_a_missing_function_is_suggested(tmp_path: Path) -> None:
    (tmp_path / "factory_typo.py").write_text("def build_net(): ...\n")
    with pytest.raises(ModelError, match="has no build_nett") as caught:
        load("factory_typo:build_nett", tmp_path)
    assert caught.value.hint == "did you mean build_net?"


def test_wrong_arguments_quote_the_signature_without_what_edgekit_passes(tmp_path: Path) -> None:
    def factory(passed: object, *, classes: int = 10) -> int:
        return classes

    assert call_factory(factory, {"classes": 3}, "data x", None, base=tmp_path) == 3
    with pytest.raises(
        ModelError, match="data x: got an unexpected keyword argument 'clases'"
    ) as caught:
        call_factory(factory, {"clases": 3}, "data x", None, base=tmp_path)
    assert "factory(*, classes: 'int' = 10)" in caught.value.hint
    assert "passed" not in caught.value.hint


def test_what_a_factory_raises_is_one_line(tmp_path: Path) -> None:
    def factory() -> None:
        raise KeyError("width")

    with pytest.raises(ModelError, match="model x: its factory failed: KeyError: 'width'"):
        call_factory(factory, {}, "model x", base=tmp_path)


def test_source_files_are_found_without_importing(tmp_path: Path) -> None:
    (tmp_path / "factory_pack" / "deep").mkdir(parents=True)
    (tmp_path / "factory_pack" / "__init__.py").write_text("raise SystemError\n")
    (tmp_path / "factory_pack" / "deep" / "nets.py").write_text("")
    assert module_file("factory_pack", tmp_path) == tmp_path / "factory_pack" / "__init__.py"
    assert (
        module_file("factory_pack.deep.nets", tmp_path)
        == tmp_path / "factory_pack" / "deep" / "nets.py"
    )
    file = module_file("edgekit.registry.factory", tmp_path)
    assert file is not None
    assert file.name == "factory.py"
    assert local_file("edgekit.registry.factory", tmp_path) is None
    assert module_file("sys", tmp_path) is None
    assert module_file("no_such_package.nets", tmp_path) is None


def test_suggestions_are_near_names_or_a_short_list() -> None:
    assert suggestion("resnet9", ["resnet8", "lstm"]) == "did you mean resnet8?"
    assert suggestion("zzz", ["b", "a"]) == "known: a, b"
    assert suggestion("zzz", [f"name{i}" for i in range(30)]) == ""
