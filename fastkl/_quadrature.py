"""Divergences of distributions as integrals and sums of a term that is never negative."""

import itertools
import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from fastkl._distributions import FAR, Continuous, Discrete

_Array = npt.NDArray[Any]
_TOGETHER = 1 << 16  # terms of a sum
_MOST_TERMS = 1 << 24
_SMALL = 0.01
_NOTHING = -500.0
# Of an integral without end; of one of which the same can't be said for sure.
_GROWS, _MAY_GROW = 0.98, 0.5


def term(log_p: Any, log_q: Any) -> _Array:
    """p log(p / q) - p + q from the logarithms, exact also where they are nearly equal."""
    log_p, log_q = np.broadcast_arrays(np.asarray(log_p, float), np.asarray(log_q, float))
    with np.errstate(invalid="ignore", over="ignore"):
        p, d = np.exp(log_p), log_q - log_p
        # p (e^d - 1 - d), by its series where d is small.
        series = d * d * (0.5 + d * (1 / 6 + d * (1 / 24 + d * (1 / 120 + d * (1 / 720 + d / 5040)))))
        values = np.where(abs(d) < _SMALL, p * series, np.exp(log_q) - p - p * d)
    # Some of SciPy's log densities are the logarithms of densities that underflow: far out -inf means little.
    only_p = np.where(log_p > _NOTHING, np.inf, 0.0)
    return np.where(log_p == -np.inf, np.exp(log_q), np.where(log_q == -np.inf, only_p, values))


def integral(p: Continuous, q: Continuous, rtol: float) -> tuple[float, float]:
    """(D(P || Q), estimated error)."""
    a, b = p.support
    if p.mass_outside is not None and q.mass_outside is not None and (a < q.reach[0] or b > q.reach[1]):
        return math.inf, 0.0
    cuts = _cuts(p, q)
    for name, density in (("p", p), ("q", q)):
        if density.mass_outside is None:
            _check_mass(name, density)

    def integrand(x: Any) -> Any:
        # At an end of the support, to which a point beside it may be rounded, densities are 0 or infinite.
        inside = a < x < b and q.support[0] < x < q.support[1]
        return term(p.log_density(x), q.log_density(x)) if inside or q.reach != q.support else 0.0

    value, error = _integrate(integrand, cuts, rtol)
    if any(_has_no_end(integrand, tail, value, rtol) for tail in p.tails):
        return math.inf, 0.0
    if q.mass_outside is not None:
        value += q.mass_outside(a, b)
    elif p.mass_outside is not None:  # a function may have mass where the distribution p has none
        for left, right in ((q.support[0], a), (b, q.support[1])):
            if left < right:
                more, doubt = _integrate(lambda x: np.exp(q.log_density(x)), [left, right], rtol)
                value, error = value + more, error + doubt
    if math.isfinite(value) and error > max(10 * rtol * value, 1e-15):
        reached = f"{value:g}, with an error of {error:.1g}"
        raise ArithmeticError(f"the integral does not converge: {reached}; pass points, or a larger rtol")
    return value, error


def _has_no_end(integrand: Callable[[Any], Any], tail: tuple[float, ...], value: float, rtol: float) -> bool:
    """Whether an integral grows for ever: by as much for each power of ten, from point to point of a tail."""
    nearer, further = (_integrate(integrand, sorted(pair), 1e-6)[0] for pair in itertools.pairwise(tail[-3:]))
    if further <= rtol * value:
        return False
    decades = [math.log10(b / a) for a, b in itertools.pairwise(FAR[-3:])]
    growth = (further / decades[1]) / (nearer / decades[0]) if nearer > 0 else math.inf
    if growth > _GROWS:
        return True
    if growth > _MAY_GROW:
        raise ArithmeticError(f"the integral does not converge: far out in p {further / value:.1g} of it is left")
    return False


def _cuts(p: Continuous, q: Continuous) -> list[float]:
    a, b = p.support
    if p.mass_outside is None and q.mass_outside is not None:
        a, b = max(a, q.support[0]), min(b, q.support[1])
    inner = sorted({cut for cut in (*p.cuts, *q.cuts) if a < cut < b and math.isfinite(cut)})
    if not inner and math.isinf(a) and math.isinf(b):
        inner = [0.0]
    return [a, *inner, b]


def _check_mass(name: str, density: Continuous) -> None:
    cuts = _cuts(density, density)
    mass, _ = _integrate(lambda x: np.exp(density.log_density(x)), cuts, 1e-8)
    if not abs(mass - 1.0) < 1e-6:
        raise ValueError(
            f"{name} integrates to {mass:.9g} over the support, not to 1; normalise it, widen the support, or pass as"
            " points where it is large"
        )


def _integrate(function: Callable[[Any], Any], cuts: list[float], rtol: float) -> tuple[float, float]:
    from scipy.integrate import IntegrationWarning, quad

    parts = []
    # Each piece to its own relative error first; then what is too inexact for the sum shows in its error.
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore", IntegrationWarning)
        for left, right in itertools.pairwise(cuts):
            value, error = quad(lambda x: float(function(x)), left, right, epsabs=0.0, epsrel=rtol, limit=60)[:2]
            if not value < math.inf:
                return math.inf, 0.0
            parts.append((value, error))
    return math.fsum(value for value, _ in parts), math.fsum(error for _, error in parts)


def series(p: Discrete, q: Discrete, rtol: float) -> tuple[float, float]:
    """(D(P || Q), a bound of what was left out)."""
    a, b = p.support
    if a < q.support[0] or b > q.support[1]:
        return math.inf, 0.0
    first, last = min(p.middle[0], q.middle[0]), max(p.middle[1], q.middle[1])
    first, last = int(max(first, a)), int(min(last, b))
    total = math.fsum(
        _sum(p, q, start, min(start + _TOGETHER, last + 1)) for start in range(first, last + 1, _TOGETHER)
    )
    taken, doubt = last + 1 - first, 0.0
    for sign, end in ((-1, a), (1, b)):
        step, at = _TOGETHER // 64, first - 1 if sign < 0 else last + 1
        while (at >= a) if sign < 0 else (at <= b):
            stop = max(end, at - step) if sign < 0 else min(end, at + step)
            low, high = (stop, at) if sign < 0 else (at, stop)
            more = _sum(p, q, int(low), int(high) + 1)
            total, taken, at, step = total + more, taken + step, int(stop) + sign, 2 * step
            if not math.isfinite(total):
                return math.inf, 0.0
            if more <= 0.1 * rtol * total or more < 1e-300:  # blocks double, and what follows is less
                doubt += more
                break
            if taken > _MOST_TERMS:
                raise ArithmeticError(f"the sum does not converge within {_MOST_TERMS:,} terms: {total:g} so far")
    return total + q.mass_outside(a, b), doubt


def _sum(p: Discrete, q: Discrete, start: int, stop: int) -> float:
    k = np.arange(start, stop)
    with np.errstate(all="ignore"):
        return float(math.fsum(term(p.log_mass(k), q.log_mass(k)).tolist()))
