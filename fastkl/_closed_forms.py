r"""Kullback-Leibler divergences that have a formula, written so that they lose nothing where P and Q are nearly equal.

Three functions, never negative and of second order, make up most of them: the excess :math:`e - \log(1 + e)`, that of
the exponential, :math:`e^g - 1 - g`, and what the logarithm of the gamma function rises above its tangent.

Sources: M. Gil, F. Alajaji and T. Linder, Rényi divergence measures for commonly used univariate continuous
distributions, Information Sciences 249 (2013), 124-131 (exponential families, Laplace, Pareto, Weibull); C. Bauckhage,
arXiv:1310.3713 (Weibull); F. Chyzak and F. Nielsen, arXiv:1905.10965 (Cauchy); K. V. Mardia and P. E. Jupp,
Directional statistics, Wiley, 2000 (von Mises); the others are those of exponential families.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

_Array = npt.NDArray[Any]
_SMALL = 0.25


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
    """D(P || Q) of multivariate normal distributions."""
    # With q's covariance L L^T, the eigenvalues of L^-1 C L^-T are 1 + those of the same with the difference.
    factor = np.linalg.cholesky(q_cov)
    half = np.linalg.solve(factor, p_cov - q_cov)
    difference = np.linalg.solve(factor, half.T)
    apart = np.linalg.solve(factor, p_mean - q_mean)
    eigenvalues = np.linalg.eigvalsh((difference + difference.T) / 2)
    # Of a singular covariance of p one is -1 but for rounding.
    if len(eigenvalues) and eigenvalues[0] < -1.0 + 1e-14 * len(eigenvalues):
        return math.inf
    return 0.5 * (math.fsum(excess(float(e)) for e in eigenvalues) + float(apart @ apart))


def excess(e: float) -> float:
    """e - log(1 + e), inf for -1."""
    if e <= -1.0:
        return math.inf
    if abs(e) > _SMALL:
        return e - math.log1p(e)
    # log(1 + e) = 2 artanh(s), s = e / (2 + e), and e - 2 s = e s.
    s = e / (2.0 + e)
    return s * (e - 2.0 * s * s * sum(s ** (2 * k) / (2 * k + 3) for k in range(12)))


def excess_of_exp(g: float) -> float:
    """e^g - 1 - g."""
    if abs(g) > _SMALL:
        return math.expm1(g) - g if g < 700 else math.inf
    term = total = g * g / 2.0
    for k in range(3, 16):
        term *= g / k
        total += term
    return total


def excess_of_gammaln(a: float, d: float) -> float:
    """log Gamma(a + d) - log Gamma(a) - d psi(a)."""
    from scipy.special import gammaln, polygamma, psi

    if abs(d) > 0.1 * a:
        return float(gammaln(a + d) - gammaln(a) - d * psi(a))
    return math.fsum(float(polygamma(k - 1, a)) * d**k / math.factorial(k) for k in range(2, 20))


def _apart(a: float, b: float) -> float:
    return (a - b) / b


def _squares_apart(a: float, b: float) -> float:
    return (a - b) / b * ((a + b) / b)


def _norm(p: Parameters, q: Parameters) -> float | None:
    apart = (p.loc - q.loc) / q.scale
    return 0.5 * (excess(_squares_apart(p.scale, q.scale)) + apart * apart)


def _lognorm(p: Parameters, q: Parameters) -> float | None:
    if p.loc != q.loc:
        return math.inf if p.loc < q.loc else None
    (s,), (t,) = p.shapes, q.shapes
    apart = math.log1p(_apart(p.scale, q.scale)) / t
    return 0.5 * (excess(_squares_apart(s, t)) + apart * apart)


def _expon(p: Parameters, q: Parameters) -> float | None:
    if p.loc < q.loc:
        return math.inf
    return (p.loc - q.loc) / q.scale + excess(_apart(p.scale, q.scale))


def _rayleigh(p: Parameters, q: Parameters) -> float | None:
    if p.loc != q.loc:
        return math.inf if p.loc < q.loc else None
    return excess(_squares_apart(p.scale, q.scale))


def _halfnorm(p: Parameters, q: Parameters) -> float | None:
    of_squares = _rayleigh(p, q)
    return None if of_squares is None else 0.5 * of_squares


def _gamma(p: Parameters, q: Parameters) -> float | None:
    if p.loc != q.loc:
        return math.inf if p.loc < q.loc else None
    (a,), (b,), e = p.shapes, q.shapes, _apart(p.scale, q.scale)
    return excess_of_gammaln(a, b - a) + a * excess(e) + (a - b) * math.log1p(e)


def _invgamma(p: Parameters, q: Parameters) -> float | None:
    if p.loc != q.loc:
        return math.inf if p.loc < q.loc else None
    return _gamma(p._replace(loc=0.0, scale=1.0 / p.scale), q._replace(loc=0.0, scale=1.0 / q.scale))


def _beta(p: Parameters, q: Parameters) -> float | None:
    if (p.loc, p.scale) != (q.loc, q.scale):
        return None
    (a, b), (c, d) = p.shapes, q.shapes
    both = excess_of_gammaln(a + b, (c - a) + (d - b))
    return max(0.0, excess_of_gammaln(a, c - a) + excess_of_gammaln(b, d - b) - both)


def _uniform(p: Parameters, q: Parameters) -> float | None:
    if p.loc < q.loc or p.loc + p.scale > q.loc + q.scale:
        return math.inf
    return math.log1p(_apart(q.scale, p.scale))


def _laplace(p: Parameters, q: Parameters) -> float | None:
    ratio, apart = p.scale / q.scale, abs(p.loc - q.loc) / p.scale
    return excess(_apart(p.scale, q.scale)) + ratio * excess_of_exp(-apart)


def _cauchy(p: Parameters, q: Parameters) -> float | None:
    across, along = p.scale - q.scale, p.loc - q.loc
    return math.log1p((across / p.scale * across / q.scale + along / p.scale * along / q.scale) / 4.0)


def _of_exponentials(w: float, r: float) -> float:
    # X is exponential under P, e^w X^(1 + r) under Q.
    rise = excess_of_gammaln(1.0, r)
    # The second is log Gamma(2 + r), of which 2 + r would not keep the digits.
    return excess_of_exp(w + (math.log1p(r) - np.euler_gamma * r + rise)) + rise


def _weibull(p: Parameters, q: Parameters) -> float | None:
    if p.loc != q.loc:
        return math.inf if p.loc < q.loc else None
    (k,), (m,) = p.shapes, q.shapes
    return _of_exponentials(m * math.log1p(_apart(p.scale, q.scale)), _apart(m, k))


def _gumbel_r(p: Parameters, q: Parameters) -> float | None:
    return _of_exponentials((q.loc - p.loc) / q.scale, _apart(p.scale, q.scale))


def _gumbel_l(p: Parameters, q: Parameters) -> float | None:
    return _of_exponentials((p.loc - q.loc) / q.scale, _apart(p.scale, q.scale))


def _pareto(p: Parameters, q: Parameters) -> float | None:
    if p.loc != q.loc:
        return None
    if p.scale < q.scale:
        return math.inf
    (a,), (b,) = p.shapes, q.shapes
    return b * math.log1p(_apart(p.scale, q.scale)) + excess(_apart(b, a))


def _vonmises(p: Parameters, q: Parameters) -> float | None:
    if p.scale != 1.0 or q.scale != 1.0:
        return None
    from scipy.special import i0e, i1e

    (k,), (m,) = p.shapes, q.shapes
    mean = float(i1e(k) / i0e(k))  # of the cosine
    turned = 2.0 * m * mean * math.sin((p.loc - q.loc) / 2.0) ** 2
    if abs(m - k) > 0.1 * (1.0 + k):
        return turned + math.log(i0e(m) / i0e(k)) + (m - k) * (1.0 - mean)
    # What log I0 rises above its tangent: the integral of its second derivative.
    nodes, weights = np.polynomial.legendre.leggauss(20)
    t = (nodes + 1.0) / 2.0
    x = k + t * (m - k)
    means = i1e(x) / i0e(x)
    with np.errstate(invalid="ignore"):
        bends = np.where(x < 1e-6, 0.5, 1.0 - means / x - means**2)
    return turned + float(((1.0 - t) * bends * weights).sum()) / 2.0 * (m - k) ** 2


def _of_two_outcomes(p: float, q: float) -> float:
    if p == q:
        return 0.0
    if p in (0.0, 1.0):
        return -math.log1p(-q) if p == 0.0 else -math.log(q) if q > 0.0 else math.inf
    if q in (0.0, 1.0):
        return math.inf
    return p * excess((q - p) / p) + (1.0 - p) * excess((p - q) / (1.0 - p))


def _poisson(p: Parameters, q: Parameters) -> float | None:
    if p.loc != q.loc:
        return None
    (a,), (b,) = p.shapes, q.shapes
    if a == 0.0 or b == 0.0:
        return b if a == 0.0 else math.inf
    return a * excess(_apart(b, a))


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
