"""One piece of a row, in passes over the first-level cache: read and checked, totalled, its terms summed.

A row is cut into pieces so that memory is read once though the arithmetic needs the totals first. The cut depends on
the number of bins alone and a piece is summed in a fixed order: results depend on neither threads nor layout.
"""

from typing import Any, NamedTuple

import numpy as np

from fastkl.kernels._jit import inline
from fastkl.kernels._lanes import scan
from fastkl.kernels._load import ADDRESS, BIN_STEP, CONVERTER, STAGER, load, row_address
from fastkl.kernels._logratio import constants, odd_bits
from fastkl.kernels._memory import call, prefetch, unowned, view
from fastkl.kernels._stage import STAGE, rows_in_block, staged_width
from fastkl.kernels._terms import bin_term, refine, scales

PIECE = 2048  # bins: both operands and the terms, in double precision, fill 48 KiB

# How a piece is scaled: by its own totals, not at all (only its totals are wanted), or by those that are given.
OWN_TOTALS, ONLY_TOTALS, GIVEN_TOTALS = 0, 1, 2

# A sum below this, for a total of one, may come from terms that want refining.
SMALL = np.float32(0.25)

# While the terms of this many bytes are computed the same bytes two pieces on are asked for, but at least 4 KiB on:
# memory works while the arithmetic does. 256 bins, double, normalised, one thread: 1.2 ns a bin without, 0.8 with.
_CHUNK, LINE, _LEAST_AHEAD = 512, 64, 4096


class Job(NamedTuple):
    """What is computed: the operands as `_load` describes them, the batch's shape, the number of bins, the options."""

    p: Any
    q: Any
    w: Any
    shape: Any
    n: Any
    normalize: Any
    pseudocount: Any


class Side(NamedTuple):
    """Where an operand is read to, and what is known of the piece that was read last."""

    bins: Any
    products: Any  # weights times bins
    block: Any  # staged rows
    total: Any
    memo: Any  # addresses of the bins and of the weights, odd


class Scratch(NamedTuple):
    """Buffers of the kernels' precision."""

    left: Any
    right: Any
    weights: Any
    terms: Any
    a: Any
    b: Any
    total: Any
    odd: Any


@inline
def job_of(p: Any, q: Any, w: Any, shape: Any, n: Any, normalize: Any, pseudocount: Any) -> Any:
    """A job that borrows its arrays."""
    return Job(unowned(p), unowned(q), unowned(w), unowned(shape), n, normalize, pseudocount)


@inline
def memory_for(job: Any, size: Any, zero: Any) -> Any:
    """The memory of a `Scratch` in the precision of ``zero``, for ``size`` bins at a time."""
    precision = type(zero)
    blocks = np.empty((2, STAGE if job.p[STAGER] or job.q[STAGER] else 1), precision)
    return np.empty((10, size), precision), blocks, np.empty((2, size), np.int64)


@inline
def scratch_in(memory: Any) -> Any:
    """The buffers that lie in the memory, which must be kept."""
    reals, blocks, integers = memory
    integers[1, :] = 0
    left = Side(
        unowned(reals[0]),
        unowned(reals[1]),
        unowned(blocks[0]),
        unowned(reals[8, :1]),
        unowned(integers[1, :3]),
    )
    right = Side(
        unowned(reals[2]),
        unowned(reals[3]),
        unowned(blocks[1]),
        unowned(reals[8, 1:2]),
        unowned(integers[1, 3:6]),
    )
    weights, terms = unowned(reals[4]), unowned(reals[5])
    a, b, total = unowned(reals[6]), unowned(reals[7]), unowned(reals[9])
    return Scratch(left, right, weights, terms, a, b, total, unowned(integers[0]))


@inline
def open_block(job: Any, scratch: Any, row: Any, stop: Any, k: Any) -> Any:
    """Stage piece ``k`` of as many rows from ``row`` on as fit, if an operand needs it; return where they end."""
    if job.p[STAGER] == 0 and job.q[STAGER] == 0:
        return stop
    m = min(PIECE, job.n - k * PIECE)
    count = rows_in_block(job.shape, row, stop, m)
    _stage(job, job.p, row, count, k * PIECE, m, scratch.left)
    _stage(job, job.q, row, count, k * PIECE, m, scratch.right)
    return row + count


@inline
def _stage(job, operand, row, count, first, m, side):
    if operand[STAGER]:
        shape = job.shape
        call(
            operand[STAGER],
            (
                operand.ctypes.data,
                shape.ctypes.data,
                len(shape),
                row,
                count,
                first,
                m,
                side.block.ctypes.data,
            ),
        )
        side.memo[0] = 0


@inline
def measure(
    kind: Any,
    job: Any,
    scratch: Any,
    block_row: Any,
    row: Any,
    k: Any,
    totals: Any,
    given_p: Any,
    given_q: Any,
) -> Any:
    """(p_total, q_total, sum of the terms, odd) of piece ``k`` of ``row``, in the block that begins with ``block_row``.

    ``totals`` says which totals scale the piece. Where odd is nonzero the rest means nothing.
    """
    m = min(PIECE, job.n - k * PIECE)
    p_address, p_converter, p_step = _source(job, job.p, scratch.left, block_row, row, k, m)
    q_address, q_converter, q_step = _source(job, job.q, scratch.right, block_row, row, k, m)
    w_address = row_address(job.w, job.shape, row) + k * PIECE * job.w[BIN_STEP]
    w = load(job.w[CONVERTER], w_address, job.w[BIN_STEP], m if job.w[ADDRESS] else 0, scratch.weights)
    x, p_total, odd = _read(job, p_address, p_converter, p_step, m, w, w_address, scratch.left)
    y, q_total = x, p_total
    if q_address != p_address or q_converter != p_converter or q_step != p_step:
        y, q_total, q_odd = _read(job, q_address, q_converter, q_step, m, w, w_address, scratch.right)
        odd |= q_odd
    if len(w):
        odd |= scan(w)[1]
    t = scratch.terms[:m]
    if not job.normalize:
        odd |= _fill_and_check_terms(kind, t, x, y)
    else:
        if odd != 0 or totals == ONLY_TOTALS or (totals == OWN_TOTALS and (p_total == 0.0 or q_total == 0.0)):
            return p_total, q_total, type(p_total)(0.0), odd  # nothing is left to tell but the totals
        if totals == GIVEN_TOTALS:
            a, b = scales(kind, type(p_total)(given_p), type(p_total)(given_q))
        else:
            a, b = scales(kind, p_total, q_total)
        if not (is_moderate(a) and is_moderate(b)):
            return p_total, q_total, type(p_total)(0.0), np.int64(1)
        ahead = max(2 * m * t.itemsize, _LEAST_AHEAD)
        p_ahead = p_address + ahead if p_converter == 0 else x.ctypes.data
        q_ahead = q_address + ahead if q_converter == 0 else y.ctypes.data
        fill_terms_ahead(kind, t, x, y, a, b, p_ahead, q_ahead)
    for i in range(len(w)):
        t[i] = w[i] * t[i] if w[i] > 0 else w[i]
    total = scan(t)[0]
    if job.normalize and len(w) == 0 and total < SMALL * p_total and refine(kind, t, x, y, 0, 1):
        total = scan(t)[0]
    return p_total, q_total, total, odd


@inline
def _source(job, operand, side, block_row, row, k, m):
    # Where the piece is read from: (address, converter, step).
    if operand[STAGER]:
        size = side.block.itemsize
        return side.block.ctypes.data + (row - block_row) * staged_width(m) * size, 0, size
    return (
        row_address(operand, job.shape, row) + k * PIECE * operand[BIN_STEP],
        operand[CONVERTER],
        operand[BIN_STEP],
    )


@inline
def _read(job, address, converter, step, m, w, w_address, side):
    # (bins, total, odd). The piece that was read last is not read again: one row may meet many.
    in_place = converter == 0 and job.pseudocount == 0.0
    x = view(address, m, side.bins.dtype.type) if in_place else side.bins[:m]
    if address == side.memo[0] and w_address == side.memo[1]:
        return x, side.total[0], side.memo[2]
    odd = np.int64(0)
    if not in_place:
        raw = load(converter, address, step, m, side.bins)
        if job.pseudocount > 0.0:
            odd |= scan(raw)[1]
            for i in range(m):
                x[i] = raw[i] + type(x[0])(job.pseudocount)
    total = side.total[0]
    if job.normalize and len(w):
        odd |= scan(x)[1]
        for i in range(m):
            side.products[i] = w[i] * x[i]
        total, product_odd = scan(side.products[:m])
        odd |= product_odd
    elif job.normalize:
        total, bins_odd = scan(x)
        odd |= bins_odd
    side.memo[0], side.memo[1], side.memo[2], side.total[0] = address, w_address, odd, total
    return x, total, odd


@inline
def fill_terms_ahead(kind: Any, t: Any, x: Any, y: Any, a: Any, b: Any, x_ahead: Any, y_ahead: Any) -> None:
    """Write the terms of the bins (a x, b y) to t, while memory fetches what lies at two addresses."""
    chunk = _CHUNK // t.itemsize
    for start in range(0, len(t), chunk):
        stop = min(start + chunk, len(t))
        for line in range(start * t.itemsize, stop * t.itemsize, LINE):
            prefetch(x_ahead + line)
            prefetch(y_ahead + line)
        _fill_terms(kind, t[start:stop], x[start:stop], y[start:stop], a, b)


@inline
def _fill_terms(kind, t, x, y, a, b):
    # Loops from 0: one from ``start`` may have a negative index, for all that the compiler knows, and is not
    # vectorised.
    for i in range(len(t)):
        t[i] = bin_term(kind, x[i], y[i], a, b)


@inline
def _fill_and_check_terms(kind, t, x, y):
    # In one pass: where no totals are needed, no pass before this one has seen the bins.
    one = type(t[0])(1.0)
    seen = odd_bits(one)
    for i in range(len(t)):
        seen = type(seen)(seen | odd_bits(x[i]) | odd_bits(y[i]))
        t[i] = bin_term(kind, x[i], y[i], one, one)
    return np.int64(seen)


@inline
def is_moderate(scale: Any) -> Any:
    """True where a scale keeps every operand of the fast loops in the normal range; false for NaN."""
    _, _, largest, _ = constants(scale)
    return (scale <= largest) & (scale * largest >= type(scale)(1.0))
