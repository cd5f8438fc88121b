"""One piece of a row, in passes over the first-level cache: read and checked, totalled, its terms summed.

A row is cut into pieces so that memory is read once though the arithmetic needs the totals first. The cut depends on
the number of bins alone and a piece is summed in a fixed order: results depend on neither threads nor layout.
"""

from typing import Any, NamedTuple

import numpy as np

from fastkl.kernels._jit import apart, inline, widest_vectors
from fastkl.kernels._lanes import scan, scan_for_high
from fastkl.kernels._load import ADDRESS, BIN_STEP, CONVERTER, ROW_STEPS, STAGER, load, row_address
from fastkl.kernels._logratio import constants, high_bits, highest_pattern, is_clear_sum, odd_bits, pattern
from fastkl.kernels._memory import ROOM, call, prefetch, room, view
from fastkl.kernels._stage import STAGE, rows_in_block, staged_width
from fastkl.kernels._terms import (
    begun_bin_term,
    bin_term,
    ended_bin_term,
    is_in_two_steps,
    is_told_by_sum,
    refine,
    scales,
)

PIECE = 1024  # bins: two operands, the next two and the terms, in double precision, fill 40 KiB of first-level cache

# How a piece is scaled: by its own totals, not at all (only its totals are wanted), or by those that are given.
OWN_TOTALS, ONLY_TOTALS, GIVEN_TOTALS = 0, 1, 2

# A sum below this, for a total of one, may come from terms that want refining.
SMALL = np.float32(0.25)

# While the terms of this many bytes are computed the same bytes a piece on are asked for, but at least 4 KiB on:
# memory works while the arithmetic does. 256 bins, double, normalised, one thread: 1.2 ns a bin without, 0.8 with.
CHUNK, LINE, _LEAST_AHEAD = ROOM, 64, 4096
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
    """Addresses of buffers."""

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
    t = view(scratch.terms, min(PIECE, job.n - k * PIECE), type(job.zero))
    is_told = is_told_by_sum(kind, job.zero)
    x, y, w, p_total, q_total, odd, p_ahead, q_ahead = read_piece(job, scratch, block_row, row, k, is_told)
    read = (x, y, w, p_total, q_total, odd)
    return sum_terms(kind, t, *read, job.normalize, totals, given_p, given_q, p_ahead, q_ahead)


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
    p_ahead = address_ahead(x, p_address) if p_converter == 0 else p_address
    q_ahead = address_ahead(x, q_address) if q_converter == 0 else q_address
    return x, y, w, p_total, q_total, odd, p_ahead, q_ahead


@inline
def address_ahead(x: Any, address: Any) -> Any:
    """What to ask memory for while the terms of the bins ``x`` at ``address`` are computed."""
    return address + max(len(x) * x.itemsize, _LEAST_AHEAD)


@inline
def sum_terms(
    kind: Any,
    t: Any,
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
    """What `measure` returns, of bins x and y that are read, with the totals of x and y where they are normalised.

    Room for the terms is in t; w is empty where there are no weights.
    """
    precision, zero = type(p_total), type(p_total)(0.0)
    a, b = precision(1.0), precision(1.0)
    if normalize:
        if odd != 0 or totals == ONLY_TOTALS or (totals == OWN_TOTALS and (p_total == 0.0 or q_total == 0.0)):
            return p_total, q_total, zero, odd  # nothing is left to tell but the totals
        if totals == GIVEN_TOTALS:
            a, b = scales(kind, precision(given_p), precision(given_q))
        else:
            a, b = scales(kind, p_total, q_total)
        if not (is_moderate(a) and is_moderate(b)):
            return p_total, q_total, zero, np.int64(1)
    seen = fill_ahead(kind, t, x, y, a, b, normalize, p_ahead, q_ahead)
    weigh(t, w, t)
    total = scan(t)[0]
    if normalize and len(w) == 0 and total < SMALL * p_total and refine(kind, t, x, y):
        total = scan(t)[0]
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
        seen = _odd_part_of(x, True)
    return total, seen


@inline
def odd_part(x: Any, is_told: Any) -> Any:
    """Nonzero for a bin that the fast loops can't take; one that is too small they can where the sum tells of it."""
    return high_bits(x) if is_told else odd_bits(x)


@inline
def _odd_part_of(x, is_told):
    return _odd_part(x.ctypes.data, len(x), x.dtype.type(0), is_told)


@apart
def _odd_part(address, n, zero, is_told):
    widest_vectors()
    x, found = view(address, n, type(zero)), odd_bits(zero)
    for i in range(n):
        found = type(found)(found | odd_part(x[i], is_told))
    return np.int64(found)


@inline
def fill_ahead(kind: Any, t: Any, x: Any, y: Any, a: Any, b: Any, is_checked: Any, x_ahead: Any, y_ahead: Any) -> Any:
    """Write the terms of the bins (a x, b y) to t, while memory fetches what lies at two addresses.

    Returned is what `odd_bins` wants of bins that no pass before this one has checked.
    """
    addresses = t.ctypes.data, x.ctypes.data, y.ctypes.data
    return _fill_ahead(kind, addresses, len(t), a, b, is_checked, (x_ahead, y_ahead))


@apart
def _fill_ahead(kind, addresses, n, a, b, is_checked, ahead):
    x, y = view(addresses[1], n, type(a)), view(addresses[2], n, type(a))
    seen = np.int64(0) if is_checked else look_at(kind, x, y, False)
    in_chunks(_fill_terms, (kind, a, b), addresses, n, x.itemsize, ahead)
    return seen


@inline
def in_chunks(fill: Any, how: Any, addresses: Any, n: Any, size: Any, ahead: Any) -> None:
    """Call ``fill(how, addresses, offset, count)`` for ``n`` items of ``size`` bytes, while memory fetches others.

    The compiler knows how many they are, but for the last; ``offset`` is in bytes.
    """
    rest = n * size % CHUNK
    whole = n * size - rest
    for offset in range(0, whole, CHUNK):
        ask_for(ahead[0], ahead[1], offset, CHUNK)
        fill(how, addresses, offset, CHUNK // size)
    if rest:
        ask_for(ahead[0], ahead[1], whole, rest)
        fill(how, addresses, whole, rest // size)


@inline
def look_at(kind: Any, x: Any, y: Any, are_low: Any) -> Any:
    """What `odd_bins` wants to have been seen of the bins (x, y); ``are_low`` says that none is above HUGE, or NaN.

    In a loop of its own: taken along, it makes LLVM compute two vectors of terms in turn, for which there are too few
    registers.
    """
    widest_vectors()
    zero = x.dtype.type(0)
    seen = pattern(zero)
    for i in range(len(x)):
        seen = also_seen(kind, seen, x[i], y[i])
    if not is_odd(kind, seen, zero, are_low):
        return np.int64(0)
    odd, is_told = odd_bits(zero), is_told_by_sum(kind, zero)
    for i in range(len(x)):
        odd = type(odd)(odd | odd_part(x[i], is_told) | odd_part(y[i], is_told))
    return np.int64(odd)


@inline
def also_seen(kind: Any, seen: Any, x: Any, y: Any) -> Any:
    """What was seen of some bins, zero of none, and what is seen of the bin (x, y)."""
    if is_told_by_sum(kind, x):
        # All bits of all: one operation for two bins, in a third of the time of their maximum. They are no less than
        # the largest pattern, but where bins lie on both sides of 2 they are those of infinity, and looked at in vain.
        return seen | pattern(x) | pattern(y)
    return type(seen)(seen | type(seen)(odd_bits(x) | odd_bits(y)))


@inline
def is_odd(kind: Any, seen: Any, zero: Any, are_low: Any) -> Any:
    """True if one of the bins, of the precision of ``zero``, may be what `odd_bins` looks for."""
    if is_told_by_sum(kind, zero):
        return seen >= pattern(-zero) if are_low else seen > highest_pattern(zero)  # a sign, or more than HUGE
    return seen != 0


@inline
def weigh(products: Any, w: Any, x: Any) -> None:
    """Write w x to ``products``, for as many items as there are weights; one of zero hides an infinite term."""
    for i in range(len(w)):
        products[i] = w[i] * x[i] if w[i] > 0 else w[i]


@inline
def ask_for(x_address: Any, y_address: Any, first: Any, n: Any) -> None:
    """Have memory fetch the ``n`` bytes from ``first`` on after each address."""
    for line in range(0, n, LINE):
        prefetch(x_address + first + line)
        prefetch(y_address + first + line)


@inline
def _fill_terms(how, addresses, offset, n):
    # Loops from 0: one from the offset may have a negative index, for all that the compiler knows, and is not
    # vectorised.
    widest_vectors()
    kind, a, b = how
    precision = type(a)
    t = view(addresses[0] + offset, n, precision)
    x, y = view(addresses[1] + offset, n, precision), view(addresses[2] + offset, n, precision)
    if is_in_two_steps(kind):
        u, v = room(n, precision(0.0)), room(n, precision(0.0))
        for i in range(n):
            t[i], u[i], v[i] = begun_bin_term(kind, x[i], y[i], a, b)
        for i in range(n):
            t[i] = ended_bin_term(kind, x[i], y[i], a, b, (t[i], u[i], v[i]))
    else:
        for i in range(n):
            t[i] = bin_term(kind, x[i], y[i], a, b)


@inline
def odd_bins(kind: Any, seen: Any, total: Any, x: Any, y: Any, is_plain: Any) -> Any:
    """Nonzero where the fast loops can't take some of the bins (x, y).

    ``seen`` is nonzero if one of them, or of others, is too high or invalid, and for kinds that are not told by their
    sum also if one is too small. ``total`` is that of their terms, and ``is_plain`` unless weights are in it.
    """
    is_told = is_told_by_sum(kind, total) and is_plain and is_clear_sum(total)
    if seen == 0 and (is_told or not is_told_by_sum(kind, total)):
        return np.int64(0)
    return _odd_part_of(x, is_told) | _odd_part_of(y, is_told)


@inline
def odd_products(w: Any, total: Any) -> Any:
    """Nonzero where products of weights and terms, neither of them normalised, may have left the normal range."""
    return np.int64(len(w) > 0 and not is_clear_sum(abs(total)))


@inline
def is_moderate(scale: Any) -> Any:
    """True where a scale keeps every operand of the fast loops in the normal range; false for NaN."""
    _, _, largest, _ = constants(scale)
    return (scale <= largest) & (scale * largest >= type(scale)(1.0))
