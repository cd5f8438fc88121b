"""Kullback-Leibler divergences that have a formula, as sums of terms that are never negative: nothing cancels.

The terms are what convex functions rise above their tangents (`fastkl._excess`).

Sources: M. Gil, F. Alajaji and T. Linder, Rényi divergence measures for commonly used univariate continuous
distributions, Information Sciences 249 (2013), 124-131 (exponential families, Laplace, Pareto, Weibull); C. Bauckhage,
arXiv:1310.3713 (Weibull); F. Chyzak and F. Nielsen, arXiv:1905.10965 (Cauchy); K. V. Mardia and P. E. Jupp,
Directional statistics, Wiley, 2000 (von Mises); the others are those of exponential families.
"""

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fastkl._excess import (
    excess_of_exp,
    excess_of_gamma_rest,
    excess_of_gammaln,
    excess_of_log_i0,
    log_ratio,
    log_ratio_of_products,
    mean_cosine,
)

_Array = npt.NDArray[Any]
_EULER_GAMMA = float(np.euler_gamma)
_NEAR = 0.25


class Parameters(NamedTuple):
    """Those of a frozen distribution of scipy.stats."""

    name: str
    shapes: tuple[float, ...]
    loc: float
    scale: float


def closed_form(p: Parameters, q: Parameters) -> float | None:
    """D(P || Q) where it has a formula, and None elsewhere."""
    if p.name == q.name and p.name in _FORMS:
        return _FORMS[p.name](p, q)
    for name, members in _FAMILIES.items():
        if p.name in members and q.name in members:
            return _FORMS[name](members[p.name](p), members[q.name](q))
    return None


def closed_form_of_normals(p_mean: _Array, p_cov: _Array, q_mean: _Array, q_cov: _Array) -> float:
    """D(P || Q) of multivariate normal distributions with regular covariances."""
    # With q's covariance L L^T, the eigenvalues of L^-1 C L^-T are 1 + those of the same with the difference, and the
    # squares of the singular values of L^-1 times the factor of C: each is exact where the other one is not.
    factor = np.linalg.cholesky(q_cov)
    half = np.linalg.solve(factor, p_cov - q_cov)
    difference = np.linalg.solve(factor, half.T)
    near = np.linalg.eigvalsh((difference + difference.T) / 2).tolist()
    far = np.linalg.svd(np.linalg.solve(factor, np.linalg.cholesky(p_cov)), compute_uv=False)[::-1].tolist()
    logs = [math.log1p(e) if abs(e) < _NEAR else 2.0 * math.log(root) for e, root in zip(near, far, strict=True)]
    apart = np.linalg.solve(factor, p_mean - q_mean)
    return 0.5 * (math.fsum(map(excess_of_exp, logs)) + float(apart @ apart))


def _norm(p: Parameters, q: Parameters) -> float | None:
    apart = (p.loc - q.loc) / q.scale
    return 0.5 * (excess_of_exp(2.0 * log_ratio(p.scale, q.scale)) + apart * apart)


def _lognorm(p: Parameters, q: Parameters) -> float | None:
    if p.loc != q.loc:
        return math.inf if p.loc < q.loc else None
    (s,), (t,) = p.shapes, q.shapes
    apart = log_ratio(p.scale, q.scale) / t
    return 0.5 * (excess_of_exp(2.0 * log_ratio(s, t)) + apart * apart)


def _expon(p: Parameters, q: Parameters) -> float | None:
    if p.loc < q.loc:
        return math.inf
    return (p.loc - q.loc) / q.scale + excess_of_exp(log_ratio(p.scale, q.scale))


def _rayleigh(p: Parameters, q: Parameters) -> float | None:
    if p.loc != q.loc:
        return math.inf if p.loc < q.loc else None
    return excess_of_exp(2.0 * log_ratio(p.scale, q.scale))


def _halfnorm(p: Parameters, q: Parameters) -> float | None:
    of_squares = _rayleigh(p, q)
    return None if of_squares is None else 0.5 * of_squares


def _gamma(p: Parameters, q: Parameters) -> float | None:
    if p.loc != q.loc:
        return math.inf if p.loc < q.loc else None
    return _of_gammas(p.shapes[0], p.scale, q.shapes[0], q.scale)


def _invgamma(p: Parameters, q: Parameters) -> float | None:
    if p.loc != q.loc:
        return math.inf if p.loc < q.loc else None
    # The inverses have gamma distributions with the inverse scales.
    return _of_gammas(p.shapes[0], q.scale, q.shapes[0], p.scale)


def _of_gammas(a: float, s: float, b: float, t: float) -> float:
    # Where the means a s and b t agree, the rest is all.
    return b * excess_of_exp(log_ratio_of_products((a, s), (b, t))) + excess_of_gamma_rest(a, b)


def _beta(p: Parameters, q: Parameters) -> float | None:
    if (p.loc, p.scale) != (q.loc, q.scale):
        return None
    (a, b), (c, d) = p.shapes, q.shapes
    # Where the means a / (a + b) and c / (c + d) agree, the rests are all.
    cross = float(Fraction(a) * Fraction(d) - Fraction(b) * Fraction(c))
    means = c * _excess_of_share(a, a + b, c, c + d, cross) + d * _excess_of_share(b, a + b, d, c + d, -cross)
    both = excess_of_gamma_rest(a + b, c + d, (c - a) + (d - b))
    return max(0.0, means + excess_of_gamma_rest(a, c) + excess_of_gamma_rest(b, d) - both)


def _excess_of_share(a: float, s: float, c: float, t: float, cross: float) -> float:
    # At log((a / s) / (c / t)); cross is a t - c s.
    apart = cross / s / c
    return excess_of_exp(math.log1p(apart) if abs(apart) < _NEAR else log_ratio(a, c) + log_ratio(t, s))


def _uniform(p: Parameters, q: Parameters) -> float | None:
    if p.loc < q.loc or p.loc + p.scale > q.loc + q.scale:
        return math.inf
    return log_ratio(q.scale, p.scale)


def _laplace(p: Parameters, q: Parameters) -> float | None:
    ratio, apart = p.scale / q.scale, abs(p.loc - q.loc) / p.scale
    return excess_of_exp(log_ratio(p.scale, q.scale)) + ratio * excess_of_exp(-apart)


def _cauchy(p: Parameters, q: Parameters) -> float | None:
    across, along = p.scale - q.scale, p.loc - q.loc
    ratio = (across / p.scale * across / q.scale + along / p.scale * along / q.scale) / 4.0
    if ratio < 1e300:
        return math.log1p(ratio)
    return 2.0 * math.log(math.hypot(p.scale + q.scale, along) / 2.0) - math.log(p.scale) - math.log(q.scale)


def _of_exponentials(w: float, c: float, apart: float) -> float:
    # X is exponential under P, e^w X^c under Q; apart is c - 1.
    rise = excess_of_gammaln(1.0, c, apart)
    log_gamma = log_ratio(c, 1.0, apart) - _EULER_GAMMA * apart + rise  # of 1 + c
    return excess_of_exp(w + log_gamma) + rise


def _weibull(p: Parameters, q: Parameters) -> float | None:
    if p.loc != q.loc:
        return math.inf if p.loc < q.loc else None
    (k,), (m,) = p.shapes, q.shapes
    return _of_exponentials(m * log_ratio(p.scale, q.scale), m / k, (m - k) / k)


def _gumbel_r(p: Parameters, q: Parameters) -> float | None:
    return _of_exponentials((q.loc - p.loc) / q.scale, p.scale / q.scale, (p.scale - q.scale) / q.scale)


def _gumbel_l(p: Parameters, q: Parameters) -> float | None:
    return _of_exponentials((p.loc - q.loc) / q.scale, p.scale / q.scale, (p.scale - q.scale) / q.scale)


def _pareto(p: Parameters, q: Parameters) -> float | None:
    if p.loc != q.loc:
        return None
    if p.scale < q.scale:
        return math.inf
    (a,), (b,) = p.shapes, q.shapes
    return b * log_ratio(p.scale, q.scale) + excess_of_exp(log_ratio(b, a))


def _vonmises(p: Parameters, q: Parameters) -> float | None:
    if p.scale != 1.0 or q.scale != 1.0:
        return None
    (k,), (m,) = p.shapes, q.shapes
    return 2.0 * m * mean_cosine(k) * math.sin((p.loc - q.loc) / 2.0) ** 2 + excess_of_log_i0(k, m)


def _of_two_outcomes(p: float, q: float) -> float:
    if p == q:
        return 0.0
    if q in (0.0, 1.0):
        return math.inf
    if p in (0.0, 1.0):
        return -math.log1p(-q) if p == 0.0 else -math.log(q)
    of_others = excess_of_exp(log_ratio(1.0 - q, 1.0 - p, p - q))
    return p * excess_of_exp(log_ratio(q, p)) + (1.0 - p) * of_others


def _poisson(p: Parameters, q: Parameters) -> float | None:
    if p.loc != q.loc:
        return None
    (a,), (b,) = p.shapes, q.shapes
    if a == 0.0 or b == 0.0:
        return b if a == 0.0 else math.inf
    return a * excess_of_exp(log_ratio(b, a))


def _binom(p: Parameters, q: Parameters) -> float | None:
    if p.loc != q.loc or p.shapes[0] != q.shapes[0]:
        return None
    return p.shapes[0] * _of_two_outcomes(p.shapes[1], q.shapes[1])


def _geom(p: Parameters, q: Parameters) -> float | None:
    return None if p.loc != q.loc else _of_two_outcomes(p.shapes[0], q.shapes[0]) / p.shapes[0]


def _nbinom(p: Parameters, q: Parameters) -> float | None:
    if p.loc != q.loc or p.shapes[0] != q.shapes[0]:
        return None
    return p.shapes[0] * _of_two_outcomes(p.shapes[1], q.shapes[1]) / p.shapes[1]


def _chi2(p: Parameters, q: Parameters) -> float | None:
    return _gamma(*map(_FAMILIES["gamma"]["chi2"], (p, q)))


def _bernoulli(p: Parameters, q: Parameters) -> float | None:
    return _binom(*map(_FAMILIES["binom"]["bernoulli"], (p, q)))


_FORMS: dict[str, Callable[[Parameters, Parameters], float | None]] = {
    "bernoulli": _bernoulli,
    "beta": _beta,
    "binom": _binom,
    "cauchy": _cauchy,
    "chi2": _chi2,
    "erlang": _gamma,
    "expon": _expon,
    "gamma": _gamma,
    "geom": _geom,
    "gumbel_l": _gumbel_l,
    "gumbel_r": _gumbel_r,
    "halfnorm": _halfnorm,
    "invgamma": _invgamma,
    "laplace": _laplace,
    "lognorm": _lognorm,
    "nbinom": _nbinom,
    "norm": _norm,
    "pareto": _pareto,
    "poisson": _poisson,
    "rayleigh": _rayleigh,
    "uniform": _uniform,
    "vonmises": _vonmises,
    "weibull_min": _weibull,
}


def _itself(p: Parameters) -> Parameters:
    return p


# What each member is in a larger family: for two that have different names.
_FAMILIES: dict[str, dict[str, Callable[[Parameters], Parameters]]] = {
    "gamma": {
        "gamma": _itself,
        "erlang": _itself,
        "expon": lambda p: p._replace(shapes=(1.0,)),
        "chi2": lambda p: p._replace(shapes=(p.shapes[0] / 2.0,), scale=2.0 * p.scale),
    },
    "weibull_min": {
        "weibull_min": _itself,
        "expon": lambda p: p._replace(shapes=(1.0,)),
        "rayleigh": lambda p: p._replace(shapes=(2.0,), scale=math.sqrt(2.0) * p.scale),
    },
    "beta": {"beta": _itself, "uniform": lambda p: p._replace(shapes=(1.0, 1.0))},
    "binom": {"binom": _itself, "bernoulli": lambda p: p._replace(shapes=(1.0, *p.shapes))},
}
