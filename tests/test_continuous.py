"""The divergence of distributions: formulas against integrals of 30 digits, quadrature against formulas."""

import math

import mpmath
import numpy as np
import pytest
import scipy.stats as st

import fastkl
from fastkl import continuous_kl_divergence

INF = float("inf")
mp = mpmath.mp

# Pairs that have a formula; the densities in mpmath's words are those of DENSITIES.
FORMULAS = [
    (st.norm(0.3, 1.2), st.norm(-1, 2.5)),
    (st.lognorm(0.5, 1.0, 2.0), st.lognorm(0.7, 1.0, 3.0)),
    (st.expon(0.5, 2.0), st.expon(-1.0, 3.0)),
    (st.gamma(2.5, 0.3, 2.0), st.gamma(4.0, 0.3, 1.5)),
    (st.invgamma(3.0, 0.0, 2.0), st.invgamma(4.0, 0.0, 3.0)),
    (st.beta(2.0, 3.0), st.beta(3.0, 2.5)),
    (st.laplace(0.0, 1.0), st.laplace(1.0, 2.0)),
    (st.cauchy(0.0, 1.0), st.cauchy(1.0, 2.5)),
    (st.weibull_min(1.5, 0.0, 2.0), st.weibull_min(2.2, 0.0, 3.0)),
    (st.gumbel_r(0.0, 1.0), st.gumbel_r(1.0, 2.0)),
    (st.gumbel_l(0.0, 1.5), st.gumbel_l(1.0, 1.0)),
    (st.pareto(2.0, 0.0, 2.0), st.pareto(3.0, 0.0, 1.0)),
    (st.halfnorm(0.0, 2.0), st.halfnorm(0.0, 3.0)),
    (st.rayleigh(0.0, 2.0), st.rayleigh(0.0, 3.0)),
    (st.vonmises(2.0, 0.3), st.vonmises(3.0, 1.0)),
]


def _gamma(x, a):
    return x ** (a - 1) * mp.exp(-x) / mp.gamma(a)


# Of the standard distribution.
DENSITIES = {
    "norm": lambda x: mp.exp(-x * x / 2) / mp.sqrt(2 * mp.pi),
    "lognorm": lambda x, s: mp.exp(-((mp.log(x) / s) ** 2) / 2) / (x * s * mp.sqrt(2 * mp.pi)),
    "expon": lambda x: mp.exp(-x),
    "gamma": _gamma,
    "invgamma": lambda x, a: _gamma(1 / x, a) / x**2,
    "beta": lambda x, a, b: x ** (a - 1) * (1 - x) ** (b - 1) / mp.beta(a, b),
    "laplace": lambda x: mp.exp(-abs(x)) / 2,
    "cauchy": lambda x: 1 / (mp.pi * (1 + x * x)),
    "weibull_min": lambda x, c: c * x ** (c - 1) * mp.exp(-(x**c)),
    "gumbel_r": lambda x: mp.exp(-x - mp.exp(-x)),
    "gumbel_l": lambda x: mp.exp(x - mp.exp(x)),
    "pareto": lambda x, b: b * x ** (-b - 1),
    "halfnorm": lambda x: mp.sqrt(2 / mp.pi) * mp.exp(-x * x / 2),
    "rayleigh": lambda x: x * mp.exp(-x * x / 2),
    "vonmises": lambda x, k: mp.exp(k * mp.cos(x)) / (2 * mp.pi * mp.besseli(0, k)),
}


def _density(frozen):
    shapes, loc, scale = frozen.dist._parse_args(*frozen.args, **frozen.kwds)
    standard, scale = DENSITIES[frozen.dist.name], mp.mpf(float(scale))
    return lambda x: standard((x - float(loc)) / scale, *(mp.mpf(float(shape)) for shape in shapes)) / scale


def _cuts(p, q):
    if p.dist.name == "vonmises":
        a, b = p.kwds.get("loc", p.args[1] if len(p.args) > 1 else 0.0) + np.array([-math.pi, math.pi])
    elif p.dist.name in ("cauchy", "pareto"):
        a, b = p.support()
    else:  # beyond these there is nothing
        a, b = (float(q(1e-45)) if math.isinf(end) else end for q, end in zip((p.ppf, p.isf), p.support(), strict=True))
    inner = [float(q.median()), *(float(p.ppf(level)) for level in (1e-12, 1e-3, 0.3, 0.5, 0.7, 0.999, 1 - 1e-12))]
    return sorted({a, *(cut for cut in inner if a < cut < b), b})


def exact(p, q):
    """The integral of p log(p / q) in 50 digits."""
    with mp.workdps(50):
        f, g = _density(p), _density(q)
        return float(mp.quad(lambda x: f(x) * mp.log(f(x) / g(x)) if f(x) and g(x) else mp.mpf(0), _cuts(p, q)))


@pytest.mark.parametrize(("p", "q"), FORMULAS, ids=lambda frozen: frozen.dist.name)
def test_formulas_and_quadrature_against_mpmath(p, q):
    expected = exact(p, q)
    value, error = continuous_kl_divergence(p, q, return_error=True)
    assert value == pytest.approx(expected, rel=1e-12)
    assert error == 0
    value, error = continuous_kl_divergence(p, q, method="quadrature", return_error=True)
    assert value == pytest.approx(expected, rel=1e-9)
    assert error < 1e-9 * value


@pytest.mark.parametrize("step", [1e-3, 1e-6, 1e-9])
@pytest.mark.parametrize(
    "make",
    [
        lambda e: st.norm(0.5 + e, 1 + e),
        lambda e: st.gamma(3 + e, 0, 2 + e),
        lambda e: st.beta(2 + e, 3 + 2 * e),
        lambda e: st.laplace(e, 1 + e),
        lambda e: st.cauchy(e, 1 + e),
        lambda e: st.weibull_min(1.5 + e, 0, 2 + e),
        lambda e: st.pareto(2 + e, 0, 1),
        lambda e: st.expon(0, 2 + e),
        lambda e: st.gumbel_r(e, 1 + 2 * e),
    ],
)
def test_formulas_lose_nothing_where_distributions_are_nearly_equal(make, step):
    p, q = make(step), make(0.0)
    value = continuous_kl_divergence(p, q)
    expected = exact(p, q)
    assert value == pytest.approx(expected, rel=1e-9, abs=0)
    assert continuous_kl_divergence(q, q) == 0


DISCRETE = [
    (st.poisson(3.0), st.poisson(5.0), True),
    (st.bernoulli(0.3), st.bernoulli(0.6), True),
    (st.binom(10, 0.3), st.binom(10, 0.5), True),
    (st.geom(0.3), st.geom(0.5), True),
    (st.nbinom(5, 0.3), st.nbinom(5, 0.5), True),
    (st.binom(10, 0.3), st.poisson(3), False),
    (st.binom(10, 0.3), st.binom(20, 0.3), False),
    (st.geom(0.3), st.nbinom(2, 0.3, loc=1), False),
    (st.poisson(1e6), st.poisson(1.1e6), True),
]


@pytest.mark.parametrize(("p", "q", "has_formula"), DISCRETE, ids=lambda value: getattr(value, "dist", value))
def test_discrete(p, q, has_formula):
    a, b = p.support()
    k = np.arange(a, min(b, p.isf(1e-15) + 200) + 1)
    k = k[p.logpmf(k) > -700]
    expected = math.fsum(p.pmf(k) * (p.logpmf(k) - q.logpmf(k)))
    value, error = continuous_kl_divergence(p, q, return_error=True)
    assert value == pytest.approx(expected, rel=1e-9)
    assert (error == 0) or not has_formula
    assert continuous_kl_divergence(p, q, method="quadrature") == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    ("p", "q"),
    [
        (st.norm(), st.uniform()),
        (st.expon(-1), st.expon()),
        (st.uniform(0, 1), st.uniform(0.5, 1)),
        (st.lognorm(1, 0), st.lognorm(1, 1)),
        (st.t(3), st.gamma(2)),
        (st.poisson(3), st.binom(10, 0.3)),
        (st.binom(10, 0.5), st.binom(10, 1)),
        (st.cauchy(), st.norm()),
        (st.t(1.5), st.norm()),
        (st.pareto(0.9), st.expon()),
    ],
)
def test_infinite(p, q):
    assert continuous_kl_divergence(p, q) == INF


@pytest.mark.parametrize(
    ("p", "q", "expected"),
    [
        (st.uniform(), st.beta(3, 3), 4 - math.log(30)),
        (st.expon(), st.gamma(2), 0.5772156649015329),
        (st.chi2(4), st.expon(0, 2), 1 - 0.5772156649015329),
        (st.uniform(0, 1), st.uniform(-1, 3), math.log(3)),
        (st.truncnorm(-1, 1), st.norm(), -math.log(math.erf(1 / math.sqrt(2)))),
        (st.norm(0, 1e-3), st.norm(50, 1), 0.5 * (1e-6 + 2500 - 1) + math.log(1000)),
        (st.poisson(0), st.poisson(2), 2.0),
        (st.binom(10, 0), st.binom(10, 0.5), 10 * math.log(2)),
    ],
)
@pytest.mark.parametrize("method", ["auto", "quadrature"])
def test_known_values(p, q, expected, method):
    assert continuous_kl_divergence(p, q, method=method) == pytest.approx(expected, rel=1e-9)


def test_functions():
    def mixture(x):
        return np.logaddexp(st.norm.logpdf(x, -3, 0.1), st.norm.logpdf(x, 4, 2)) - math.log(2)

    with mp.workdps(30):
        f, g = _density(st.norm(-3, 0.1)), _density(st.norm(4, 2))
        h = _density(st.norm(0, 4))
        cuts = [-40, -4, -3.5, -3, -2.5, -2, 0, 4, 10, 40]
        expected = float(mp.quad(lambda x: (f(x) + g(x)) / 2 * mp.log((f(x) + g(x)) / 2 / h(x)), cuts))
    options = {"support": (-INF, INF), "points": [-3, 4]}
    assert continuous_kl_divergence(mixture, st.norm(0, 4), **options) == pytest.approx(expected, rel=1e-9)
    value = continuous_kl_divergence(mixture, lambda x: st.norm.logpdf(x, 0, 4), **options)
    assert value == pytest.approx(expected, rel=1e-9)
    # Mass of q where p has none counts in the integrand, and does not change the divergence.
    half = continuous_kl_divergence(st.uniform(), lambda x: np.log(0.5 + 0 * x), support=(0, 2))
    assert half == pytest.approx(math.log(2), rel=1e-12)

    def gap(x):
        return np.where(abs(x - 0.5) < 0.25, -np.inf, math.log(2))

    assert continuous_kl_divergence(st.uniform(), gap, support=(0, 1), points=[0.25, 0.75]) == INF


def test_multivariate_normal():
    p = st.multivariate_normal([0, 0.5], [[1, 0.5], [0.5, 2]])
    q = st.multivariate_normal([1, 0], [[2, 0.3], [0.3, 1]])
    inverse = np.linalg.inv(q.cov)
    apart = q.mean - p.mean
    expected = np.trace(inverse @ p.cov) - 2 + apart @ inverse @ apart
    expected += math.log(np.linalg.det(q.cov) / np.linalg.det(p.cov))
    assert continuous_kl_divergence(p, q) == pytest.approx(expected / 2, rel=1e-13)
    near = st.multivariate_normal([0, 0.5], np.array([[1, 0.5], [0.5, 2]]) * (1 + 1e-8))
    assert continuous_kl_divergence(p, near) == pytest.approx(5e-17, rel=1e-6)
    flat = st.multivariate_normal([0, 0], [[1, 1], [1, 1]], allow_singular=True)
    assert continuous_kl_divergence(flat, q) == INF
    with pytest.raises(ValueError, match="the covariance of q is singular"):
        continuous_kl_divergence(q, flat)


def test_base_and_the_divergence_of_fine_histograms():
    p, q = st.norm(0, 1), st.t(5)
    bits = continuous_kl_divergence(p, q, base=2)
    assert bits == pytest.approx(continuous_kl_divergence(p, q) / math.log(2), rel=1e-15)
    edges = np.linspace(-35, 35, 40_001)
    assert fastkl.kl_divergence(np.diff(p.cdf(edges)), np.diff(q.cdf(edges)), base=2) == pytest.approx(bits, rel=1e-3)


@pytest.mark.parametrize(
    ("p", "q", "options", "error", "message"),
    [
        (st.norm, st.norm(), {}, TypeError, "p is not frozen"),
        (st.norm(), [1, 2], {}, TypeError, "q is a list.*kl_divergence"),
        (st.norm(), "norm", {}, TypeError, "q is a str"),
        (st.norm(), st.poisson(3), {}, TypeError, "discrete and the other continuous"),
        (st.norm(), st.multivariate_normal([0]), {}, TypeError, "multivariate"),
        (st.norm([0, 1], 1), st.norm(), {}, ValueError, "p has parameters that are arrays"),
        (st.norm(0, -1), st.norm(), {}, ValueError, "p has parameters out of their range"),
        (np.log, st.norm(), {}, ValueError, r"p is a callable: pass support=\(a, b\)"),
        (np.log, st.norm(), {"support": (1, 0)}, ValueError, "support must be an interval"),
        (lambda x: -x * x, st.norm(), {"support": (-9, 9)}, ValueError, "p integrates to 1.77245385 over the support"),
        (st.norm(), st.norm(), {"support": (0, 1)}, ValueError, "support is for callables"),
        (st.norm(), st.norm(), {"rtol": 0}, ValueError, "rtol must be a number"),
        (st.norm(), st.norm(), {"method": "formula"}, ValueError, "method must be 'auto' or 'quadrature'"),
        (st.norm(), st.norm(), {"base": 1}, ValueError, "base must be"),
        (st.t(2), st.norm(), {}, ArithmeticError, "does not converge"),
    ],
)
def test_bad_arguments(p, q, options, error, message):
    with pytest.raises(error, match=message):
        continuous_kl_divergence(p, q, **options)
