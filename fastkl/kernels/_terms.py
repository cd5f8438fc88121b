"""The divergences: for each a tag and the mathematics of one bin. This is the place to add another.

A divergence is a sum over bins of a function of p_i and q_i, where one histogram or both are scaled to a common total
first. Its tag, a NamedTuple that holds its parameters, is the first argument of every kernel; the tables at the end
of this file name, for each tag, the functions of one bin and of the totals that the kernels call. Adding a divergence
is a tag, a term, a row in each table.
"""

import math
from typing import Any, NamedTuple

import numpy as np

from fastkl.kernels._alpha import (
    alpha_term,
    alpha_term_begun,
    alpha_term_ended,
    power_term,
    wide_alpha_term,
    wide_power_term,
)
from fastkl.kernels._jit import by_kind, divides_quickly, term
from fastkl.kernels._js import js_term, js_term_begun, js_term_ended, weighted_js_term
from fastkl.kernels._logratio import (
    align,
    artanh_tail,
    constants,
    is_double,
    is_positive,
    log_of_aligned,
    log_ratio,
    positive,
)

_LOG2 = math.log(2.0)
# Where exponents differ by more than this a term is given by its limit: what is left out is below 2^-400 of it.
_FAR = 500


class KL(NamedTuple):
    """sum x log(x / y) - x + y: the generalised Kullback-Leibler divergence, never negative term by term."""


class CrossEntropy(NamedTuple):
    """-sum x log y. With q = p this is the entropy."""


class JS(NamedTuple):
    """sum (x log(x / m) + y log(y / m)) / 2, m = (x + y) / 2: the Jensen-Shannon divergence."""


class WeightedJS(NamedTuple):
    """sum w x log(x / m) + (1 - w) y log(y / m), m = w x + (1 - w) y."""

    p_weight: float

    @property
    def least_factor(self):
        """What the smaller part of the mixture is multiplied by."""
        return min(self.p_weight, 1.0 - self.p_weight)


class Jeffreys(NamedTuple):
    """sum (x - y) log(x / y): the divergences of both directions together."""


class Alpha(NamedTuple):
    """sum (x^alpha y^(1 - alpha) - alpha x - (1 - alpha) y) / (alpha (alpha - 1)): the alpha-divergence.

    alpha = 1 + excess >= 1/2, for a smaller one x and y are exchanged; neither 0 nor 1, which are those of `KL`.
    """

    excess: float
    inverse_excess: float
    inverse_alpha: float
    is_exchanged: bool

    @property
    def least_factor(self):
        """0 for orders that take terms beyond single precision, else 1."""
        return float(2.0**-60 <= abs(self.excess) <= 2.0**60)


class Power(NamedTuple):
    """sum x^alpha y^(1 - alpha), alpha = 1 + excess in [1/2, 1), x and y exchanged for a smaller one."""

    excess: float
    is_exchanged: bool


class Absent(NamedTuple):
    """sum y over the bins where x is zero: the mass of y that x does not know."""


@term
def kl_term(x: Any, y: Any) -> Any:
    """x log(x / y) - x + y, exact also where x and y agree to all but the last digits.

    With x, y' = 2^k y, s and z of `_logratio`, and d = x - y', which is exact, it is
    k log 2 x + (y - y') + s (d + x z T(z)): no large terms cancel, and for k = 0 only s (d + ...) is left.
    What stands for an x of zero is so small that y is left, and exactly 0 where both are zero. It is not what is
    multiplied: the products would be subnormal, for which some processors wait 150 cycles.
    """
    a, b = positive(x), positive(y)
    aligned, k_log2 = align(a, b)
    d = a - aligned
    s = d / (a + aligned)
    z = s * s
    g = (k_log2 * x + (b - aligned)) + s * (d + (x * z) * artanh_tail(z))
    _, _, _, infinity = constants(x)
    return infinity if (not is_positive(y)) & (x > 0) else g


@term
def reverse_kl_term(x: Any, unscaled: Any, scale: Any) -> Any:
    """y log(y / x) - y + x, y = scale times unscaled, made of what `kl_term` has: both take a fourth more than one."""
    y = scale * unscaled
    a, b = positive(x), positive(y)
    aligned, k_log2 = align(a, b)
    d = a - aligned
    s = d / (a + aligned)
    z = s * s
    far = (a - b) - b * (k_log2 + log_of_aligned(a, aligned))
    g = s * (d - (y * z) * artanh_tail(z)) if k_log2 == 0 else far
    return constants(x)[3] if (not is_positive(x)) & (unscaled > 0) else g


@term
def cross_entropy_term(x: Any, y: Any) -> Any:
    """-x log y."""
    _, _, _, infinity = constants(x)
    g = x * log_ratio(type(x)(1.0), y)
    return infinity if (not is_positive(y)) & (x > 0) else g


@term
def jeffreys_term(x: Any, y: Any) -> Any:
    """(x - y) log(x / y) of operands that are no zeros, with the same bits for (y, x)."""
    high, low = max(x, y), min(x, y)
    return (high - low) * log_ratio(high, low)


def bin_term(kind: Any, x: Any, y: Any, a: Any, b: Any) -> Any:
    """The term of the bin (a x, b y), both in the kernels' range, with scales from `scales` or `no_scales`."""
    return _BIN_TERM[type(kind)](kind, x, y, a, b)


def _kl_bin(kind, x, y, a, b):
    return kl_term(x, b * y)


def _cross_entropy_bin(kind, x, y, a, b):
    return cross_entropy_term(x, b * y)


def _js_bin(kind, x, y, a, b):
    return js_term_ended(js_term_begun(x, y, a, b))


def _weighted_js_bin(kind, x, y, a, b):
    return weighted_js_term(a * x, b * y, type(x)(kind.p_weight), type(x)(1.0 - kind.p_weight))


def _jeffreys_bin(kind, x, y, a, b):
    u, v = a * x, b * y
    return constants(x)[3] if (not is_positive(min(u, v))) & (max(x, y) > 0) else jeffreys_term(u, v)


@term
def _in_order(is_exchanged, x, y):
    return (y, x) if is_exchanged else (x, y)


def _alpha_bin(kind, x, y, a, b):
    x, y = _in_order(kind.is_exchanged, x, b * y)
    return alpha_term(x, y, kind.excess, kind.inverse_excess, kind.inverse_alpha)


def _power_bin(kind, x, y, a, b):
    x, y = _in_order(kind.is_exchanged, x, b * y)
    return power_term(x, y, kind.excess)


def _absent_bin(kind, x, y, a, b):
    return type(x)(0.0) if is_positive(x) else b * y


def begun_bin_term(kind: Any, x: Any, y: Any, a: Any, b: Any) -> Any:
    """What the second step makes the term of, where it comes in two: some numbers."""
    return _BEGUN_BIN_TERM[type(kind)](kind, x, y, a, b)


def ended_bin_term(kind: Any, x: Any, y: Any, a: Any, b: Any, begun: Any) -> Any:
    """The term of the bin (a x, b y) from what the first step has made."""
    return _ENDED_BIN_TERM[type(kind)](kind, x, y, a, b, begun)


def _js_begun(kind, x, y, a, b):
    return js_term_begun(x, y, a, b)


def _js_ended(kind, x, y, a, b, begun):
    return js_term_ended(begun)


def _alpha_begun(kind, x, y, a, b):
    x, y = _in_order(kind.is_exchanged, x, b * y)
    return alpha_term_begun(x, y)


def _alpha_ended(kind, x, y, a, b, begun):
    x, y = _in_order(kind.is_exchanged, x, b * y)
    kl, small_log, k = begun
    return alpha_term_ended(x, y, kl, small_log, k, kind.excess, kind.inverse_excess, kind.inverse_alpha)


def wide_term(kind: Any, x: Any, x_exponent: Any, y: Any, y_exponent: Any) -> Any:
    """(g, e), where g 2^e is the term of (x 2^x_exponent, y 2^y_exponent), scaled already; x, y zero or in [1/2, 1)."""
    return _WIDE_TERM[type(kind)](kind, x, x_exponent, y, y_exponent)


def _kl_wide(kind, x, x_exponent, y, y_exponent):
    if x == 0.0:
        return y, y_exponent
    if y == 0.0:
        return np.inf, 0
    apart = y_exponent - x_exponent
    if apart > _FAR:
        return y, y_exponent
    if apart < -_FAR:
        return x * (log_ratio(x, y) - apart * _LOG2 - 1.0), x_exponent
    return kl_term(x, math.ldexp(y, apart)), x_exponent


def _cross_entropy_wide(kind, x, x_exponent, y, y_exponent):
    if x == 0.0:
        return 0.0, 0
    if y == 0.0:
        return np.inf, 0
    if abs(y_exponent) > _FAR:
        return -x * (log_ratio(y, 1.0) + y_exponent * _LOG2), x_exponent
    return cross_entropy_term(x, math.ldexp(y, y_exponent)), x_exponent


def _js_wide(kind, x, x_exponent, y, y_exponent):
    apart = y_exponent - x_exponent
    if x == 0.0 or (y != 0.0 and apart > _FAR):
        return 0.5 * _LOG2 * y, y_exponent
    if y == 0.0 or apart < -_FAR:
        return 0.5 * _LOG2 * x, x_exponent
    return js_term(x, math.ldexp(y, apart)), x_exponent


def _weighted_js_wide(kind, x, x_exponent, y, y_exponent):
    w, apart = kind.p_weight, y_exponent - x_exponent
    if x == 0.0 or (y != 0.0 and apart > _FAR):
        return -(1.0 - w) * math.log1p(-w) * y, y_exponent
    if y == 0.0 or apart < -_FAR:
        return -w * math.log(w) * x, x_exponent
    return weighted_js_term(x, math.ldexp(y, apart), w, 1.0 - w), x_exponent


def _jeffreys_wide(kind, x, x_exponent, y, y_exponent):
    if x == 0.0 and y == 0.0:
        return 0.0, 0
    if x == 0.0 or y == 0.0:
        return np.inf, 0
    apart = y_exponent - x_exponent
    log = log_ratio(x, y) - apart * _LOG2
    if apart > _FAR:
        return -y * log, y_exponent
    if apart < -_FAR:
        return x * log, x_exponent
    return jeffreys_term(x, math.ldexp(y, apart)), x_exponent


def _alpha_wide(kind, x, x_exponent, y, y_exponent):
    x, y = _in_order(kind.is_exchanged, x, y)
    x_exponent, y_exponent = _in_order(kind.is_exchanged, x_exponent, y_exponent)
    parameters = kind.excess, kind.inverse_excess, kind.inverse_alpha
    return wide_alpha_term(x, x_exponent, y, y_exponent, *parameters)


def _power_wide(kind, x, x_exponent, y, y_exponent):
    x, y = _in_order(kind.is_exchanged, x, y)
    x_exponent, y_exponent = _in_order(kind.is_exchanged, x_exponent, y_exponent)
    return wide_power_term(x, x_exponent, y, y_exponent, kind.excess)


def _absent_wide(kind, x, x_exponent, y, y_exponent):
    return (y, y_exponent) if x == 0.0 else (0.0, 0)


def scales(kind: Any, p_total: Any, q_total: Any) -> Any:
    """The (a, b) that bring p and q to a common total, as `bin_term` takes them."""
    return _SCALES[type(kind)](kind, p_total, q_total)


def no_scales(kind: Any, like: Any) -> Any:
    """The (a, b) of bins that are taken as they are, in the precision of ``like``, as `bin_term` takes them."""
    return _NO_SCALES[type(kind)](kind, like)


def _scale_q_to_p(kind, p_total, q_total):
    return type(p_total)(1.0), p_total / q_total


def _scale_q_to_one(kind, p_total, q_total):
    one = type(q_total)(1.0)
    return one, one / q_total


def _scale_both_to_one(kind, p_total, q_total):
    one = type(p_total)(1.0)
    return one / p_total, one / q_total


def _scale_both_to_a_quarter(kind, p_total, q_total):
    quarter = type(p_total)(0.25)
    return quarter / p_total, quarter / q_total


def _scale_neither(kind, like):
    return type(like)(1.0), type(like)(1.0)


def _scale_neither_but_to_a_quarter(kind, like):
    return type(like)(0.25), type(like)(0.25)


def refine(kind: Any, t: Any, x: Any, y: Any) -> Any:
    """Recompute those terms of one normalised row that its totals' rounding hurts; false where there is none.

    Only rows of a small sum are asked for.
    """
    return _REFINE[type(kind)](kind, t, x, y)


def _refine_nothing(kind, t, x, y):
    return False


def _refine_dominant_bin(kind, t, x, y):
    # Where one bin holds nearly all of q, its -log Q is that of 1 less a little, and the little is lost in the
    # rounding of Q. From the sum of the others it is log1p(others / y), without loss; and exactly 0 for a histogram
    # of one bin.
    largest = 0
    for i in range(len(y)):
        if y[i] > y[largest]:
            largest = i
    others = y[largest] - y[largest]
    for i in range(len(y)):
        if i != largest:
            others += y[i]
    if not others < y[largest]:
        return False
    if x[largest] > 0:
        t[largest] = x[largest] * type(x[largest])(math.log1p(others / y[largest]))
    return True


def is_told_by_sum(kind: Any, like: Any) -> Any:
    """True where a sum of terms without weights that `is_clear_sum` tells that no bin was too small to be taken.

    The errors of terms of bins below TINY, subnormals included, are far below such a sum (`_logratio`), or it is
    infinite. For that, whether a term is infinite is to be asked of bins that are not scaled. Powers are not told:
    y^(1 - alpha) may be large where y is next to nothing. In the precision of ``like``: in single precision terms of
    such bins wait for subnormal products, longer than double precision takes.
    """
    return _IS_TOLD_BY_SUM[type(kind)](kind, like)


def is_refined(kind: Any) -> Any:
    """True where `refine` has something to do."""
    return _IS_REFINED[type(kind)](kind)


def is_in_units_of_p(kind: Any) -> Any:
    """True where the sum of the terms of a normalised row is p_total times the divergence."""
    return _IN_UNITS_OF_P[type(kind)](kind)


def follows_chain_rule(kind: Any) -> Any:
    """True where a row's sum is that of its pieces, each scaled by its own totals, plus that of the pieces' totals."""
    return _FOLLOWS_CHAIN_RULE[type(kind)](kind)


def _yes(kind):
    return True


def _no(kind):
    return False


def _told(kind, like):
    return True


def _told_in_double(kind, like):
    return is_double(like)


def _not_told(kind, like):
    return False


_BIN_TERM = {
    KL: _kl_bin,
    CrossEntropy: _cross_entropy_bin,
    JS: _js_bin,
    WeightedJS: _weighted_js_bin,
    Jeffreys: _jeffreys_bin,
    Alpha: _alpha_bin,
    Power: _power_bin,
    Absent: _absent_bin,
}
KINDS = tuple(_BIN_TERM)
REFINED = (CrossEntropy,)
_WIDE_TERM = {
    KL: _kl_wide,
    CrossEntropy: _cross_entropy_wide,
    JS: _js_wide,
    WeightedJS: _weighted_js_wide,
    Jeffreys: _jeffreys_wide,
    Alpha: _alpha_wide,
    Power: _power_wide,
    Absent: _absent_wide,
}
_SYMMETRIC, _POWERS = (JS, WeightedJS, Jeffreys), (Alpha, Power, Absent)
_SCALES = {
    KL: _scale_q_to_p,
    CrossEntropy: _scale_q_to_one,
    **dict.fromkeys(_SYMMETRIC, _scale_both_to_one),
    **dict.fromkeys(_POWERS, _scale_q_to_p),
    JS: _scale_both_to_a_quarter,
}
_NO_SCALES = dict.fromkeys(_BIN_TERM, _scale_neither) | {JS: _scale_neither_but_to_a_quarter}
_REFINE = dict.fromkeys(_BIN_TERM, _refine_nothing) | {CrossEntropy: _refine_dominant_bin}
_IS_REFINED = dict.fromkeys(_BIN_TERM, _no) | dict.fromkeys(REFINED, _yes)
_IS_TOLD_BY_SUM = dict.fromkeys(_BIN_TERM, _told_in_double) | dict.fromkeys(_POWERS, _not_told) | {KL: _told}
_IN_UNITS_OF_P = dict.fromkeys(_BIN_TERM, _yes) | dict.fromkeys(_SYMMETRIC, _no)
_FOLLOWS_CHAIN_RULE = dict.fromkeys(_BIN_TERM, _no) | {KL: _yes, CrossEntropy: _yes}
# Terms of so many operations that a loop over them waits: the processor looks ahead over too few bins. In two steps
# powers take 60 % of the time, and JS, which divides twice, 92 % in double precision (in single 98 to 105 %), but 111 %
# on CPUs that wait for divisions.
_BEGUN_BIN_TERM = {JS: _js_begun, Alpha: _alpha_begun}
_ENDED_BIN_TERM = {JS: _js_ended, Alpha: _alpha_ended}
IN_TWO_STEPS = (JS, Alpha) if divides_quickly() else (Alpha,)

by_kind(bin_term, _BIN_TERM)
by_kind(begun_bin_term, _BEGUN_BIN_TERM)
by_kind(ended_bin_term, _ENDED_BIN_TERM)
by_kind(wide_term, _WIDE_TERM)
by_kind(scales, _SCALES)
by_kind(no_scales, _NO_SCALES)
by_kind(refine, _REFINE)
by_kind(is_told_by_sum, _IS_TOLD_BY_SUM)
by_kind(is_refined, _IS_REFINED)
by_kind(is_in_units_of_p, _IN_UNITS_OF_P)
by_kind(follows_chain_rule, _FOLLOWS_CHAIN_RULE)
