"""Sparse rows: the bins that either histogram has, gathered into two short dense rows, which go the way of all rows.

A bin that only a dense row has contributes in proportion to what it holds, for every divergence here: all of them are
gathered into one bin, of what the dense row's total exceeds those that the sparse row has too. The difference is taken
in double-double arithmetic. Rows of which that can't be done in all digits, and those where pseudo-counts fill bins in
other than equal parts, are spread out in full.
"""

import numpy as np

from fastkl.kernels._jit import entry, inline
from fastkl.kernels._load import load
from fastkl.kernels._memory import call, keep, unowned, view
from fastkl.kernels._one import one_row
from fastkl.kernels._wide import add_exactly, is_invalid

# A side is described by one integer vector, as layouts are: [address of the values, address of their converter or 0,
# bytes from bin to bin, bytes from row to row, of a dense side in the values and of a sparse one in the pointers,
# address of the indices, their size, address of the pointers, 1 for a dense side].
VALUES, CONVERTER, STEP, ROW_STEP, INDICES, INDEX_SIZE, POINTERS, IS_DENSE = range(8)
# Of a difference that is a smaller part of its operands the double-double sums of many bins keep too few digits.
_LEAST_REST = 1e-9


@entry
def sparse_rows(kind, zero, p, q, bins, room, start, stop, normalize, pseudocount, is_spread, factor, out, todo):
    """Write to ``out`` the divergences, times ``factor``, of the rows from ``start`` to ``stop`` that are ``todo``.

    ``out`` and ``todo`` begin with the row ``start``. At most ``room`` bins of two rows are needed together: those that
    either has and one more, or all where a side is dense or rows are spread out. Invalid rows give NaN.
    """
    x, y = np.empty(room, type(zero)), np.empty(room, type(zero))
    values = np.empty((2, room), type(zero))
    dense = np.empty(bins if p[IS_DENSE] or q[IS_DENSE] else 0, type(zero))
    known, total = np.int64(-1), (0.0, 0.0, np.int64(0), True)
    c = type(zero)(pseudocount)
    for row in range(start, stop):
        if todo[row - start]:
            if p[IS_DENSE] or q[IS_DENSE]:
                thick, thin = (p, q) if p[IS_DENSE] else (q, p)
                address = thick[VALUES] + row * thick[ROW_STEP]
                if address != known:
                    known, total = address, _open(address, thick, unowned(dense))
                part = _values(thin, row, unowned(values[0]))
                is_valid = total[3] and not is_invalid(part)
                a, b = (y, x) if p[IS_DENSE] else (x, y)
                n = -1 if is_spread else _gather(unowned(dense), total, part, thin, row, unowned(a), unowned(b))
                if n < 0 and is_valid:
                    n = bins
                    _spread(part, thin, row, c, unowned(a[:n]))
                    for i in range(n):
                        b[i] = dense[i] + c
            else:
                left, right = _values(p, row, unowned(values[0])), _values(q, row, unowned(values[1]))
                is_valid = not (is_invalid(left) or is_invalid(right))
                if is_spread:
                    n = bins
                    _spread(left, p, row, c, unowned(x[:n]))
                    _spread(right, q, row, c, unowned(y[:n]))
                else:
                    n = _merge(left, p, right, q, row, bins, c, unowned(x), unowned(y))
            value = one_row(kind, unowned(x[:n]), unowned(y[:n]), normalize) if is_valid else np.nan
            out[row - start] = factor * value
    keep((x, y, values, dense))


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
def _open(address, side, dense):
    """Read a dense row: its total in two parts, the number of bins that are not empty, and whether all are valid."""
    call(side[CONVERTER], (address, side[STEP], len(dense), dense.ctypes.data))
    total, lost, count = 0.0, 0.0, np.int64(0)
    for i in range(len(dense)):
        total, lost = add_exactly(total, lost, np.float64(dense[i]))
        count += dense[i] != 0
    return total, lost, count, not is_invalid(dense)


@inline
def _gather(dense, total, values, side, row, thin, thick):
    """The bins that the sparse row has, and one for all others: their number, or -1 if one can't hold the others."""
    first = _span(side, row)[0]
    matched, lost, count = 0.0, 0.0, np.int64(0)
    for i in range(len(values)):
        at = dense[_index(side, first + i)]
        thin[i], thick[i] = values[i], at
        matched, lost = add_exactly(matched, lost, np.float64(at))
        count += at != 0
    n = len(values)
    if count == total[2]:
        return n
    rest = (total[0] - matched) + (total[1] - lost)
    thin[n], thick[n] = 0, rest
    return n + 1 if rest > _LEAST_REST * total[0] and thick[n] < np.inf else -1


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
