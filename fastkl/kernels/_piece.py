"""One piece of a row, in passes over the first-level cache: read and checked, totalled, its terms summed.

A row is cut into pieces so that memory is read once though the arithmetic needs the totals first. The cut depends on
the number of bins alone and a piece is summed in a fixed order: results depend on neither threads nor layout.
"""

from typing import Any, NamedTuple

import numpy as np

from fastkl.kernels._jit import apart, inline
from fastkl.kernels._lanes import scan, scan_for_high
from fastkl.kernels._load import ADDRESS, BIN_STEP, CONVERTER, ROW_STEPS, STAGER, load, row_address
from fastkl.kernels._memory import call, view
from fastkl.kernels._odd import is_moderate, odd_bins, odd_part_of, odd_products
from fastkl.kernels._stage import STAGE, rows_in_block, staged_width
from fastkl.kernels._sum import refined_sum, sum_ahead
from fastkl.kernels._terms import is_told_by_sum, no_scales, scales

PIECE = 1024  # bins: two operands and the next two, in double precision, fill 32 KiB of first-level cache

# How a piece is scaled: by its own totals, not at all (only its totals are wanted), or by those that are given.
OWN_TOTALS, ONLY_TOTALS, GIVEN_TOTALS = 0, 1, 2

# A sum below this, for a total of one, may come from terms that want refining.
SMALL = np.float32(0.25)

_LEAST_AHEAD = 4096  # bytes: what memory is asked for while the terms of a piece are computed is no nearer
# Items after each buffer, so that vectors may be written whole.
_ROOM = 16
MEMO = 4  # items of what is known of the piece that was read last


class Job(NamedTuple):
    """What is computed. The layouts of the operands and the batch's shape are addresses.

    Arrays would be taken apart and put together again for every function that they are passed to, which is most of the
    compile time.
    """

    zero: Any  # of the kernels' precision
    p: Any
    q: Any
    w: Any
    shape: Any
    dimensions: Any
    n: Any
    normalize: Any
    pseudocount: Any


class Side(NamedTuple):
    """Where an operand is read to, and what is known of the piece that was read last: addresses."""

    bins: Any
    products: Any  # weights times bins
    block: Any  # staged rows
    total: Any
    memo: Any  # addresses of the bins and of the weights, odd, number of bins; in a tile: address, number of rows


class Scratch(NamedTuple):
    """Addresses of buffers; those from the terms on are for tiles."""

    left: Any
    right: Any
    weights: Any
    weight_memo: Any
    terms: Any
    a: Any
    b: Any
    total: Any
    odd: Any


@inline
def job_of(zero: Any, p: Any, q: Any, w: Any, shape: Any, n: Any, normalize: Any, pseudocount: Any) -> Any:
    """A job that borrows its arrays."""
    layouts = np.int64(p.ctypes.data), np.int64(q.ctypes.data), np.int64(w.ctypes.data)
    shape_address = np.int64(shape.ctypes.data)
    return Job(zero, layouts[0], layouts[1], layouts[2], shape_address, len(shape), n, normalize, pseudocount)


@inline
def layout_of(job: Any, operand: Any) -> Any:
    """The layout vector of an operand of the job."""
    return view(operand, ROW_STEPS + job.dimensions, np.int64)


@inline
def shape_of(job: Any) -> Any:
    """The shape of the job's batch."""
    return view(job.shape, job.dimensions, np.int64)


@inline
def memory_for(job: Any, size: Any) -> Any:
    """The memory of a `Scratch`, for ``size`` bins at a time: items of the kernels' precision, and integers."""
    staged = STAGE if is_staged(job) else 0
    return np.empty(9 * (size + _ROOM) + 2 + 2 * staged, type(job.zero)), np.zeros(size + 3 * MEMO, np.int64)


@inline
def scratch_in(memory: Any, size: Any) -> Any:
    """The buffers that lie in the memory, which must be kept."""
    # Signed: an address that is not would make another type, and another compilation, of whatever it is passed to.
    first, row = np.int64(memory[0].ctypes.data), (size + _ROOM) * memory[0].itemsize
    totals = first + 9 * row
    blocks = totals + 2 * memory[0].itemsize
    block = (first + memory[0].nbytes - blocks) // 2
    odd = np.int64(memory[1].ctypes.data)
    memo = odd + 8 * size
    left = Side(first, first + row, blocks, totals, memo)
    right = Side(first + 2 * row, first + 3 * row, blocks + block, totals + memory[0].itemsize, memo + 8 * MEMO)
    weights, terms = first + 4 * row, first + 5 * row
    a, b, total = first + 6 * row, first + 7 * row, first + 8 * row
    return Scratch(left, right, weights, memo + 16 * MEMO, terms, a, b, total, odd)


@inline
def is_staged(job: Any) -> Any:
    """True where blocks of rows must be opened."""
    return layout_of(job, job.p)[STAGER] != 0 or layout_of(job, job.q)[STAGER] != 0


@inline
def open_block(job: Any, scratch: Any, row: Any, stop: Any, k: Any) -> Any:
    """Stage piece ``k`` of as many rows from ``row`` on as fit, if an operand needs it; return where they end."""
    if not is_staged(job):
        return stop
    m = min(PIECE, job.n - k * PIECE)
    count = rows_in_block(shape_of(job), row, stop, m)
    _stage(job, job.p, row, count, k * PIECE, m, scratch.left)
    _stage(job, job.q, row, count, k * PIECE, m, scratch.right)
    return row + count


@inline
def _stage(job, operand, row, count, first, m, side):
    layout = layout_of(job, operand)
    if layout[STAGER]:
        call(layout[STAGER], (operand, job.shape, job.dimensions, row, count, first, m, side.block))
        view(side.memo, MEMO, np.int64)[0] = 0


@inline
def measure(
    kind: Any, job: Any, scratch: Any, block_row: Any, row: Any, k: Any, totals: Any, given_p: Any, given_q: Any
) -> Any:
    """(p_total, q_total, sum of the terms, odd) of piece ``k`` of ``row``, in the block that begins with ``block_row``.

    ``totals`` says which totals scale the piece. Where odd is nonzero the rest means nothing.
    """
    is_told = is_told_by_sum(kind, job.zero)
    x, y, w, p_total, q_total, odd, p_ahead, q_ahead = read_piece(job, scratch, block_row, row, k, is_told)
    read = (x, y, w, p_total, q_total, odd)
    return sum_terms(kind, *read, job.normalize, totals, given_p, given_q, p_ahead, q_ahead)


@inline
def read_piece(job: Any, scratch: Any, block_row: Any, row: Any, k: Any, is_told: Any) -> Any:
    """(p's bins, q's, weights or none, p_total, q_total, odd, what to ask memory for next, of p, of q).

    There are totals where bins are normalised. ``is_told`` says that `odd_bins` will look for bins that are too small.
    """
    precision = type(job.zero)
    m = min(PIECE, job.n - k * PIECE)
    p_address, p_converter, p_step = source(job, job.p, scratch.left, block_row, row, k, m)
    q_address, q_converter, q_step = source(job, job.q, scratch.right, block_row, row, k, m)
    weights = layout_of(job, job.w)
    w_address = row_address(weights, shape_of(job), row) + k * PIECE * weights[BIN_STEP]
    w_buffer = view(scratch.weights, m, precision)
    w = load(weights[CONVERTER], w_address, weights[BIN_STEP], m if weights[ADDRESS] else 0, w_buffer)
    x, p_total, odd = _read(job, p_address, p_converter, p_step, m, w, w_address, scratch.left, is_told)
    y, q_total = x, p_total
    if q_address != p_address or q_converter != p_converter or q_step != p_step:
        y, q_total, q_odd = _read(job, q_address, q_converter, q_step, m, w, w_address, scratch.right, is_told)
        odd |= q_odd
    if len(w):
        odd |= scan(w)[1]
    return x, y, w, p_total, q_total, odd, address_ahead(p_address, m * p_step), address_ahead(q_address, m * q_step)


@inline
def address_ahead(address: Any, size: Any) -> Any:
    """What to ask memory for while the terms of the bins are computed that take ``size`` bytes from an address on."""
    return address + max(size, _LEAST_AHEAD)


@inline
def sum_terms(
    kind: Any,
    x: Any,
    y: Any,
    w: Any,
    p_total: Any,
    q_total: Any,
    odd: Any,
    normalize: Any,
    totals: Any,
    given_p: Any,
    given_q: Any,
    p_ahead: Any,
    q_ahead: Any,
) -> Any:
    """What `measure` returns, of bins x and y that are read, with the totals of x and y where they are normalised."""
    precision, zero = type(p_total), type(p_total)(0.0)
    a, b = no_scales(kind, zero)
    if normalize:
        if odd != 0 or totals == ONLY_TOTALS or (totals == OWN_TOTALS and (p_total == 0.0 or q_total == 0.0)):
            return p_total, q_total, zero, odd  # nothing is left to tell but the totals
        if totals == GIVEN_TOTALS:
            a, b = scales(kind, precision(given_p), precision(given_q))
        else:
            a, b = scales(kind, p_total, q_total)
        if not (is_moderate(a) and is_moderate(b)):
            return p_total, q_total, zero, np.int64(1)
    total, seen = sum_ahead(kind, x, y, w, a, b, normalize, p_ahead, q_ahead)
    if normalize and len(w) == 0 and total < SMALL * p_total:
        total = refined_sum(kind, x, y, a, b, total)
    if not normalize:
        odd |= odd_bins(kind, seen, total, x, y, len(w) == 0) | odd_products(w, total)
    elif len(w) == 0:  # with weights all bins have been looked at
        odd |= odd_bins(kind, seen, total, x, y, True)
    if np.isnan(total):  # some term is beyond the precision
        odd |= np.int64(1)
    return p_total, q_total, total, odd


@inline
def source(job: Any, operand: Any, side: Any, block_row: Any, row: Any, k: Any, m: Any) -> Any:
    """Where ``m`` bins of piece ``k`` are read from: (address, converter, step)."""
    layout = layout_of(job, operand)
    if layout[STAGER]:
        size = view(side.block, 1, type(job.zero)).itemsize
        return side.block + (row - block_row) * staged_width(m) * size, np.int64(0), np.int64(size)
    address = row_address(layout, shape_of(job), row) + k * PIECE * layout[BIN_STEP]
    return address, layout[CONVERTER], layout[BIN_STEP]


@inline
def _read(job, address, converter, step, m, w, w_address, side, is_told):
    # (bins, total, odd). The piece that was read last is not read again: one row may meet many.
    in_place = converter == 0 and job.pseudocount == 0.0
    x = view(address if in_place else side.bins, m, type(job.zero))
    memo, known_total = view(side.memo, MEMO, np.int64), view(side.total, 1, type(job.zero))
    if address == memo[0] and w_address == memo[1] and m == memo[3]:
        return x, known_total[0], memo[2]
    total, odd = job.zero, np.int64(0)
    if not in_place:
        odd = _convert(job.zero, converter, address, step, m, side.bins, type(job.zero)(job.pseudocount))
    if job.normalize and len(w):
        total, weighted_odd = _total_of_products(job.zero, (x.ctypes.data, w.ctypes.data, side.products), m)
        odd |= weighted_odd
    elif job.normalize:
        total, bins_odd = total_of(x, is_told)
        odd |= bins_odd
    memo[0], memo[1], memo[2], memo[3], known_total[0] = address, w_address, odd, m, total
    return x, total, odd


@apart
def _convert(zero, converter, address, step, m, to, pseudocount):
    # Writes the bins, with pseudo-counts, and tells whether they were odd without.
    x, odd = view(to, m, type(zero)), np.int64(0)
    raw = load(converter, address, step, m, x)
    if pseudocount > zero:
        odd = scan(raw)[1]
        for i in range(m):
            x[i] = raw[i] + pseudocount
    return odd


@apart
def _total_of_products(zero, addresses, m):
    x, w, products = (
        view(addresses[0], m, type(zero)),
        view(addresses[1], m, type(zero)),
        view(addresses[2], m, type(zero)),
    )
    odd = scan(x)[1]
    for i in range(m):
        products[i] = w[i] * x[i]
    total, product_odd = scan(products)
    return total, odd | product_odd


@inline
def total_of(x: Any, is_told: Any) -> Any:
    """(sum of x, odd); bins that are too small are not odd where their terms' sum is to tell of them."""
    if not is_told:
        return scan(x)
    total, seen = scan_for_high(x)
    if seen != 0:  # minus zeros, maybe
        seen = odd_part_of(x, True)
    return total, seen
