"""Both directions of the divergence in one pass: what `_rows` and `_piece` do, for two sums instead of one."""

import numpy as np

from fastkl.kernels._jit import apart, entry, inline, widest_vectors
from fastkl.kernels._lanes import scan
from fastkl.kernels._logratio import is_clear_sum
from fastkl.kernels._memory import keep, view
from fastkl.kernels._piece import (
    in_chunks,
    is_moderate,
    job_of,
    look_at,
    memory_for,
    odd_bins,
    odd_products,
    open_block,
    read_piece,
    scratch_in,
    weigh,
)
from fastkl.kernels._terms import KL, is_told_by_sum, kl_term, reverse_kl_term


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
    x, y, w, p_total, q_total, odd, p_ahead, q_ahead = read_piece(
        job, scratch, block_row, row, 0, is_told_by_sum(KL(), job.zero)
    )
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
    # `fill_ahead` of the terms of both directions.
    addresses = t.ctypes.data, u.ctypes.data, x.ctypes.data, y.ctypes.data
    return _fill_both(addresses, len(t), b, is_checked, (x_ahead, y_ahead))


@apart
def _fill_both(addresses, n, b, is_checked, ahead):
    x, y = view(addresses[2], n, type(b)), view(addresses[3], n, type(b))
    seen = np.int64(0) if is_checked else look_at(KL(), x, y, False)
    in_chunks(_fill_terms, b, addresses, n, x.itemsize, ahead)
    return seen


@inline
def _fill_terms(b, addresses, offset, n):
    widest_vectors()
    precision = type(b)
    t, u = view(addresses[0] + offset, n, precision), view(addresses[1] + offset, n, precision)
    x, y = view(addresses[2] + offset, n, precision), view(addresses[3] + offset, n, precision)
    for i in range(n):
        t[i] = kl_term(x[i], b * y[i])
        u[i] = reverse_kl_term(x[i], y[i], b)
