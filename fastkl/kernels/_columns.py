"""Rows that lie side by side in memory (axis=0, say): many at a time, one in each lane, no bin moved from its place.

A row is summed in the order in which `_lanes.scan` sums it, so that the result is the same to the bit.
"""

import numpy as np

from fastkl.kernels._jit import entry, inline
from fastkl.kernels._lanes import BYTES, VECTORS
from fastkl.kernels._load import ALONG_ROWS, BIN_STEP, CONVERTER, ROW_STEPS, row_address
from fastkl.kernels._logratio import odd_bits
from fastkl.kernels._memory import call, prefetch, unowned, view
from fastkl.kernels._piece import LINE, is_moderate
from fastkl.kernels._terms import bin_term, is_in_units_of_p, scales

# Items of one operand that are read together: they are read twice, the second time from the second-level cache.
_BLOCK = 32768
_LEAST_ROWS, _MOST_ROWS = 16, 128
# Bins on which memory is asked for, while a bin of all rows is added up.
_AHEAD = 6


@entry
def columns(kind, zero, p, q, shape, n, start, stop, normalize, factor, out, todo):
    """What `rows` does, without weights and pseudo-counts, for terms that are never refined."""
    precision = type(zero)
    most = max(_LEAST_ROWS, min(_MOST_ROWS, _BLOCK // n))
    blocks = np.empty((2, most * n if p[ALONG_ROWS] == 0 or q[ALONG_ROWS] == 0 else 1), precision)
    lanes = np.empty((2, VECTORS * BYTES // blocks.itemsize * most), precision)
    totals, odd = np.empty((5, most), precision), np.empty(most, np.int64)
    innermost = shape[len(shape) - 1]
    row = start
    while row < stop:
        count = min(most, stop - row, innermost - row % innermost)
        x, x_step = _open(unowned(p), unowned(shape), row, n, count, unowned(blocks[0]))
        y, y_step = _open(unowned(q), unowned(shape), row, n, count, unowned(blocks[1]))
        p_total, q_total, total = unowned(totals[0, :count]), unowned(totals[1, :count]), unowned(totals[2, :count])
        a, b = unowned(totals[3, :count]), unowned(totals[4, :count])
        size = VECTORS * BYTES // blocks.itemsize * count
        p_lanes, q_lanes = unowned(lanes[0])[:size], unowned(lanes[1])[:size]
        odd[:] = 0
        p_total[:] = 1
        a[:] = 1
        b[:] = 1
        if normalize:
            _sum_bins(p_lanes, p_total, q_lanes, q_total, x, x_step, y, y_step, n)
            for r in range(count):
                a[r], b[r] = scales(kind, p_total[r], q_total[r])
                odd[r] = np.int64(not (is_moderate(a[r]) & is_moderate(b[r])))
        if _sum_terms(kind, p_lanes, total, x, x_step, y, y_step, n, a, b):
            _find_odd_rows(unowned(odd[:count]), total, x, x_step, n)
            _find_odd_rows(unowned(odd[:count]), total, y, y_step, n)
        divide = normalize and is_in_units_of_p(kind)
        for r in range(count):
            if odd[r] == 0 and todo[row + r] and p_total[r] > 0:
                value = np.float64(total[r]) / np.float64(p_total[r]) if divide else np.float64(total[r])
                out[row + r] = factor * value
                todo[row + r] = 0
        row += count


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
    else:  # one row for all
        bins = view(address, n, block.dtype.type)
        for i in range(n):
            block[i * count : (i + 1) * count] = bins[i]
    return np.int64(block.ctypes.data), step


@inline
def _sum_bins(p_lanes, p_total, q_lanes, q_total, x_address, x_step, y_address, y_step, n):
    count = len(p_total)
    whole = n // _width(p_total) * _width(p_total)
    p_lanes[:] = 0
    q_lanes[:] = 0
    for i in range(n):
        x = view(x_address + i * x_step, count, p_total.dtype.type)
        y = view(y_address + i * y_step, count, p_total.dtype.type)
        _prefetch_bin(x_address + (i + _AHEAD) * x_step, y_address + (i + _AHEAD) * y_step, count * p_total.itemsize)
        if i == whole:
            _fold(p_lanes, p_total)
            _fold(q_lanes, q_total)
        _add(_lane(p_lanes, p_total, i, whole), x)
        _add(_lane(q_lanes, q_total, i, whole), y)
    if n == whole:
        _fold(p_lanes, p_total)
        _fold(q_lanes, q_total)


@inline
def _sum_terms(kind, lanes, total, x_address, x_step, y_address, y_step, n, a, b):
    # Returns whether any bin of any row is odd.
    count = len(total)
    whole = n // _width(total) * _width(total)
    lanes[:] = 0
    seen = odd_bits(total.dtype.type(1))
    for i in range(n):
        x = view(x_address + i * x_step, count, total.dtype.type)
        y = view(y_address + i * y_step, count, total.dtype.type)
        _prefetch_bin(x_address + (i + _AHEAD) * x_step, y_address + (i + _AHEAD) * y_step, count * total.itemsize)
        if i == whole:
            _fold(lanes, total)
        seen = type(seen)(seen | _add_terms(kind, _lane(lanes, total, i, whole), x, y, a, b))
    if n == whole:
        _fold(lanes, total)
    return seen != 0


@inline
def _prefetch_bin(x_address, y_address, size):
    for line in range(0, size, LINE):
        prefetch(x_address + line)
        prefetch(y_address + line)


@inline
def _find_odd_rows(odd, like, address, step, n):
    for i in range(n):
        x = view(address + i * step, len(odd), like.dtype.type)
        for r in range(len(odd)):
            odd[r] |= odd_bits(x[r])


@inline
def _width(total):
    return BYTES // total.itemsize


@inline
def _lane(lanes, total, i, whole):
    # What bin i is added to: the lane it has in `scan`, or what is left over for the total itself.
    if i >= whole:
        return total
    lane = i % (VECTORS * _width(total)) * len(total)
    return lanes[lane : lane + len(total)]


@inline
def _add(total, x):
    for r in range(len(total)):
        total[r] += x[r]


@inline
def _add_terms(kind, total, x, y, a, b):
    seen = odd_bits(total.dtype.type(1))
    for r in range(len(total)):
        seen = type(seen)(seen | odd_bits(x[r]) | odd_bits(y[r]))
        total[r] += bin_term(kind, x[r], y[r], a[r], b[r])
    return seen


@inline
def _fold(lanes, total):
    width, count = _width(total), len(total)
    block = width * count
    for k in range(block):
        lanes[k] = lanes[k] + lanes[block + k]
    while block > count:
        block //= 2
        _add(lanes[:block], lanes[block : 2 * block])
    for r in range(count):
        total[r] = lanes[r]
