"""Arrays of dask, in memory and over files: fastkl's functions of them, and other libraries over their blocks."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from fastkl.bench.case import Case
from fastkl.bench.contestant import Call, Peer, Unsuitable, first_items
from fastkl.bench.files import VolumeCase
from fastkl.bench.volume import entropy_of, formula, loop_on

_CHUNK = 1 << 27  # bytes: what dask takes by itself


def _in_chunks(case: Case, *arrays: Any) -> list[Any]:
    import dask.array as da

    rows = min(_CHUNK // (case.p.shape[-1] * case.p.itemsize), -(-len(case.p) // case.threads))
    return [da.from_array(array, chunks=(rows, -1), name=False) for array in arrays]


def _computed(lazy: Any, case: Case) -> Call:
    return lambda: lazy.compute(scheduler="threads", num_workers=case.threads)


def _dask(case: Case) -> Call:
    import fastkl

    return _computed(fastkl.kl_divergence(*_in_chunks(case, case.p, case.q), normalize=case.normalize), case)


def _dask_of(divergence: Callable[[Any, Any], Any], case: Case) -> Call:
    """A function of blocks of rows."""
    import dask.array as da

    chunks = _in_chunks(case, case.p, case.q)
    return _computed(da.map_blocks(divergence, *chunks, drop_axis=1, meta=np.empty(0)), case)


def _dask_of_numpy(case: Case) -> Call:
    return _computed(formula(*_in_chunks(case, case.p, case.q)), case)


def _dask_of_files(case: Case) -> Call:
    """Arrays of dask over the files, as it opens them."""
    import dask.array as da

    assert isinstance(case, VolumeCase)
    paths, rows = (case.files.p, case.files.q), len(case.p)
    if case.files.suffix == ".parquet":
        raise Unsuitable("reads Parquet as frames of columns, not as rows of bins")
    if case.files.suffix == ".zarr":
        lazy = [da.from_zarr(path)[:rows] for path in paths]
    else:
        lazy = _in_chunks(case, *(np.load(path, mmap_mode="r")[:rows] for path in paths))
    return _computed(formula(*lazy), case)


DASK = Peer("fastkl, dask threaded", _dask, "dask")
OTHERS_BY_DASK = (
    Peer("dask of numpy", _dask_of_numpy, "dask", first_items),
    Peer("dask of scipy.stats.entropy", partial(_dask_of, entropy_of), "dask", first_items),
    Peer("dask of a numba loop", partial(_dask_of, loop_on(1)), "dask", first_items),
)
FILES_BY_DASK = Peer("dask of numpy", _dask_of_files, "dask", first_items)
