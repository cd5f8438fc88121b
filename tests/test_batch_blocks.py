"""Blocks of a run: two computed side by side where they are at hand, else one while the next is read."""

import errno
import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from batch_files import _in_a_folder, some  # noqa: F401 (every test has a folder of its own)

import fastkl
from fastkl import batch
from fastkl._threads import check_wanted
from fastkl.batch import _job, _kept, _kinds, _plan
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
    for threads, each in ((1, 1), (2, 1), (5, 5), (6, 3)):
        given.clear()
        batch.run("kl", "p.npy", "q.npy", "out.npy", threads=threads, force=True)
        assert set(given[1:]) == {each}


@pytest.fixture
def second_block_first(monkeypatch):
    """The first block ends after the second."""
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
    return second


def test_results_stand_in_order_whichever_block_is_done_first(pair, second_block_first):
    told = []
    batch.run("kl", "p.npy", "q.npy", "out.npy", threads=2, on_progress=lambda now: told.append(now.rows_done))
    assert told == list(range(10, 101, 10))
    np.testing.assert_array_equal(np.load("out.npy"), fastkl.kl_divergence(*pair))


def test_of_two_blocks_with_invalid_rows_the_first_is_named(pair, second_block_first):
    pair[0][[5, 15], 0] = np.nan
    np.save("p.npy", pair[0])
    with pytest.raises(batch.InvalidHistogram, match=r"p\.npy\[5\] is not a histogram: bin 0 is nan"):
        batch.run("kl", "p.npy", "q.npy", "out.npy", threads=2)
    second_block_first.clear()
    batch.run("kl", "p.npy", "q.npy", "out.npy", threads=2, on_invalid="report")
    assert [line.split(",")[0] for line in Path("out.npy.invalid.csv").read_text().splitlines()[1:]] == ["5", "15"]


@pytest.mark.parametrize("how", ["interrupt", "callback"])
def test_blocks_that_are_under_way_are_not_waited_for(how, pair, monkeypatch):
    compute = _kinds.RowKind.compute

    def endless(self, start, blocks):
        while start > 0:
            check_wanted()
            time.sleep(0.01)
        return compute(self, start, blocks)

    def told(now):
        if how == "interrupt":
            os.kill(os.getpid(), signal.SIGINT)
        else:
            raise RuntimeError("enough")

    monkeypatch.setattr(_kinds.RowKind, "compute", endless)
    with pytest.raises(KeyboardInterrupt if how == "interrupt" else RuntimeError):
        batch.run("kl", "p.npy", "q.npy", "out.npy", threads=2, on_progress=told)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("fastkl-run")]
    assert sorted(os.listdir()) == ["p.npy", "q.npy"]


def test_blocks_that_are_alive_fit_into_the_memory():
    for memory in (224 * MIB, 1024 * MIB):
        rows = _plan.rows_together(_plan.Need(row=8192, result=8, is_at_hand=True), memory, 1)
        assert _plan.COPIES_AT_HAND * rows * 8192 <= memory - _plan.OVERHEAD


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
        rows = np.empty(16 * MIB, np.uint8)
        _mapped.fetch(rows, file, 1000)
        assert asked == []
        monkeypatch.setattr(os, "preadv", stored_at(1000 + 8 * MIB), raising=False)
        _mapped.fetch(rows, file, 1000)
        assert asked == [(1000, 16 * MIB, "soon")]
        _mapped.fetch(rows, file, 1001)  # which none of the places is in
        assert len(asked) == 1
        _mapped.fetch(rows[:0], file, 0)
        _mapped.fetch(rows[:3], file, 1000 + 8 * MIB)
        assert asked[1:] == [(1000 + 8 * MIB, 3, "soon")]


@pytest.mark.parametrize(
    "error", [OSError(errno.EOPNOTSUPP, "of this file system"), NotImplementedError(), AttributeError()]
)
def test_the_system_is_asked_where_it_can_not_tell(error, asked, monkeypatch):
    def unable(*_):
        raise error

    monkeypatch.setattr(os, "preadv", unable, raising=False)
    with open("file", "w+b") as file:
        _mapped.fetch(np.empty(100, np.uint8), file, 0)
    assert asked == [(0, 100, "soon")]


@pytest.mark.parametrize("absent", [["posix_fadvise", "preadv"], ["RWF_NOWAIT"], []])
def test_runs_need_no_advice(absent, monkeypatch):
    def no_advice(*_):
        raise OSError(errno.ENOSYS, "of this system")

    monkeypatch.setattr(os, "posix_fadvise", no_advice, raising=False)
    monkeypatch.setattr(_kept, "_BYTES_AT_ONCE", 1)
    for name in absent:
        monkeypatch.delattr(os, name, raising=False)
    rows = np.abs(some((50, 4), "f8")) + 1
    np.save("p.npy", rows)
    batch.run("kl", "p.npy", rows[::-1].copy(), "out.npy")
    np.testing.assert_array_equal(np.load("out.npy"), fastkl.kl_divergence(rows, rows[::-1]))


def test_results_are_given_to_the_disk_as_they_come(pair, monkeypatch):
    parts = []
    monkeypatch.setattr(os, "posix_fadvise", lambda _, start, size, how: parts.append((start, size)), raising=False)
    monkeypatch.setattr(os, "POSIX_FADV_DONTNEED", "now", raising=False)
    monkeypatch.setattr(_kept, "_BYTES_AT_ONCE", 200)
    monkeypatch.setattr(_mapped, "fetch", lambda *_: None)
    batch.run("kl", "p.npy", "q.npy", "out.npy", threads=2)
    first = os.path.getsize("out.npy") - 800
    assert parts == [(first + start, 240) for start in (0, 240, 480)]
