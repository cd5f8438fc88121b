"""Blocks of a run: two computed side by side where they are at hand, else one while the next is read."""

import errno
import os
import threading
from pathlib import Path

import numpy as np
import pytest
from batch_files import _in_a_folder, some  # noqa: F401 (every test has a folder of its own)

import fastkl
from fastkl import batch
from fastkl.batch import _job, _kinds, _plan
from fastkl.batch.formats import _mapped

MIB = 1 << 20


@pytest.fixture
def pair(monkeypatch):
    """Files of 100 rows, of which ten are read at a time."""
    monkeypatch.setattr(_job, "rows_together", lambda *_: 10)
    arrays = [np.abs(some((100, 6), "f8")) + place for place in (1, 2)]
    for name, array in zip("pq", arrays, strict=True):
        np.save(f"{name}.npy", array)
    return arrays


@pytest.fixture
def computing(monkeypatch):
    """A list of how many blocks were computed at the time when each began; all wait for another that may come."""
    at_work, seen, changed = set(), [], threading.Condition()
    compute = _kinds.RowKind.compute

    def counted(self, start, blocks):
        with changed:
            at_work.add(start)
            seen.append(len(at_work))
            changed.notify_all()
            changed.wait_for(lambda: len(at_work) > 1, timeout=0.05)
        try:
            return compute(self, start, blocks)
        finally:
            with changed:
                at_work.discard(start)

    monkeypatch.setattr(_kinds.RowKind, "compute", counted)
    return seen


def test_two_blocks_of_mapped_files_are_computed_at_a_time(pair, computing):
    batch.run("kl", "p.npy", "q.npy", "out.npy", threads=2)
    assert max(computing) == 2
    np.testing.assert_array_equal(np.load("out.npy"), fastkl.kl_divergence(*pair))


def test_one_thread_computes_one_block_at_a_time(pair, computing):
    batch.run("kl", "p.npy", "q.npy", "out.npy", threads=1)
    assert set(computing) == {1}


def test_what_is_unpacked_is_computed_one_block_at_a_time(pair, computing):
    pytest.importorskip("zarr").save_array("p.zarr", pair[0])
    batch.run("kl", "p.zarr", "q.npy", "out.npy", threads=2)
    assert set(computing) == {1}


def test_long_rows_take_all_threads(pair, computing, monkeypatch):
    monkeypatch.setattr(_kinds, "_FIRST_BYTES", 95)  # a row of both files has 96
    batch.run("kl", "p.npy", "q.npy", "out.npy", threads=2)
    assert set(computing) == {1}


def test_threads_are_divided_among_the_blocks(pair, monkeypatch):
    given = []
    monkeypatch.setitem(
        _kinds.ROW_FUNCTIONS, "kl", lambda *rows, **how: given.append(how["threads"]) or fastkl.kl_divergence(*rows)
    )
    for threads, each in ((1, 1), (2, 1), (5, 3)):
        given.clear()
        batch.run("kl", "p.npy", "q.npy", "out.npy", threads=threads, force=True)
        assert set(given[1:]) == {each}


def test_results_stand_in_order_whichever_block_is_done_first(pair, monkeypatch):
    second, compute = threading.Event(), _kinds.RowKind.compute

    def late(self, start, blocks):
        if start == 0:
            assert second.wait(60)
        try:
            return compute(self, start, blocks)
        finally:
            if start == 10:
                second.set()

    monkeypatch.setattr(_kinds.RowKind, "compute", late)
    told = []
    batch.run("kl", "p.npy", "q.npy", "out.npy", threads=2, on_progress=lambda now: told.append(now.rows_done))
    assert told == list(range(10, 101, 10))
    np.testing.assert_array_equal(np.load("out.npy"), fastkl.kl_divergence(*pair))


def test_of_two_blocks_with_invalid_rows_the_first_is_named(pair):
    pair[0][[15, 25], 0] = np.nan
    np.save("p.npy", pair[0])
    with pytest.raises(batch.InvalidHistogram, match=r"p\.npy\[15\] is not a histogram: bin 0 is nan"):
        batch.run("kl", "p.npy", "q.npy", "out.npy", threads=2)
    batch.run("kl", "p.npy", "q.npy", "out.npy", threads=2, on_invalid="report")
    assert [line.split(",")[0] for line in Path("out.npy.invalid.csv").read_text().splitlines()[1:]] == ["15", "25"]


def test_blocks_that_are_alive_fit_into_the_memory():
    for memory in (224 * MIB, 1024 * MIB):
        rows = _plan.rows_together(_plan.Need(row=8192, result=8, is_mapped=True), memory, 1)
        assert _plan.MAPPED_COPIES * rows * 8192 <= memory - _plan.OVERHEAD


# What is on a disk


@pytest.fixture
def asked(monkeypatch):
    """The parts of files that the system was asked to read."""
    parts = []
    monkeypatch.setattr(
        os, "posix_fadvise", lambda _, start, size, how: parts.append((start, size, how)), raising=False
    )
    monkeypatch.setattr(os, "POSIX_FADV_WILLNEED", "soon", raising=False)
    monkeypatch.setattr(os, "RWF_NOWAIT", 8, raising=False)
    return parts


def stored_at(*places):
    """What reads one byte without waiting from a file of which those places are not in memory."""

    def preadv(_, buffers, place, how):
        if place in places:
            raise BlockingIOError(errno.EAGAIN, "not in memory")
        return len(buffers[0])

    return preadv


def test_the_system_is_asked_for_what_is_not_in_memory(asked, monkeypatch):
    with open("file", "w+b") as file:
        monkeypatch.setattr(os, "preadv", stored_at(), raising=False)
        _mapped.fetch(file, 1000, 16 * MIB)
        assert asked == []
        monkeypatch.setattr(os, "preadv", stored_at(1000 + 8 * MIB), raising=False)
        _mapped.fetch(file, 1000, 16 * MIB)
        assert asked == [(1000, 16 * MIB, "soon")]
        _mapped.fetch(file, 1001, 16 * MIB)  # which none of the places is in
        assert len(asked) == 1
        _mapped.fetch(file, 0, 0)
        _mapped.fetch(file, 1000 + 8 * MIB, 3)
        assert asked[1:] == [(1000 + 8 * MIB, 3, "soon")]


def test_the_system_is_asked_where_it_can_not_tell(asked, monkeypatch):
    def unable(*_):
        raise OSError(errno.EOPNOTSUPP, "of this file system")

    monkeypatch.setattr(os, "preadv", unable, raising=False)
    with open("file", "w+b") as file:
        _mapped.fetch(file, 0, 100)
    assert asked == [(0, 100, "soon")]


def test_a_system_that_can_not_be_asked_is_not(monkeypatch):
    monkeypatch.delattr(os, "posix_fadvise", raising=False)
    monkeypatch.delattr(os, "preadv", raising=False)
    np.save("p.npy", some((5, 4), "f8"))
    batch.run("kl", "p.npy", "p.npy", "out.npy", on_invalid="nan")
