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

from fastkl.bench import floor
from fastkl.bench.case import Case
from fastkl.bench.files import VolumeCase, run_over, run_untimed
from fastkl.bench.peers import FASTKL, Call, Peer, first_items

_Array = npt.NDArray[Any]
_SLICE = 1 << 12  # rows that other libraries get at a time
_BLOCK = 1 << 14  # rows that are read at a time, or make a chunk of dask


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
    """Both files block by block on one thread, and nothing computed."""
    from fastkl.batch.formats import open_source

    assert isinstance(case, VolumeCase)
    paths = case.files.p, case.files.q

    def call() -> None:
        p, q = (open_source(path) for path in paths)
        for start in range(0, p.rows, _BLOCK):
            for source in (p, q):
                source.read(start, min(start + _BLOCK, p.rows))
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


def _entropy(p: _Array, q: _Array) -> Any:
    from scipy.stats import entropy

    return entropy(p, q, axis=1)


def _formula(p: Any, q: Any) -> Any:
    p, q = (rows / rows.sum(axis=1, keepdims=True) for rows in (p, q))
    return (p * np.log(p / q)).sum(axis=1)


def _chunked(case: Case) -> list[Any]:
    import dask.array as da

    rows = min(_BLOCK, -(-len(case.p) // case.threads))
    return [da.from_array(array, chunks=(rows, -1), name=False) for array in (case.p, case.q)]


def _dask(case: Case) -> Call:
    import fastkl

    lazy = fastkl.kl_divergence(*_chunked(case), normalize=case.normalize)
    return lambda: lazy.compute(scheduler="threads", num_workers=case.threads)


def _dask_of_numpy(case: Case) -> Call:
    lazy = _formula(*_chunked(case))
    return lambda: lazy.compute(scheduler="threads", num_workers=case.threads)


IN_MEMORY = Peer("in memory", FASTKL.bind, "fastkl")
RUN = Peer("fastkl", _run, "fastkl")
RUN_WITHOUT_JOURNAL = Peer("fastkl, no journal", _run_without_journal, "fastkl")
READING = Peer("reading alone, 1 thread", _reading, "fastkl", rtol=None)
MAPPED_FLOOR = Peer("read floor, mapped anew", _mapped_floor, rtol=None)
SLICES = (
    Peer("scipy.stats.entropy, slices", partial(_by_slices, _entropy), "scipy", first_items),
    Peer("numpy, slices", partial(_by_slices, _formula), "numpy", first_items),
)
DASK = Peer("fastkl, dask threaded", _dask, "dask")
DASK_OF_NUMPY = Peer("dask of numpy", _dask_of_numpy, "dask", first_items)
