"""The smallest divergences of each row, gathered tile by tile, as long as they are not yet known exactly."""

import numpy as np

from fastkl.kernels._jit import entry, inline

_STEP = 64  # columns that are looked at together


@entry
def take(tile, first, values, indices, counts, thresholds, error, doubts, rounding, least, most):
    """Add to the candidates of each row the finite divergences of its tile that may be among the k nearest.

    There is room for all of them. ``first`` is the index of the tile's first column, and the rest as in `make_room`.
    """
    for i in range(len(tile)):
        row, count = tile[i], counts[i]
        cutoff = cutoff_of(thresholds[i], error, doubts[i], rounding, least, most)
        for start in range(0, len(row), _STEP):
            part = row[start : start + _STEP]
            found = 0
            for j in range(len(part)):
                found += (part[j] <= cutoff) & (part[j] < np.inf)
            if found > 0:
                for j in range(len(part)):
                    if part[j] <= cutoff and part[j] < np.inf:
                        values[i, count], indices[i, count] = part[j], first + start + j
                        count += 1
        counts[i] = count


@entry
def make_room(values, indices, counts, thresholds, k, limit, error, doubts, rounding, least, most, is_crowded):
    """Drop candidates that can't be among the k nearest of rows with more than ``limit`` of them.

    Each value d stands for a divergence D within error (2 D + doubt). Divergences are rounded before they are compared:
    by ``rounding`` of them, or ``least``, and to infinity beyond ``most``. ``thresholds`` are the k-th smallest values
    that were met; what they leave grows with the doubts. Rows that keep more than ``limit`` are marked.
    """
    for i in range(len(counts)):
        count = counts[i]
        if count > limit:
            thresholds[i] = min(thresholds[i], np.partition(values[i, :count], k - 1)[k - 1])
            cutoff = cutoff_of(thresholds[i], error, doubts[i], rounding, least, most)
            kept = 0
            for c in range(count):
                if values[i, c] <= cutoff:
                    values[i, kept], indices[i, kept] = values[i, c], indices[i, c]
                    kept += 1
            counts[i] = kept
            is_crowded[i] = kept > limit


@inline
def cutoff_of(value, error, doubt, rounding, least, most):
    # Above it d stands for more than ``value`` does, which may be negative, and both are not equal when rounded.
    if value == np.inf or doubt == np.inf:
        return np.inf
    value = max(value, -most)
    limit = value + error * (2.0 * abs(value) + doubt) / (1.0 - 2.0 * error)
    limit += 4.0 * rounding * abs(limit) + least
    return limit + error * (2.0 * abs(limit) + doubt) / (1.0 - 2.0 * error)
