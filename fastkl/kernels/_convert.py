"""Conversion of items of any real type and byte order to the precision of the kernels.

Each pair of types is machine code of its own, compiled when first met and called by address, so that no kernel is
compiled for the dtype of its operands.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from fastkl.kernels._jit import address_of, entry
from fastkl.kernels._memory import byteswap, view


@cache
def converter(dtype: np.dtype[Any], precision: np.dtype[Any]) -> int:
    """The address of the function that converts items of ``dtype`` to ``precision``.

    It takes the address of the first item, the bytes from item to item, their number, and the address of the result.
    """
    native = dtype.newbyteorder("=")
    unsigned = np.dtype(f"u{dtype.itemsize}").type
    if native == np.float16:
        function = _from_half(precision.type, not dtype.isnative)
    elif dtype.isnative:
        function = _from_native((np.uint8 if dtype == np.bool_ else dtype.type), dtype.itemsize, precision.type)
    else:
        function = _from_swapped(unsigned, native.type, dtype.itemsize, precision.type)
    return address_of(function, 4)


def _from_native(dtype: Any, size: int, precision: Any) -> Callable[..., None]:
    @entry
    def convert(address, step, n, out_address):
        out = view(out_address, n, precision)
        if step == size:
            x = view(address, n, dtype)
            for i in range(n):
                out[i] = x[i]
        else:
            for i in range(n):
                out[i] = view(address + i * step, 1, dtype)[0]

    return convert


def _from_swapped(unsigned: Any, dtype: Any, size: int, precision: Any) -> Callable[..., None]:
    @entry
    def convert(address, step, n, out_address):
        out = view(out_address, n, precision)
        for i in range(n):
            out[i] = unsigned(byteswap(view(address + i * step, 1, unsigned)[0])).view(dtype)

    return convert


def _from_half(precision: Any, swapped: bool) -> Callable[..., None]:
    @entry
    def convert(address, step, n, out_address):
        # The bits of a half, moved to their place in a single, have an exponent that is 112 too small: the product
        # puts that right, for subnormals too. The exponent of infinities and NaN is restored by hand.
        out = view(out_address, n, precision)
        for i in range(n):
            raw = view(address + i * step, 1, np.uint16)[0]
            half = np.uint32(byteswap(raw) if swapped else raw)
            sign = (half & np.uint32(0x8000)) << np.uint32(16)
            bits = (half & np.uint32(0x7FFF)) << np.uint32(13)
            finite = np.uint32(bits).view(np.float32) * np.float32(2.0**112)
            beyond = np.uint32(bits | np.uint32(0x7F800000)).view(np.float32)
            magnitude = finite if bits < np.uint32(0x0F800000) else beyond
            out[i] = -magnitude if sign else magnitude

    return convert
