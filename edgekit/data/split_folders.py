"""What is in the folders of a dataset: which are its splits, which files are samples, and which lie
there by chance. Owns names and listing; what a sample is, is the source's. Imports no torch."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

TRAIN = ("train", "training")
HELD_OUT = ("test", "testing", "val", "valid", "validation", "eval", "evaluation", "dev")
"""The first that is there is taken."""
STRAYS = (
    *("$RECYCLE.BIN", "@eaDir", "System Volume Information", "__MACOSX", "lost+found"),
    *("Thumbs.db", "desktop.ini"),
)
"""What systems and programs leave behind in a folder, besides names that begin with a dot."""
LISTED = 5


@dataclass(frozen=True)
class FolderContents:
    """What a source understood of a folder, by its names alone: how many files there are of each
    class, in the order of the classes' numbers; and what is left out, and why."""

    files: int
    classes: tuple[tuple[str, int], ...]
    left_out: tuple[str, ...]

    def text(self) -> str:
        parts = [plural(self.files, "file")]
        if self.classes:
            names, counts = zip(*self.classes, strict=True)
            counted = [
                f"{name} ({files:,})" for name, files in zip(numbered(names), counts, strict=True)
            ]
            parts.append(f"classes: {', '.join(shortened(counted))}")
        if self.left_out:
            parts.append(f"left out: {', '.join(self.left_out)}")
        return "; ".join(parts)


def folders_in(root: Path) -> list[Path]:
    return sorted(entry for entry in root.iterdir() if entry.is_dir() and not is_stray(entry.name))


def split_folders(root: Path, names: Sequence[str]) -> list[Path]:
    """The folders with these names, in any case, in the order of the names."""
    by_name = {folder.name.casefold(): folder for folder in folders_in(root)}
    return [by_name[name] for name in names if name in by_name]


def files_below(folder: Path, suffixes: Collection[str]) -> tuple[list[Path], Counter[str]]:
    """The files with these endings at any depth, in order, and how many there are of each other
    ending."""
    files, others = [], Counter[str]()
    for directory, names, file_names in os.walk(folder):
        names[:] = [name for name in names if not is_stray(name)]
        for name in file_names:
            if is_stray(name):
                continue
            suffix = Path(name).suffix.lower()
            if suffix in suffixes:
                files.append(Path(directory, name))
            else:
                others[suffix] += 1
    return sorted(files), others


def has_files(folder: Path, suffixes: Collection[str]) -> bool:
    """Whether files with these endings lie in a folder itself."""
    return any(
        entry.suffix.lower() in suffixes and not is_stray(entry.name) and entry.is_file()
        for entry in folder.iterdir()
    )


def other_files(counts: Counter[str]) -> tuple[str, ...]:
    """How messages say which files are left out for their ending, the most frequent first."""
    return tuple(
        shortened(
            [
                f"{plural(count, 'file')} {suffix or 'without an ending'}"
                for suffix, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
            ],
            LISTED,
        )
    )


def shortened(texts: Sequence[str], most: int = 12) -> list[str]:
    """The first of many texts and the last, with the number of those between."""
    if len(texts) <= most:
        return list(texts)
    return [*texts[: most - 1], f"… {len(texts) - most} more …", texts[-1]]


def numbered(classes: Sequence[str]) -> list[str]:
    """Each class with its number, where its name is another."""
    return [
        name if name == str(number) else f"{number} {name}" for number, name in enumerate(classes)
    ]


def plural(count: int, what: str) -> str:
    return f"{count:,} {what}{'s' * (count != 1)}"


def is_stray(name: str) -> bool:
    """Whether a file or folder of this name is none of the user's."""
    return name.startswith(".") or name in STRAYS
