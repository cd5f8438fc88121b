"""Rows that lie side by side in memory (axis=0, say): many at a time, one in each lane.

They are read in place if they need no conversion; one row that meets many is spread over a block. A row is summed in
the order that `_lanes` lays down, so that the result is the same to the bit.

Terms take the totals of their rows, so all bins are read twice, and more of them than the first-level cache holds lie
between. The totals of a block are added up in the loop over the terms of the block before, where that has as many rows,
which then waits neither for memory nor for the second-level cache: 200,000 columns of 256 bins take 0.75 to 0.95 of
what two loops take.
"""

from typing import NamedTuple

import numpy as np

from fastkl.kernels._jit import apart, entry, inline, never_inlined, widest_vectors
from fastkl.kernels._lanes import LANES_BYTES
from fastkl.kernels._load import ALONG_ROWS, BIN_STEP, CONVERTER, ROW_STEPS, row_address
from fastkl.kernels._logratio import constants, is_clear_sum, pattern
from fastkl.kernels._loops import for_each
from fastkl.kernels._memory import LINE, call, keep, prefetch, unowned, view
from fastkl.kernels._odd import also_seen, is_moderate, is_odd, odd_part
from fastkl.kernels._terms import bin_term, is_in_units_of_p, is_told_by_sum, no_scales, scales

# Bytes of one operand in a block, twice as many of long rows: two blocks of both wait in the second-level cache.
_BLOCK = 1 << 17
# The bytes of each bin among them: few enough for sixteen lanes in the first-level cache, or for as many as bins.
_LEAST_WIDTH, _MOST_WIDTH = 256, 512
_LANES = 1 << 13
_AHEAD = 1 << 12  # bytes of an operand that memory is ahead
_MANY = 8  # of more blocks than that side by side each begins with a cache line of p

# What is kept of each row of a block, in the lines of a table; the totals of the next block have two of their own.
_A, _B, _SUM, _SEEN, _TOTALS, _OTHER_TOTALS, _LINES = 0, 1, 2, 3, 4, 6, 8


class _Block(NamedTuple):
    """Rows: the first, how many; for each operand the first bin, bytes to the next and from it to the block after."""

    first: int
    rows: int
    x: int
    x_step: int
    x_ahead: int
    y: int
    y_step: int
    y_ahead: int


class _Table(NamedTuple):
    """Where it is, the bytes of a line, and the line of the totals of a block; where there are lanes to add up in."""

    address: int | np.int64
    step: int
    totals: int | np.int64
    lanes: int | np.int64


@entry
def columns(kind, zero, p, q, shape, n, start, stop, normalize, factor, out, todo):
    """What `rows` does, without weights and pseudo-counts, for terms that are never refined."""
    precision, operands = type(zero), (unowned(p), unowned(q), unowned(shape))
    size = view(p[0], 0, precision).itemsize
    most = _width(max(n, 1)) // size
    copies = np.empty((2, 1 if p[ALONG_ROWS] and q[ALONG_ROWS] else 2 * most * n), precision)
    lanes, odd = np.empty((3, LANES_BYTES // size * most), precision), np.empty(most, np.int64)
    lines = np.empty((_LINES, most), precision)
    table = _Table(np.int64(lines.ctypes.data), most * size, np.int64(_TOTALS), np.int64(lanes.ctypes.data))
    block, is_last = _Block(start, 0, 0, 0, 0, 0, 0, 0), start == stop
    while not is_last:
        following, count = _open(operands, block, start, stop, n, most, copies), block.rows
        next_table = _Table(table.address, table.step, _TOTALS + _OTHER_TOTALS - table.totals, table.lanes)
        _line(table, _SEEN, count, type(pattern(zero)))[:] = 0
        _scale(kind, zero, table, unowned(odd[:count]), normalize)
        if normalize and following.rows == count:
            _add_up_terms_and_bins(kind, zero, n, block, following, next_table)
        else:
            if count > 0:
                _add_up_terms(kind, zero, n, block, table)
            if normalize and following.rows > 0:
                _add_up_bins(zero, n, following, next_table)
        total, p_total = _line(table, _SUM, count, precision), _line(table, table.totals, count, precision)
        if _is_any_odd(kind, zero, count, table, normalize):
            is_told = is_told_by_sum(kind, zero)
            for address, step in ((block.x, block.x_step), (block.y, block.y_step)):
                _find_odd_rows(unowned(odd[:count]), total, address, step, n, is_told)
        divide, first = normalize and is_in_units_of_p(kind), block.first - start
        for r in range(count):
            if odd[r] == 0 and todo[first + r] and not np.isnan(total[r]):
                value = np.float64(total[r]) / np.float64(p_total[r]) if divide else np.float64(total[r])
                out[first + r] = factor * value
                todo[first + r] = 0
        block, table, is_last = following, next_table, following.rows == 0
    keep((copies, lanes, lines, odd))


@inline
def _width(n):
    return max(_LEAST_WIDTH, min(_BLOCK // n, max(_MOST_WIDTH, _LANES // n))) // LINE * LINE


@inline
def _open(operands, before, start, stop, n, most, copies):
    # The block after another, of no rows behind the last. Neighbours are shared out evenly, in whole vectors, among
    # blocks, which for that may begin with the last rows of the block before, or to begin with a cache line.
    (p, q, shape), row = operands, before.first + before.rows
    if row == stop:
        return _Block(row, 0, before.x, before.x_step, 0, before.y, before.y_step, 0)  # nothing is read there
    innermost, vector = shape[len(shape) - 1], LINE // copies.itemsize
    begin, end = max(start, row - row % innermost), min(stop, row - row % innermost + innermost)
    blocks = max(1, -(-(end - begin) // most))
    count = min(-(-(end - begin) // (blocks * vector)) * vector, end - begin)
    is_aligned = blocks > _MANY and p[ALONG_ROWS] and p[BIN_STEP] % LINE == 0
    beyond = row_address(p, shape, row) % LINE // copies.itemsize if is_aligned else 0
    first = max(begin, min(row - beyond, end - count))
    after = min(first + count, stop - 1)
    x, x_step = _bins(p, shape, first, n, count, unowned(copies[0]), before.first, before.x, before.x_step)
    y, y_step = _bins(q, shape, first, n, count, unowned(copies[1]), before.first, before.y, before.y_step)
    x_ahead, y_ahead = _distance(p, shape, first, after), _distance(q, shape, first, after)
    return _Block(first, count, x, x_step, x_ahead, y, y_step, y_ahead)


@inline
def _bins(operand, shape, row, n, count, copies, before, address_before, step_before):
    # The address of the first bin of the first row, and the bytes to the next bin of it: in place, in the copy that the
    # block before uses, if it is one of the same row for all, or in the other.
    address = row_address(operand, shape, row)
    if operand[ALONG_ROWS]:
        return address, operand[BIN_STEP]
    size = len(copies) // 2
    copy = unowned(copies[:size])
    if copy.ctypes.data == address_before:
        copy = unowned(copies[size:])
    to, most, row_step = np.int64(copy.ctypes.data), size // n, operand[ROW_STEPS + len(shape) - 1]
    step = most * copy.itemsize
    if operand[CONVERTER]:
        first, ahead = LINE - 1 if row_step < LINE else 0, _bins_ahead(row_step * count) * operand[BIN_STEP]
        for i in range(n):
            items = address + i * operand[BIN_STEP]
            for item in range(first, first + row_step * count, max(row_step, LINE)):
                prefetch(items + ahead + item)
            call(operand[CONVERTER], (items, row_step, count, to + i * step))
    elif address_before and address == row_address(operand, shape, before):
        return address_before, step_before
    else:  # one row for all: the bins of more rows would not be contiguous
        bins = view(address, n, copy.dtype.type)
        for i in range(n):
            copy[i * most : (i + 1) * most] = bins[i]
    return to, step


@inline
def _distance(operand, shape, row, following):
    # In bytes, of rows that are read in place.
    return row_address(operand, shape, following) - row_address(operand, shape, row) if operand[ALONG_ROWS] else 0


@inline
def _bins_ahead(width):
    return max(1, _AHEAD // max(1, width))


@inline
def _ahead(block, i, n, width):
    # Where the bins lie that are read a little later, of the block after in the end; of their lines those that begin
    # among them: the one before holds bins of the block before too, mostly, and is there.
    later = i + min(_bins_ahead(width), n)
    x, y = block.x + LINE - 1, block.y + LINE - 1
    if later >= n:
        x, y, later = x + block.x_ahead, y + block.y_ahead, later - n
    return x + later * block.x_step, y + later * block.y_step


@inline
def _line(table, k, count, dtype):
    return view(table.address + k * table.step, count, dtype)


@inline
def _scale(kind, zero, table, odd, normalize):
    # Of rows whose scales the fast loops can't take odd becomes 1.
    count, precision = len(odd), type(zero)
    a, b = _line(table, _A, count, precision), _line(table, _B, count, precision)
    p_total, q_total = _line(table, table.totals, count, precision), _line(table, table.totals + 1, count, precision)
    for r in range(count):
        a[r], b[r] = scales(kind, p_total[r], q_total[r]) if normalize else no_scales(kind, zero)
        odd[r] = 1 if normalize and not (is_moderate(a[r]) & is_moderate(b[r]) & (p_total[r] > 0)) else 0


@apart
def _add_up_terms(kind, zero, n, block, table):
    # Writes the sums of the terms of a block's rows, and what is seen of their bins.
    never_inlined()
    widest_vectors()
    count, precision = block.rows, type(zero)
    a, b = _line(table, _A, count, precision), _line(table, _B, count, precision)
    seen, lanes = _line(table, _SEEN, count, type(pattern(zero))), _cleared_lanes(zero, n, count, table, 0)
    for i in range(n):
        x, y = _bin(block.x, block.x_step, i, count, precision), _bin(block.y, block.y_step, i, count, precision)
        ahead = _ahead(block, i, n, count * lanes.itemsize)
        for_each(_add_term, kind, (_lane(lanes, i, count), seen), (x, y, a, b), ahead)
    _fold(lanes, _line(table, _SUM, count, precision))


@apart
def _add_up_bins(zero, n, block, table):
    # Writes the totals of a block's rows.
    never_inlined()
    widest_vectors()
    count, precision = block.rows, type(zero)
    p_lanes, q_lanes = _cleared_lanes(zero, n, count, table, 1), _cleared_lanes(zero, n, count, table, 2)
    for i in range(n):
        x, y = _bin(block.x, block.x_step, i, count, precision), _bin(block.y, block.y_step, i, count, precision)
        ahead = _ahead(block, i, n, count * p_lanes.itemsize)
        for_each(_add_bin, None, (_lane(p_lanes, i, count), _lane(q_lanes, i, count)), (x, y), ahead)
    _fold(p_lanes, _line(table, table.totals, count, precision))
    _fold(q_lanes, _line(table, table.totals + 1, count, precision))


@apart
def _add_up_terms_and_bins(kind, zero, n, block, following, table):
    # Does the one for a block and the other for that of as many rows that follows.
    never_inlined()
    widest_vectors()
    count, precision = block.rows, type(zero)
    a, b = _line(table, _A, count, precision), _line(table, _B, count, precision)
    seen, lanes = _line(table, _SEEN, count, type(pattern(zero))), _cleared_lanes(zero, n, count, table, 0)
    p_lanes, q_lanes = _cleared_lanes(zero, n, count, table, 1), _cleared_lanes(zero, n, count, table, 2)
    for i in range(n):
        x, y = _bin(block.x, block.x_step, i, count, precision), _bin(block.y, block.y_step, i, count, precision)
        u = _bin(following.x, following.x_step, i, count, precision)
        v = _bin(following.y, following.y_step, i, count, precision)
        totals = _lane(lanes, i, count), seen, _lane(p_lanes, i, count), _lane(q_lanes, i, count)
        ahead = _ahead(following, i, n, count * lanes.itemsize)
        for_each(_add_term_and_bin, kind, totals, (x, y, a, b, u, v), ahead)
    _fold(lanes, _line(table, _SUM, count, precision))
    _fold(p_lanes, _line(table, table.totals, count, precision))
    _fold(q_lanes, _line(table, table.totals + 1, count, precision))


@inline
def _add_term(kind, total, seen, x, y, a, b):
    return total + bin_term(kind, x, y, a, b), also_seen(kind, seen, x, y)


@inline
def _add_bin(how, p_total, q_total, x, y):
    return p_total + x, q_total + y


@inline
def _add_term_and_bin(kind, total, seen, p_total, q_total, x, y, a, b, u, v):
    total, seen = _add_term(kind, total, seen, x, y, a, b)
    return total, seen, p_total + u, q_total + v


@inline
def _bin(address, step, i, count, precision):
    return view(address + i * step, count, precision)


@inline
def _cleared_lanes(zero, n, count, table, k):
    # As many as there are bins for, each of so many rows.
    size = view(table.lanes, 0, type(zero)).itemsize
    rounds = LANES_BYTES // size
    while rounds >= 2 * n and rounds > 1:
        rounds //= 2
    lanes = view(table.lanes + k * rounds * count * size, rounds * count, type(zero))
    lanes[:] = 0
    return lanes


@inline
def _lane(lanes, i, count):
    first = i % (len(lanes) // count) * count
    return view(lanes.ctypes.data + first * lanes.itemsize, count, lanes.dtype.type)


@inline
def _fold(lanes, total):
    _fold_lanes(total.dtype.type(0), lanes.ctypes.data, len(lanes), total.ctypes.data, len(total))


@apart
def _fold_lanes(zero, lanes_address, left, total_address, count):
    # In halves, as `_lanes` has it.
    never_inlined()
    widest_vectors()
    lanes, total = view(lanes_address, left, type(zero)), view(total_address, count, type(zero))
    while left > count:
        left //= 2
        _add(lanes[:left], lanes[left : 2 * left])
    for r in range(count):
        total[r] = lanes[r]


@inline
def _add(total, x):
    for r in range(len(total)):
        total[r] += x[r]


@inline
def _is_any_odd(kind, zero, count, table, normalize):
    precision = type(zero)
    seen, total = _line(table, _SEEN, count, type(pattern(zero))), _line(table, _SUM, count, precision)
    p_total, q_total = _line(table, table.totals, count, precision), _line(table, table.totals + 1, count, precision)
    _, huge, _, _ = constants(zero)
    for r in range(count):
        are_low = normalize & (p_total[r] <= huge) & (q_total[r] <= huge)
        if is_odd(kind, seen[r], zero, are_low) or (is_told_by_sum(kind, zero) and not is_clear_sum(total[r])):
            return True
    return False


@inline
def _find_odd_rows(odd, total, address, step, n, is_told):
    # As `odd_bins` does, so that whether rows lie side by side or not makes no difference.
    for i in range(n):
        x = view(address + i * step, len(odd), total.dtype.type)
        for r in range(len(odd)):
            odd[r] |= odd_part(x[r], is_told and is_clear_sum(total[r]))
