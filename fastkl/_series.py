"""Divergences of discrete distributions as sums of a term that is never negative."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from fastkl._distributions import Discrete
from fastkl._quadrature import term

_Array = npt.NDArray[Any]
_TOGETHER = 1 << 16  # terms of a sum
_MOST_TERMS = 1 << 22


def series(p: Discrete, q: Discrete, rtol: float) -> tuple[float, float]:
    """(D(P || Q), about what was left out)."""
    if p.points is not None:
        return _over_points(p, q, p.points)
    a, b = p.support
    if a < q.support[0] or b > q.support[1]:
        return math.inf, 0.0
    first, last = p.middle()
    _check_number(last - first)
    starts = range(first, last + 1, _TOGETHER)
    total = math.fsum(_sum(p, q, start, min(start + _TOGETHER, last + 1)) for start in starts)
    doubt, reached = 0.0, [first, last]
    for side, end in ((0, a), (1, b)):
        step = max(_TOGETHER // 64, last + 1 - first)
        while reached[side] != end and math.isfinite(total):
            _check_number(reached[1] - reached[0] + step, total)
            if side == 0:
                start, stop = int(max(end, reached[0] - step)), int(reached[0])
                reached[0] = start
            else:
                start, stop = int(reached[1]) + 1, int(min(end, reached[1] + step)) + 1
                reached[1] = stop - 1
            more = _sum(p, q, start, stop)
            total, step = total + more, 2 * step
            if more <= 0.1 * rtol * total or more < 1e-300:  # blocks double, and what follows is less
                doubt += more
                break
    # The terms - p + q of what is left.
    rest = q.mass_outside(reached[0], reached[1]) - p.mass_outside(reached[0], reached[1])
    return total + max(0.0, rest), doubt


def _check_number(terms: float, total: float | None = None) -> None:
    if terms > _MOST_TERMS:
        reached = "" if total is None else f": {total:g} so far"
        raise ArithmeticError(
            f"the sum does not converge within {_MOST_TERMS:,} terms{reached}; pass a larger rtol if that helps"
        )


def _over_points(p: Discrete, q: Discrete, points: _Array) -> tuple[float, float]:
    with np.errstate(all="ignore"):
        log_p, log_q = p.log_mass(points), q.log_mass(points)
    total = math.fsum(term(log_p, log_q).tolist())
    if q.points is not None:
        others = q.points[~np.isin(q.points, points)]
        return total + math.fsum(np.exp(q.log_mass(others)).tolist()), 0.0
    return total + max(0.0, 1.0 - math.fsum(np.exp(log_q).tolist())), 0.0


def _sum(p: Discrete, q: Discrete, start: int, stop: int) -> float:
    k = p.origin + np.arange(start, stop)
    with np.errstate(all="ignore"):
        return math.fsum(term(p.log_mass(k), q.log_mass(k)).tolist())
