"""Conversion of items of any real type and byte order to the precision of the kernels.

Each pair of types is machine code of its own, compiled when first met and called by address, so that no kernel is
compiled for the dtype of its operands.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from fastkl.kernels._jit import address_of, entry, inline, widest_vectors
from fastkl.kernels._loops import for_each
from fastkl.kernels._memory import byteswap, view


@cache
def converter(dtype: np.dtype[Any], precision: np.dtype[Any]) -> int:
    """The address of the function that converts items of ``dtype`` to ``precision``.

    It takes the address of the first item, the bytes from item to item, their number, and the address of the result.
    """
    native = dtype.newbyteorder("=")
    if native == np.float16:
        function = _from_half(precision.type, not dtype.isnative)
    elif dtype.isnative:
        function = _from_native(np.uint8 if dtype == np.bool_ else dtype.type, precision.type)
    else:
        function = _from_swapped(np.dtype(f"u{dtype.itemsize}").type, native.type, precision.type)
    return address_of(function, 4)


# What the compiled functions take from around them are types: a function would be another in each process, and compiled
# again.


def _from_native(dtype: Any, precision: Any) -> Callable[..., None]:
    @entry
    def convert(address, step, n, out_address):
        widest_vectors()
        _convert(_as_it_is, dtype(0), address, step, dtype, view(out_address, n, precision))

    return convert


def _from_swapped(unsigned: Any, dtype: Any, precision: Any) -> Callable[..., None]:
    @entry
    def convert(address, step, n, out_address):
        widest_vectors()
        _convert(_swapped, dtype(0), address, step, unsigned, view(out_address, n, precision))

    return convert


def _from_half(precision: Any, is_swapped: bool) -> Callable[..., None]:
    @entry
    def convert(address, step, n, out_address):
        widest_vectors()
        _convert(_half, is_swapped, address, step, np.uint16, view(out_address, n, precision))

    return convert


@inline
def _convert(one, how, address, step, raw, out):
    n = len(out)
    items = view(address, n, raw)
    if step == items.itemsize:
        for_each(one, how, (out,), (items,))
    else:
        for i in range(n):
            (out[i],) = one(how, out[i], view(address + i * step, 1, raw)[0])


@inline
def _as_it_is(how, before, x):
    return (type(before)(x),)


@inline
def _swapped(like, before, x):
    return (type(before)(byteswap(x, like)),)


@inline
def _half(is_swapped, before, x):
    # The bits of a half, moved to their place in a single, have an exponent that is 112 too small: the product puts
    # that right, for subnormals too. The exponent of infinities and NaN is restored by hand.
    half = np.uint32(byteswap(x, x) if is_swapped else x)
    sign = (half & np.uint32(0x8000)) << np.uint32(16)
    bits = (half & np.uint32(0x7FFF)) << np.uint32(13)
    finite = np.uint32(bits).view(np.float32) * np.float32(2.0**112)
    beyond = np.uint32(bits | np.uint32(0x7F800000)).view(np.float32)
    magnitude = finite if bits < np.uint32(0x0F800000) else beyond
    return (type(before)(-magnitude if sign else magnitude),)
