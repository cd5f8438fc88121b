"""Rows as factors of a product of matrices: their shares of the total, the logarithms of those, and what comes after.

Rows are given as contiguous double precision, by address; factors are written in the precision of the product. Every
finite row is served: one with bins beyond the range of the fast loops takes a scalar way.
"""

import math

import numpy as np

from fastkl.kernels._jit import by_precision, entry, inline, widest_vectors
from fastkl.kernels._lanes import scan
from fastkl.kernels._logratio import align, log_of_aligned, log_ratio, positive
from fastkl.kernels._memory import unowned, view
from fastkl.kernels._piece import PIECE
from fastkl.kernels._terms import bin_term, no_scales
from fastkl.kernels._wide import NOTHING, add, join

_LOG2 = math.log(2.0)
# log 0 is -HOLE: finite, so that 0 HOLE is 0, and so large that with a share of at least LEAST it shows in any sum.
# Shares below LEAST are raised to it, which moves no sum of shares and logarithms but one that is all but 0.
# A hole was met where a sum is below SHOWS, and only there, because
#     the largest sum without a hole < -SHOWS < LEAST HOLE the least total:
# in double precision, where totals are 2^-100 to 2^100 and logarithms below 2^10, 2^111 < 2^130 < 2^150; in single,
# where totals are 1 and logarithms of a fit are what may be large, 2^19 < 2^20.
_HOLE_64, LEAST_64, _SHOWS_64 = 2.0**850, 2.0**-600, -(2.0**130)
_HOLE_32, LEAST_32, _SHOWS_32 = np.float32(2.0**120), np.float32(2.0**-100), np.float32(-(2.0**19))
_NORMAL = 2.0**-1000


def _range_32(x):
    return _HOLE_32, LEAST_32, _SHOWS_32, np.float32(np.inf)


def _range_64(x):
    """(HOLE, LEAST, the product below which a hole was met, infinity) in the precision of x."""
    return _HOLE_64, LEAST_64, _SHOWS_64, np.inf


_range = by_precision(_range_32, _range_64)


@inline
def hole_and_least(zero):
    """(HOLE, LEAST) in the precision of ``zero``."""
    hole, least, _, _ = _range(zero)
    return hole, least


@entry
def shares(zero, x, rows, n, out, out_step, totals):
    """Write x / total of the rows at ``x`` to ``out``, rows ``out_step`` bytes apart, and the totals.

    A row of total zero has no shares: zeros are written.
    """
    _, least, _, _ = _range(zero)
    for row in range(rows):
        bins, share = view(x + row * n * 8, n, np.float64), view(out + row * out_step, n, type(zero))
        total, exponent, is_odd = _total(unowned(bins))
        totals[row] = math.ldexp(total, exponent)
        if total == 0.0:
            share[:] = zero
        elif is_odd:
            for i in range(n):
                y = type(zero)(math.ldexp(bins[i], -exponent) / total)
                share[i] = least if bins[i] > 0.0 and y < least else y
        else:
            scale = 1.0 / totals[row]
            for i in range(n):
                y = type(zero)(scale * bins[i])
                y = y if y > least else least
                share[i] = y if bins[i] > 0.0 else zero


@entry
def log_shares(zero, x, rows, n, unit, out, out_step, totals):
    """Write log(unit x / total) of the rows at ``x``, -HOLE for a zero; otherwise as `shares`.

    With a unit of 1 the logarithm of a bin that holds nearly all is that of 1 less the others, exactly.
    """
    widest_vectors()
    hole, _, _, _ = _range(zero)
    for row in range(rows):
        bins, log = view(x + row * n * 8, n, np.float64), view(out + row * out_step, n, type(zero))
        total, exponent, is_odd = _total(unowned(bins))
        totals[row] = math.ldexp(total, exponent)
        if total == 0.0:
            log[:] = -hole
            continue
        if is_odd:
            for i in range(n):
                log[i] = type(zero)(_log_share(bins[i], total, exponent, unit)) if bins[i] > 0.0 else -hole
        else:
            mean = totals[row] / unit
            for i in range(n):
                a = positive(bins[i])
                aligned, k_log2 = align(a, positive(mean))
                y = type(zero)(k_log2 + log_of_aligned(a, aligned))
                log[i] = y if bins[i] > 0.0 else -hole
        if unit == 1.0:
            _refine_dominant_bin(unowned(bins), unowned(log))


@inline
def _total(x):
    # (mantissa, exponent, whether some bin is beyond the fast loops' range)
    parts, is_odd = NOTHING, False
    for start in range(0, len(x), PIECE):
        piece = x[start : start + PIECE]
        total, odd = scan(piece)
        if odd == 0:
            parts = add(parts, total, 0)
        else:
            is_odd = True
            for i in range(len(piece)):
                parts = add(parts, piece[i], 0)
    mantissa, exponent = join(parts)
    return mantissa, exponent, is_odd


@inline
def _log_share(x, total, exponent, unit):
    share = unit * (math.ldexp(x, -exponent) / total)
    if share > _NORMAL:
        return math.log(share)
    return math.log(x) - exponent * _LOG2 - math.log(total / unit)


@inline
def _refine_dominant_bin(x, log):
    largest = 0
    for i in range(len(x)):
        if x[i] > x[largest]:
            largest = i
    others = 0.0
    for i in range(len(x)):
        if i != largest:
            others += x[i]
    if others < x[largest]:
        log[largest] = -math.log1p(others / x[largest])


@entry
def differences(tile, u, v, a, b):
    """Make u_i + v_j - c_ij of the products c, inf where a hole was met, and count those below a_i + b_j.

    The others are as exact as the bounds a and b promise.
    """
    _, _, shows, infinity = _range(tile[0, 0])
    count = 0
    for i in range(len(tile)):
        row = tile[i]
        low = 0
        for j in range(len(row)):
            d = (u[i] - row[j]) + v[j]
            d = infinity if row[j] < shows else d
            low += d < a[i] + b[j]
            row[j] = d
        count += low
    return count


@entry
def find_below(tile, a, b, rows, columns):
    """List the places of a tile whose values are below a_i + b_j."""
    count = 0
    for i in range(len(tile)):
        for j in range(tile.shape[1]):
            if tile[i, j] < a[i] + b[j]:
                rows[count], columns[count] = i, j
                count += 1


@entry
def add_terms(kind, is_exchanged, tile, a, b):
    """Add to a tile the terms of the totals a_i and b_j, as if they were bins."""
    scales = no_scales(kind, 1.0)
    for i in range(len(tile)):
        row = tile[i]
        for j in range(len(row)):
            x, y = (b[j], a[i]) if is_exchanged else (a[i], b[j])
            row[j] += bin_term(kind, x, y, *scales)


@entry
def mixtures(x, y, sums):
    """Write the mean over the bins of m log m, m = x_i + y_j, for all rows of x and y."""
    widest_vectors()
    n, one = x.shape[1], type(x[0, 0])(1.0)
    terms = np.empty(min(n, PIECE), type(one))
    for i in range(len(x)):
        for j in range(len(y)):
            total = 0.0
            for start in range(0, n, PIECE):
                a, b = x[i, start : start + PIECE], y[j, start : start + PIECE]
                t = terms[: len(a)]
                for k in range(len(a)):
                    m = a[k] + b[k]
                    t[k] = m * log_ratio(m, one)
                total += scan(t)[0]
            sums[i, j] = type(one)(total / n)
