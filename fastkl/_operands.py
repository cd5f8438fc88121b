"""From what users pass to what the kernels take: batches of histograms, in place, whatever their type and layout."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from fastkl._check import check_no_mask, check_within
from fastkl.kernels import TILE_BINS, converter, stager

_Array = npt.NDArray[Any]
_SINGLE, _DOUBLE = np.dtype(np.float32), np.dtype(np.float64)
# Rows side by side for which it pays to turn a block on its side: a cache line of them. Fewer are read one by one, with
# gaps, where their bins and what lies between stay in the second-level cache: 3 of 256 bins in 1.7 ns a bin, not 2.8.
_FEWEST_TURNED, _CACHED = 8, 1 << 20


def as_array(value: Any, name: str) -> _Array:
    """``value`` as an array of real numbers, not copied if it is one."""
    check_no_mask(value, name, "; pass an array, with `.filled(0)` if masked bins are empty ones")
    try:
        array = np.asarray(value)
    except ValueError as error:  # rows of several lengths, say
        is_pair = isinstance(value, tuple) and len(value) == 2
        hint = "; of counts and edges, as np.histogram gives them, pass the counts" if is_pair else ""
        raise ValueError(f"{name} is no array: {error}{hint}") from None
    if array.dtype.kind not in "fiub":
        found = f"has dtype {array.dtype}" if array.ndim else f"is a {type(value).__name__}"
        raise TypeError(f"{name} {found}; it must have real numbers: floats, integers or bools{_hint(value, array)}")
    if array.dtype.itemsize > 8:
        raise TypeError(f"{name} has dtype {array.dtype}; the widest type that is computed with is float64")
    if array.ndim == 0:
        raise ValueError(f"{name} is a scalar; a histogram has at least one axis")
    return array


def _hint(value: Any, array: _Array) -> str:
    if hasattr(value, "toarray"):
        return "; `.toarray()` makes an array of it"
    if isinstance(value, Mapping):
        return "; pass a list of its values, in the same order for all arguments"
    if isinstance(value, Iterator):
        return "; pass a list of what it yields"
    if array.dtype.name == "bfloat16":
        return "; `.astype(np.float32)` makes it one, exactly"
    if array.ndim and array.dtype == object:
        return "; `.astype(float)` makes an array of numbers, `np.stack` one of arrays"
    return ""


def bins_last(names: list[str], arrays: list[_Array], axis: int) -> tuple[list[_Array], int]:
    """The arrays with their bin axes last, and that axis counted from the end.

    The axis counts in the array with the most dimensions, others are aligned with it from the end, as in NumPy; but a
    1-D array is one histogram, whatever the axis.
    """
    ndim = max(array.ndim for array in arrays)
    check_within(axis, ndim)
    given, axis = axis, axis % ndim - ndim
    moved = []
    for name, array in zip(names, arrays, strict=True):
        if array.ndim == 1:
            moved.append(array)
        elif array.ndim < -axis:
            raise ValueError(
                f"axis {given} is the axis {axis} of {ndim} dimensions, which {name}, of shape {array.shape}, lacks"
            )
        else:
            moved.append(array if axis == -1 else np.moveaxis(array, axis, -1))
    return moved, axis


@dataclass(frozen=True, slots=True)
class Batch:
    """Operands broadcast against each other, as few batch dimensions as describe them, in the order of memory."""

    operands: list[_Array]
    shape: tuple[int, ...]  # of the whole batch, as the user sees it
    order: list[int]  # the dimensions of ``shape``, from the slowest in memory to the fastest
    steps: list[tuple[int, ...]]  # for each operand the bytes from row to row along the merged dimensions
    merged: tuple[int, ...]  # their sizes
    bins: int

    @property
    def rows(self) -> int:
        """How many results there are."""
        return prod(self.shape)

    @property
    def neighbours(self) -> int:
        """How many rows lie at one step from each other."""
        return self.merged[-1]

    def layout(self, index: int, precision: np.dtype[Any]) -> npt.NDArray[np.int64]:
        """The vector that describes operand ``index`` to kernels of ``precision``."""
        array, steps = self.operands[index], self.steps[index]
        dtype, bin_step = array.dtype, array.strides[-1]
        row_step, convert, stage = steps[-1], 0, 0
        along_rows = dtype == precision and row_step == dtype.itemsize
        if dtype != precision or (bin_step != dtype.itemsize and self.bins > 1):
            convert = converter(dtype, precision)
            if self.bins > TILE_BINS and self.is_turned(index):
                stage = stager(precision)
        return np.array((array.ctypes.data, convert, bin_step, stage, along_rows, *steps), np.int64)

    def is_turned(self, index: int) -> bool:
        """True where an operand's neighbouring rows lie closer together than its bins, but a few short ones."""
        row_step, bin_step = abs(self.steps[index][-1]), abs(self.operands[index].strides[-1])
        are_few_and_short = self.neighbours < _FEWEST_TURNED and self.bins * bin_step <= _CACHED
        return self.bins > 1 and self.neighbours > 1 and 0 < row_step < bin_step and not are_few_and_short

    def exchanged(self) -> "Batch":
        """The same with p and q, the first two operands, exchanged."""
        order = [1, 0, *range(2, len(self.operands))]
        steps = [self.steps[index] for index in order]
        return replace(self, operands=[self.operands[index] for index in order], steps=steps)

    def histograms(self, index: int, rows: npt.NDArray[np.intp]) -> npt.NDArray[np.float64]:
        """Those of operand ``index`` in some rows, in the order of memory, as a copy in double precision."""
        if not self.shape:
            return self.operands[index][None].astype(np.float64)
        where = np.unravel_index(rows, [self.shape[d] for d in self.order])
        by_dimension = tuple(where[self.order.index(d)] for d in range(len(self.shape)))
        return np.broadcast_to(self.operands[index], (*self.shape, self.bins))[by_dimension].astype(np.float64)

    def unmerged(self, flat: _Array) -> _Array:
        """Results in the order of memory as an array of the batch's shape."""
        if self.order == sorted(self.order):
            return flat.reshape(self.shape)
        ordered = flat.reshape([self.shape[d] for d in self.order])
        return np.ascontiguousarray(ordered.transpose(np.argsort(self.order)))


def batch_of(names: list[str], arrays: list[_Array]) -> Batch:
    """Broadcast the batch dimensions of arrays whose bins are last; numbers of bins must agree."""
    bins = arrays[0].shape[-1]
    for name, array in zip(names, arrays, strict=False):
        if array.shape[-1] != bins:
            raise ValueError(f"{name} has {array.shape[-1]} bins, {names[0]} has {bins}; numbers of bins must agree")
    if all(array.ndim == 1 for array in arrays):
        return Batch(arrays, (), [], [(0,)] * len(arrays), (1,), bins)
    try:
        shape = np.broadcast_shapes(*(array.shape[:-1] for array in arrays))
    except (ValueError, RuntimeError) as error:
        shapes = ", ".join(f"{name} {array.shape[:-1]}" for name, array in zip(names, arrays, strict=False))
        most = " by NumPy beyond 32 dimensions" if isinstance(error, RuntimeError) else ""
        raise ValueError(f"batch shapes can't be broadcast{most}: {shapes}") from None
    steps = [_broadcast_steps(array, shape) for array in arrays]
    order = sorted(range(len(shape)), key=lambda d: tuple(-abs(step[d]) for step in steps))
    merged, merged_steps = _merge([shape[d] for d in order], [[step[d] for d in order] for step in steps])
    return Batch(arrays, shape, order, merged_steps, merged, bins)


def batch_of_alike(p: _Array, q: _Array) -> Batch:
    """What `batch_of` gives of two arrays that `are_alike`, in a third of the time."""
    *batch, bins = p.shape
    rows = prod(batch)
    step = bins * p.itemsize if rows > 1 else 0
    return Batch([p, q], tuple(batch), list(range(len(batch))), [(step,), (step,)], (rows,), bins)


def is_last(axis: int, p: Any, q: Any) -> bool:
    """True for the last axis of arrays, counted from the front; of anything else nothing is asked."""
    return type(p) is np.ndarray and type(q) is np.ndarray and axis == max(p.ndim, q.ndim) - 1


def are_alike(p: Any, q: Any) -> bool:
    """True for two histograms or batches of one shape and precision, double or single, in C order."""
    return (
        type(p) is np.ndarray
        and type(q) is np.ndarray
        and (p.dtype is q.dtype is _DOUBLE or p.dtype is q.dtype is _SINGLE)
        and p.shape == q.shape
        and p.ndim > 0
        and p.size > 0
        and p.flags.c_contiguous
        and q.flags.c_contiguous
    )


def _broadcast_steps(array: _Array, shape: tuple[int, ...]) -> list[int]:
    steps = [0] * (len(shape) - array.ndim + 1)
    steps += [step if size > 1 else 0 for size, step in zip(array.shape[:-1], array.strides[:-1], strict=True)]
    return steps


def _merge(sizes: list[int], steps: list[list[int]]) -> tuple[tuple[int, ...], list[tuple[int, ...]]]:
    # Neighbouring dimensions through which every operand goes in equal steps are one; those of size 1 are none.
    kept: list[int] = []
    columns: list[list[int]] = []
    for d, size in enumerate(sizes):
        column = [step[d] for step in steps]
        if size == 1:
            continue
        if kept and all(outer == inner * size for outer, inner in zip(columns[-1], column, strict=True)):
            kept[-1] *= size
            columns[-1] = column
        else:
            kept.append(size)
            columns.append(column)
    if not kept:
        return (1,), [(0,)] * len(steps)
    return tuple(kept), [tuple(column[k] for column in columns) for k in range(len(steps))]


def precision_of(arrays: list[_Array], dtype: np.dtype[Any] | None, fits_single: bool = True) -> np.dtype[Any]:
    """The precision of the arithmetic: single where neither the arrays nor the wanted result have more, else double."""
    is_single = all(array.dtype.kind == "f" and array.dtype.itemsize <= 4 for array in arrays)
    return _SINGLE if is_single and fits_single and (dtype is None or dtype == _SINGLE) else _DOUBLE
