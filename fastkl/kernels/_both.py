"""Both directions of the divergence in one pass: what `_rows` and `_piece` do, for two sums instead of one."""

import numpy as np

from fastkl.kernels._jit import entry, inline
from fastkl.kernels._lanes import scan
from fastkl.kernels._logratio import odd_bits
from fastkl.kernels._memory import keep, view
from fastkl.kernels._piece import (
    CHUNK,
    ask_for,
    is_moderate,
    job_of,
    memory_for,
    open_block,
    read_piece,
    scratch_in,
    weigh,
)
from fastkl.kernels._terms import kl_term, reverse_kl_term


@entry
def both_rows(zero, p, q, w, shape, n, start, stop, normalize, pseudocount, factor, forward, reverse, todo):
    """Write the divergences of p from q, and those of q from p, where `rows` would write the former alone."""
    job = job_of(zero, p, q, w, shape, n, normalize, pseudocount)
    memory = memory_for(job, n)
    scratch = scratch_in(memory, n)
    block_row = start
    while block_row < stop:
        block_stop = open_block(job, scratch, block_row, stop, 0)
        for row in range(block_row, block_stop):
            if todo[row - start]:
                unit, there, back, odd = _measure(job, scratch, block_row, row)
                if odd == 0:
                    forward[row - start] = factor * (np.float64(there) / np.float64(unit))
                    reverse[row - start] = factor * (np.float64(back) / np.float64(unit))
                    todo[row - start] = 0
        block_row = block_stop
    keep(memory)


@inline
def _measure(job, scratch, block_row, row):
    # (unit of the sums, sum of the forward terms, sum of the reverse terms, odd).
    one = type(job.zero)(1.0)
    x, y, w, p_total, q_total, odd, p_ahead, q_ahead = read_piece(job, scratch, block_row, row, 0, False)
    t, u = view(scratch.terms, len(x), type(job.zero)), view(scratch.a, len(x), type(job.zero))
    unit, b = one, one
    if job.normalize:
        if odd != 0 or p_total == 0.0 or q_total == 0.0:
            return one, one, one, np.int64(1)
        unit, b = p_total, p_total / q_total
        if not is_moderate(b):
            return one, one, one, np.int64(1)
    odd |= _fill_ahead(t, u, x, y, b, job.normalize, p_ahead, q_ahead)
    weigh(t, w, t)
    weigh(u, w, u)
    return unit, scan(t)[0], scan(u)[0], odd


@inline
def _fill_ahead(t, u, x, y, b, is_checked, x_ahead, y_ahead):
    # Returns whether some bins are odd, of those that have not been checked.
    chunk, odd = CHUNK // t.itemsize, np.int64(0)
    for start in range(0, len(t), chunk):
        stop = min(start + chunk, len(t))
        ask_for(x_ahead, y_ahead, start * t.itemsize, stop * t.itemsize)
        part = slice(start, stop)
        if is_checked:
            _fill(t[part], u[part], x[part], y[part], b)
        else:
            odd |= _fill_and_check(t[part], u[part], x[part], y[part])
    return odd


@inline
def _fill(t, u, x, y, b):
    for i in range(len(t)):
        t[i] = kl_term(x[i], b * y[i])
        u[i] = reverse_kl_term(x[i], b * y[i])


@inline
def _fill_and_check(t, u, x, y):
    seen = odd_bits(t.dtype.type(1))
    for i in range(len(t)):
        seen = type(seen)(seen | odd_bits(x[i]) | odd_bits(y[i]))
        t[i] = kl_term(x[i], y[i])
        u[i] = reverse_kl_term(x[i], y[i])
    return np.int64(seen)
