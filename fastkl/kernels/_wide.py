"""Numbers without limits of exponent, (mantissa, exponent): sums of them, and divergences of pieces.

For the rare pieces that the fast loops leave, with subnormal, huge or invalid bins, or with totals too far apart: plain
scalar code; and for the few totals from which a long row is joined.
"""

import math
from typing import Any

import numpy as np

from fastkl.kernels._jit import inline
from fastkl.kernels._terms import is_refined, wide_term

# A sum, (total, lost, exponent): (total + lost) 2^exponent, where ``lost`` is what rounding took from the total.
NOTHING = (0.0, 0.0, 0)


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
def add(parts: Any, x: Any, exponent: Any) -> Any:
    """Add x 2^exponent to a sum, which begins with `NOTHING` and has the exponent of the largest number so far."""
    total, lost, largest = parts
    x, exponent = normal(x, exponent)
    if x == 0.0:
        return parts
    if total == 0.0 and lost == 0.0:
        largest = exponent
    elif exponent > largest:
        total, lost = math.ldexp(total, largest - exponent), math.ldexp(lost, largest - exponent)
        largest = exponent
    total, lost = add_exactly(total, lost, math.ldexp(x, exponent - largest))
    return total, lost, largest


@inline
def add_exactly(total: Any, lost: Any, x: Any) -> Any:
    """Neumaier's sum: ``lost`` gathers what rounding takes from the total. Infinite sums lose nothing."""
    after = total + x
    if abs(after) < np.inf:
        lost += (total - after) + x if abs(total) >= abs(x) else (x - after) + total
    return after, lost


@inline
def join(parts: Any) -> Any:
    """A sum as a pair."""
    total, lost, exponent = parts
    return normal(total + lost, exponent)


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
    parts = NOTHING
    for i in range(len(x)):
        bin_, exponent = normal(x[i], 0)
        if len(weights):
            bin_, exponent = multiply(bin_, exponent, weights[i], 0)
        parts = add(parts, bin_, exponent)
    return join(parts)


@inline
def wide_sum(kind: Any, x: Any, y: Any, weights: Any, normalize: Any, p_total: Any, q_total: Any) -> Any:
    """The sum of the terms of x / p_total and y / q_total."""
    parts = NOTHING
    refined = _largest(y) if is_refined(kind) and normalize and len(weights) == 0 else -1
    for i in range(len(x)):
        if len(weights) and weights[i] == 0.0:
            continue
        u, u_exponent = divide(x[i], 0, p_total)
        if i == refined:
            g, exponent = u * _log_of_rest(y, i), u_exponent
        else:
            v, v_exponent = divide(y[i], 0, q_total)
            g, exponent = wide_term(kind, u, u_exponent, v, v_exponent)
        if len(weights):
            g, exponent = normal(g, exponent)
            g, exponent = multiply(g, exponent, weights[i], 0)
        parts = add(parts, g, exponent)
    return join(parts)


@inline
def _largest(y):
    largest = 0
    for i in range(len(y)):
        if y[i] > y[largest]:
            largest = i
    return largest


@inline
def _log_of_rest(y, largest):
    # log(total / y) of the largest bin, from the sum of the others: nothing is lost where they are small.
    parts = NOTHING
    for i in range(len(y)):
        if i != largest:
            parts = add(parts, y[i], 0)
    others, exponent = join(parts)
    bin_, bin_exponent = normal(y[largest], 0)
    return math.log1p(math.ldexp(others / bin_, exponent - bin_exponent))
