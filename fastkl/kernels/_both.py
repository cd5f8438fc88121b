"""Both directions of the divergence in one pass: what `_rows` and `_piece` do, for two sums instead of one."""

import numpy as np

from fastkl.kernels._jit import entry, inline, widest_vectors
from fastkl.kernels._lanes import scan
from fastkl.kernels._logratio import highest_pattern, is_clear_sum, pattern
from fastkl.kernels._memory import keep, view
from fastkl.kernels._piece import (
    CHUNK,
    ask_for,
    higher,
    is_moderate,
    job_of,
    memory_for,
    odd_bins,
    odd_products,
    open_block,
    read_piece,
    scratch_in,
    weigh,
)
from fastkl.kernels._terms import KL, kl_term, reverse_kl_term


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
    x, y, w, p_total, q_total, odd, p_ahead, q_ahead = read_piece(job, scratch, block_row, row, 0, True)
    t, u = view(scratch.terms, len(x), type(job.zero)), view(scratch.a, len(x), type(job.zero))
    unit, b = one, one
    if job.normalize:
        if odd != 0 or p_total == 0.0 or q_total == 0.0:
            return one, one, one, np.int64(1)
        unit, b = p_total, p_total / q_total
        if not is_moderate(b):
            return one, one, one, np.int64(1)
    seen = _fill_ahead(t, u, x, y, b, job.normalize, p_ahead, q_ahead)
    weigh(t, w, t)
    weigh(u, w, u)
    there, back = scan(t)[0], scan(u)[0]
    if not job.normalize:
        odd |= odd_products(w, there) | odd_products(w, back)
    if len(w) == 0 or not job.normalize:
        # If either is unclear the bins are looked at, once.
        unclear = back if is_clear_sum(there) else there
        odd |= odd_bins(KL(), seen, unclear, x, y, len(w) == 0)
    return unit, there, back, odd


@inline
def _fill_ahead(t, u, x, y, b, is_checked, x_ahead, y_ahead):
    # Returns what `odd_bins` wants, of bins that have not been checked.
    chunk, seen = CHUNK // t.itemsize, np.int64(0)
    for start in range(0, len(t), chunk):
        stop = min(start + chunk, len(t))
        ask_for(x_ahead, y_ahead, start * t.itemsize, stop * t.itemsize)
        part = slice(start, stop)
        if is_checked:
            _fill(t[part], u[part], x[part], y[part], b)
        else:
            seen |= _fill_and_check(t[part], u[part], x[part], y[part])
    return seen


@inline
def _fill(t, u, x, y, b):
    widest_vectors()
    for i in range(len(t)):
        t[i] = kl_term(x[i], b * y[i])
        u[i] = reverse_kl_term(x[i], b * y[i])


@inline
def _fill_and_check(t, u, x, y):
    widest_vectors()
    one = t.dtype.type(1)
    highest = pattern(one)
    for i in range(len(t)):
        highest = higher(higher(highest, pattern(x[i])), pattern(y[i]))
        t[i] = kl_term(x[i], y[i])
        u[i] = reverse_kl_term(x[i], y[i])
    return np.int64(highest > highest_pattern(one))
