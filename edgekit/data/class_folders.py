"""Files in a folder for each class: PATH/train/CLASS/… beside PATH/test/… (or val, valid,
validation, eval, dev), or PATH/CLASS/…, split by class and seed. Owns the folders; what is in a
file is the source's."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgekit.data.source import Request
from edgekit.data.split_folders import (
    HELD_OUT,
    TRAIN,
    FolderContents,
    files_below,
    folders_in,
    has_files,
    other_files,
    plural,
    split_folders,
)
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

        Raises ModelError: no such folder, no classes, no files, too few of a class to split, and
        folders of which it is not clear whether they are splits or classes."""
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
        return tuple(name for name, _ in self.contents().classes)

    def contents(self) -> FolderContents:
        """What the folder holds. Raises as `classes`."""
        parts = self._parts()
        classes = self._class_names(parts[0])
        others = Counter[str]()
        per_class = Counter[int]()
        for part in parts:
            files, of_part = self._listing(part, classes)
            per_class.update(label for _, label in files)
            others.update(of_part)
        return FolderContents(
            sum(per_class.values()),
            tuple((name, per_class[label]) for label, name in enumerate(classes)),
            (*self._unused(parts), *other_files(others)),
        )

    def _all(self, test_fraction: float, seed: int) -> tuple[Files, Files, tuple[str, ...]]:
        from edgekit.data.images import stratified

        parts = self._parts()
        classes = self._class_names(parts[0])
        listed = [self._listing(part, classes)[0] for part in parts]
        if len(listed) == 2:
            return listed[0], listed[1], classes
        [files] = listed
        labels = [label for _, label in files]
        train_rows, test_rows = stratified(labels, test_fraction, seed, self.source)
        return [files[row] for row in train_rows], [files[row] for row in test_rows], classes

    def _parts(self) -> tuple[Path, ...]:
        """The folders that hold those of the classes: for training and for testing, or one for
        both."""
        if not self.root.is_dir():
            raise ModelError(
                f"data {self.source}: no such folder {self.root}",
                hint="data.args.path is relative to the recipe",
            )
        splits = split_folders(self.root, (*TRAIN, *HELD_OUT))
        others = [folder for folder in folders_in(self.root) if folder not in splits]
        of_classes = [folder for folder in splits if folders_in(folder)]
        if not of_classes:
            self._require_classes(splits, others)
            return (self.root,)
        classes = [folder for folder in others if has_files(folder, self.suffixes)]
        if classes:
            raise ModelError(
                f"data {self.source}: {self.root} holds splits ({_names(of_classes)}) and classes"
                f" ({_names(classes)}) side by side",
                hint="move the classes into the splits, or the splits elsewhere",
            )
        return self._train_and_test(of_classes)

    def _train_and_test(self, splits: Sequence[Path]) -> tuple[Path, Path]:
        train = [folder for folder in splits if folder.name.casefold() in TRAIN]
        held_out = [folder for folder in splits if folder not in train]
        if not train:
            raise ModelError(
                f"data {self.source}: {self.root} has {_names(held_out)}, but no folder train with"
                " a folder for each class",
                hint=f"to split one of them, say so: data.args.path: …/{held_out[0].name}",
            )
        if not held_out:
            raise ModelError(
                f"data {self.source}: {self.root} has {train[0].name}, but no folder of samples for"
                " testing with a folder for each class",
                hint=f"call it {', '.join(HELD_OUT)}; or write data.args.path: …/{train[0].name},"
                " which is then split by class",
            )
        return train[0], held_out[0]

    def _require_classes(self, splits: Sequence[Path], others: Sequence[Path]) -> None:
        if splits and not others:
            raise ModelError(
                f"data {self.source}: {_names(splits)} in {self.root} hold no folder for each"
                " class",
                hint="put the files of each class into a folder named after it, in each of them",
            )

    def _class_names(self, root: Path) -> tuple[str, ...]:
        classes = class_order([folder.name for folder in folders_in(root)])
        if not classes:
            raise ModelError(
                f"data {self.source}: no folders in {root}",
                hint="put the files of each class into a folder named after it",
            )
        return classes

    def _listing(self, root: Path, classes: Sequence[str]) -> tuple[Files, Counter[str]]:
        """The files of all classes, and how many others there are, by their ending."""
        strange = [folder.name for folder in folders_in(root) if folder.name not in classes]
        if strange:
            raise ModelError(
                f"data {self.source}: {root} has classes that train/ has not:"
                f" {', '.join(strange[:10])}"
            )
        labelled, others = [], Counter[str]()
        for label, name in enumerate(classes):
            files, of_class = files_below(root / name, self.suffixes)
            labelled += [(file, label) for file in files]
            others.update(of_class)
        if not labelled:
            raise ModelError(
                f"data {self.source}: no files of its kind below {root}",
                hint="; ".join([f"files end in {', '.join(self.suffixes)}", *other_files(others)]),
            )
        return labelled, others

    def _unused(self, parts: Sequence[Path]) -> tuple[str, ...]:
        """What lies beside the folders that are used."""
        beside = []
        if self.root not in parts:
            beside = [
                f"the folder {folder.name}"
                for folder in folders_in(self.root)
                if folder not in parts
            ]
        astray = sum(
            file.suffix.lower() in self.suffixes and not file.name.startswith(".")
            for part in {self.root, *parts}
            for file in part.iterdir()
            if file.is_file()
        )
        return (*beside, *([f"{plural(astray, 'file')} in no class's folder"] if astray else []))


def class_order(names: Sequence[str]) -> tuple[str, ...]:
    """The classes in the order of their numbers: by text, and where all names are whole numbers, by
    these. Then 0…n-1 are the numbers of the classes themselves, as models have learnt them."""
    if names and all(re.fullmatch(r"[0-9]+", name) for name in names):
        return tuple(sorted(names, key=lambda name: (int(name), name)))
    return tuple(sorted(names))


def _names(folders: Sequence[Path]) -> str:
    return ", ".join(folder.name for folder in folders[:10])
