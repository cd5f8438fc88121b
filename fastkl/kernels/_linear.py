"""Candidates of a fit whose divergences are linear in a few moments of the histogram: none is kept but the lowest."""

import numpy as np

from fastkl.kernels._candidates import cutoff_of
from fastkl.kernels._fits import largest, list_up_to, log_of_sum, smallest
from fastkl.kernels._jit import entry, inline

_BLOCK = 1024  # terms that are summed together
_PANEL = 512  # candidates whose factors stay in the first-level cache while all histograms go by
_LANES = 64
TOGETHER = 4 * _LANES  # candidates, of which there is a multiple


@entry
def log_totals(statistics, base, natural, totals):
    """Write the logarithms of the sums over points of exp(natural . statistics + base), for each candidate."""
    exponents, terms = np.empty(len(base)), np.empty(_BLOCK)
    for row in range(len(totals)):
        for j in range(len(exponents)):
            exponents[j] = base[j] + natural[0, row] * statistics[0, j]
        for s in range(1, len(statistics)):
            factor, statistic = natural[s, row], statistics[s]
            for j in range(len(exponents)):
                exponents[j] += factor * statistic[j]
        most = largest(exponents)
        totals[row] = log_of_sum(exponents, most, terms) if abs(most) < np.inf else np.nan


@entry
def find_lowest_linear(moments, known, factors, error, doubts, cutoffs, indices, counts):
    """As `find_lowest`, of the values known_i + addend_g + moments_i . factors_g for histograms i and candidates g.

    There are two moments; ``factors`` holds two rows for them, then the addends less what the value of each candidate
    may be too high by, and the addends with what it may be too low by. NaN counts as inf.
    """
    first, second, low, high = factors[0], factors[1], factors[2], factors[3]
    panels = -(-len(first) // _PANEL)
    least, lanes, panel = np.empty((len(moments), panels)), np.empty(_LANES), np.empty(_PANEL)
    for k in range(panels):
        part = slice(k * _PANEL, (k + 1) * _PANEL)
        for i in range(len(moments)):
            least[i, k] = _least(first[part], second[part], low[part], moments[i, 0], moments[i, 1], lanes)
    for i in range(len(moments)):
        a, b, known_i = moments[i, 0], moments[i, 1], known[i]
        cutoffs[i], count = -np.inf, 0
        if known_i + smallest(least[i], 0.0) < np.inf:
            # The lowest one is no higher than the highest that any one may be.
            lowest, best = np.inf, int(np.argmin(least[i]))
            for step in range(panels):
                k = (best + step) % panels
                if known_i + least[i, k] <= lowest:
                    part = slice(k * _PANEL, (k + 1) * _PANEL)
                    lowest = min(lowest, known_i + _least(first[part], second[part], high[part], a, b, lanes))
            cutoffs[i] = cutoff_of(lowest, error, doubts[i], 0.0, 0.0, np.inf)
            for k in range(panels):
                if known_i + least[i, k] <= cutoffs[i]:
                    start = k * _PANEL
                    x, y, z = first[start:], second[start:], low[start:]
                    values = panel[: min(_PANEL, len(x))]
                    for j in range(len(values)):
                        values[j] = known_i + ((z[j] + a * x[j]) + b * y[j])
                    count = list_up_to(values, start, cutoffs[i], indices[i], count)
        counts[i] = count


@inline
def _least(first, second, addend, a, b, lanes):
    lanes[:] = np.inf
    for start in range(0, len(first), TOGETHER):
        x, y, z = first[start : start + TOGETHER], second[start : start + TOGETHER], addend[start : start + TOGETHER]
        for j in range(_LANES):
            lowest = lanes[j]
            for k in (j, j + _LANES, j + 2 * _LANES, j + 3 * _LANES):
                value = (z[k] + a * x[k]) + b * y[k]
                lowest = value if value < lowest else lowest
            lanes[j] = lowest
    return smallest(lanes, 0.0)
