"""The smallest divergences of each row, gathered tile by tile, as long as they are not yet known exactly."""

import numpy as np

from fastkl.kernels._jit import entry, inline

_STEP = 64  # columns that are looked at together


@entry
def take(tile, first, values, indices, counts, cutoffs):
    """Add to the candidates of each row the finite divergences of its tile that are not above its cutoff.

    There is room for all of them. ``first`` is the index of the tile's first column.
    """
    for i in range(len(tile)):
        row, cutoff, count = tile[i], cutoffs[i], counts[i]
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
def make_room(values, indices, counts, cutoffs, k, limit, error, doubts, rounding, is_crowded):
    """Drop candidates that can't be among the k nearest of rows with more than ``limit`` of them.

    Each value d stands for a divergence D within error (2 D + doubt), and divergences are rounded by as much as
    ``rounding`` before they are compared. Rows that keep more than ``limit`` are marked.
    """
    for i in range(len(counts)):
        count = counts[i]
        if count > limit:
            cutoff = min(cutoffs[i], _cutoff(np.partition(values[i, :count], k - 1)[k - 1], error, doubts[i], rounding))
            kept = 0
            for c in range(count):
                if values[i, c] <= cutoff:
                    values[i, kept], indices[i, kept] = values[i, c], indices[i, c]
                    kept += 1
            counts[i], cutoffs[i] = kept, cutoff
            is_crowded[i] = kept > limit


@inline
def _cutoff(value, error, doubt, rounding):
    # Above it d stands for more than ``value`` does, which may be negative, and both are not equal when rounded.
    most = value + error * (2.0 * abs(value) + doubt) / (1.0 - 2.0 * error)
    most += 4.0 * rounding * abs(most)
    return most + error * (2.0 * abs(most) + doubt) / (1.0 - 2.0 * error)
