"""Rows of one piece: the common case, and the least code to compile."""

import numpy as np

from fastkl.kernels._jit import entry
from fastkl.kernels._memory import keep
from fastkl.kernels._piece import OWN_TOTALS, job_of, measure, memory_for, open_block, scratch_in
from fastkl.kernels._terms import is_in_units_of_p


@entry
def rows(kind, zero, p, q, w, shape, n, start, stop, normalize, pseudocount, factor, out, todo):
    """Write to ``out`` the divergences, times ``factor``, of the rows from ``start`` to ``stop`` that are ``todo``.

    ``out`` and ``todo`` begin with the row ``start``. The arithmetic has the precision of ``zero``. Rows with bins or
    totals that the fast loops can't take, or invalid ones, are left as they are and stay todo.
    """
    job = job_of(zero, p, q, w, shape, n, normalize, pseudocount)
    memory = memory_for(job, n)
    scratch = scratch_in(memory, n)
    in_units_of_p = normalize and is_in_units_of_p(kind)
    block_row = start
    while block_row < stop:
        block_stop = open_block(job, scratch, block_row, stop, 0)
        for row in range(block_row, block_stop):
            if todo[row - start]:
                p_total, q_total, total, odd = measure(kind, job, scratch, block_row, row, 0, OWN_TOTALS, 1.0, 1.0)
                if odd == 0 and not (normalize and (p_total == 0.0 or q_total == 0.0)):
                    value = np.float64(total) / np.float64(p_total) if in_units_of_p else np.float64(total)
                    out[row - start] = factor * value
                    todo[row - start] = 0
        block_row = block_stop
    keep(memory)
