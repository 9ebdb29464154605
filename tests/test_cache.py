"""An entry of the cache is whole or absent, and one process works on a key at a time."""

from __future__ import annotations

import itertools
import random
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from edgekit.cache import HASHES, Cache, content_key, source_digest
from edgekit.errors import BusyError
from tests.support.kills import Kills, die_later, exit_code

KILLS = 50


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


@pytest.mark.parametrize(
    "damage",
    [
        lambda entry: flip(entry / "inner" / "weights"),
        lambda entry: (entry / "inner" / "weights").write_bytes(b"cont"),
        lambda entry: (entry / "inner" / "weights").unlink(),
        lambda entry: (entry / "surplus").touch(),
        lambda entry: flip(entry / HASHES),
        lambda entry: (entry / HASHES).unlink(),
    ],
    ids=["flipped bit", "cut", "missing", "surplus", "hashes flipped", "of an edgekit without"],
)
def test_a_damaged_entry_is_no_entry_and_is_replaced(
    tmp_path: Path, damage: Callable[[Path], object], caplog: pytest.LogCaptureFixture
) -> None:
    """Case 66 of the faults."""
    cache = Cache(tmp_path, "stages")
    entry = filled(cache)
    assert cache.get("k") == entry
    damage(entry)
    assert cache.get("k") is None
    assert "is damaged and is computed anew" in caplog.text
    assert filled(cache) == cache.get("k") == entry
    assert not list((tmp_path / "partial").iterdir()), "what was damaged is gone"


def test_what_is_not_read_is_not_looked_at(tmp_path: Path) -> None:
    cache = Cache(tmp_path, "stages")
    entry = filled(cache)
    flip(entry / "inner" / "weights")
    assert cache.get("k", "row") == entry
    assert cache.get("k", "row", "inner/weights") is None
    assert cache.get("k", "missing") is None


def filled(cache: Cache) -> Path:
    scratch = cache.scratch()
    (scratch / "inner").mkdir()
    (scratch / "inner" / "weights").write_bytes(b"content")
    (scratch / "row").write_bytes(b"row")
    return cache.put("k", scratch)


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[3] ^= 1
    file.write_bytes(content)


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


def filler(root: str, first: int, acknowledged: str, after_s: float) -> None:
    """Fills the cache from key `first` on and writes down each key that was put; the damaged entry
    comes first."""
    cache = Cache(Path(root), "stages")
    with Path(acknowledged).open("a") as log:
        die_later(after_s)
        for key in itertools.chain(["damaged"], map(str, itertools.count(first))):
            with cache.claim(key, "stage train"):
                put(cache, key)
            log.write(f"{key}\n")
            log.flush()


def put(cache: Cache, key: str) -> Path:
    scratch = cache.scratch()
    (scratch / "weights").write_bytes(key.encode() * 50_000)
    (scratch / "row").write_text(key)
    return cache.put(key, scratch)


@pytest.mark.nightly
@pytest.mark.slow
def test_a_process_that_fills_the_cache_is_killed(tmp_path: Path, kills: Kills) -> None:
    """What is there after a kill is whole, or is the damaged entry of before; everything that was
    acknowledged is there; a retry completes."""
    randomly = random.Random(69)
    root, acknowledged = tmp_path / "cache", tmp_path / "acknowledged"
    cache = Cache(root, "stages")
    damaged = put(cache, "damaged")
    states: Counter[str] = Counter()
    for attempt in range(kills(KILLS)):
        flip(damaged / "weights")
        acknowledged.write_text("")
        code = exit_code(
            filler, str(root), attempt * 10_000, str(acknowledged), randomly.uniform(0, 0.1)
        )
        assert code == -signal.SIGKILL
        keys = set(acknowledged.read_text().split())
        for entry in (root / "stages").iterdir():
            whole = cache.get(entry.name) is not None
            assert whole or entry.name == "damaged"
            assert not whole or (entry / "row").read_text() == entry.name
            keys.discard(entry.name)
        assert not keys, "what was acknowledged is there"
        states[f"damaged entry {'whole' if cache.get('damaged') else 'as before or gone'}"] += 1
        with cache.claim("damaged", "stage train"):
            assert put(cache, "damaged") == cache.get("damaged")
    print(f"{states.total()} kills: {dict(states)}")
