"""Numbers without limits of exponent, (mantissa, exponent): sums of them, and divergences of pieces.

For the rare pieces with subnormal, huge or invalid bins, or with totals too far apart for the fast loops: plain
scalar code, 10 to 20 ns a bin; and for the few totals from which a long row is joined.
"""

import math
from typing import Any

import numpy as np

from fastkl.kernels._jit import inline
from fastkl.kernels._terms import wide_term

# A sum is kept in three parts by magnitude, so that no part leaves the normal range and none swallows another.
_PART = 600


@inline
def normal(x: Any, exponent: Any) -> Any:
    """x 2^exponent with a mantissa in [1/2, 1); zeros, infinities and NaN have exponent 0."""
    if x == 0.0 or not abs(x) < np.inf:
        return x, 0
    mantissa, shift = math.frexp(x)
    return mantissa, exponent + shift


@inline
def multiply(x: Any, x_exponent: Any, y: Any, y_exponent: Any) -> Any:
    """The product of x 2^x_exponent, x a mantissa, and y 2^y_exponent."""
    y, y_exponent = normal(y, y_exponent)
    return normal(x * y, x_exponent + y_exponent)


@inline
def divide(x: Any, x_exponent: Any, total: Any) -> Any:
    """x 2^x_exponent over ``total``, a pair that is not zero."""
    x, x_exponent = normal(x, x_exponent)
    return normal(x / total[0], x_exponent - total[1])


@inline
def add(low: Any, middle: Any, high: Any, x: Any, exponent: Any) -> Any:
    """Add x 2^exponent to a sum in three parts."""
    x, exponent = normal(x, exponent)
    if exponent > _PART // 2:
        return low, middle, high + math.ldexp(x, exponent - _PART)
    if exponent < -_PART // 2:
        return low + math.ldexp(x, exponent + _PART), middle, high
    return low, middle + math.ldexp(x, exponent), high


@inline
def join(low: Any, middle: Any, high: Any) -> Any:
    """A sum in three parts as a pair."""
    if high != 0.0:
        return normal(high + math.ldexp(middle, -_PART), _PART)
    if middle != 0.0:
        return normal(middle + math.ldexp(low, -_PART), 0)
    return normal(low, -_PART)


@inline
def is_invalid(x: Any) -> Any:
    """True where some bin is negative, NaN or infinite."""
    for i in range(len(x)):  # noqa: SIM110 (numba compiles no generator expressions)
        if not (0.0 <= x[i] < np.inf):
            return True
    return False


@inline
def wide_total(x: Any, weights: Any) -> Any:
    """sum w x; no ``weights`` means 1."""
    low, middle, high = 0.0, 0.0, 0.0
    for i in range(len(x)):
        bin_, exponent = normal(x[i], 0)
        if len(weights):
            bin_, exponent = multiply(bin_, exponent, weights[i], 0)
        low, middle, high = add(low, middle, high, bin_, exponent)
    return join(low, middle, high)


@inline
def wide_sum(kind: Any, x: Any, y: Any, weights: Any, p_total: Any, q_total: Any) -> Any:
    """The sum of the terms of x / p_total and y / q_total."""
    low, middle, high = 0.0, 0.0, 0.0
    for i in range(len(x)):
        if len(weights) and weights[i] == 0.0:
            continue
        u, u_exponent = divide(x[i], 0, p_total)
        v, v_exponent = divide(y[i], 0, q_total)
        g, exponent = wide_term(kind, u, u_exponent, v, v_exponent)
        if len(weights):
            g, exponent = normal(g, exponent)
            g, exponent = multiply(g, exponent, weights[i], 0)
        low, middle, high = add(low, middle, high, g, exponent)
    return join(low, middle, high)
