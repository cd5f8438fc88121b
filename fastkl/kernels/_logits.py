r"""Divergences of histograms that are given by their logarithms: one piece of a row, and the row from its pieces.

With d = log(P / Q) the non-negative term of a bin is P (d + exp(-d) - 1). From logits x and y, d = (x - y) + c where c
is log sum exp(y) - log sum exp(x), and loses nothing if d is exact: near d = 0 the term is P d^2 W(d), with a
polynomial W, elsewhere P (d - 1) + Q, which needs no third exponential.

x - y is exact in two numbers. c would have the rounding errors of both sums, and the terms those of c. But they know
it: with c off by e, sum P (exp(-d) - 1) is R = exp(e) - 1, which is the sum of the terms less that of P d; and the sum
of the terms is the divergence plus R - log(1 + R), nothing of first order. So c is mended afterwards.

A row is cut into pieces that are scaled by their own sums, and the chain rule puts them together, with the same
formulas for pieces as for bins: memory is read once.
"""

import math
from typing import Any

import numpy as np

from fastkl.kernels._exp import exp, growth, halves, power_of_two, reduce
from fastkl.kernels._jit import by_precision, entry, inline, term, widest_vectors
from fastkl.kernels._lanes import scan
from fastkl.kernels._load import load
from fastkl.kernels._logratio import log_ratio
from fastkl.kernels._loops import for_each
from fastkl.kernels._memory import keep, view
from fastkl.kernels._order import order, ordered
from fastkl.kernels._piece import PIECE, is_staged, job_of, memory_for, open_block, scratch_in, source
from fastkl.kernels._pieces import DONE, INVALID, STATE, TODO
from fastkl.kernels._wide import add_exactly

# The record of a piece: of each side the largest logit, and the sum of all exponentials over that of the largest; c as
# the sum of two numbers; the divergence of the normalised piece. STATE is 6. Without normalisation: the divergence, in
# units of P_SUM.
P_LARGEST, P_SUM, Q_LARGEST, Q_SUM, C_HIGH, C_LOW, DIVERGENCE, LOGIT_RECORD = 0, 1, 2, 3, 4, 5, 7, 8

# Logits are -inf or lie in these limits; single precision leaves others to double, there they are invalid.
# A difference of two can't overflow.
_LEAST_64, LARGEST_LOGIT = -np.inf, 2.0**960
_LEAST_32, _LARGEST_32 = np.float32(-(2.0**30)), np.float32(2.0**30)

# Where a piece's largest logit is beyond this, what counts lies near it, and the difference from it is exact; where it
# is not, the logits themselves can be reduced, and the scale is a power of two.
_MODERATE_64, _MODERATE_32 = 2048.0, np.float32(256)
# The exponent of the power of two whose bits are 0.
_ZERO_64, _ZERO_32 = -1023.0, np.float32(-127)
_LOG2_64, _LOG2_32 = math.log(2.0), np.float32(math.log(2.0))
# Without normalisation exponentials up to this power of two are as they are: beside them small ones count.
_ROOM_64, _ROOM_32 = 900.0, np.float32(0)
# Sums of terms that are smaller, for a total of 1, single precision leaves: errors of c, or lost bins, would show.
_LEAST_SUM_64, _LEAST_SUM_32 = 0.0, 2.0**-40

# W(d) = (exp(-d) - 1 + d) / d^2 for |d| < _NEAR, minimax polynomials (Remez): relative errors 1.5e-16 and 4.3e-9.
_NEAR_64, _NEAR_32 = 0.5, np.float32(1)
_W0, _W1, _W2, _W3, _W4, _W5, _W6, _W7, _W8, _W9, _W10 = (
    0.5,
    -0.16666666666666835,
    0.041666666666664784,
    -0.008333333333199158,
    0.001388888888943518,
    -0.00019841270142598153,
    2.4801586796816065e-05,
    -2.755704324293555e-06,
    2.755745152665531e-07,
    -2.5162603273150736e-08,
    2.0902932308761327e-09,
)
_V0, _V1, _V2, _V3 = np.float32(0.5), np.float32(-0.16666667), np.float32(0.041666735), np.float32(-0.0083333105)
_V4, _V5 = np.float32(0.0013885451), np.float32(-0.0001984402)
_V6, _V7 = np.float32(2.5354831e-05), np.float32(-2.7722986e-06)


def _limits_32(x):
    return _LEAST_32, _LARGEST_32


def _limits_64(x):
    """The smallest and the largest logit that is taken."""
    return _LEAST_64, LARGEST_LOGIT


def _scaling_32(x):
    return _MODERATE_32, _ROOM_32


def _scaling_64(x):
    return _MODERATE_64, _ROOM_64


def _least_power_32(exponent):
    return (exponent + _ZERO_32) * _LOG2_32


def _least_power_64(exponent):
    """The t for which exp(t) / 2^exponent becomes 0."""
    return (exponent + _ZERO_64) * _LOG2_64


def _near_32(d):
    return _NEAR_32


def _near_64(d):
    """Where W may be used."""
    return _NEAR_64


def _least_sum_32(x):
    return _LEAST_SUM_32


def _least_sum_64(x):
    return _LEAST_SUM_64


def _tail_32(d):
    dd = d * d
    return ((_V0 + d * _V1) + dd * (_V2 + d * _V3)) + (dd * dd) * ((_V4 + d * _V5) + dd * (_V6 + d * _V7))


def _tail_64(d):
    """W(d)."""
    dd = d * d
    dddd = dd * dd
    low = (_W0 + d * _W1) + dd * (_W2 + d * _W3)
    high = ((_W4 + d * _W5) + dd * (_W6 + d * _W7)) + dddd * ((_W8 + d * _W9) + dd * _W10)
    return low + dddd * high


limits = by_precision(_limits_32, _limits_64)
scaling = by_precision(_scaling_32, _scaling_64)
least_power = by_precision(_least_power_32, _least_power_64)
near = by_precision(_near_32, _near_64)
least_sum = by_precision(_least_sum_32, _least_sum_64)
tail = by_precision(_tail_32, _tail_64)


@entry
def logit_pieces(zero, p, q, absent, shape, n, start, stop, first, last, normalize, records):
    """Fill the records of the pieces ``first`` to ``last`` of the rows ``start`` to ``stop`` that are todo.

    ``records`` begins with the row ``start``. Pieces that single precision can't take stay todo.
    """
    job = job_of(zero, p, q, absent, shape, n, normalize, 0.0)
    memory = memory_for(job, PIECE)
    scratch = scratch_in(memory, PIECE)
    if is_staged(job):
        for k in range(first, last):
            block_row = start
            while block_row < stop:
                block_stop = open_block(job, scratch, block_row, stop, k)
                for row in range(block_row, block_stop):
                    _fill(job, scratch, block_row, row, k, records[row - start, k])
                block_row = block_stop
    else:
        for row in range(start, stop):
            for k in range(first, last):
                _fill(job, scratch, start, row, k, records[row - start, k])
    keep(memory)


@entry
def join_logit_pieces(normalize, factor, records, out):
    """Write the divergences, times ``factor``, of rows from the records of their pieces; NaN for invalid rows."""
    for row in range(len(records)):
        out[row] = factor * _join(records[row], normalize)


@inline
def _fill(job, scratch, block_row, row, k, record):
    if record[STATE] != TODO:
        return
    real = type(job.zero)
    m = min(PIECE, job.n - k * PIECE)
    x = _read(job, job.p, scratch.left, block_row, row, k, m)
    y = _read(job, job.q, scratch.right, block_row, row, k, m)
    x_largest, x_odd = _survey(x, job.zero)
    y_largest, y_odd = _survey(y, job.zero)
    if x_odd or y_odd:
        if real is np.float64:
            record[STATE] = INVALID
        return
    if not job.normalize:
        x_largest = y_largest = max(x_largest, y_largest)
    p, q = view(scratch.left.products, m, real), view(scratch.right.products, m, real)
    x_origin, x_shift = _scale_of(x_largest, job.normalize)
    y_origin, y_shift = _scale_of(y_largest, job.normalize)
    _fill_powers_ahead(x, y, p, q, x_origin, x_shift, y_origin, y_shift)
    p_top, p_sum = _scaled_exp(x_largest, x_origin, x_shift), scan(p)[0]
    q_top, q_sum = _scaled_exp(y_largest, y_origin, y_shift), scan(q)[0]
    record[P_LARGEST], record[Q_LARGEST] = x_largest, y_largest
    if job.normalize:
        is_done = _compare_normalized(x, y, p, q, p_top, p_sum, q_top, q_sum, record)
    else:
        is_done = _compare_as_they_are(x, y, p, q, job.zero, record)
        record[P_SUM] = _unit(np.float64(x_origin), np.float64(x_shift))
    if is_done:
        record[STATE] = DONE


@inline
def _compare_normalized(x, y, p, q, p_top, p_sum, q_top, q_sum, record):
    # Fill the record of a piece; True if single precision could.
    real, p_sum, q_sum = type(p_sum), np.float64(p_sum), np.float64(q_sum)
    record[P_SUM] = p_sum / p_top if p_sum > 0.0 else 0.0
    record[Q_SUM] = q_sum / q_top if q_sum > 0.0 else 0.0
    if p_sum == 0.0 or q_sum == 0.0:
        record[DIVERGENCE] = np.inf if p_sum > 0.0 else 0.0
        return True
    c_high, c_low = _log_quotient(record[P_LARGEST], record[P_SUM], record[Q_LARGEST], record[Q_SUM])
    high = real(c_high + c_low)
    low = real((c_high - np.float64(high)) + c_low)
    _fill_terms(x, y, p, q, high, low, real(p_sum / q_sum))
    total, moment = np.float64(scan(p)[0]) / p_sum, np.float64(scan(q)[0]) / p_sum
    error, excess = _error_of_log_quotient(total, moment)
    record[C_HIGH], record[C_LOW] = high, low + error
    record[DIVERGENCE] = _without(total, excess)
    return total >= least_sum(x[0]) or (total == 0.0 and moment == 0.0)


@inline
def _compare_as_they_are(x, y, p, q, zero, record):
    _fill_terms(x, y, p, q, zero, zero, type(zero)(1.0))
    record[DIVERGENCE] = scan(p)[0]
    return record[DIVERGENCE] >= least_sum(zero) or record[DIVERGENCE] == 0.0


@inline
def _unit(origin, exponent):
    # exp(origin) 2^exponent; one of the two is 1.
    first, second = halves(min(max(exponent, 2.0 * _ZERO_64), -2.0 * _ZERO_64))
    return exp(origin) * (power_of_two(first) * power_of_two(second))


@inline
def _fill_terms(x, y, p, q, c_high, c_low, scale):
    widest_vectors()
    for i in range(len(x)):
        p[i], q[i] = logit_term(x[i], y[i], p[i], q[i], c_high, c_low, scale)


@inline
def _read(job, operand, side, block_row, row, k, m):
    address, converter, step = source(job, operand, side, block_row, row, k, m)
    return load(converter, address, step, m, view(side.bins, m, type(job.zero)))


@inline
def _survey(x, zero):
    # (largest, odd), odd if some logit is neither -inf nor within the limits.
    least, most = limits(zero)
    none, empty = order(zero), order(-type(zero)(np.inf))
    smallest, largest = none, empty
    for i in range(len(x)):
        number = order(x[i])
        largest = max(largest, number)
        smallest = min(smallest, none if number == empty else number)
    return ordered(zero, largest), largest > order(most) or smallest < order(least)


@inline
def _scale_of(largest, normalize):
    # (origin, exponent): exp(largest - origin) / 2^exponent is about 1.
    moderate, room = scaling(largest)
    zero = type(largest)(0.0)
    if abs(largest) > moderate:
        return (largest, zero) if largest > -np.inf else (zero, zero)
    exponent = reduce(largest)[0]
    if not normalize and exponent > zero:
        return zero, max(exponent - room, zero)
    return zero, exponent


@inline
def _fill_powers_ahead(x, y, p, q, x_origin, x_shift, y_origin, y_shift):
    # Write the exponentials of a piece to p and q, while memory fetches the next. Double, from memory, one thread:
    # 2.1 ns a bin without, 1.65 with.
    widest_vectors()
    piece = len(x) * x.itemsize
    ahead = x.ctypes.data + piece, y.ctypes.data + piece
    for_each(_powers, (x_origin, x_shift, y_origin, y_shift), (p, q), (x, y), ahead)


@inline
def _powers(how, p, q, x, y):
    x_origin, x_shift, y_origin, y_shift = how
    return _scaled_exp(x, x_origin, x_shift), _scaled_exp(y, y_origin, y_shift)


@term
def _scaled_exp(x: Any, origin: Any, exponent: Any) -> Any:
    """exp(x - origin) / 2^exponent, at most about 1; 0 where that is no normal number."""
    t, lowest = x - origin, least_power(exponent)
    n, r = reduce(t if t > lowest else lowest)
    return (type(x)(1.0) + growth(r)) * power_of_two(n - exponent)


@term
def logit_term(x: Any, y: Any, p: Any, q: Any, c_high: Any, c_low: Any, scale: Any) -> Any:
    """(the term, p d) of a bin with the logits x and y, p and q their exponentials, and d = x - y + c."""
    zero, infinity = type(x)(0.0), type(x)(np.inf)
    rough = x - y
    moved = rough - x
    lost = (x - (rough - moved)) - (y + moved)
    d = (rough + c_high) + (lost + c_low)
    q = scale * q
    g = divergence_term(d, p, q)
    g = g if y > -infinity else infinity
    return (g, p * d) if x > -infinity else (q, zero)


@term
def divergence_term(d: Any, p: Any, q: Any) -> Any:
    """p (d + exp(-d) - 1), where q = p exp(-d)."""
    return (p * (d * d)) * tail(d) if abs(d) < near(d) else p * (d - type(d)(1.0)) + q


@inline
def _log_quotient(p_largest, p_sum, q_largest, q_sum):
    # log(q_sum exp(q_largest) / (p_sum exp(p_largest))) as the sum of two numbers.
    high = q_largest - p_largest
    moved = high - q_largest
    low = (q_largest - (high - moved)) - (p_largest + moved)
    return high, low + log_ratio(q_sum, p_sum)


@inline
def _error_of_log_quotient(total, moment):
    # (the error of c, what it added to the total): log(1 + R) and R - log(1 + R), where R is of the size of a rounding.
    # Of larger totals the error does not show, but the rounding of R would.
    r = total - moment if total < 1.0 else 0.0
    excess = (r * r) * (0.5 - r / 3.0)
    return r - excess, excess


@inline
def _without(total, excess):
    # total - excess, 0 where nothing is left but rounding.
    return 0.0 if excess > (1.0 - 2.0**-46) * total else total - excess


@inline
def _join(records, normalize):
    for k in range(len(records)):
        if records[k, STATE] != DONE:
            return np.nan
    if not normalize:
        return _sum_as_it_is(records)
    p_largest, p_total = _weigh(records, P_LARGEST, P_SUM)
    q_largest, q_total = _weigh(records, Q_LARGEST, Q_SUM)
    if p_total == 0.0 or q_total == 0.0:
        return np.nan
    if len(records) == 1:
        return records[0, DIVERGENCE]
    c_high, c_low = _log_quotient(p_largest, p_total, q_largest, q_total)
    return _chained(records, p_total, q_total, c_high, c_low)


@inline
def _weigh(records, largest, size):
    # (largest logit of the row, sum of all exponentials over its own), in units of which the pieces' sums become.
    top, total, lost = -np.inf, 0.0, 0.0
    for k in range(len(records)):
        top = max(top, records[k, largest])
    for k in range(len(records)):
        if records[k, size] > 0.0:
            records[k, size] *= exp(records[k, largest] - top)
            total, lost = add_exactly(total, lost, records[k, size])
    return top, total + lost


@inline
def _chained(records, p_total, q_total, c_high, c_low):
    within, between, moment = (0.0, 0.0), (0.0, 0.0), 0.0
    for k in range(len(records)):
        p, q = records[k, P_SUM] / p_total, records[k, Q_SUM] / q_total
        if records[k, DIVERGENCE] == np.inf:
            return np.inf
        if p == 0.0:
            between = add_exactly(between[0], between[1], q)
        else:
            d = (c_high - records[k, C_HIGH]) + (c_low - records[k, C_LOW])
            within = add_exactly(within[0], within[1], p * records[k, DIVERGENCE])
            between = add_exactly(between[0], between[1], divergence_term(d, p, q))
            moment += p * d
    apart = between[0] + between[1]
    _, excess = _error_of_log_quotient(apart, moment)
    return (within[0] + within[1]) + _without(apart, excess)


@inline
def _sum_as_it_is(records):
    total, lost = 0.0, 0.0
    for k in range(len(records)):
        if records[k, DIVERGENCE] > 0.0:
            total, lost = add_exactly(total, lost, records[k, DIVERGENCE] * records[k, P_SUM])
    return total + lost
