r"""The terms of the alpha-divergences and of the Rényi divergences: powers of the ratio of two bins.

With L = log(x / y), e = alpha - 1 and t = e L, the generalised alpha-divergence of one bin is

    (x^alpha y^(1 - alpha) - alpha x - (1 - alpha) y) / (alpha e) = (x (exp(t) - 1) / e - x + y) / alpha

Near x = y it is the term of KL, which is exact there, and x (exp(t) - 1 - t) / e. For alpha >= 1/2 the two never cancel
by more than six tenths of the first; smaller alpha are those of exchanged operands, and 0 and 1 are KL's divergences.
"""

import math
from typing import Any

import numpy as np

from fastkl.kernels._exp import exp_tail, nearest, power_of_two
from fastkl.kernels._jit import by_precision, term
from fastkl.kernels._logratio import (
    align_exponents,
    artanh_tail,
    constants,
    is_positive,
    log_of_aligned,
    positive,
)

_LOG2 = math.log(2.0)
_LOG2_E = 1.0 / _LOG2
# The least n of which there is 2^n, with room, and the n of which 2^n is inf.
_LEAST_64, _INFINITE_64 = -1000.0, 1024.0
_LEAST_32, _INFINITE_32 = np.float32(-120.0), np.float32(128.0)
# So small a power is nothing beside 1, and what it is multiplied by makes no subnormals of it.
_NOTHING_64, _NOTHING_32 = -500.0, np.float32(-64.0)


def _high_part_32(x, value):
    return np.int32(np.float32(value).view(np.int32) & np.int32(-256)).view(np.float32)


def _high_part_64(x, value):
    """So many leading bits of ``value`` that its product with an exponent is exact, in the precision of x."""
    return np.int64(np.float64(value).view(np.int64) & -2048).view(np.float64)


@term
def _clamp(x, least, most):
    x = x if x > least else least
    return x if x < most else most


def _reduce_32(k, log, high, low, least):
    exact, small = high * k, (high + low) * log
    n = nearest(_clamp(exact + small * np.float32(_LOG2_E), least, _INFINITE_32))
    return n, power_of_two(n), ((exact - n) + low * k) * np.float32(_LOG2) + small


def _reduce_64(k, log, high, low, least):
    """(n, 2^n, r): (high + low) (k log 2 + log) = n log 2 + r.

    The large parts are subtracted exactly: n may have thousands of units, of which r would keep the rounding. 2^n is
    inf where it may be too large; where n is the least r may be far below -1.
    """
    exact, small = high * k, (high + low) * log
    n = nearest(_clamp(exact + small * _LOG2_E, least, _INFINITE_64))
    return n, power_of_two(n), ((exact - n) + low * k) * _LOG2 + small


def _whole_32(shift):
    return shift * np.float32(2.0**-23)


def _whole_64(shift):
    """The whole number that a shift of `align_exponents` stands for."""
    return shift * 2.0**-52


def _least_32(x):
    return _LEAST_32, _NOTHING_32


def _least_64(x):
    """The least n of which 2^n is wanted, alone and beside 1."""
    return _LEAST_64, _NOTHING_64


_high_part = by_precision(_high_part_32, _high_part_64)
_reduce = by_precision(_reduce_32, _reduce_64)
_whole = by_precision(_whole_32, _whole_64)
_least = by_precision(_least_32, _least_64)


@term
def alpha_term(x: Any, y: Any, excess: Any, inverse_excess: Any, inverse_alpha: Any) -> Any:
    """The alpha-divergence of one bin, alpha = 1 + excess >= 1/2, excess no zero."""
    kl, small_log, k = alpha_term_begun(x, y)
    return alpha_term_ended(x, y, kl, small_log, k, excess, inverse_excess, inverse_alpha)


@term
def alpha_term_begun(x: Any, y: Any) -> Any:
    """(the term of KL, r, k), where log(x / y) = k log 2 + r."""
    a, b = positive(x), positive(y)
    aligned, shift = align_exponents(a, b)
    k = _whole(shift)
    d = a - aligned
    s = d / (a + aligned)
    z = s * s
    kl = (k * type(x)(_LOG2) * x + (b - aligned)) + s * (d + (x * z) * artanh_tail(z))
    return kl, log_of_aligned(a, aligned), k


@term
def _reduced_power(k: Any, small_log: Any, excess: Any, least: Any) -> Any:
    # (n, r, 2^n, 2^n r, 2^n (exp(r) - 1 - r)): what the exponential of excess (k log 2 + small_log) is made of.
    high = _high_part(small_log, excess)
    n, power, r = _reduce(k, small_log, high, type(small_log)(excess - high), least)
    usual = r if r > type(r)(-1.0) else type(r)(-1.0)
    return n, r, power, power * usual, power * ((usual * usual) * exp_tail(usual))


@term
def alpha_term_ended(
    x: Any, y: Any, kl: Any, small_log: Any, k: Any, excess: Any, inverse_excess: Any, inverse_alpha: Any
) -> Any:
    """The rest of `alpha_term`.

    With 2^n less 1, which for n = 0 is exactly 0, nothing has to be asked of n. Where k is 1 at most the logarithm is
    up to 1.1, and beyond at least 0.98.
    """
    real = type(x)
    one, infinity = real(1.0), constants(x)[3]
    n, r, power, first, rest = _reduced_power(k, small_log, excess, _least(x)[1])
    above, scaled = power - one, x * real(inverse_excess)
    near = kl + scaled * (rest + (above * r + (above - n * real(_LOG2))))  # exp(t) - 1 - t
    far = scaled * (rest + (first + above)) + (y - x)  # exp(t) - 1
    g = near if abs(k) <= one else far
    # -x / e where alpha is below 1. Where only y has something nothing has to be asked: what stands for an x of zero
    # has a power, and is not what is multiplied.
    alone = scaled * (infinity if excess > 0.0 else -one)
    # NaN, not inf: what is too large for the fast loops is not an infinite term.
    return alone if (not is_positive(y)) & (x > 0) else real(inverse_alpha) * g + g * real(0.0)


@term
def power_term(x: Any, y: Any, excess: Any) -> Any:
    """x^alpha y^(1 - alpha) = x exp(excess log(x / y)), 1/2 <= alpha = 1 + excess < 1."""
    a = positive(x)
    aligned, shift = align_exponents(a, positive(y))
    _, _, power, first, rest = _reduced_power(_whole(shift), log_of_aligned(a, aligned), excess, _least(x)[0])
    return a * (rest + (first + power)) if is_positive(x) and is_positive(y) else type(x)(0.0)


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
    if abs(apart) < _NEAR and t > -_FAR:
        return alpha_term(x, math.ldexp(y, apart), excess, inverse_excess, inverse_alpha), x_exponent
    grown = x * math.expm1(t) if abs(t) < 1.0 else math.ldexp(power, exponent - x_exponent) - x
    rest = math.ldexp(y, apart) if apart > -_FAR else 0.0
    return inverse_alpha * (grown * inverse_excess + (rest - x)), x_exponent


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
    return x_exponent - y_exponent + _whole(shift), log_of_aligned(a, aligned)
