"""Divergences of continuous distributions as integrals of a term that is never negative."""

import itertools
import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from fastkl._distributions import FAR, Continuous

_Array = npt.NDArray[Any]
_Integrand = Callable[[_Array, _Array], _Array]  # of points and the logarithms of their weights
_SMALL = 0.01
_NOTHING = -100.0
# Of an integral without end; of one of which the same can't be said for sure.
_GROWS, _MAY_GROW = 0.98, 0.5
_WIDE = 8.0  # an interval that is so many times further from a peak or an end at one end than at the other
_MOST_BISECTIONS = 60
_LEAST = 1e-20  # absolute error
_SAME = 1e-12
_MOST_MISSED = 0.1  # of the mass of p, for its share of the integral to be estimated
_THERE = 4.0  # what is missed of p may have so many times the logarithm of p / q that is seen beside it


def term(log_p: Any, log_q: Any) -> _Array:
    """p log(p / q) - p + q from the logarithms, exact also where they are nearly equal."""
    log_p, log_q = np.broadcast_arrays(np.asarray(log_p, float), np.asarray(log_q, float))
    with np.errstate(invalid="ignore", over="ignore"):
        p, d = np.exp(log_p), log_q - log_p
        # p (e^d - 1 - d), by its series where d is small.
        series = d * d * (0.5 + d * (1 / 6 + d * (1 / 24 + d * (1 / 120 + d * (1 / 720 + d / 5040)))))
        values = np.where(abs(d) < _SMALL, p * series, np.exp(log_q) - p - p * d)
        # Some of SciPy's log densities are logarithms of densities that underflow: where p is tiny, -inf means little.
        only_p = np.where(log_p > _NOTHING, np.inf, 0.0)
        return np.where(log_p == -np.inf, np.exp(log_q), np.where(log_q == -np.inf, only_p, values))


def integral(p: Continuous, q: Continuous, rtol: float) -> tuple[float, float]:
    """(D(P || Q), estimated error)."""
    a, b = p.support
    if p.mass_outside is not None and q.mass_outside is not None and (a < q.reach[0] or b > q.reach[1]):
        return math.inf, 0.0
    if q.reach != q.support and b - a > (q.support[1] - q.support[0]) * (1.0 + _SAME):
        return math.inf, 0.0
    for name, density in (("p", p), ("q", q)):
        if density.mass_outside is None:
            _check_mass(name, density)

    def integrand(x: _Array, log_weight: _Array) -> _Array:
        return term(p.log_density(x) + log_weight, q.log_density(x) + log_weight)

    value, error = _integrate(integrand, _cuts(p, q), _anchors(p, q), rtol)
    missed = _mass_missed(p, q) if p.mass_outside is not None and math.isfinite(value) else 0.0
    error += _error_of_missed(missed, p, q)
    if value == math.inf and not q.may_have_gaps and q.reach[0] <= a and b <= q.reach[1]:
        raise ArithmeticError(
            "SciPy's log density of q is -inf inside the support of q, where p has mass; if that is true, pass the"
            " method logpdf of q, and support=(a, b)"
        )
    if any(_has_no_end(integrand, tail, value, rtol) for tail in p.tails):
        return math.inf, 0.0
    if p.mass_outside is not None and q.mass_outside is not None:  # the terms - p + q of what is left
        value += max(0.0, q.mass_outside(*p.limits) - p.mass_outside(*p.limits))
    elif p.mass_outside is not None:  # a function may have mass where the distribution p has none
        for left, right in ((q.support[0], a), (b, q.support[1])):
            if left < right:
                cuts = [left, *sorted(cut for cut in q.cuts if left < cut < right), right]
                more, doubt = _integrate(_mass(q), cuts, _anchors(q), rtol)
                value, error = value + more, error + doubt
    if math.isfinite(value) and error > max(10 * rtol * value, 1e-15):
        reached = f"{value:g}, with an error of {error:.1g}"
        if missed:
            reached += (
                f", as {missed:.1g} of p lies nearer to an end of its support, or further out, than doubles can tell"
            )
        points = "points, or " if p.mass_outside is None or q.mass_outside is None else ""
        advice = f"; pass {points}a larger rtol" if error < math.inf else ""
        raise ArithmeticError(f"the integral does not converge: {reached}{advice}")
    return value, error


def _has_no_end(integrand: _Integrand, tail: tuple[float, tuple[float, ...]], value: float, rtol: float) -> bool:
    """Whether an integral grows for ever: by as much for each power of ten, from point to point of a tail."""
    anchor, points = tail
    nearer, further = (
        _integrate(integrand, sorted(pair), (anchor,), 1e-6)[0] for pair in itertools.pairwise(points[-3:])
    )
    if not rtol * value < further < math.inf:
        return further == math.inf
    decades = [math.log10(b / a) for a, b in itertools.pairwise(FAR[-3:])]
    growth = (further / decades[1]) / (nearer / decades[0]) if nearer > 0 else math.inf
    if growth > _GROWS:
        return True
    if growth > _MAY_GROW:
        raise ArithmeticError(f"the integral does not converge: far out in p {further / value:.1g} of it is left")
    return False


def _anchors(*densities: Continuous) -> tuple[float, ...]:
    """Peaks and ends of supports, toward which a density may grow steeply."""
    ends = (end for density in densities for end in density.support if math.isfinite(end))
    return (*(peak for density in densities for peak in density.peaks), *ends)


def _cuts(p: Continuous, q: Continuous) -> list[float]:
    a, b = p.limits
    return [a, *sorted({cut for cut in (*p.cuts, *q.cuts, *q.support) if a < cut < b and math.isfinite(cut)}), b]


def _mass_missed(p: Continuous, q: Continuous) -> float:
    """The mass of p beyond the resolution of doubles, near to an end where the density grows without bounds."""
    mass, _ = _integrate(_mass(p), _cuts(p, q), _anchors(p, q), _SAME)
    return abs(mass - 1.0) if abs(mass - 1.0) > 10.0 * _SAME else 0.0


def _error_of_missed(mass: float, p: Continuous, q: Continuous) -> float:
    """What a missed mass of p may be worth, by log(p / q) next to the end beyond which there is more of p."""
    if mass == 0.0:
        return 0.0
    if mass >= _MOST_MISSED:
        return math.inf
    low, high = p.limits
    x = np.array([np.nextafter(low, high), np.nextafter(high, low)])
    beyond = np.where(np.isfinite(p.support), abs(x - p.support), abs(x))  # for a power of the distance, but a factor
    with np.errstate(all="ignore"):
        log_p = p.log_density(x)
        ratios = abs(log_p - q.log_density(x))
        ratio = float(ratios[np.argmax(log_p + np.log(beyond))])
    return mass * _THERE * max(1.0, ratio)


def _mass(density: Continuous) -> _Integrand:
    return lambda x, log_weight: np.exp(density.log_density(x) + log_weight)


def _check_mass(name: str, density: Continuous) -> None:
    cuts = _cuts(density, density)
    mass, _ = _integrate(_mass(density), cuts, _anchors(density), 1e-8)
    if not abs(mass - 1.0) < 1e-6:
        raise ValueError(
            f"{name} integrates to {mass:.9g} over the support, not to 1; normalise it, widen the support, or pass as"
            " points where it is large"
        )


def _integrate(
    integrand: _Integrand, cuts: list[float], anchors: tuple[float, ...], rtol: float
) -> tuple[float, float]:
    """The integral from the first cut to the last, and an estimate of its error.

    All intervals are taken together, each from 0 to 1: evenly, or, where it is wide, in even steps of the logarithm of
    the distance from an anchor.
    """
    from scipy.integrate import quad_vec

    intervals = [_Interval(left, right, anchors) for left, right in itertools.pairwise(cuts) if left < right]
    start, width, rate, left, right = (
        np.array([getattr(i, name) for i in intervals]) for name in ("start", "width", "rate", "left", "right")
    )
    is_infinite = False

    def at(t: float) -> _Array:
        nonlocal is_infinite
        steps = np.where(rate == 0.0, t, np.expm1(rate * t) / np.where(rate == 0.0, 1.0, rate))
        x = start + width * steps
        # At an end, to which a point beside it may be rounded, densities are 0 or infinite.
        inside = (left < x) & (x < right)
        values = np.zeros(len(x))
        values[inside] = integrand(x[inside], (np.log(abs(width)) + rate * t)[inside])
        is_infinite = is_infinite or bool(np.isposinf(values).any())
        values[np.isposinf(values)] = 0.0
        return values

    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        options = {"epsabs": _LEAST, "epsrel": rtol, "limit": _MOST_BISECTIONS, "quadrature": "gk21"}
        values, error = quad_vec(at, 0.0, 1.0, **options)
    if is_infinite:
        return math.inf, 0.0
    return math.fsum(values), error


class _Interval:
    """x = start + width * (exp(rate t) - 1) / rate, for t from 0 to 1; start + width * t where the rate is 0."""

    def __init__(self, left: float, right: float, anchors: tuple[float, ...]) -> None:
        self.left, self.right = left, right
        self.start, self.width, self.rate = left, right - left, 0.0
        outside = [anchor for anchor in anchors if anchor < left or anchor > right]
        if not outside:
            return
        anchor = min(outside, key=lambda anchor: max(left - anchor, anchor - right))
        near, far = (left, right) if anchor < left else (right, left)
        if (ratio := (far - anchor) / (near - anchor)) > _WIDE:
            self.rate = math.log(ratio)
            self.start, self.width = near, (near - anchor) * self.rate
