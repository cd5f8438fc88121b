"""Loops over rows and bins as people write them who use Numba: `math.log`, and a thread for each part of the rows."""

import math
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy.typing as npt

from fastkl._threads import for_each_chunk
from fastkl.bench.truth import ALPHA

_Array = npt.NDArray[Any]
Loop = Callable[..., None]  # of some rows of each operand, of what they share, and of the results of these rows


@cache
def compiled(loop: Loop) -> Loop:
    """The loop as machine code that runs without the GIL, for the types that it gets."""
    import numba

    code: Loop = numba.njit(nogil=True, error_model="numpy")(loop)  # q = 0 gives inf, not an error
    return code


def over_rows(loop: Loop, rows: tuple[_Array, ...], shared: tuple[_Array, ...], out: _Array, threads: int) -> _Array:
    """The results of all rows."""
    code, step = compiled(loop), -(-len(out) // threads)

    def work(k: int) -> None:
        part = slice(k * step, (k + 1) * step)
        code(*(array[part] for array in rows), *shared, out[part])

    for_each_chunk(work, -(-len(out) // step), threads)
    return out


def kl(p: _Array, q: _Array, out: _Array) -> None:
    """Of rows that sum to one."""
    for i in range(len(out)):
        total = 0.0
        for j in range(p.shape[1]):
            if p[i, j] > 0:
                total += p[i, j] * math.log(p[i, j] / q[i, j])
        out[i] = total


def kl_normalized(p: _Array, q: _Array, out: _Array) -> None:
    """Of rows of any total."""
    for i in range(len(out)):
        s, t, total = 0.0, 0.0, 0.0
        for j in range(p.shape[1]):
            s += p[i, j]
            t += q[i, j]
            if p[i, j] > 0:
                total += p[i, j] * math.log(p[i, j] / q[i, j])
        out[i] = total / s + math.log(t / s)


def js(p: _Array, q: _Array, out: _Array) -> None:
    """The Jensen-Shannon divergence."""
    for i in range(len(out)):
        s, t, total = p[i].sum(), q[i].sum(), 0.0
        for j in range(p.shape[1]):
            x, y = p[i, j] / s, q[i, j] / t
            middle = (x + y) / 2
            total += x * math.log(x / middle) + y * math.log(y / middle)
        out[i] = total / 2


def jeffreys(p: _Array, q: _Array, out: _Array) -> None:
    """The sum of both directions."""
    for i in range(len(out)):
        s, t, total = p[i].sum(), q[i].sum(), 0.0
        for j in range(p.shape[1]):
            x, y = p[i, j] / s, q[i, j] / t
            total += (x - y) * math.log(x / y)
        out[i] = total


def both(p: _Array, q: _Array, out: _Array) -> None:
    """Each direction, in a column of its own."""
    for i in range(len(out)):
        s, t, forward, backward = p[i].sum(), q[i].sum(), 0.0, 0.0
        for j in range(p.shape[1]):
            ratio = math.log(p[i, j] / q[i, j])
            forward += p[i, j] * ratio
            backward -= q[i, j] * ratio
        out[i, 0] = forward / s + math.log(t / s)
        out[i, 1] = backward / t + math.log(s / t)


def powers(p: _Array, q: _Array, out: _Array) -> None:
    """The sums of p^a q^(1 - a), from which come the Rényi and the alpha-divergences."""
    for i in range(len(out)):
        s, t, total = p[i].sum(), q[i].sum(), 0.0
        for j in range(p.shape[1]):
            y = q[i, j] / t
            total += y * (p[i, j] / s / y) ** ALPHA
        out[i] = total


def logits(p: _Array, q: _Array, out: _Array) -> None:
    """Of the softmax of both."""
    for i in range(len(out)):
        p_top, q_top, s, t, total = p[i].max(), q[i].max(), 0.0, 0.0, 0.0
        for j in range(p.shape[1]):
            x = math.exp(p[i, j] - p_top)
            s += x
            t += math.exp(q[i, j] - q_top)
            total += x * ((p[i, j] - p_top) - (q[i, j] - q_top))
        out[i] = total / s + math.log(t / s)


def sparse(starts: _Array, ends: _Array, values: _Array, places: _Array, q: _Array, out: _Array) -> None:
    """Of sparse rows, each some of the values, from one dense row."""
    t = q.sum()
    for i in range(len(out)):
        s, total = 0.0, 0.0
        for k in range(starts[i], ends[i]):
            s += values[k]
            total += values[k] * math.log(values[k] / q[places[k]])
        out[i] = total / s + math.log(t / s)


def pairs(p: _Array, q: _Array, out: _Array) -> None:
    """All pairs of rows that sum to one."""
    for i in range(len(p)):
        for k in range(len(q)):
            total = 0.0
            for j in range(p.shape[1]):
                if p[i, j] > 0:
                    total += p[i, j] * math.log(p[i, j] / q[k, j])
            out[i, k] = total


def pairs_js(p: _Array, q: _Array, out: _Array) -> None:
    """The Jensen-Shannon divergences of all pairs of rows that sum to one."""
    for i in range(len(p)):
        for k in range(len(q)):
            total = 0.0
            for j in range(p.shape[1]):
                x, y = p[i, j], q[k, j]
                total += x * math.log(2 * x / (x + y)) + y * math.log(2 * y / (x + y))
            out[i, k] = total / 2


def pairs_jeffreys(p: _Array, q: _Array, out: _Array) -> None:
    """The Jeffreys divergences of all pairs of rows that sum to one."""
    for i in range(len(p)):
        for k in range(len(q)):
            total = 0.0
            for j in range(p.shape[1]):
                total += (p[i, j] - q[k, j]) * math.log(p[i, j] / q[k, j])
            out[i, k] = total


def normal_masses(locs: _Array, scales: _Array, edges: _Array, out: _Array) -> None:
    """The masses of normal distributions between the edges."""
    for i in range(len(out)):
        below = math.erfc((locs[i] - edges[0]) / (scales[i] * math.sqrt(2))) / 2
        for j in range(len(edges) - 1):
            above = math.erfc((locs[i] - edges[j + 1]) / (scales[i] * math.sqrt(2))) / 2
            out[i, j] = above - below
            below = above
