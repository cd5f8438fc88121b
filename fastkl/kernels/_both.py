"""Both directions of the divergence in one pass: what `_rows` and `_piece` do, for two sums instead of one."""

import numpy as np

from fastkl.kernels._fold import add_up
from fastkl.kernels._jit import apart, entry, inline, never_inlined, widest_vectors
from fastkl.kernels._logratio import is_clear_sum, pattern
from fastkl.kernels._memory import keep
from fastkl.kernels._odd import also_seen, is_moderate, odd_bins, odd_parts, odd_products
from fastkl.kernels._piece import job_of, memory_for, open_block, read_piece, scratch_in
from fastkl.kernels._sum import weighed
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
    unit, b = one, one
    if job.normalize:
        if odd != 0 or p_total == 0.0 or q_total == 0.0:
            return one, one, one, np.int64(1)
        unit, b = p_total, p_total / q_total
        if not is_moderate(b):
            return one, one, one, np.int64(1)
    there, back, seen = _sum_ahead(x, y, w, b, job.normalize, p_ahead, q_ahead)
    if not job.normalize:
        odd |= odd_products(w, there) | odd_products(w, back)
    if len(w) == 0 or not job.normalize:
        # If either is unclear the bins are looked at, once.
        unclear = back if is_clear_sum(there) else there
        odd |= odd_bins(KL(), seen, unclear, x, y, len(w) == 0)
    return unit, there, back, odd


@inline
def _sum_ahead(x, y, w, b, is_checked, x_ahead, y_ahead):
    # `sum_ahead` of the terms of both directions.
    addresses, ahead = (x.ctypes.data, y.ctypes.data, w.ctypes.data), (x_ahead, y_ahead)
    if len(w):
        there, back, seen = _sum_weighed(addresses, len(x), b, ahead)
    else:
        there, back, seen = _sum(addresses, len(x), b, ahead)
    return there, back, np.int64(0) if is_checked else odd_parts(KL(), seen, x, y, False)


@apart
def _sum(addresses, n, b, ahead):
    never_inlined()
    widest_vectors()
    nothing = type(b)(0.0), type(b)(0.0), pattern(type(b)(0.0))
    return add_up(None, _add, b, nothing, (addresses[0], addresses[1]), n, ahead)


@apart
def _sum_weighed(addresses, n, b, ahead):
    never_inlined()
    widest_vectors()
    nothing = type(b)(0.0), type(b)(0.0), pattern(type(b)(0.0))
    return add_up(None, _add_weighed, b, nothing, addresses, n, ahead)


@inline
def _add(b, there, back, seen, x, y):
    return there + kl_term(x, b * y), back + reverse_kl_term(x, y, b), also_seen(KL(), seen, x, y)


@inline
def _add_weighed(b, there, back, seen, x, y, w):
    forward, reverse = weighed(w, kl_term(x, b * y)), weighed(w, reverse_kl_term(x, y, b))
    return there + forward, back + reverse, also_seen(KL(), seen, x, y)
