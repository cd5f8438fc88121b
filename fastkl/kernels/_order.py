"""Numbers as integers in the same order: the compiler vectorises no maximum, and no minimum, of floats."""

import numpy as np

from fastkl.kernels._jit import by_precision


def _order_32(x):
    bits = np.float32(x).view(np.int32)
    return np.int32(bits ^ ((bits >> 31) & np.int32(0x7FFFFFFF)))


def _order_64(x):
    """An integer that is the larger the larger x is."""
    bits = np.float64(x).view(np.int64)
    return np.int64(bits ^ ((bits >> 63) & 0x7FFFFFFFFFFFFFFF))


def _ordered_32(zero, number):
    return np.int32(number ^ ((number >> 31) & np.int32(0x7FFFFFFF))).view(np.float32)


def _ordered_64(zero, number):
    """The x whose order is ``number``."""
    return np.int64(number ^ ((number >> 63) & 0x7FFFFFFFFFFFFFFF)).view(np.float64)


order = by_precision(_order_32, _order_64)
ordered = by_precision(_ordered_32, _ordered_64)
