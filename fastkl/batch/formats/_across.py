"""Rows that lie across a file: copied in pieces that lie close together, so that little of it is mapped at a time.

Of an array whose bins are far from each other a block of rows has a few numbers on each of very many pages. Pages that
are read through a map count as memory of this process until the map is gone, so each piece has a map of its own.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from fastkl.batch.formats._checks import Box, boxes, rows_of

_Array = npt.NDArray[Any]
_Mapped = Callable[[], _Array]  # maps an array, or a part of it, afresh
SPAN = 16 << 20  # bytes of a file that are mapped at a time


def gather_across(mapped: _Mapped, start: int, stop: int) -> _Array:
    """Histograms start to stop, counted in C order, of an array with its bins along the last axis.

    The copy has the order of the file: bins side by side where they are so there, else histograms.
    """
    array = mapped()
    bins = array.shape[-1]
    if array.strides[-1] <= min(array.strides, default=0):
        out = np.empty((stop - start, bins), array.dtype)
    else:
        out = np.empty((bins, stop - start), array.dtype).T
    fill_across(mapped, start, stop, out)
    return out


def fill_across(mapped: _Mapped, start: int, stop: int, out: _Array) -> None:
    """The same into rows that are there."""
    array, done = mapped(), 0
    for box in boxes(array.shape[:-1], start, stop):
        shape = array[box].shape
        rows = out[done : done + rows_of(shape)]
        _copy(partial(_part, mapped, box), rows.reshape(shape))
        done += len(rows)


def _copy(mapped: _Mapped, out: _Array) -> None:
    strides = [abs(step) if size > 1 else 0 for size, step in zip(out.shape, mapped().strides, strict=True)]
    if sum((size - 1) * step for size, step in zip(out.shape, strides, strict=True)) <= SPAN:
        out[...] = mapped()
        return
    axis = int(np.argmax(strides))
    together = max(1, SPAN // strides[axis])
    for first in range(0, out.shape[axis], together):
        piece = (*(slice(None),) * axis, slice(first, first + together))
        _copy(partial(_part, mapped, piece), out[piece])


def _part(mapped: _Mapped, box: Box) -> _Array:
    part: _Array = mapped()[box]
    return part
