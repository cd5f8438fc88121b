r"""The exponential, written so that loops over it vectorise.

With n the integer nearest to x / log 2 and r = x - n log 2, |r| <= log(2) / 2,

    exp(x) = 2^n (1 + g),    g = exp(r) - 1 = r + r^2 T(r),    T(r) = 1/2 + r/6 + r^2/24 + ...

No table, no branch, no division. n log 2 is subtracted in two parts, the first of which has so few bits that the
product is exact. Numba's own `math.exp` is a scalar call.
"""

from typing import Any

import numpy as np

from fastkl.kernels._jit import by_precision, term

# log 2 in two parts: n times the first is exact for |n| < 2^21, in single precision for |n| < 2^11.
LOG2_HIGH_64, LOG2_LOW_64 = float.fromhex("0x1.62e42feep-1"), float.fromhex("0x1.a39ef35793c76p-33")
LOG2_HIGH_32, LOG2_LOW_32 = np.float32(float.fromhex("0x1.62ep-1")), np.float32(float.fromhex("0x1.0bfbe8e8p-15"))
_LOG2_E_64 = float.fromhex("0x1.71547652b82fep+0")
_LOG2_E_32 = np.float32(_LOG2_E_64)

# A sum with it has a whole number in its last bits.
_ROUNDER_64, _ROUNDER_32 = 1.5 * 2.0**52, np.float32(1.5 * 2.0**23)
_BIAS_64, _BIAS_32 = 1023.0, np.float32(127)

# Beyond them exp is inf, or less than half of the least subnormal number.
_MOST_64, _LEAST_64 = 710.0, -746.0
_MOST_32, _LEAST_32 = np.float32(89), np.float32(-104)

# T on [-0.3468, 0.3468], minimax polynomials (Remez): absolute errors 1.4e-18 and 1.4e-9, a ninth of that in exp.
_T0, _T1, _T2, _T3, _T4, _T5, _T6, _T7, _T8, _T9, _T10 = (
    0.5,
    0.1666666666666667,
    0.041666666666666685,
    0.008333333333326103,
    0.001388888888887434,
    0.0001984126987493393,
    2.480158734748894e-05,
    2.755725525698969e-06,
    2.7557252763315234e-07,
    2.510527647625777e-08,
    2.0921641213452712e-09,
)
_S0, _S1, _S2 = np.float32(0.5), np.float32(0.16666667), np.float32(0.041666463)
_S3, _S4, _S5 = np.float32(0.008333286), np.float32(0.0013933702), np.float32(0.00019907641)


def _clamp_32(x):
    x = _MOST_32 if x > _MOST_32 else x
    return _LEAST_32 if x < _LEAST_32 else x


def _clamp_64(x):
    """x as far as exp(x) is a number; NaN stays what it is."""
    x = _MOST_64 if x > _MOST_64 else x
    return _LEAST_64 if x < _LEAST_64 else x


def _nearest_32(x):
    return (x + _ROUNDER_32) - _ROUNDER_32


def _nearest_64(x):
    """The whole number nearest to x."""
    return (x + _ROUNDER_64) - _ROUNDER_64


def _reduce_32(x):
    n = nearest(x * _LOG2_E_32)
    return n, (x - n * LOG2_HIGH_32) - n * LOG2_LOW_32


def _reduce_64(x):
    """(n, r): x = n log 2 + r, n a whole number, |r| <= log(2) / 2."""
    n = nearest(x * _LOG2_E_64)
    return n, (x - n * LOG2_HIGH_64) - n * LOG2_LOW_64


def _exp_tail_32(r):
    rr = r * r
    return (_S0 + r * _S1) + rr * ((_S2 + r * _S3) + rr * (_S4 + r * _S5))


def _exp_tail_64(r):
    """T(r), by Estrin's scheme: with Horner's a loop waits for its chain of additions."""
    rr = r * r
    rrrr = rr * rr
    low = (_T0 + r * _T1) + rr * (_T2 + r * _T3)
    high = ((_T4 + r * _T5) + rr * (_T6 + r * _T7)) + rrrr * ((_T8 + r * _T9) + rr * _T10)
    return low + rrrr * high


def _power_of_two_32(n):
    return np.int32(np.float32(n + (_ROUNDER_32 + _BIAS_32)).view(np.int32) << 23).view(np.float32)


def _power_of_two_64(n):
    """2^n for a whole number n, -1022 <= n <= 1023, 0 for -1023 and inf for 1024."""
    return np.int64(np.float64(n + (_ROUNDER_64 + _BIAS_64)).view(np.int64) << 52).view(np.float64)


def _halves_32(n):
    half = nearest(n * np.float32(0.5))
    return half, n - half


def _halves_64(n):
    """Two whole numbers of which n is the sum: 2^n may be no number though 2^n (1 + g) is one."""
    half = nearest(n * 0.5)
    return half, n - half


clamp = by_precision(_clamp_32, _clamp_64)
nearest = by_precision(_nearest_32, _nearest_64)
reduce = by_precision(_reduce_32, _reduce_64)
exp_tail = by_precision(_exp_tail_32, _exp_tail_64)
power_of_two = by_precision(_power_of_two_32, _power_of_two_64)
halves = by_precision(_halves_32, _halves_64)


@term
def growth(r: Any) -> Any:
    """g = exp(r) - 1."""
    return r + (r * r) * exp_tail(r)


@term
def exp(x: Any) -> Any:
    """exp(x) to an ulp: 0 for -inf, inf for +inf and where it is no finite number, subnormal where it must be."""
    n, r = reduce(clamp(x))
    first, second = halves(n)
    one = type(x)(1.0)
    return ((one + growth(r)) * power_of_two(first)) * power_of_two(second)


@term
def expm1(x: Any) -> Any:
    """exp(x) - 1 to an ulp or two, also near 0.

    2^n (1 + g) - 1 = 2^b (2^a g + (2^a - 2^-b)) with a + b = n: the inner difference is 0 for n = 0, and for no other
    n does the sum cancel.
    """
    n, r = reduce(clamp(x))
    first, second = halves(n)
    a = power_of_two(first)
    return power_of_two(second) * (a * growth(r) + (a - power_of_two(-second)))
