"""An entry of the cache is whole or absent, and one process works on a key at a time."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgekit.cache import Cache, content_key, source_digest
from edgekit.errors import BusyError


def test_keys_depend_on_content_not_on_order_of_keys() -> None:
    assert content_key({"a": 1, "b": 2}) == content_key({"b": 2, "a": 1})
    assert content_key({"a": 1}) != content_key({"a": 2})
    assert content_key("a", "b") != content_key("ab")


def test_sources_are_part_of_keys() -> None:
    assert source_digest("compress") != source_digest("models")
    assert source_digest("cache.py") == source_digest("cache.py")


def test_an_entry_appears_whole(tmp_path: Path) -> None:
    cache = Cache(tmp_path, "stages")
    assert cache.get("k") is None
    scratch = cache.scratch()
    (scratch / "file").write_text("content")
    assert cache.get("k") is None
    assert (cache.put("k", scratch) / "file").read_text() == "content"
    assert cache.get("k") is not None
    assert not scratch.exists()


def test_the_first_entry_wins(tmp_path: Path) -> None:
    cache = Cache(tmp_path, "stages")
    for content in ("first", "second"):
        scratch = cache.scratch()
        (scratch / "file").write_text(content)
        entry = cache.put("k", scratch)
    assert (entry / "file").read_text() == "first"


def test_unfinished_work_is_still_there_for_the_next(tmp_path: Path) -> None:
    cache = Cache(tmp_path, "stages")

    def work_and_die() -> None:
        with cache.claim("k", "stage train") as work:
            (work / "epoch.pt").write_text("3")
            raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        work_and_die()
    with cache.claim("k", "stage train") as work:
        assert (work / "epoch.pt").read_text() == "3"


def test_a_second_process_is_told_to_wait(tmp_path: Path) -> None:
    cache = Cache(tmp_path, "stages")
    with (
        cache.claim("k", "stage train"),
        pytest.raises(BusyError, match="stage train"),
        Cache(tmp_path, "stages").claim("k", "stage train"),
    ):
        pass


def test_the_cache_is_private(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache", "stages")
    assert cache.get("k") is None
    assert not (tmp_path / "cache").exists(), "looking leaves no trace"
    cache.scratch()
    assert (tmp_path / "cache").stat().st_mode & 0o077 == 0
