"""Sparse rows: the bins that either histogram has, gathered into two short dense rows, which go the way of all rows.

A bin that only a dense row has contributes in proportion to what it holds, for every divergence here: all of them are
gathered into one bin, of what the dense row's total exceeds those that the sparse row has too. The difference is taken
in double-double arithmetic. Rows of which that can't be done in all digits, and those where pseudo-counts fill bins in
other than equal parts, are spread out in full.
"""

import numpy as np

from fastkl.kernels._jit import entry, inline
from fastkl.kernels._link import linked
from fastkl.kernels._load import load
from fastkl.kernels._memory import call, keep, unowned, view
from fastkl.kernels._one import one_row
from fastkl.kernels._wide import add_exactly, is_invalid

# A side is described by one integer vector, as layouts are: [address of the values, address of their converter or 0,
# bytes from bin to bin, bytes from row to row, of a dense side in the values and of a sparse one in the pointers,
# address of the indices, their size, address of the pointers, 1 for a dense side].
VALUES, CONVERTER, STEP, ROW_STEP, INDICES, INDEX_SIZE, POINTERS, IS_DENSE = range(8)
# What is known of the dense row that was read last: its address, how many bins are not empty, whether all are valid.
ADDRESS, COUNT, IS_VALID = range(3)
# Of a difference that is a smaller part of its operands the double-double sums of many bins keep too few digits.
_LEAST_REST = 1e-9


@entry
def sparse_rows(kind, zero, p, q, bins, room, start, stop, normalize, pseudocount, is_spread, factor, out, todo):
    """Write to ``out`` the divergences, times ``factor``, of the rows from ``start`` to ``stop`` that are ``todo``.

    ``out`` and ``todo`` begin with the row ``start``. At most ``room`` bins of two rows are needed together: those that
    either has and one more, or all where a side is dense or rows are spread out. Invalid rows give NaN.
    """
    x, y = np.empty(room, type(zero)), np.empty(room, type(zero))
    values = np.empty(2 * room, type(zero))
    dense = np.empty(bins if p[IS_DENSE] or q[IS_DENSE] else 0, type(zero))
    totals, known = np.zeros(2), np.array([-1, 0, 0])
    arrays = unowned(x), unowned(y), unowned(values), unowned(dense), unowned(totals), unowned(known)
    c = type(zero)(pseudocount)
    for row in range(start, stop):
        if todo[row - start]:
            n = _linked_gather(unowned(p), unowned(q), bins, row, is_spread, c, arrays)
            value = one_row(kind, unowned(x[:n]), unowned(y[:n]), normalize) if n >= 0 else np.nan
            out[row - start] = factor * value
    keep((x, y, values, dense, totals, known))


@entry
def gather(p, q, bins, row, is_spread, pseudocount, arrays):
    """Write the bins that are needed of two rows, and return how many they are; -1 for invalid rows.

    The arrays are: two to write to, room for values of both, a dense row and what is known of it: its total in two
    parts; its address, the number of its bins that are not empty, and 1 if they are valid.
    """
    x, y, values, dense, totals, known = arrays
    room = len(x)
    if not (p[IS_DENSE] or q[IS_DENSE]):
        left, right = _values(p, row, values[:room]), _values(q, row, values[room:])
        if is_invalid(left) or is_invalid(right):
            return -1
        if not is_spread:
            return _merge(left, p, right, q, row, bins, pseudocount, x, y)
        _spread(left, p, row, pseudocount, x[:bins])
        _spread(right, q, row, pseudocount, y[:bins])
        return bins
    thick, thin = (p, q) if p[IS_DENSE] else (q, p)
    address = thick[VALUES] + row * thick[ROW_STEP]
    if address != known[ADDRESS]:
        _open(address, thick, dense, totals, known)
    part = _values(thin, row, values)
    if not known[IS_VALID] or is_invalid(part):
        return -1
    a, b = (y, x) if p[IS_DENSE] else (x, y)
    n = -1 if is_spread else _gather(dense, totals, known[COUNT], part, thin, row, a, b)
    if n < 0:
        n = bins
        _spread(part, thin, row, pseudocount, a[:n])
        for i in range(n):
            b[i] = dense[i] + pseudocount
    return n


_linked_gather = linked(gather)


@inline
def _span(side, row):
    pointers = view(side[POINTERS] + row * side[ROW_STEP], 2, np.int64)
    return pointers[0], pointers[1]


@inline
def _values(side, row, buffer):
    first, last = _span(side, row)
    return load(side[CONVERTER], side[VALUES] + first * side[STEP], side[STEP], last - first, buffer)


@inline
def _index(side, i):
    address = side[INDICES] + i * side[INDEX_SIZE]
    return np.int64(view(address, 1, np.int32)[0]) if side[INDEX_SIZE] == 4 else view(address, 1, np.int64)[0]


@inline
def _open(address, side, dense, totals, known):
    """Read a dense row, and write what is to be known of it."""
    call(side[CONVERTER], (address, side[STEP], len(dense), dense.ctypes.data))
    total, lost, count = 0.0, 0.0, np.int64(0)
    for i in range(len(dense)):
        total, lost = add_exactly(total, lost, np.float64(dense[i]))
        count += dense[i] != 0
    totals[0], totals[1] = total, lost
    known[ADDRESS], known[COUNT], known[IS_VALID] = address, count, not is_invalid(dense)


@inline
def _gather(dense, totals, count, values, side, row, thin, thick):
    """The bins that the sparse row has, and one for all others: their number, or -1 if one can't hold the others."""
    first = _span(side, row)[0]
    matched, lost, found = 0.0, 0.0, np.int64(0)
    for i in range(len(values)):
        at = dense[_index(side, first + i)]
        thin[i], thick[i] = values[i], at
        matched, lost = add_exactly(matched, lost, np.float64(at))
        found += at != 0
    n = len(values)
    if found == count:
        return n
    rest = (totals[0] - matched) + (totals[1] - lost)
    thin[n], thick[n] = 0, rest
    return n + 1 if rest > _LEAST_REST * totals[0] and thick[n] < np.inf else -1


@inline
def _spread(values, side, row, pseudocount, bins):
    """Write the sparse row with all its bins, each with the pseudo-count."""
    first = _span(side, row)[0]
    bins[:] = pseudocount
    for i in range(len(values)):
        bins[_index(side, first + i)] += values[i]


@inline
def _merge(left, p, right, q, row, bins, pseudocount, x, y):
    """The bins that either row has, and one for all that are empty in both where there are pseudo-counts."""
    p_first, q_first = _span(p, row)[0], _span(q, row)[0]
    i, k, n = 0, 0, 0
    while i < len(left) or k < len(right):
        at = _index(p, p_first + i) if i < len(left) else bins
        other = _index(q, q_first + k) if k < len(right) else bins
        x[n], y[n] = pseudocount, pseudocount
        if at <= other:
            x[n] += left[i]
            i += 1
        if other <= at:
            y[n] += right[k]
            k += 1
        n += 1
    if pseudocount > 0.0 and n < bins:
        x[n] = y[n] = (bins - n) * pseudocount
        n += 1
    return n
