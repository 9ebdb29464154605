"""Files in a folder for each class: PATH/train/CLASS/… beside PATH/test/… or PATH/val/…, or
PATH/CLASS/…, split by class and seed. Owns the folders; what is in a file is the source's."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgekit.data.source import Request
from edgekit.errors import ModelError

Files = list[tuple[Path, int]]
"""Files and the numbers of their classes."""


@dataclass(frozen=True)
class ClassFolders:
    """A folder as one source reads it: its name for messages, and the endings of its files."""

    source: str
    root: Path
    suffixes: Collection[str]

    def split(self, test_fraction: float, request: Request) -> tuple[Files, Files, tuple[str, ...]]:
        """Files for training and testing, as many as the request's limits allow, and the classes.

        Raises ModelError: no such folder, no classes, no files, too few of a class to split."""
        from edgekit.data.dataset import shuffled

        train, test, classes = self._all(test_fraction, request.seed)
        chosen = []
        for files, limit in ((train, request.train_limit), (test, request.test_limit)):
            if limit is not None and limit < len(files):
                files = [files[row] for row in shuffled(len(files), request.seed)[:limit].tolist()]
            chosen.append(files)
        return chosen[0], chosen[1], classes

    def classes(self) -> tuple[str, ...]:
        """The classes. Raises ModelError as `split` does, where it needs no file's content."""
        self._check_root()
        held_out = held_out_folder(self.root)
        root = self.root if held_out is None else self.root / "train"
        classes = self._class_names(root)
        for folder in filter(None, (root, held_out)):
            self._listing(folder, classes)
        return classes

    def _all(self, test_fraction: float, seed: int) -> tuple[Files, Files, tuple[str, ...]]:
        from edgekit.data.images import stratified

        self._check_root()
        held_out = held_out_folder(self.root)
        if held_out is not None:
            classes = self._class_names(self.root / "train")
            train = self._listing(self.root / "train", classes)
            return train, self._listing(held_out, classes), classes
        classes = self._class_names(self.root)
        files = self._listing(self.root, classes)
        labels = [label for _, label in files]
        train_rows, test_rows = stratified(labels, test_fraction, seed, self.source)
        return [files[row] for row in train_rows], [files[row] for row in test_rows], classes

    def _check_root(self) -> None:
        if not self.root.is_dir():
            raise ModelError(
                f"data {self.source}: no such folder {self.root}",
                hint="data.args.path is relative to the recipe",
            )

    def _class_names(self, root: Path) -> tuple[str, ...]:
        classes = _folder_names(root)
        if not classes:
            raise ModelError(
                f"data {self.source}: no folders in {root}",
                hint="put the files of each class into a folder named after it",
            )
        return classes

    def _listing(self, root: Path, classes: Sequence[str]) -> Files:
        strange = [name for name in _folder_names(root) if name not in classes]
        if strange:
            raise ModelError(
                f"data {self.source}: {root} has classes that train/ has not:"
                f" {', '.join(strange[:10])}"
            )
        files = [
            (file, label)
            for label, name in enumerate(classes)
            if (root / name).is_dir()
            for file in sorted((root / name).rglob("*"))
            if file.suffix.lower() in self.suffixes
        ]
        if not files:
            raise ModelError(
                f"data {self.source}: no files of its kind below {root}",
                hint=f"files end in {', '.join(self.suffixes)}",
            )
        return files


def held_out_folder(root: Path) -> Path | None:
    """The folder of the test files, where they lie apart from those for training."""
    if not (root / "train").is_dir():
        return None
    return next((root / name for name in ("test", "val") if (root / name).is_dir()), None)


def _folder_names(root: Path) -> tuple[str, ...]:
    folders = (entry.name for entry in root.iterdir() if entry.is_dir())
    return tuple(sorted(name for name in folders if not name.startswith(".")))
