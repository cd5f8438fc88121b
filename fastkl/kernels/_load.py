"""Reading histograms of any type and layout: in place, or into a buffer that stays in the cache.

An operand is described by one integer vector, its layout, so that none needs machine code of its own: [address,
address of its converter or 0, bytes from bin to bin, address of its stager or 0, 1 where neighbouring rows are
contiguous items of the kernels' precision, bytes from row to row along each batch dimension ...].
"""

from typing import Any

from fastkl.kernels._jit import inline
from fastkl.kernels._memory import call, view

ADDRESS, CONVERTER, BIN_STEP, STAGER, ALONG_ROWS, ROW_STEPS = 0, 1, 2, 3, 4, 5


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
    call(converter, (address, step, n, buffer.ctypes.data))
    return buffer[:n]
