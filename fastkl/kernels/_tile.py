"""Rows too short to fill vectors of their own: many side by side, one in each lane, bin after bin."""

import numpy as np

from fastkl.kernels._jit import entry, inline
from fastkl.kernels._load import ADDRESS, BIN_STEP, CONVERTER, ROW_STEPS, row_address
from fastkl.kernels._logratio import odd_bits
from fastkl.kernels._memory import call, prefetch, view
from fastkl.kernels._piece import (
    LINE,
    SMALL,
    is_moderate,
    job_of,
    layout_of,
    memory_for,
    scratch_in,
    shape_of,
)
from fastkl.kernels._terms import bin_term, is_in_units_of_p, refine, scales
from fastkl.kernels._transpose import transpose

TILE_BINS = 32  # the most bins of a short row
_TILE = 1024  # bins of all rows of a tile


@entry
def tiles(kind, zero, p, q, w, shape, n, start, stop, normalize, pseudocount, factor, out, todo):
    """What `rows` does, for rows of at most `TILE_BINS` bins."""
    job = job_of(zero, p, q, w, shape, n, normalize, pseudocount)
    memory = memory_for(job, _TILE)
    scratch = scratch_in(memory, _TILE)
    row = start
    while row < stop:
        row = _tile(kind, job, scratch, row, stop, factor, out, todo)


@inline
def _tile(kind, job, scratch, row, stop, factor, out, todo):
    n, shape, precision = job.n, shape_of(job), type(job.zero)
    p, q, weights = layout_of(job, job.p), layout_of(job, job.q), layout_of(job, job.w)
    innermost = shape[len(shape) - 1]
    count = min(_TILE // max(n, 1), stop - row, innermost - row % innermost)
    size = n * count
    x, y = view(scratch.left.bins, size, precision), view(scratch.right.bins, size, precision)
    t, w = view(scratch.terms, size, precision), view(scratch.weights, size if weights[ADDRESS] else 0, precision)
    p_total, q_total = view(scratch.left.products, count, precision), view(scratch.right.products, count, precision)
    a, b, total = (
        view(scratch.a, count, precision),
        view(scratch.b, count, precision),
        view(scratch.total, count, precision),
    )
    odd = view(scratch.odd, count, np.int64)
    odd[:] = 0
    if len(w):
        _gather(weights, shape, row, n, count, w)
        _check_and_sum(odd, p_total, w)
    _gather(p, shape, row, n, count, x)
    _gather(q, shape, row, n, count, y)
    _check_and_sum(odd, p_total, x)
    _check_and_sum(odd, q_total, y)
    if job.pseudocount > 0.0:
        x += type(x[0])(job.pseudocount)
        y += type(x[0])(job.pseudocount)
        _check_and_sum(odd, p_total, x)
        _check_and_sum(odd, q_total, y)
    if job.normalize:
        if len(w):
            _sum_weighted(p_total, x, w)
            _sum_weighted(q_total, y, w)
            _check_products(odd, x, w)
            _check_products(odd, y, w)
        for r in range(count):
            a[r], b[r] = scales(kind, p_total[r], q_total[r])
            odd[r] |= np.int64(not (is_moderate(a[r]) & is_moderate(b[r])))
    else:
        a[:] = 1
        b[:] = 1
    _fill_and_sum_terms(
        kind,
        t,
        total,
        x,
        y,
        a,
        b,
        _next_tile(p, shape, row, count, x),
        _next_tile(q, shape, row, count, y),
    )
    if len(w):
        _sum_weighted(total, t, w)
    if job.normalize and len(w) == 0:
        for r in range(count):
            if total[r] < SMALL * p_total[r] and refine(kind, t, x, y, r, count):
                total[r] = 0
                for i in range(r, len(t), count):
                    total[r] += t[i]
    _finish(
        job.normalize and is_in_units_of_p(kind),
        total,
        p_total,
        odd,
        factor,
        out[row : row + count],
        todo[row : row + count],
    )
    return row + count


@inline
def _finish(divide, total, p_total, odd, factor, out, todo):
    for r in range(len(odd)):
        value = np.float64(total[r]) / np.float64(p_total[r]) if divide else np.float64(total[r])
        is_done = (odd[r] == 0) & (todo[r] != 0)
        out[r] = factor * value if is_done else out[r]
        todo[r] = 0 if is_done else todo[r]


@inline
def _fill_and_sum_terms(kind, t, total, x, y, a, b, x_ahead, y_ahead):
    # Memory fetches the next tile meanwhile.
    count = len(a)
    total[:] = 0
    for i in range(len(t) // count):
        for line in range(i * count * t.itemsize, (i + 1) * count * t.itemsize, LINE):
            prefetch(x_ahead + line)
            prefetch(y_ahead + line)
        first, last = i * count, (i + 1) * count
        _fill_and_sum_lanes(kind, t[first:last], total, x[first:last], y[first:last], a, b)


@inline
def _fill_and_sum_lanes(kind, t, total, x, y, a, b):
    for r in range(len(t)):
        t[r] = bin_term(kind, x[r], y[r], a[r], b[r])
        total[r] += t[r]


@inline
def _gather(operand, shape, row, n, count, out):
    address, row_step = row_address(operand, shape, row), operand[ROW_STEPS + len(shape) - 1]
    if operand[CONVERTER] == 0:
        transpose(address, row_step, count, n, out, count)
        return
    for i in range(n):
        lanes = out.ctypes.data + i * count * out.itemsize
        call(operand[CONVERTER], (address + i * operand[BIN_STEP], row_step, count, lanes))


@inline
def _next_tile(operand, shape, row, count, x):
    # What to ask memory for meanwhile: the rows after these where they are read in place, else nothing new.
    if operand[CONVERTER]:
        return np.int64(x.ctypes.data)
    return row_address(operand, shape, row) + count * operand[ROW_STEPS + len(shape) - 1]


@inline
def _check_products(odd, x, w):
    count = len(odd)
    for i in range(len(x) // count):
        lanes, weights = x[i * count : (i + 1) * count], w[i * count : (i + 1) * count]
        for r in range(count):
            odd[r] |= odd_bits(weights[r] * lanes[r])


@inline
def _check_and_sum(odd, total, x):
    count = len(total)
    total[:] = 0
    for i in range(len(x) // count):
        lanes = x[i * count : (i + 1) * count]
        for r in range(count):
            odd[r] |= odd_bits(lanes[r])
            total[r] += lanes[r]


@inline
def _sum_weighted(total, x, w):
    # A weight of zero hides an infinite term.
    count = len(total)
    total[:] = 0
    for i in range(len(x) // count):
        lanes, weights = x[i * count : (i + 1) * count], w[i * count : (i + 1) * count]
        for r in range(count):
            total[r] += weights[r] * lanes[r] if weights[r] > 0 else weights[r]
