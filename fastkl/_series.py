"""Divergences of discrete distributions as sums of a term that is never negative."""

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fastkl._distributions import MOST_TERMS, Discrete
from fastkl._quadrature import term

_Array = npt.NDArray[Any]
_TOGETHER = 1 << 16  # terms of a sum
_EPS = float(np.finfo(float).eps)
_LEAST = 1e-15  # absolute error


class _Sum(NamedTuple):
    """Of some points: the terms, the masses of p and q, and the errors of both in the mean, from rounded logarithms."""

    terms: float = 0.0
    p: float = 0.0
    q: float = 0.0
    p_noise: float = 0.0
    q_noise: float = 0.0

    def plus(self, other: "_Sum") -> "_Sum":
        return _Sum(*(math.fsum(pair) for pair in zip(self, other, strict=True)))


def series(p: Discrete, q: Discrete, rtol: float) -> tuple[float, float]:
    """(D(P || Q), estimated error)."""
    if p.points is not None:
        return _over_points(p, q, p.points)
    a, b = p.support
    if a < q.support[0] or b > q.support[1]:
        return math.inf, 0.0
    first, last = p.middle()
    _check_number(last - first)
    total = _Sum()
    for start in range(first, last + 1, _TOGETHER):
        total = total.plus(_sum(p, q, _lattice(p, start, min(start + _TOGETHER, last + 1))))
    doubt, reached = 0.0, [first, last]
    for side, end in ((0, a), (1, b)):
        step = max(_TOGETHER // 64, last + 1 - first)
        while reached[side] != end:
            _check_number(reached[1] - reached[0] + step, total.terms)
            if side == 0:
                start, stop = int(max(end, reached[0] - step)), int(reached[0])
                reached[0] = start
            else:
                start, stop = int(reached[1]) + 1, int(min(end, reached[1] + step)) + 1
                reached[1] = stop - 1
            more = _sum(p, q, _lattice(p, start, stop))
            total, step = total.plus(more), 2 * step
            if more.terms <= 0.1 * rtol * total.terms or more.terms < 1e-300:  # blocks double, and what follows is less
                doubt += more.terms
                break
    (p_rest, p_noise), (q_rest, q_noise) = _rest(p, total.p, reached), _rest(q, total.q, reached)
    value = total.terms + max(0.0, q_rest - p_rest)  # the terms - p + q of what is left
    error = doubt + _error_of(value, total.p_noise + p_noise, total.q_noise + q_noise)
    if error > max(rtol * value, _LEAST):
        reached_error = f"{value:g}, with an error of {error:.1g}"
        raise ArithmeticError(f"the sum is {reached_error}: SciPy's masses have no more digits; pass a larger rtol")
    return value, error


def _rest(side: Discrete, mass: float, reached: list[int]) -> tuple[float, float]:
    """The mass beyond what was summed, and twice by how much all of it is not 1: single masses are as wrong."""
    rest = side.mass_outside(*reached)
    if rest is None:
        return max(0.0, 1.0 - mass), 0.0
    return rest, 2.0 * abs(mass + rest - 1.0)


def _error_of(value: float, p_noise: float, q_noise: float) -> float:
    """The error of a divergence of masses that have relative errors of about so much.

    Those of p count as much as sum p |log(p / q)|, those of q as sum |p - q|: Pinsker's inequality bounds both.
    """
    apart = math.sqrt(2.0 * value)
    return p_noise * (value + apart) + q_noise * min(apart, 2.0) + (p_noise + q_noise) ** 2


def _check_number(terms: float, total: float | None = None) -> None:
    if terms > MOST_TERMS:
        reached = "" if total is None else f": {total:g} so far"
        raise ArithmeticError(
            f"the sum does not converge within {MOST_TERMS:,} terms{reached}; pass a larger rtol if that helps"
        )


def _over_points(p: Discrete, q: Discrete, points: _Array) -> tuple[float, float]:
    total = _sum(p, q, points)
    value = total.terms
    if q.points is not None:
        others = q.points[~np.isin(q.points, points)]
        value += math.fsum(np.exp(q.log_mass(others)).tolist())
    else:
        value += max(0.0, 1.0 - total.q)
    return value, _error_of(value, total.p_noise, total.q_noise) if math.isfinite(value) else 0.0


def _lattice(p: Discrete, start: int, stop: int) -> _Array:
    return p.origin + np.arange(start, stop)


def _sum(p: Discrete, q: Discrete, points: _Array) -> _Sum:
    with np.errstate(all="ignore"):
        log_p, log_q = p.log_mass(points), q.log_mass(points)
        terms = term(log_p, log_q)
        masses = np.exp(log_p), np.exp(log_q)
        noises = [_EPS * masses[0] * (1.0 + np.where(np.isfinite(log), abs(log), 0.0)) for log in (log_p, log_q)]
    if p.points is q.points is None and np.isposinf(terms).any():
        raise ArithmeticError(
            f"SciPy's log mass of q is -inf at {points[np.argmax(terms)]:g}, inside the support of q, where p has mass;"
            " if it underflows there, SciPy can't tell the divergence"
        )
    return _Sum(*(math.fsum(values.tolist()) for values in (terms, *masses, *noises)))
