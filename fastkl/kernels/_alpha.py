r"""The terms of the alpha-divergences and of the Rényi divergences: powers of the ratio of two bins.

With L = log(x / y), e = alpha - 1 and t = e L, the generalised alpha-divergence of one bin is

    (x^alpha y^(1 - alpha) - alpha x - (1 - alpha) y) / (alpha e) = (x (exp(t) - 1) / e - x + y) / alpha

Near x = y it is the term of KL, which is exact there, and x (exp(t) - 1 - t) / e, and the same through e = 0. For alpha
>= 1/2 the two never cancel by more than half of the first; smaller alpha are those of exchanged operands.
"""

import math
from typing import Any

import numpy as np

from fastkl.kernels._exp import exp_tail, nearest, power_of_two
from fastkl.kernels._jit import by_precision, inline, term
from fastkl.kernels._logratio import (
    align_exponents,
    artanh_tail,
    constants,
    is_positive,
    log2_of_shift,
    log_of_aligned,
    positive,
)

_LOG2 = math.log(2.0)
_LOG2_E = 1.0 / _LOG2
# The largest n of which there is 2^n, with room.
_MOST_64, _MOST_32 = 1000.0, np.float32(120.0)


def _high_part_32(x, value):
    return np.int32(np.float32(value).view(np.int32) & np.int32(-256)).view(np.float32)


def _high_part_64(x, value):
    """So many leading bits of ``value`` that its product with an exponent is exact, in the precision of x."""
    return np.int64(np.float64(value).view(np.int64) & -2048).view(np.float64)


def _reduce_32(shift, log, high, low):
    k = shift * np.float32(2.0**-23)
    exact, small = high * k, (high + low) * log
    n = nearest(max(exact + small * np.float32(_LOG2_E), -_MOST_32))
    r = ((exact - n) + low * k) * np.float32(_LOG2) + small
    return n, power_of_two(n) if n <= _MOST_32 else np.float32(np.nan), max(r, np.float32(-1.0))


def _reduce_64(shift, log, high, low):
    """(n, 2^n, r): (high + low) (k log 2 + log) = n log 2 + r, where k is a shift of `align_exponents`.

    The large parts are subtracted exactly: n may have thousands of units, of which r would keep the rounding. NaN
    stands for a power that may be too large; of those that are too small any small one serves, with an r that is no
    more than usual.
    """
    k = shift * 2.0**-52
    exact, small = high * k, (high + low) * log
    n = nearest(max(exact + small * _LOG2_E, -_MOST_64))
    r = ((exact - n) + low * k) * _LOG2 + small
    return n, power_of_two(n) if n <= _MOST_64 else np.nan, max(r, -1.0)


_high_part = by_precision(_high_part_32, _high_part_64)
_reduce = by_precision(_reduce_32, _reduce_64)


@term
def alpha_term(x: Any, y: Any, excess: Any, inverse_excess: Any, inverse_alpha: Any) -> Any:
    """The alpha-divergence of one bin, alpha = 1 + excess >= 1/2; ``inverse_excess`` is 0 where excess is."""
    kl, small_log, shift = alpha_term_begun(x, y)
    return alpha_term_ended(x, y, kl, small_log, shift, excess, inverse_excess, inverse_alpha)


@term
def alpha_term_begun(x: Any, y: Any) -> Any:
    """The term of KL, and log(x / y) in two parts, a small one and a shift of `align_exponents`."""
    a, b = positive(x), positive(y)
    aligned, shift = align_exponents(a, b)
    d = a - aligned
    s = d / (a + aligned)
    z = s * s
    kl = (shift * log2_of_shift(x) * x + (b - aligned)) + s * (d + (x * z) * artanh_tail(z))
    return kl, log_of_aligned(a, aligned), shift


@inline
def _whole_log(shift: Any, small_log: Any) -> Any:
    # Never fused: it would be where the first step is done before, and would not where the product is there already.
    return shift * log2_of_shift(small_log) + small_log


@term
def alpha_term_ended(
    x: Any, y: Any, kl: Any, small_log: Any, shift: Any, excess: Any, inverse_excess: Any, inverse_alpha: Any
) -> Any:
    """The rest of `alpha_term`."""
    real = type(x)
    one, zero, infinity = real(1.0), real(0.0), constants(x)[3]
    high = _high_part(x, excess)
    low = real(excess - high)
    inverse = real(inverse_excess)
    log = _whole_log(shift, small_log)
    # x (exp(t) - 1) and x (exp(t) - 1 - t).
    n, power, r = _reduce(shift, small_log, high, low)
    rest = (r * r) * exp_tail(r)
    large = x * power
    large += large - large  # NaN, not inf: what is too large for the fast loops is not an infinite term
    grown = x * (r + rest) if n == zero else large * (one + (r + rest)) - x
    beyond = x * rest if n == zero else grown - x * ((high + low) * log)
    # The factors are chosen, not the products: of two products one alone might be fused with what follows, in one loop
    # and not in another.
    grown, factor = (grown, inverse) if inverse != zero else (x, log)
    g = kl + beyond * inverse if abs(log) < one else (grown * factor - x) + y
    x_alone = infinity if excess >= 0.0 else -x * inverse
    g = real(inverse_alpha) * g if is_positive(y) else x_alone
    return g if is_positive(x) else real(inverse_alpha) * y


@term
def power_term(x: Any, y: Any, excess: Any) -> Any:
    """x^alpha y^(1 - alpha) = x exp(excess log(x / y)), 1/2 <= alpha = 1 + excess < 1."""
    real = type(x)
    high = _high_part(x, excess)
    a = positive(x)
    aligned, shift = align_exponents(a, positive(y))
    _, power, r = _reduce(shift, log_of_aligned(a, aligned), high, real(excess - high))
    power = (a * power) * (real(1.0) + (r + (r * r) * exp_tail(r)))
    return power if is_positive(x) and is_positive(y) else real(0.0)


# Operands whose exponents are closer than _NEAR are computed as one; beyond _FAR the smaller does not count.
_NEAR, _FAR = 60, 500
_MOST_WIDE = 2.0**30  # beyond any exponent that sums can have, and still one that the C function ldexp takes


@term
def wide_alpha_term(
    x: Any, x_exponent: Any, y: Any, y_exponent: Any, excess: Any, inverse_excess: Any, inverse_alpha: Any
) -> Any:
    """(g, e): `alpha_term` of (x 2^x_exponent, y 2^y_exponent) is g 2^e; x, y zero or in [1/2, 1)."""
    if x == 0.0:
        return inverse_alpha * y, y_exponent
    if y == 0.0:
        return (np.inf, 0) if excess >= 0.0 else (-x * inverse_excess, x_exponent)
    apart = y_exponent - x_exponent
    if apart > _FAR:
        return inverse_alpha * y, y_exponent
    k, small_log = _wide_log_ratio(x, x_exponent, y, y_exponent)
    log = k * _LOG2 + small_log
    t = excess * log
    power, exponent = wide_power_term(x, x_exponent, y, y_exponent, excess)
    if t > _FAR:
        # One after the other, and with exponents: the product of both may be less than a double can be.
        inverse, shift = math.frexp(inverse_excess)
        power, exponent = power * inverse, exponent + shift
        inverse, shift = math.frexp(inverse_alpha)
        return power * inverse, exponent + shift
    if abs(apart) < _NEAR:
        return alpha_term(x, math.ldexp(y, apart), excess, inverse_excess, inverse_alpha), x_exponent
    grown = x * math.expm1(t) if abs(t) < 1.0 else math.ldexp(power, exponent - x_exponent) - x
    grown = grown * inverse_excess if inverse_excess != 0.0 else x * log
    rest = math.ldexp(y, apart) if apart > -_FAR else 0.0
    return inverse_alpha * ((grown - x) + rest), x_exponent


@term
def wide_power_term(x: Any, x_exponent: Any, y: Any, y_exponent: Any, excess: Any) -> Any:
    """(g, e): `power_term` of (x 2^x_exponent, y 2^y_exponent) is g 2^e."""
    if x == 0.0 or y == 0.0:
        return 0.0, 0
    k, small_log = _wide_log_ratio(x, x_exponent, y, y_exponent)
    high, small = _high_part(1.0, excess), excess * small_log
    exponent = high * k + small * _LOG2_E
    if abs(exponent) > _MOST_WIDE:
        return np.inf if exponent > 0.0 else 0.0, 0
    n = math.floor(exponent)
    return x * math.exp(((high * k - n) + (excess - high) * k) * _LOG2 + small), x_exponent + int(n)


@term
def _wide_log_ratio(x, x_exponent, y, y_exponent):
    # (k, r): log(x 2^x_exponent / (y 2^y_exponent)) = k log 2 + r; k is 0 and r exact where they are near each other.
    a = positive(x)
    aligned, shift = align_exponents(a, positive(y))
    return x_exponent - y_exponent + shift * 2.0**-52, log_of_aligned(a, aligned)
