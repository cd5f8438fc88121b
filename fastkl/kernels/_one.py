"""One row, or one bin, for other people's compiled code, which takes all that it calls into its own machine code.

So this is what `_engine` does with a row, by the same functions and to the same bits, but without layouts, weights and
tiles: for contiguous arrays in the precision of the kernels, in a fifth of the code.
"""

import math
from typing import Any

import numpy as np
from numba import typeof, types
from numba.extending import overload

from fastkl.kernels._careful import careful_pieces
from fastkl.kernels._jit import apart, entry, inline
from fastkl.kernels._load import ADDRESS, BIN_STEP, ROW_STEPS
from fastkl.kernels._logratio import is_clear_sum, log_ratio
from fastkl.kernels._memory import keep, unowned, view
from fastkl.kernels._odd import odd_part
from fastkl.kernels._piece import (
    GIVEN_TOTALS,
    ONLY_TOTALS,
    OWN_TOTALS,
    PIECE,
    address_ahead,
    sum_terms,
    total_of,
)
from fastkl.kernels._pieces import DONE, P_TOTAL, Q_TOTAL, RECORD, STATE, TERMS, TODO, join_pieces, join_totals
from fastkl.kernels._terms import bin_term, follows_chain_rule, is_in_units_of_p, is_told_by_sum, no_scales, wide_term
from fastkl.kernels._wide import normal

_FLOATS = (types.float64, types.float32)
_FAR = 500
_LOG2 = math.log(2.0)


def one_row(kind: Any, p: Any, q: Any, normalize: Any) -> Any:
    """The divergence of two 1-D arrays, a double; NaN if a row is invalid, or if they differ in length.

    The arithmetic is single where both arrays are, and the row fits.
    """
    _check_rows(typeof(p), typeof(q))
    return (_single_row if p.dtype == q.dtype == np.float32 else _double_row)(kind, p, q, normalize)


def rounded(value: Any, p: Any, q: Any) -> Any:
    """``value`` in the precision of the result of such arrays."""
    return np.float32(value) if p.dtype == q.dtype == np.float32 else value


def contiguous(x: Any, dtype: Any) -> Any:
    """``x`` as a contiguous array of ``dtype``, in place if it is one."""
    return np.ascontiguousarray(x, dtype)


def _check_rows(p, q):
    # Of Numba's types. Python's errors pass through Numba as they are; its own it wraps in those of what else it tried.
    for name, row in (("p", p), ("q", q)):
        is_array = isinstance(row, types.Array)
        if is_array and row.ndim != 1:
            raise TypeError(f"{name} is an {row}, and no row, which is a 1-D array; pass the rows one at a time")
        if not is_array or not (row.dtype in _FLOATS or isinstance(row.dtype, types.Integer | types.Boolean)):
            found = f"{name} is of type {row}; a row is a 1-D array of float64, float32, integers or bools"
            raise TypeError(f"{found}, as np.asarray(..., float) makes")


def _are_single(p, q):
    return p.dtype == q.dtype == types.float32


@overload(one_row)
def _one_row(kind, p, q, normalize):
    _check_rows(p, q)
    return _single_row if _are_single(p, q) else _double_row


@overload(rounded)
def _rounded(value, p, q):
    return (lambda value, p, q: np.float32(value)) if _are_single(p, q) else (lambda value, p, q: value)


@overload(contiguous)
def _contiguous(x, dtype):
    if x.layout == "C" and x.dtype == dtype.dtype:
        return lambda x, dtype: x
    return lambda x, dtype: x.astype(dtype)


def _double_row(kind, p, q, normalize):
    x, y = contiguous(p, np.float64), contiguous(q, np.float64)
    value = double_row(kind, unowned(x), unowned(y), normalize)
    keep(x)
    keep(y)
    return value


def _single_row(kind, p, q, normalize):
    x, y = contiguous(p, np.float32), contiguous(q, np.float32)
    value = single_row(kind, unowned(x), unowned(y), normalize)
    keep(x)
    keep(y)
    return value


@entry
def double_row(kind, x, y, normalize):
    """The divergence of two contiguous rows of doubles."""
    if len(x) != len(y):
        return np.nan
    if len(x) <= PIECE:
        value, is_done = _short_row(kind, x, y, normalize)
        if is_done:
            return value
    return _row_of_pieces(kind, x, y, x, y, normalize)


@entry
def single_row(kind, x, y, normalize):
    """The divergence of two contiguous rows of single precision."""
    if len(x) != len(y):
        return np.nan
    if len(x) <= PIECE:
        value, is_done = _short_row(kind, x, y, normalize)
        if is_done:
            return value
    u, v = x.astype(np.float64), y.astype(np.float64)
    if len(x) <= PIECE:
        value = double_row(kind, unowned(u), unowned(v), normalize)
    else:
        value = _row_of_pieces(kind, x, y, unowned(u), unowned(v), normalize)
    keep(u)
    keep(v)
    return value


@entry
def pair(kind, x, y, normalize):
    """The divergence of two contiguous rows of doubles, of one piece; NaN where the fast loops can't tell."""
    return _short_row(kind, x, y, normalize)[0]


@inline
def _short_row(kind, x, y, normalize):
    """(divergence, whether the fast loops could tell) of rows of one piece."""
    p_total, q_total, total, odd = _measure(kind, unowned(x), unowned(y), normalize, OWN_TOTALS, 1.0, 1.0)
    if odd != 0 or (normalize and (p_total == 0.0 or q_total == 0.0)):
        return np.nan, False
    if normalize and len(x) == 1:
        return 0.0, True  # a histogram of one bin is 1, whatever rounding makes of it
    value = np.float64(total) / np.float64(p_total) if normalize and is_in_units_of_p(kind) else np.float64(total)
    return value, True


@inline
def _measure(kind, x, y, normalize, totals, given_p, given_q):
    zero = x.dtype.type(0)
    p_total, q_total, odd = zero, zero, np.int64(0)
    if normalize:
        p_total, odd = total_of(x, is_told_by_sum(kind, zero))
        q_total, q_odd = total_of(y, is_told_by_sum(kind, zero))
        odd |= q_odd
    ahead = address_ahead(x.ctypes.data, len(x) * x.itemsize), address_ahead(y.ctypes.data, len(y) * y.itemsize)
    return sum_terms(kind, x, y, x[:0], p_total, q_total, odd, normalize, totals, given_p, given_q, *ahead)


@inline
def _row_of_pieces(kind, x, y, u, v, normalize):
    """The divergence of rows that are long or too odd for the fast loops: x and y, and the same as doubles, u and v."""
    records, given = np.zeros((1, max(1, -(-len(x) // PIECE)), RECORD)), np.zeros((1, 4))
    is_read_twice = normalize and len(x) > PIECE and not follows_chain_rule(kind)
    totals = np.int64(ONLY_TOTALS if is_read_twice else OWN_TOTALS)
    _fill(kind, x, y, u, v, normalize, totals, given, records)
    if is_read_twice:
        join_totals(records, given)
        _fill(kind, x, y, u, v, normalize, np.int64(GIVEN_TOTALS), given, records)
    out = np.empty(1)
    join_pieces(kind, normalize, 1.0, records, out)
    return out[0]


@inline
def _fill(kind, x, y, u, v, normalize, totals, given, records):
    records[:, :, STATE] = TODO
    if len(x) > PIECE:
        to = given.ctypes.data, records.ctypes.data
        _fill_fast(kind, x.dtype.type(0), (x.ctypes.data, y.ctypes.data), len(x), normalize, totals, to)
        if u.itemsize > x.itemsize:
            _fill_fast(kind, u.dtype.type(0), (u.ctypes.data, v.ctypes.data), len(x), normalize, totals, to)
    if (records[0, :, STATE] != DONE).any():
        p, q, no_weights, shape = _layout(u), _layout(v), np.zeros(ROW_STEPS + 1, np.int64), np.ones(1, np.int64)
        first, last, count = np.int64(0), np.int64(1), np.int64(len(records[0]))
        where = (len(x), first, last, first, count, normalize, 0.0, totals, given, records)
        careful_pieces(kind, p, q, no_weights, shape, *where)


@inline
def _layout(x):
    # Of a batch of one row.
    layout = np.zeros(ROW_STEPS + 1, np.int64)
    layout[ADDRESS], layout[BIN_STEP] = x.ctypes.data, x.itemsize
    return layout


@apart
def _fill_fast(kind, zero, rows, n, normalize, totals, to):
    x, y = view(rows[0], n, type(zero)), view(rows[1], n, type(zero))
    given, records = view(to[0], 4, np.float64), view(to[1], -(-n // PIECE) * RECORD, np.float64)
    given_p, given_q = math.ldexp(given[0], int(given[1])), math.ldexp(given[2], int(given[3]))
    for k in range(-(-n // PIECE)):
        record, first, last = records[k * RECORD : (k + 1) * RECORD], k * PIECE, min((k + 1) * PIECE, n)
        if record[STATE] == TODO:
            piece = unowned(x[first:last]), unowned(y[first:last])
            p_total, q_total, total, odd = _measure(kind, *piece, normalize, totals, given_p, given_q)
            if odd == 0:
                record[:] = 0.0
                record[P_TOTAL], record[Q_TOTAL], record[TERMS], record[STATE] = p_total, q_total, total, DONE


@inline
def one_bin(kind: Any, x: Any, y: Any) -> Any:
    """The term of two doubles of any magnitude; NaN if one is negative, NaN or infinite."""
    if not (0.0 <= x < np.inf and 0.0 <= y < np.inf):
        return np.nan
    g = bin_term(kind, x, y, *no_scales(kind, x))
    is_told = is_told_by_sum(kind, g) and is_clear_sum(g)
    if odd_part(x, is_told) | odd_part(y, is_told):
        x, x_exponent = normal(x, 0)
        y, y_exponent = normal(y, 0)
        g, exponent = wide_term(kind, x, x_exponent, y, y_exponent)
        return math.ldexp(g, exponent)
    return g


@inline
def one_relative_entropy(x: Any, y: Any) -> Any:
    """x log(x / y) of two doubles of any magnitude; NaN if one is negative, NaN or infinite."""
    if not (0.0 <= x < np.inf and 0.0 <= y < np.inf):
        return np.nan
    if x == 0.0:
        return 0.0
    if y == 0.0:
        return np.inf
    x, exponent = normal(x, 0)
    y, y_exponent = normal(y, 0)
    apart = y_exponent - exponent
    log = log_ratio(x, y) - apart * _LOG2 if abs(apart) > _FAR else log_ratio(x, math.ldexp(y, apart))
    return math.ldexp(x * log, exponent)
