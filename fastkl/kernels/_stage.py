"""Blocks of rows whose neighbours lie closer together in memory than their bins do (axis=0, say), turned on their side.

A block is read in the order of memory. Read row by row, each cache line would be fetched once for every item in it.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from fastkl.kernels._jit import address_of, entry, inline
from fastkl.kernels._load import ALONG_ROWS, BIN_STEP, CONVERTER, ROW_STEPS, row_address
from fastkl.kernels._memory import call, keep, view
from fastkl.kernels._transpose import transpose

STAGE = 32768  # items: with two operands, half of a second-level cache of 1 MiB
_RUNS = 8


@inline
def staged_width(m: Any) -> Any:
    """Items from row to row of a block of ``m`` bins: not a power of two, whose rows would share few cache sets."""
    return m + 8


@inline
def rows_in_block(shape: Any, row: Any, stop: Any, m: Any) -> Any:
    """How many rows from ``row`` on can be staged together, ``m`` bins of each."""
    innermost = shape[len(shape) - 1]
    return max(1, min(STAGE // staged_width(m), stop - row, innermost - row % innermost))


@cache
def stager(precision: np.dtype[Any]) -> int:
    """The address of the function that stages.

    It takes the addresses of the layout and of the batch's shape, the number of dimensions, the first row, the number
    of rows, the first bin, the number of bins, and the address of the block.
    """
    return address_of(_stager(precision.type), 8)


def _stager(precision: Any) -> Callable[..., None]:
    @entry
    def stage(layout_address, shape_address, dimensions, row, count, first, m, block_address):
        layout = view(layout_address, ROW_STEPS + dimensions, np.int64)
        shape = view(shape_address, dimensions, np.int64)
        block = view(block_address, STAGE, precision)
        address = row_address(layout, shape, row) + first * layout[BIN_STEP]
        if layout[ALONG_ROWS]:
            transpose(address, layout[BIN_STEP], m, count, block, staged_width(m))
            return
        row_step = layout[ROW_STEPS + dimensions - 1]
        runs = np.empty(_RUNS * count, precision)
        run_bytes = count * runs.itemsize
        for i in range(0, m, _RUNS):
            together = min(_RUNS, m - i)
            for k in range(together):
                source = address + (i + k) * layout[BIN_STEP]
                call(layout[CONVERTER], (source, row_step, count, runs.ctypes.data + k * run_bytes))
            transpose(runs.ctypes.data, run_bytes, together, count, block[i:], staged_width(m))
        keep(runs)

    return stage
