"""The terms of the Jensen-Shannon divergences, which hold both operands against their mixture.

The mixture m is rounded, but x - m, a share of x - y, is not: what is lost otherwise is all where x and y agree to 8
digits. So the differences are handed on beside m.
"""

from typing import Any

from fastkl.kernels._jit import by_precision, term
from fastkl.kernels._logratio import (
    FLOOR_64,
    align_exponents,
    artanh_tail,
    log2_of_shift,
    positive,
    twice_wide_artanh_tail,
)


def _scaled_32(x, scale):
    return positive(scale * x)


def _scaled_64(x, scale):
    """``scale`` times x, or what stands for a zero: it is added, as it can't be seen beside what is in range."""
    return scale * x + FLOOR_64


_scaled = by_precision(_scaled_32, _scaled_64)


@term
def js_term(x: Any, y: Any) -> Any:
    """(x log(x / m) + y log(y / m)) / 2, m = (x + y) / 2, with the same bits for (y, x)."""
    quarter = type(x)(0.25)
    return js_term_ended(js_term_begun(x, y, quarter, quarter))


@term
def js_term_begun(x: Any, y: Any, a: Any, b: Any) -> Any:
    """What `js_term_ended` makes the term of 4 a x and 4 b y of: all but two series.

    A quarter is in the scales of a row, so no term or sum is multiplied. The larger operand is between m and 2 m, which
    is not aligned: two more terms of T cost less. The smaller is that of `kl_term_of_difference`. What stands for a
    zero is too small to be seen beside the other.
    """
    x, y = _scaled(x, a), _scaled(y, b)
    high, low = max(x, y), min(x, y)
    mixture, d, twice = high + low, low - high, low + low
    aligned, shift = align_exponents(twice, mixture)
    e = d if shift == 0 else twice - aligned
    s, r = d / (type(x)(3.0) * high + low), e / (twice + aligned)
    far = shift * log2_of_shift(x) * twice + (mixture - aligned)  # 0 where nothing is to be aligned
    return (far + r * e) + s * d, s * high, s, r * twice, r


@term
def js_term_ended(begun: Any) -> Any:
    """The term of what was begun, with the two series."""
    most, high, s, low, r = begun
    z, t = s * s, r * r
    return (most - (high * z) * twice_wide_artanh_tail(z)) + low * (t * artanh_tail(t))


@term
def weighted_js_term(x: Any, y: Any, w: Any, v: Any) -> Any:
    """w x log(x / m) + v y log(y / m), m = w x + v y, v = 1 - w.

    v is given: made of a w that is rounded, a small one has few digits. A bin that only x has adds -w log w x.
    """
    d, m = x - y, w * x + v * y
    x, y, m = positive(x), positive(y), positive(m)
    return w * kl_term_of_difference(x, m, v * d) + v * kl_term_of_difference(y, m, -w * d)


@term
def kl_term_of_difference(x: Any, y: Any, d: Any) -> Any:
    """`kl_term` of positive operands, where y is rounded, but d = x - y is known to all digits.

    x may stand for a zero: it is multiplied by z T(z), which takes longer than x z, but is not subnormal.
    """
    aligned, shift = align_exponents(x, y)
    d = d if shift == 0 else x - aligned  # the shift is known before k log 2 is: the division need not wait
    s = d / (x + aligned)
    z = s * s
    return (shift * log2_of_shift(x) * x + (y - aligned)) + s * (d + x * (z * artanh_tail(z)))
