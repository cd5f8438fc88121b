r"""The logarithm of a ratio, written so that loops over it vectorise and near-equal operands lose nothing.

For positive x and y, let k be the integer and y' = 2^k y for which x / y' lies in about [2/3, 3/2]. Then x - y' is
exact (Sterbenz), and with s = (x - y') / (x + y') and z = s^2

    log(x / y) = k log 2 + 2 artanh(s) = k log 2 + s (2 + z T(z)),    T(z) = 2/3 + 2z/5 + 2z^2/7 + ...

One division, no table, no branch: every target that LLVM knows vectorises it. Numba's own `math.log` is a scalar call.

Operands must be zero or lie in [TINY, HUGE] of their precision; what does not is for `_careful`. Only for sums of terms
that are no powers (`is_told_by_sum`) are operands below TINY taken, where the sum turns out finite and at least
LEAST_SUM: what is below FLOOR once it is scaled counts as zero, or is added to FLOOR, and products may underflow, which
moves a term by no more than 2^11 FLOOR or makes it infinite; 1024 of them are nothing beside such a sum.
"""

from typing import Any

import numpy as np

from fastkl.kernels._jit import by_precision, term

# [TINY, HUGE] leaves room on both sides: (x - y)^2 / y stays normal when x and y agree to all digits but the last,
# and y may be scaled by up to MAX_SCALE, and summed, without leaving the normal range.
TINY_64, HUGE_64, MAX_SCALE_64 = 2.0**-700, 2.0**700, 2.0**200
TINY_32, HUGE_32, MAX_SCALE_32 = np.float32(2.0**-76), np.float32(2.0**90), np.float32(2.0**24)
# Below every scaled operand, above the subnormals: stands in for a zero, whose bits would make a subnormal y'.
FLOOR_64, FLOOR_32 = 2.0**-1000, np.float32(2.0**-110)

# The same range as bits: from LEAST to HIGHEST, SPAN wide.
_HIGHEST_64, _HIGHEST_32 = np.float64(HUGE_64).view(np.uint64), HUGE_32.view(np.uint32)
_LEAST_64, _LEAST_32 = np.float64(TINY_64).view(np.int64), TINY_32.view(np.int32)
_SPAN_64 = np.uint64(np.float64(HUGE_64).view(np.int64) - _LEAST_64)
_SPAN_32 = np.uint32(HUGE_32.view(np.int32) - _LEAST_32)

_HALF_OCTAVE_64, _EXPONENT_64 = 1 << 51, ~((1 << 52) - 1)
_HALF_OCTAVE_32, _EXPONENT_32 = np.int32(1 << 22), np.int32(~((1 << 23) - 1))
_LOG2 = float.fromhex("0x1.62e42fefa39efp-1")
_LOG2_64 = _LOG2 * 2.0**-52  # for an exponent that is still in its place among the bits
_LOG2_32 = np.float32(_LOG2 * 2.0**-23)

# T on [0, 0.04005], such that the largest error of s T(z) is least, which counts where x and y are near: 2.8e-16, and
# 4.0e-10 in single precision.
_T0, _T1, _T2, _T3, _T4, _T5, _T6 = (
    0.6666666666666874,
    0.3999999999807697,
    0.2857142908718337,
    0.22222161307927044,
    0.18185502165501222,
    0.15265920799760585,
    0.15254834561517103,
)
_S0, _S1 = np.float32(0.6666666486566025), np.float32(0.400005948651495)
_S2, _S3 = np.float32(0.2851851567212149), np.float32(0.239511855116877)
# 2 T on [0, 1 / 9], likewise: 1.2e-15 and 1.2e-9; in double precision with no error at the right end, so that one bin
# against none is log 2 to the last digit.
_U0, _U1, _U2, _U3, _U4, _U5, _U6, _U7, _U8 = (
    1.3333333333333994,
    0.7999999999649988,
    0.5714285768700125,
    0.4444440605353191,
    0.36365099350572794,
    0.3073664252999222,
    0.2710150449714052,
    0.2014345629902309,
    0.3481233314932406,
)
_V0, _V1, _V2 = np.float32(1.3333333730697632), np.float32(0.7999864220619202), np.float32(0.5720987319946289)
_V3, _V4 = np.float32(0.43110159039497375), np.float32(0.4766398072242737)

_LEAST_SUM_64, _LEAST_SUM_32 = 2.0**-800, np.float32(2.0**-60)


def _constants_32(x):
    return TINY_32, HUGE_32, MAX_SCALE_32, np.float32(np.inf)


def _constants_64(x):
    """(TINY, HUGE, MAX_SCALE, infinity) in the precision of x."""
    return TINY_64, HUGE_64, MAX_SCALE_64, np.inf


def _is_double_32(x):
    return False


def _is_double_64(x):
    """True for the larger precision."""
    return True


def _is_positive_32(x):
    return x > FLOOR_32


def _is_positive_64(x):
    """False for zeros of either sign, true for operands in range and their scaled values."""
    return x > FLOOR_64


def _positive_32(x):
    return x if x > FLOOR_32 else FLOOR_32


def _positive_64(x):
    """x, or what stands for a zero."""
    return x if x > FLOOR_64 else FLOOR_64


def _align_exponents_32(x, y):
    bits = np.float32(y).view(np.int32)
    shift = (np.float32(x).view(np.int32) - bits + _HALF_OCTAVE_32) & _EXPONENT_32
    return np.int32(bits + shift).view(np.float32), np.float32(np.int32(shift))


def _align_exponents_64(x, y):
    """(y' = 2^k y, k as it stands among the bits) of positive operands."""
    bits = np.float64(y).view(np.int64)
    shift = (np.float64(x).view(np.int64) - bits + _HALF_OCTAVE_64) & _EXPONENT_64
    return np.int64(bits + shift).view(np.float64), np.float64(shift)


def _log2_of_shift_32(x):
    return _LOG2_32


def _log2_of_shift_64(x):
    """What a shift of `align_exponents` is multiplied by to give k log 2."""
    return _LOG2_64


def _artanh_tail_32(z):
    return _S0 + z * (_S1 + z * (_S2 + z * _S3))


def _artanh_tail_64(z):
    """T(z) by Horner's scheme: the least multiplications, for which loops wait, as the processor looks far ahead."""
    return _T0 + z * (_T1 + z * (_T2 + z * (_T3 + z * (_T4 + z * (_T5 + z * _T6)))))


def _twice_wide_artanh_tail_32(z):
    return _V0 + z * (_V1 + z * (_V2 + z * (_V3 + z * _V4)))


def _twice_wide_artanh_tail_64(z):
    """2 T(z) of operands whose ratio is at most 2, which are not aligned: z up to 1 / 9."""
    return _U0 + z * (_U1 + z * (_U2 + z * (_U3 + z * (_U4 + z * (_U5 + z * (_U6 + z * (_U7 + z * _U8)))))))


def _is_clear_sum_32(x):
    return _LEAST_SUM_32 <= x < np.float32(np.inf)


def _is_clear_sum_64(x):
    """True for a finite sum of terms beside which the errors of bins below TINY are nothing."""
    return _LEAST_SUM_64 <= x < np.inf


def _high_bits_32(x):
    bits = np.float32(x).view(np.int32)
    return np.int32(0) if np.float32(x).view(np.uint32) <= _HIGHEST_32 else np.int32(bits & np.int32(0x7FFFFFFF))


def _high_bits_64(x):
    """Zero for zeros and for what lies below HUGE, some bits of x otherwise, NaN and negative ones included."""
    bits = np.float64(x).view(np.int64)
    return np.int64(0) if np.float64(x).view(np.uint64) <= _HIGHEST_64 else np.int64(bits & 0x7FFFFFFFFFFFFFFF)


def _pattern_32(x):
    return np.float32(x).view(np.uint32)


def _pattern_64(x):
    """The bits of x as an unsigned integer: in their order come NaN and negative numbers after all others."""
    return np.float64(x).view(np.uint64)


def _highest_pattern_32(x):
    return _HIGHEST_32


def _highest_pattern_64(x):
    """The pattern of HUGE, in the precision of x."""
    return _HIGHEST_64


def _odd_bits_32(x):
    bits = np.float32(x).view(np.int32)
    is_ordinary = np.uint32(np.int32(bits - _LEAST_32)) <= _SPAN_32
    return np.int32(0) if is_ordinary else np.int32(bits & np.int32(0x7FFFFFFF))


def _odd_bits_64(x):
    """Zero for zeros and for operands in [TINY, HUGE], some bits of x otherwise, NaN and negative ones included.

    As integers, positive numbers are in order, and zeros, negative ones and NaN lie outside: one subtraction and one
    unsigned comparison tell.
    """
    bits = np.float64(x).view(np.int64)
    is_ordinary = np.uint64(np.int64(bits - _LEAST_64)) <= _SPAN_64
    return np.int64(0) if is_ordinary else np.int64(bits & 0x7FFFFFFFFFFFFFFF)


pattern = by_precision(_pattern_32, _pattern_64)
highest_pattern = by_precision(_highest_pattern_32, _highest_pattern_64)
high_bits = by_precision(_high_bits_32, _high_bits_64)
is_clear_sum = by_precision(_is_clear_sum_32, _is_clear_sum_64)
odd_bits = by_precision(_odd_bits_32, _odd_bits_64)
constants = by_precision(_constants_32, _constants_64)
is_double = by_precision(_is_double_32, _is_double_64)
is_positive = by_precision(_is_positive_32, _is_positive_64)
align_exponents = by_precision(_align_exponents_32, _align_exponents_64)
positive = by_precision(_positive_32, _positive_64)
log2_of_shift = by_precision(_log2_of_shift_32, _log2_of_shift_64)
artanh_tail = by_precision(_artanh_tail_32, _artanh_tail_64)
twice_wide_artanh_tail = by_precision(_twice_wide_artanh_tail_32, _twice_wide_artanh_tail_64)


@term
def align(x: Any, y: Any) -> Any:
    """(y' = 2^k y, k log 2) of positive operands."""
    aligned, shift = align_exponents(x, y)
    return aligned, shift * log2_of_shift(x)


@term
def log_of_aligned(x: Any, aligned: Any) -> Any:
    """log(x / y') = 2 artanh(s) of operands that are aligned."""
    s = (x - aligned) / (x + aligned)
    z = s * s
    return s * (type(x)(2.0) + z * artanh_tail(z))


@term
def log_ratio(x: Any, y: Any) -> Any:
    """log(x / y) of two operands in range."""
    x, y = positive(x), positive(y)
    aligned, k_log2 = align(x, y)
    return k_log2 + log_of_aligned(x, aligned)
