"""Rows too short to fill vectors of their own: many at a time, as one run of bins.

Rows that follow each other in memory are read in place if they need no conversion, whatever their length: terms are
computed bin by bin, and only the totals (`_lanes.row_totals`) know where a row ends.
"""

import numpy as np

from fastkl.kernels._jit import apart, entry, inline
from fastkl.kernels._lanes import row_totals, spread
from fastkl.kernels._load import ADDRESS, ALONG_ROWS, BIN_STEP, CONVERTER, ROW_STEPS, load, row_address
from fastkl.kernels._logratio import constants, is_clear_sum, odd_bits
from fastkl.kernels._memory import call, keep, view
from fastkl.kernels._odd import is_moderate, look_at, odd_bins, odd_products
from fastkl.kernels._piece import MEMO, SMALL, job_of, layout_of, memory_for, scratch_in, shape_of
from fastkl.kernels._sum import fill_ahead, fill_scaled_ahead, weighed
from fastkl.kernels._terms import is_in_units_of_p, is_told_by_sum, no_scales, refine, scales
from fastkl.kernels._transpose import transpose

TILE_BINS = 64  # the most bins of a short row
_TILE = 1024  # bins of all rows of a tile


@entry
def tiles(kind, zero, p, q, w, shape, n, start, stop, normalize, pseudocount, factor, out, todo):
    """What `rows` does, for rows of at most `TILE_BINS` bins."""
    job = job_of(zero, p, q, w, shape, n, normalize, pseudocount)
    memory = memory_for(job, _TILE)
    scratch = scratch_in(memory, _TILE)
    row = start
    while row < stop:
        row = _tile(kind, job, scratch, row, stop, factor, out[row - start :], todo[row - start :])
    keep(memory)


@inline
def _tile(kind, job, scratch, row, stop, factor, out, todo):
    n, precision, innermost = job.n, type(job.zero), shape_of(job)[job.dimensions - 1]
    count = min(_TILE // max(n, 1), stop - row, innermost - row % innermost)
    size = n * count
    odd = view(scratch.odd, count, np.int64)
    odd[:] = 0
    weights = layout_of(job, job.w)
    w = view(scratch.weights, size if weights[ADDRESS] else 0, precision)
    if len(w):
        w = _read(job, job.w, row, count, scratch.weights, scratch.weight_memo, scratch.terms)
        _check(odd, w, n)
    x = _read(job, job.p, row, count, scratch.left.bins, scratch.left.memo, scratch.terms)
    y = _read(job, job.q, row, count, scratch.right.bins, scratch.right.memo, scratch.terms)
    following = min(row + count, stop - 1)
    x_ahead = row_address(layout_of(job, job.p), shape_of(job), following)
    y_ahead = row_address(layout_of(job, job.q), shape_of(job), following)
    if job.pseudocount > 0.0:
        x = _with_pseudocount(job, odd, x, scratch.left)
        y = _with_pseudocount(job, odd, y, scratch.right)
    t, total = view(scratch.terms, size, precision), view(scratch.total, count, precision)
    p_total, q_total = view(scratch.left.products, count, precision), view(scratch.right.products, count, precision)
    a, b = view(scratch.a, size, precision), view(scratch.b, size, precision)
    if job.normalize:
        _sum_bins(odd, p_total, x, w, t)
        _sum_bins(odd, q_total, y, w, t)
        are_low = _are_low(p_total) and _are_low(q_total) and len(w) == 0
        _spread_scales(kind, odd, p_total, q_total, total, a, b)
        seen = look_at(kind, x, y, are_low)
        fill_scaled_ahead(kind, t, x, y, a, b, x_ahead, y_ahead)
    else:
        seen = look_at(kind, x, y, False)
        own_a, own_b = no_scales(kind, job.zero)
        fill_ahead(kind, t, x, y, own_a, own_b, x_ahead, y_ahead)
    _weigh(t, w, t)
    _sum_rows(t, total)
    if job.normalize and len(w) == 0:
        _refine_rows(kind, t, total, x, y, p_total, view(scratch.a, 1, precision))
    _look_for_odd_bins(kind, odd, seen, total, x, y, len(w) == 0)
    if len(w) and not job.normalize:
        for r in range(count):
            odd[r] |= odd_products(w, total[r])
    if job.normalize and n == 1 and len(w) == 0:
        total[:] = 0  # a histogram of one bin is 1, whatever rounding makes of it; nobody asks for its power
    is_divided = job.normalize and is_in_units_of_p(kind)
    _finish(is_divided, total, p_total, odd, factor, out[:count], todo[:count])
    return row + count


@inline
def _read(job, operand, row, count, buffer_address, memo_address, spare):
    """The bins of ``count`` rows, one row after the other: in place, or in the buffer."""
    address = _address_of(job, operand, row, count, buffer_address, memo_address, spare)
    return view(address, job.n * count, type(job.zero))


@apart
def _address_of(job, operand, row, count, buffer_address, memo_address, spare):
    layout, n, precision = layout_of(job, operand), job.n, type(job.zero)
    address, converter = row_address(layout, shape_of(job), row), layout[CONVERTER]
    row_step = layout[ROW_STEPS + job.dimensions - 1]
    bin_step = layout[BIN_STEP] if n > 1 else row_step
    buffer = view(buffer_address, n * count, precision)
    if converter == 0 and (count == 1 or row_step == n * buffer.itemsize):
        return address
    memo = view(memo_address, MEMO, np.int64)
    if row_step == 0:
        # One row for all: the buffer has it from the last tile, unless pseudo-counts were added there.
        if memo[0] != address or memo[1] < count or job.pseudocount > 0.0:
            _copy(buffer[:n], load(converter, address, bin_step, n, buffer))
            _repeat(buffer, n)
            memo[0], memo[1] = address, count
    elif converter != 0 and row_step == n * bin_step:
        call(converter, (address, bin_step, n * count, buffer_address))
    elif layout[ALONG_ROWS]:
        transpose(address, bin_step, n, count, buffer, n)
    elif converter != 0 and abs(row_step) < abs(bin_step):
        for i in range(n):
            call(converter, (address + i * bin_step, row_step, count, spare + i * count * buffer.itemsize))
        transpose(spare, count * buffer.itemsize, n, count, buffer, n)
    else:
        for r in range(count):
            bins = buffer[r * n : (r + 1) * n]
            _copy(bins, load(converter, address + r * row_step, bin_step, n, bins))
    return np.int64(buffer_address)


@inline
def _weigh(products, w, x):
    # As many as there are weights.
    for i in range(len(w)):
        products[i] = weighed(w[i], x[i])


@inline
def _copy(to, values):
    for i in range(len(to)):
        to[i] = values[i]


@inline
def _repeat(buffer, n):
    # The first n items until the end.
    done = n
    while 0 < done < len(buffer):
        more = min(done, len(buffer) - done)
        _copy(buffer[done : done + more], buffer[:more])
        done += more


@inline
def _with_pseudocount(job, odd, x, side):
    _check(odd, x, job.n)
    sums = view(side.bins, len(x), type(job.zero))
    for i in range(len(x)):
        sums[i] = x[i] + type(job.zero)(job.pseudocount)
    return sums


@inline
def _sum_bins(odd, totals, x, w, products):
    if len(w):
        _weigh(products, w, x)
        _check(odd, products, len(x) // len(odd))
        _sum_rows(products, totals)
    else:
        _sum_rows(x, totals)


@inline
def _sum_rows(x, totals):
    addresses = x.ctypes.data, totals.ctypes.data
    _add_up_rows(totals.dtype.type(0), addresses, len(x) // len(totals), len(totals))


@apart
def _add_up_rows(zero, addresses, n, count):
    row_totals(addresses[0], n, count, view(addresses[1], count, type(zero)))


@inline
def _are_low(totals):
    # True where, negative ones apart, no bin of theirs is above HUGE or NaN.
    _, huge, _, _ = constants(totals.dtype.type(0))
    high = 0
    for r in range(len(totals)):
        high += 0 if totals[r] <= huge else 1
    return high == 0


@inline
def _spread_scales(kind, odd, p_total, q_total, scale, a, b):
    """Write the scales of each row to all its bins, and mark rows that have none; q_total and scale are lost."""
    for r in range(len(odd)):
        scale[r], q_total[r] = scales(kind, p_total[r], q_total[r])
        odd[r] = odd[r] if is_moderate(scale[r]) & is_moderate(q_total[r]) & (p_total[r] > 0) else 1
    n, count = len(b) // len(odd), len(odd)
    if not is_in_units_of_p(kind):
        spread(a.ctypes.data, n, count, scale)
    spread(b.ctypes.data, n, count, q_total)


@inline
def _check(odd, x, n):
    _find_odd_rows(x.dtype.type(0), (odd.ctypes.data, x.ctypes.data), n, len(odd))


@apart
def _find_odd_rows(zero, addresses, n, count):
    odd, x = view(addresses[0], count, np.int64), view(addresses[1], n * count, type(zero))
    seen = odd_bits(zero)
    for i in range(len(x)):
        seen = type(seen)(seen | odd_bits(x[i]))
    if seen == 0:
        return
    for r in range(count):
        for i in range(r * n, (r + 1) * n):
            odd[r] |= odd_bits(x[i])


@inline
def _look_for_odd_bins(kind, odd, seen, total, x, y, is_plain):
    unclear = 0
    if is_told_by_sum(kind, total.dtype.type(0)):
        for r in range(len(odd)):
            unclear += 0 if is_clear_sum(total[r]) and is_plain else 1
    if seen or unclear:
        n = len(x) // len(odd)
        for r in range(len(odd)):
            bins = slice(r * n, (r + 1) * n)
            odd[r] |= odd_bins(kind, seen, total[r], x[bins], y[bins], is_plain)


@inline
def _refine_rows(kind, t, total, x, y, p_total, refined):
    n = len(t) // len(total)
    for r in range(len(total)):
        first, last = r * n, (r + 1) * n
        if total[r] < SMALL * p_total[r] and refine(kind, t[first:last], x[first:last], y[first:last]):
            _sum_rows(t[first:last], refined)
            total[r] = refined[0]


@inline
def _finish(divide, total, p_total, odd, factor, out, todo):
    for r in range(len(odd)):
        value = np.float64(total[r]) / np.float64(p_total[r]) if divide else np.float64(total[r])
        is_done = (odd[r] == 0) & (todo[r] != 0) & ~np.isnan(total[r])
        out[r] = factor * value if is_done else out[r]
        todo[r] = 0 if is_done else todo[r]
