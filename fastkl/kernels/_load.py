"""Reading histograms of any type and layout: in place where the kernels can, else into a buffer that stays in the cache.

An operand is described by one integer vector, so that no layout needs machine code of its own:
[address, address of its converter or 0, bytes from bin to bin, how it is staged, bytes from row to row along each batch dimension].

Where neighbouring rows lie closer together than neighbouring bins (axis=0, say), a block of rows is staged: read in the order of
memory and turned on its side. Read row by row, each cache line would be fetched once for every item in it.
"""

from typing import Any

from fastkl.kernels._jit import inline
from fastkl.kernels._memory import call_converter, view
from fastkl.kernels._transpose import transpose

ADDRESS, CONVERTER, BIN_STEP, STAGING, ROW_STEPS = 0, 1, 2, 3, 4
# Values of STAGING: rows are read one by one; turned straight from memory; converted run by run and then turned.
BY_ROW, TURNED, CONVERTED_AND_TURNED = 0, 1, 2

STAGE = 32768  # items: with two operands, half of a second-level cache of 1 MiB
_RUNS = 8


@inline
def row_address(operand: Any, shape: Any, row: Any) -> Any:
    """Where the histogram with the flat batch index ``row`` begins."""
    address = operand[ADDRESS]
    for d in range(len(shape) - 1, 0, -1):
        address += row % shape[d] * operand[ROW_STEPS + d]
        row //= shape[d]
    return address + row * operand[ROW_STEPS]


@inline
def load(converter: Any, address: Any, step: Any, n: Any, buffer: Any) -> Any:
    """The ``n`` bins from ``address`` on, contiguous: in place, or converted into ``buffer``."""
    if converter == 0:
        return view(address, n, buffer.dtype.type)
    call_converter(converter, address, step, n, buffer.ctypes.data)
    return buffer[:n]


@inline
def staged_width(m: Any) -> Any:
    """Items from row to row of a staged block: not a power of two, whose rows would share few cache sets."""
    return m + 8


@inline
def rows_in_block(shape: Any, row: Any, stop: Any, m: Any) -> Any:
    """How many rows from ``row`` on can be staged together, ``m`` bins of each."""
    innermost = shape[len(shape) - 1]
    return max(1, min(STAGE // staged_width(m), stop - row, innermost - row % innermost))


@inline
def stage(operand: Any, shape: Any, row: Any, count: Any, first: Any, m: Any, block: Any, runs: Any) -> Any:
    """Write the bins ``first`` to ``first + m`` of ``count`` rows from ``row`` on to the rows of ``block``."""
    address = row_address(operand, shape, row) + first * operand[BIN_STEP]
    width = staged_width(m)
    if operand[STAGING] == TURNED:
        transpose(address, operand[BIN_STEP], m, count, block, width)
        return
    row_step, run_bytes = operand[ROW_STEPS + len(shape) - 1], count * runs.itemsize
    for i in range(0, m, _RUNS):
        for k in range(min(_RUNS, m - i)):
            source = address + (i + k) * operand[BIN_STEP]
            call_converter(operand[CONVERTER], source, row_step, count, runs.ctypes.data + k * run_bytes)
        transpose(runs.ctypes.data, run_bytes, min(_RUNS, m - i), count, block[i:], width)
