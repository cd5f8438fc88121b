"""Candidates of a fit: their logarithms as factors of a product, and the lowest of a surface of divergences."""

import math

import numpy as np

from fastkl.kernels._candidates import cutoff_of
from fastkl.kernels._exp import exp
from fastkl.kernels._factors import hole_and_least
from fastkl.kernels._jit import entry, inline
from fastkl.kernels._lanes import scan
from fastkl.kernels._order import order, ordered

_STEP = 64  # places that are looked at together
_BLOCK = 1024  # candidates whose factors stay in the first-level cache
LEAST_LOG = -690.0  # of a share that is a normal number, with room below
_UNDERFLOW = -745.1332191019411  # of a share that is no double but 0


@entry
def normalize_logs(rows):
    """Make logarithms of shares of logarithms of masses, row by row; rows without a mass, or with an infinite one: NaN.

    Bins without mass are -inf.
    """
    terms = np.empty(_BLOCK)
    for i in range(len(rows)):
        row = rows[i]
        most = largest(row)
        if not abs(most) < np.inf:
            row[:] = np.nan
            continue
        log_total = log_of_sum(row, most, terms)
        for j in range(len(row)):
            row[j] -= log_total


@inline
def largest(row):
    # NaN counts as -inf.
    most = order(-np.inf)
    for j in range(len(row)):
        most = max(most, order(row[j] if row[j] > -np.inf else -np.inf))
    return ordered(0.0, most)


@inline
def log_of_sum(row, most, terms):
    # log of the sum of exponentials of a row; ``terms`` is room for them.
    total = 0.0
    for start in range(0, len(row), _BLOCK):
        part = row[start : start + _BLOCK]
        term = terms[: len(part)]
        for j in range(len(part)):
            term[j] = exp(part[j] - most)
        total += scan(term)[0]
    return most + np.log(total)


@entry
def log_factors(zero, logs, unit_log, out):
    """Write log(unit x share) of logarithms of shares, -HOLE for what lies below it, zeros for rows of NaN."""
    hole, _ = hole_and_least(zero)
    for i in range(len(logs)):
        row, factor = logs[i], out[i]
        if np.isnan(row[0]):
            factor[:] = zero
            continue
        for j in range(len(row)):
            factor[j] = type(zero)(max(row[j] + unit_log, -np.float64(hole)))


@entry
def share_factors(zero, logs, unit_log, out, spread):
    """Write the shares of logarithms of shares, and the divergence of each row from the uniform one; NaN stays NaN.

    Shares below LEAST are raised to it, so that the hole of a zero shows, but for those that are 0.
    """
    _, least = hole_and_least(zero)
    terms = np.empty(_BLOCK)
    for i in range(len(logs)):
        row, factor = logs[i], out[i]
        if np.isnan(row[0]):
            factor[:], spread[i] = zero, np.nan
            continue
        total = 0.0
        for start in range(0, len(row), _BLOCK):
            part, shares = row[start : start + _BLOCK], factor[start : start + _BLOCK]
            term = terms[: len(part)]
            for j in range(len(part)):
                share = exp(part[j]) if part[j] > LEAST_LOG else 0.0
                term[j] = share * (part[j] + unit_log) if share > 0.0 else 0.0
                y = type(zero)(share)
                y = y if y > least else least
                shares[j] = y if part[j] > _UNDERFLOW else zero
            total += scan(term)[0]
        spread[i] = max(total, 0.0)


@entry
def shares_of_logs(logs, out):
    """Write the shares of logarithms of shares; subnormal ones too."""
    for i in range(len(logs)):
        row, share = logs[i], out[i]
        small = 0
        for j in range(len(row)):
            share[j] = exp(row[j]) if not row[j] <= LEAST_LOG else 0.0
            small += (row[j] <= LEAST_LOG) & (row[j] > _UNDERFLOW)
        if small > 0:
            for j in range(len(row)):
                if row[j] <= LEAST_LOG:
                    share[j] = math.exp(row[j])


@entry
def power_factors(logs, order, least, out):
    """Write the shares of logarithms of shares raised to a power between 0 and 1, at least ``least`` but for zeros."""
    for i in range(len(logs)):
        row, factor = logs[i], out[i]
        if np.isnan(row[0]):
            factor[:] = 0.0
            continue
        for j in range(len(row)):
            power = exp(order * row[j])
            factor[j] = 0.0 if row[j] == -np.inf else max(power, least)


@entry
def find_lowest(values, error, doubts, cutoffs, indices, counts):
    """List of each row the finite values that may stand for its smallest, as far as the bound of their errors tells.

    Each stands for a divergence D within error (2 D + doubt). ``counts`` may be more than there is room for; the first
    are listed.
    """
    for i in range(len(values)):
        row = values[i]
        least = np.float64(smallest(row, row[0]))
        cutoffs[i], count = -np.inf, 0
        if least < np.inf:
            cutoffs[i] = cutoff_of(least, error, doubts[i], 0.0, 0.0, np.inf)
            count = list_up_to(row, 0, cutoffs[i], indices[i], 0)
        counts[i] = count


@inline
def list_up_to(row, first, cutoff, indices, count):
    # List the places, counted from ``first``, of values up to a cutoff, after ``count`` that are listed already.
    for start in range(0, len(row), _STEP):
        part = row[start : start + _STEP]
        found = 0
        for j in range(len(part)):
            found += part[j] <= cutoff
        if found > 0:
            for j in range(len(part)):
                if part[j] <= cutoff:
                    if count < len(indices):
                        indices[count] = first + start + j
                    count += 1
    return count


@inline
def smallest(row, zero):
    # NaN counts as inf.
    infinity = type(zero)(np.inf)
    least = order(infinity)
    for j in range(len(row)):
        least = min(least, order(row[j] if row[j] < infinity else infinity))
    return ordered(zero, least)


@entry
def find_minima(values, shape, neighbours, error, doubts, indices, counts):
    """List of each row the lowest local minima of a surface of that shape, lowest first.

    A minimum is finite, below all neighbours that come before it and not above those after it, and along each dimension
    below one of them by more than the error of both, as `find_lowest` has it: there is none on a plateau.
    ``neighbours`` holds the steps to all of them. ``counts`` is how many minima are listed.
    """
    last, room = shape[len(shape) - 1], indices.shape[1]
    lines = shape[len(shape) - 2] if len(shape) > 1 else 1
    is_above = np.zeros(values.shape[1], np.bool_)
    for i in range(len(values)):
        row = values[i]
        if lines > 2:
            _mark_above(row, last, is_above)
        count = 0
        for start in range(0, len(row), last):
            # At the ends of lines, and in the first and last ones, other values are beside a value in memory.
            place = start // last % lines
            step = 1
            if 0 < place < lines - 1 and _all(is_above[start : start + last]):
                step = max(1, last - 1)
            for j in range(0, last, step):
                v = row[start + j]
                if _is_above(row, start + j, 1, j, last) or _is_above(row, start + j, last, place, lines):
                    continue
                if count == room and not v < row[indices[i, count - 1]]:
                    continue
                rise = 2.0 * error * (2.0 * abs(v) + doubts[i])
                if v < np.inf and _is_minimum(row, start + j, shape, neighbours, rise):
                    count = min(count + 1, room)
                    k = count - 1
                    while k > 0 and row[indices[i, k - 1]] > v:
                        indices[i, k] = indices[i, k - 1]
                        k -= 1
                    indices[i, k] = start + j
        counts[i] = count


@inline
def _mark_above(row, last, is_above):
    # Of all lines but the first and the last the values that are above one beside them; a NaN is above none.
    here, out = row[last : len(row) - last], is_above[last : len(row) - last]
    left, right, before, after = row[last - 1 :], row[last + 1 :], row[: len(row) - 2 * last], row[2 * last :]
    for j in range(len(here)):
        v = here[j]
        out[j] = (left[j] <= v) | (right[j] < v) | (before[j] <= v) | (after[j] < v)


@inline
def _is_above(row, at, stride, place, count):
    # Whether a value is above a neighbour along one dimension, where it is the one at ``place`` of ``count``.
    v = row[at]
    return (place > 0 and row[at - stride] <= v) or (place + 1 < count and row[at + stride] < v)


@inline
def _all(flags):
    count = 0
    for j in range(len(flags)):
        count += flags[j]
    return count == len(flags)


@inline
def _is_minimum(row, place, shape, neighbours, rise):
    v = row[place]
    rises = np.zeros(len(shape), np.uint8)
    for n in range(len(neighbours)):
        other, stride, rest, is_inside, steps, along = 0, 1, place, True, 0, 0
        for d in range(len(shape) - 1, -1, -1):
            at = rest % shape[d] + neighbours[n, d]
            rest //= shape[d]
            is_inside = is_inside and 0 <= at < shape[d]
            other += at * stride
            stride *= shape[d]
            if neighbours[n, d] != 0:
                steps, along = steps + 1, d
        if is_inside and (row[other] < v or (other < place and row[other] == v)):
            return False
        if steps == 1 and is_inside and not row[other] <= v + rise:
            rises[along] = 1
    flat = 0
    for d in range(len(shape)):
        flat += rises[d] == 0 and shape[d] > 1
    return flat == 0
