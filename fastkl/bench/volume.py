"""Who gets through files and chunks: runs of fastkl beside the same call in memory, other libraries slice by slice."""

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import numpy.typing as npt

from fastkl.bench import floor, loops
from fastkl.bench.case import Case
from fastkl.bench.contestant import Call, Peer, first_items
from fastkl.bench.files import VolumeCase, run_over, run_untimed
from fastkl.bench.peers import FASTKL

_Array = npt.NDArray[Any]
_SLICE = 1 << 12  # rows that other libraries get at a time
_BLOCK = 1 << 14  # rows that are read at a time


def _run(case: Case) -> Call:
    assert isinstance(case, VolumeCase)
    return lambda: run_over(case)


def _run_without_journal(case: Case) -> Call:
    """The same, but that nothing is noted on the way: the result goes to the disk once, at the end."""
    from fastkl.batch import _journal

    assert isinstance(case, VolumeCase)

    def unrecorded() -> Any:
        with (
            patch.object(_journal, "SECONDS_BETWEEN", math.inf),
            patch.object(_journal.Journal, "_write", lambda journal, done: None),
        ):
            return run_untimed(case)[0]

    return unrecorded


def _reading(case: Case) -> Call:
    """Both files block by block on one thread, each page touched, and nothing computed."""
    from fastkl.batch.formats import open_source
    from fastkl.batch.formats._mapped import in_memory

    assert isinstance(case, VolumeCase)
    paths = case.files.p, case.files.q

    def call() -> None:
        p, q = (open_source(path) for path in paths)
        for start in range(0, p.rows, _BLOCK):
            for source in (p, q):
                in_memory(source.read(start, min(start + _BLOCK, p.rows)))
        p.close()
        q.close()

    return call


def _mapped_floor(case: Case) -> Call:
    assert isinstance(case, VolumeCase)
    paths = case.files.p, case.files.q

    def call() -> Any:
        p, q = (np.load(path, mmap_mode="r") for path in paths)
        return floor.bind(replace(case, p=p, q=q))()

    return call


def _slices(case: VolumeCase) -> Iterator[tuple[_Array, _Array]]:
    """Some rows at a time, read by the library that the format is of."""
    read = {".npy": _npy_slices, ".parquet": _parquet_slices, ".zarr": _zarr_slices}[case.files.suffix]
    return zip(*(read(path, len(case.p)) for path in (case.files.p, case.files.q)), strict=True)


def _npy_slices(path: Path, rows: int) -> Iterator[_Array]:
    return _slices_of(np.load(path, mmap_mode="r"), rows)


def _zarr_slices(path: Path, rows: int) -> Iterator[_Array]:
    import zarr

    return _slices_of(zarr.open_array(path, mode="r"), rows)


def _slices_of(array: Any, rows: int) -> Iterator[_Array]:
    for start in range(0, rows, _SLICE):
        yield array[start : min(start + _SLICE, rows)]


def _parquet_slices(path: Path, rows: int) -> Iterator[_Array]:
    from pyarrow.parquet import ParquetFile

    batches = ParquetFile(path).iter_batches(_SLICE)
    while rows > 0:
        batch = next(batches)
        block = batch.column(0).flatten().to_numpy().reshape(batch.num_rows, -1)[:rows]
        rows -= len(block)
        yield block


def _by_slices(divergence: Callable[[_Array, _Array], Any], case: Case) -> Call:
    assert isinstance(case, VolumeCase)
    return lambda: np.concatenate([divergence(p, q) for p, q in _slices(case)])


def entropy_of(p: _Array, q: _Array) -> Any:
    """By SciPy."""
    from scipy.stats import entropy

    return entropy(p, q, axis=1)


def formula(p: Any, q: Any) -> Any:
    """By NumPy, or by what behaves like it."""
    p, q = (rows / rows.sum(axis=1, keepdims=True) for rows in (p, q))
    return (p * np.log(p / q)).sum(axis=1)


def _torch_formula(p: _Array, q: _Array) -> Any:
    import torch

    x, y = (torch.tensor(rows) for rows in (p, q))  # from_numpy warns of rows that can't be written
    s, t = x.sum(1), y.sum(1)
    return (x / y).log_().mul_(x).sum(1) / s + torch.log(t / s)


def _torch_by_slices(case: Case) -> Call:
    import torch

    call = _by_slices(_torch_formula, case)

    def on_threads() -> Any:
        torch.set_num_threads(case.threads)
        return call()

    return on_threads


def loop_on(threads: int) -> Callable[[_Array, _Array], Any]:
    """By a loop that Numba compiles."""
    return lambda p, q: loops.over_rows(loops.kl_normalized, (p, q), (), np.empty(len(q)), threads)


def _numba_by_slices(case: Case) -> Call:
    return _by_slices(loop_on(case.threads), case)


IN_MEMORY = Peer("in memory", FASTKL.bind, "fastkl")
RUN = Peer("fastkl", _run, "fastkl")
RUN_WITHOUT_JOURNAL = Peer("fastkl, no journal", _run_without_journal, "fastkl")
READING = Peer("reading alone, 1 thread", _reading, "fastkl", rtol=None)
MAPPED_FLOOR = Peer("read floor, mapped anew", _mapped_floor, rtol=None)
SLICES = (
    Peer("scipy.stats.entropy, slices", partial(_by_slices, entropy_of), "scipy", first_items),
    Peer("numpy, slices", partial(_by_slices, formula), "numpy", first_items),
    Peer("numba loop, slices", _numba_by_slices, "numba", first_items),
    Peer("torch, slices", _torch_by_slices, "torch", first_items),
)
