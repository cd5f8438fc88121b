"""All pairs and nearest rows, for arrays of dask: a task for each pair of a block of x and one of y."""

from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from fastkl._matrix import Matrix
from fastkl._nearest import nearest_order
from fastkl._products import plan_of
from fastkl.containers._dask import open_chunked, stand_in
from fastkl.lazy._blocks import Place, as_chunked, block_by_block, check_rows, refuse_at_once, threads_of_task
from fastkl.pairs import check_k, nearest, pairwise

_Array = npt.NDArray[Any]
_X, _Y, _BINS, _K = range(4)  # dimensions


def pairwise_lazily(x: Any, y: Any, options: dict[str, Any]) -> Any:
    """What ``pairwise(x, y, **options)`` gives, as an array of dask."""
    refuse_at_once(options)
    left, right = _open(x, y)
    dtype = pairwise(*_without_rows(left, right), **options).dtype
    order = None if options["alpha"] is None else float(options["alpha"])
    is_mirrored = y is None and plan_of(options["divergence"], order, options["normalize"]).is_symmetric
    work = partial(_pairs, _options_of_task(options), y is None, is_mirrored)
    return block_by_block(work, [left, right], [(_X, _BINS), (_Y, _BINS)], (_X, _Y), dtype)


def nearest_lazily(x: Any, y: Any, k: int, options: dict[str, Any]) -> tuple[Any, Any]:
    """What ``nearest(x, y, k, **options)`` gives, as arrays of dask.

    The nearest rows of each block of y are found, and those of all blocks put in order.
    """
    refuse_at_once(options)
    left, right = _open(x, y)
    if np.isnan(right.shape[0]):
        raise ValueError("y has chunks of unknown length, and its rows must be numbered: `y.compute_chunk_sizes()`")
    check_k(k, right.shape[0])
    empty, some = _without_rows(left, right)
    result = nearest(empty, np.ones((1, some.shape[1]), some.dtype), 1, **options)[0].dtype
    dtype = np.dtype([("divergence", result), ("index", np.int64)])
    rows = as_chunked(right)
    counts = [min(int(k), count) for count in rows.chunks[0]]
    work = partial(_nearest, _options_of_task(options), int(k), dtype)
    found = block_by_block(work, [left, rows], [(_X, _BINS), (_Y, _BINS)], (_X, _Y), dtype, sizes={_Y: counts})
    if len(counts) > 1:
        together = found.rechunk({1: -1})
        work = partial(_merge, int(k), options["base"])
        found = block_by_block(work, [together], [(_X, _Y)], (_X, _K), dtype, {_K: int(k)})
    return found["divergence"], found["index"]


def _open(x: Any, y: Any) -> tuple[Any, Any]:
    """The arguments, each with two dimensions, the second in one chunk; the same twice where y is None."""
    left = open_chunked({"x": x}, -1, None).arrays[0]
    right = left if y is None else open_chunked({"y": y}, -1, None).arrays[0]
    bins = [Matrix(name, stand_in(array)).bins for name, array in (("x", left), ("y", right))]
    if bins[0] != bins[1] and not np.isnan([left.shape[1], right.shape[1]]).any():
        raise ValueError(f"y has {bins[1]} bins, x has {bins[0]}; numbers of bins must agree")
    return left, right


def _without_rows(left: Any, right: Any) -> tuple[_Array, _Array]:
    # With these a call checks its options and tells the type of the result.
    bins = stand_in(left).shape[1]
    return np.empty((0, bins), left.dtype), np.empty((0, bins), right.dtype)


def _options_of_task(options: dict[str, Any]) -> dict[str, Any]:
    return options | {"threads": threads_of_task(options["threads"])}


def _check_blocks(options: dict[str, Any], names: str, place: Place, *blocks: _Array) -> None:
    if options["on_invalid"] == "raise":
        for name, block, part in zip(names, blocks, place, strict=True):
            check_rows(name, block, [part.start], options["pseudocount"], options["normalize"])


def _pairs(options: dict[str, Any], is_self: bool, is_mirrored: bool, place: Place, x: _Array, y: _Array) -> _Array:
    _check_blocks(options, "xx" if is_self else "xy", place, x, y)
    if is_self and place[0] == place[1]:
        return pairwise(x, **options)
    if is_mirrored and place[0].start > place[1].start:  # the bits of the block on the other side of the diagonal
        return pairwise(y, x, **options).T
    return pairwise(x, y, **options)


def _nearest(options: dict[str, Any], k: int, dtype: np.dtype[Any], place: Place, x: _Array, y: _Array) -> _Array:
    _check_blocks(options, "xy", place, x, y)
    found = np.empty((len(x), min(k, len(y))), dtype)
    if found.shape[1]:
        found["divergence"], indices = nearest(x, y, found.shape[1], **options)
        found["index"] = np.where(indices >= 0, indices + place[1].start, -1)
    return found


def _merge(k: int, base: float | None, place: Place, found: _Array) -> _Array:
    return np.take_along_axis(found, nearest_order(found["divergence"], k, base), axis=1)
