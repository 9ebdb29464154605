"""The sources behind a name are found without importing anything."""

from __future__ import annotations

from pathlib import Path

from edgekit.registry.dependencies import sources


def write(base: Path, **modules: str) -> None:
    for name, text in modules.items():
        path = base / f"{name.replace('__', '/')}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)


def test_relative_imports_within_a_package_are_followed(tmp_path: Path) -> None:
    write(
        tmp_path,
        pack__nets="from . import blocks\nfrom .parts import x\n",
        pack__blocks="",
        pack__parts="x = 1\n",
    )
    (tmp_path / "pack" / "__init__.py").touch()
    assert [path.name for path in sources("pack.nets", tmp_path)] == [
        "__init__.py",
        "blocks.py",
        "nets.py",
        "parts.py",
    ]


def test_torchvision_is_not_read_its_version_is_in_the_key(tmp_path: Path) -> None:
    assert sources("torchvision.models", tmp_path) == []
