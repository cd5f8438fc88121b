"""Rows that lie side by side in memory (axis=0, say): many at a time, one in each lane.

They are read in place if they need no conversion; one row that meets many is spread over a block. A row is summed in
the order that `_lanes` lays down, so that the result is the same to the bit.
"""

import numpy as np

from fastkl.kernels._jit import apart, entry, inline, widest_vectors
from fastkl.kernels._lanes import LANES_BYTES
from fastkl.kernels._load import ALONG_ROWS, BIN_STEP, CONVERTER, ROW_STEPS, row_address
from fastkl.kernels._logratio import constants, is_clear_sum, pattern
from fastkl.kernels._loops import for_each
from fastkl.kernels._memory import LINE, call, keep, prefetch_for_later, unowned, view
from fastkl.kernels._odd import also_seen, is_moderate, is_odd, odd_part
from fastkl.kernels._terms import bin_term, is_in_units_of_p, is_told_by_sum, scales

# Bytes of one operand that are read together: twice, the second time from the second-level cache, where as many of the
# next rows arrive meanwhile.
_BLOCK = 1 << 17
# The bytes of each bin among them: few enough for sixteen lanes in the first-level cache, or for as many as bins.
_LEAST_WIDTH, _MOST_WIDTH = 256, 512
_LANES = 1 << 15


@entry
def columns(kind, zero, p, q, shape, n, start, stop, normalize, factor, out, todo):
    """What `rows` does, without weights and pseudo-counts, for terms that are never refined."""
    precision = type(zero)
    most = _width(max(n, 1)) // view(p[0], 0, precision).itemsize
    blocks = np.empty((2, most * n if p[ALONG_ROWS] == 0 or q[ALONG_ROWS] == 0 else 1), precision)
    lanes = np.empty(LANES_BYTES // blocks.itemsize * most, precision)
    totals, odd = np.empty((5, most), precision), np.empty(most, np.int64)
    patterns = np.empty(most, type(pattern(zero)))
    innermost = shape[len(shape) - 1]
    row = start
    while row < stop:
        # As far as a boundary of cache lines, which then are nowhere split: 0.05 of 0.16 ns a bin for the totals.
        beyond = row_address(unowned(p), unowned(shape), row) % LINE // blocks.itemsize
        count = min(most - beyond, stop - row, innermost - row % innermost)
        x, x_step = _open(unowned(p), unowned(shape), row, n, count, unowned(blocks[0]))
        y, y_step = _open(unowned(q), unowned(shape), row, n, count, unowned(blocks[1]))
        p_total, q_total, total = unowned(totals[0]), unowned(totals[1]), unowned(totals[2, :count])
        a, b = unowned(totals[3, :count]), unowned(totals[4, :count])
        odd[:count] = 0
        p_total[:count] = 1
        a[:] = 1
        b[:] = 1
        seen = unowned(patterns)
        seen[:] = 0
        buffers = lanes.ctypes.data, len(lanes) // most, seen.ctypes.data
        if normalize:
            _sum_bins(zero, (*buffers, p_total.ctypes.data), x, x_step, n, count)
            _sum_bins(zero, (*buffers, q_total.ctypes.data), y, y_step, n, count)  # what was seen of p stays seen
            for r in range(count):
                a[r], b[r] = scales(kind, p_total[r], q_total[r])
                odd[r] = 0 if is_moderate(a[r]) & is_moderate(b[r]) & (p_total[r] > 0) else 1
        into, scales_of_rows = (*buffers, total.ctypes.data), (a.ctypes.data, b.ctypes.data)
        x_ahead = _distance(unowned(p), unowned(shape), row, min(row + count, stop - 1))
        y_ahead = _distance(unowned(q), unowned(shape), row, min(row + count, stop - 1))
        is_checked = normalize and is_told_by_sum(kind, zero)
        _sum_terms(kind, zero, into, (x, x_step, x_ahead, y, y_step, y_ahead), n, count, scales_of_rows, is_checked)
        if _is_any_odd(kind, seen, total):
            is_told = is_told_by_sum(kind, zero)
            _find_odd_rows(unowned(odd[:count]), total, x, x_step, n, is_told)
            _find_odd_rows(unowned(odd[:count]), total, y, y_step, n, is_told)
        divide = normalize and is_in_units_of_p(kind)
        for r in range(count):
            if odd[r] == 0 and todo[row - start + r] and not np.isnan(total[r]):
                value = np.float64(total[r]) / np.float64(p_total[r]) if divide else np.float64(total[r])
                out[row - start + r] = factor * value
                todo[row - start + r] = 0
        row += count
    keep((blocks, lanes, totals, odd, patterns))


@inline
def _width(n):
    return max(_LEAST_WIDTH, min(_BLOCK // n, max(_MOST_WIDTH, _LANES // n))) // LINE * LINE


@inline
def _open(operand, shape, row, n, count, block):
    # The address of the first bin of the first row, and the bytes to the next bin of it: in place or in the block.
    address = row_address(operand, shape, row)
    if operand[ALONG_ROWS]:
        return address, operand[BIN_STEP]
    row_step, step = operand[ROW_STEPS + len(shape) - 1], count * block.itemsize
    if operand[CONVERTER]:
        for i in range(n):
            to = block.ctypes.data + i * step
            call(operand[CONVERTER], (address + i * operand[BIN_STEP], row_step, count, to))
    else:  # one row for all: the bins of more rows would not be contiguous
        bins = view(address, n, block.dtype.type)
        for i in range(n):
            block[i * count : (i + 1) * count] = bins[i]
    return np.int64(block.ctypes.data), step


@inline
def _distance(operand, shape, row, following):
    # In bytes, of rows that are read in place.
    return row_address(operand, shape, following) - row_address(operand, shape, row) if operand[ALONG_ROWS] else 0


@apart
def _sum_bins(zero, into, address, step, n, count):
    # Writes the total of each row, and all bits to what is seen of it where `scan_for_high` would see something. Each
    # bin of the rows is met once, lane after lane: they lie far apart, and the processor knows few pages at a time.
    widest_vectors()
    lanes_address, rounds, seen_address, total_address = into
    precision = type(zero)
    total, lanes = view(total_address, count, precision), view(lanes_address, rounds * count, precision)
    seen = view(seen_address, count, type(pattern(zero)))
    lanes[:] = 0
    stride = rounds * step  # bytes from one bin of a lane to the next
    for lane in range(min(rounds, n)):
        sums, bins = lanes[lane * count : (lane + 1) * count], (n - lane + rounds - 1) // rounds
        first, of_fours = address + lane * step, bins // 4 * 4
        for i in range(0, of_fours, 4):
            at = first + i * stride
            u, v = view(at, count, precision), view(at + stride, count, precision)
            x, y = view(at + 2 * stride, count, precision), view(at + 3 * stride, count, precision)
            for_each(_add_four, None, (sums, seen), (u, v, x, y))
        for i in range(of_fours, bins):
            for_each(_add_one, None, (sums, seen), (view(first + i * stride, count, precision),))
    _fold(lanes, total)
    _, huge, _, _ = constants(zero)
    for r in range(count):
        is_seen = (seen[r] >= pattern(-zero)) | (not total[r] <= huge)
        seen[r] = ~pattern(zero) if is_seen else pattern(zero)


@inline
def _add_four(how, total, seen, u, v, x, y):
    bits = (pattern(u) | pattern(v)) | (pattern(x) | pattern(y))
    return (((total + u) + v) + x) + y, type(seen)(seen | bits)


@inline
def _add_one(how, total, seen, x):
    return total + x, type(seen)(seen | pattern(x))


@inline
def _fold(lanes, total):
    # In halves, as `_lanes` has it.
    left, count = len(lanes), len(total)
    while left > count:
        left //= 2
        _add(lanes[:left], lanes[left : 2 * left])
    for r in range(count):
        total[r] = lanes[r]


@apart
def _sum_terms(kind, zero, into, bins, n, count, scales, is_checked):
    # Writes the sums of the terms of each row, and what is seen of its bins unless they are checked; memory fetches the
    # next rows meanwhile.
    widest_vectors()
    lanes_address, rounds, seen_address, total_address = into
    x_address, x_step, x_ahead, y_address, y_step, y_ahead = bins
    precision = type(zero)
    total, lanes = view(total_address, count, precision), view(lanes_address, rounds * count, precision)
    seen = view(seen_address, count, type(pattern(zero)))
    a, b = view(scales[0], count, precision), view(scales[1], count, precision)
    left = len(lanes)
    while left >= 2 * n * count and left > count:  # no bin comes to the lanes of the second half
        left //= 2
    lanes[:left] = 0
    if not is_checked:
        seen[:] = 0
    for i in range(n):
        x_bin, y_bin = x_address + i * x_step, y_address + i * y_step
        # The lines that begin in the next block: the one before them belongs to this one too, mostly, and is there.
        for line in range(LINE - 1, LINE - 1 + count * total.itemsize, LINE):
            prefetch_for_later(x_bin + x_ahead + line)
            prefetch_for_later(y_bin + y_ahead + line)
        lane = i * count % len(lanes)
        x, y = view(x_bin, count, precision), view(y_bin, count, precision)
        sums = lanes[lane : lane + count]
        if is_checked:
            for_each(_add_term, kind, (sums,), (x, y, a, b))
        else:
            for_each(_add_and_look, kind, (sums, seen), (x, y, a, b))
    _fold(lanes[:left], total)


@inline
def _add_term(kind, total, x, y, a, b):
    return (total + bin_term(kind, x, y, a, b),)


@inline
def _add_and_look(kind, total, seen, x, y, a, b):
    return total + bin_term(kind, x, y, a, b), also_seen(kind, seen, x, y)


@inline
def _is_any_odd(kind, seen, total):
    for r in range(len(total)):
        if is_odd(kind, seen[r], total[r], False) or (is_told_by_sum(kind, total[r]) and not is_clear_sum(total[r])):
            return True
    return False


@inline
def _add(total, x):
    for r in range(len(total)):
        total[r] += x[r]


@inline
def _find_odd_rows(odd, total, address, step, n, is_told):
    # As `odd_bins` does, so that whether rows lie side by side or not makes no difference.
    for i in range(n):
        x = view(address + i * step, len(odd), total.dtype.type)
        for r in range(len(odd)):
            odd[r] |= odd_part(x[r], is_told and is_clear_sum(total[r]))
