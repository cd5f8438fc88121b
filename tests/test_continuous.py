"""The divergence of distributions: formulas against integrals of 30 digits, quadrature against formulas."""

import math

import mpmath
import numpy as np
import pytest
import scipy.stats as st

import fastkl
from fastkl import continuous_kl_divergence
from fastkl._distributions import distribution_of

INF = float("inf")
UNIT = {"support": (0, 1)}
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
    assert value == pytest.approx(expected, rel=1e-11)
    assert error < 1e-9 * value


def _of_norms(m, s, n, t):
    return mp.log(t / s) + (s**2 + (m - n) ** 2) / (2 * t**2) - mp.mpf(1) / 2


def _of_lognorms(s, a, t, b):
    return _of_norms(mp.log(a), s, mp.log(b), t)


def _of_gammas(a, s, b, t):
    return (a - b) * mp.psi(0, a) - mp.loggamma(a) + mp.loggamma(b) + b * mp.log(t / s) + a * (s - t) / t


def _of_invgammas(a, s, b, t):
    return _of_gammas(a, 1 / s, b, 1 / t)


def _log_beta(a, b):
    return mp.loggamma(a) + mp.loggamma(b) - mp.loggamma(a + b)


def _of_betas(a, b, c, d):
    means = (a - c) * mp.psi(0, a) + (b - d) * mp.psi(0, b) + (c - a + d - b) * mp.psi(0, a + b)
    return _log_beta(c, d) - _log_beta(a, b) + means


def _of_vonmises(k, a, m, b):
    mean = mp.besseli(1, k) / mp.besseli(0, k)
    return mp.log(mp.besseli(0, m) / mp.besseli(0, k)) + mean * (k - m * mp.cos(a - b))


def _of_weibulls(k, s, m, t):
    logs = mp.log(k / s**k) - mp.log(m / t**m) + (k - m) * (mp.log(s) - mp.euler / k)
    return logs + (s / t) ** m * mp.gamma(m / k + 1) - 1


def _of_gumbels(a, s, b, t):
    return _of_weibulls(1 / s, mp.exp(-a), 1 / t, mp.exp(-b))  # of exp(-x)


def _of_cauchys(a, s, b, t):
    return mp.log(((s + t) ** 2 + (a - b) ** 2) / (4 * s * t))


def _of_laplaces(a, s, b, t):
    return mp.log(t / s) + (s * mp.exp(-abs(a - b) / s) + abs(a - b)) / t - 1


def _of_paretos(a, s, b, t):
    return mp.log(a / b) + b * mp.log(s / t) + (b - a) / a


def _of_two_outcomes(p, q):
    return p * mp.log(p / q) + (1 - p) * mp.log((1 - p) / (1 - q))


# How scipy.stats takes the four parameters, and the formula of textbooks, which needs many digits.
TEXTBOOK = {
    "norm": (st.norm, _of_norms),
    "lognorm": (lambda s, scale: st.lognorm(s, 0, scale), _of_lognorms),
    "gamma": (lambda a, scale: st.gamma(a, 3, scale), _of_gammas),
    "invgamma": (lambda a, scale: st.invgamma(a, -1, scale), _of_invgammas),
    "beta": (lambda a, b: st.beta(a, b, 1, 2), _of_betas),
    "vonmises": (st.vonmises, _of_vonmises),
    "weibull_min": (lambda k, scale: st.weibull_min(k, 1, scale), _of_weibulls),
    "gumbel_r": (st.gumbel_r, _of_gumbels),
    "cauchy": (st.cauchy, _of_cauchys),
    "laplace": (st.laplace, _of_laplaces),
    "pareto": (lambda b, scale: st.pareto(b, 0.5, scale), _of_paretos),
    "poisson and expon": (lambda m, s: st.poisson(m, 2), lambda a, s, b, t: b - a + a * mp.log(a / b)),
    "expon": (lambda s, t: st.expon(1, s), lambda s, _, t, __: mp.log(t / s) + s / t - 1),
    "rayleigh": (lambda s, t: st.rayleigh(1, s), lambda s, _, t, __: 2 * mp.log(t / s) + (s / t) ** 2 - 1),
    "halfnorm": (lambda s, t: st.halfnorm(1, s), lambda s, _, t, __: mp.log(t / s) + ((s / t) ** 2 - 1) / 2),
    "binom": (lambda p, s: st.binom(9, p, 2), lambda p, s, q, t: 9 * _of_two_outcomes(p, q)),
    "geom": (lambda p, s: st.geom(p), lambda p, s, q, t: _of_two_outcomes(p, q) / p),
    "nbinom": (lambda p, s: st.nbinom(2.5, p), lambda p, s, q, t: 2.5 * _of_two_outcomes(p, q) / p),
}


def _by_textbook(name, parameters):
    with mp.workdps(80):
        return float(TEXTBOOK[name][1](*(mp.mpf(float(x)) for x in parameters)))


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        *(("norm", (0, s, 0, 1)) for s in (1e-3, 1e-6, 1e-9, 1e-20, 1e-200)),
        ("norm", (0, 1e9, 1, 1)),
        ("lognorm", (1, 1e-20, 1, 1)),
        ("expon", (1e-17, 0, 1, 0)),
        ("rayleigh", (1e-12, 0, 1, 0)),
        ("halfnorm", (1e-12, 0, 1, 0)),
        ("gamma", (2, 1e-18, 3, 1)),
        ("gamma", (1e-5, 1, 2e5, 1)),
        *(("gamma", (a, 1 / a, r * a, 1 / (r * a))) for a in (2, 15, 1e3, 1e6, 1e9) for r in (0.3, 1.01, 1.8)),
        *(("invgamma", (a, a, r * a, r * a)) for a in (2, 1e6) for r in (0.3, 1.01)),
        *(("beta", (a, 9 * a, r * a, 9 * r * a)) for a in (0.01, 1, 30, 1e4, 1e8) for r in (0.3, 1.001, 2)),
        ("beta", (1e6, 1, 1e6 + 10, 1)),
        ("beta", (1e-3, 1e3, 5, 1e-4)),
        *(("vonmises", (k, 0, r * k, 0)) for k in (1e-6, 0.5, 25, 59, 61, 1e3, 1e6) for r in (0.3, 1.001, 1.2, 3)),
        ("vonmises", (5, 0, 1e5, 1)),
        ("vonmises", (1e5, 0, 2, 1)),
        ("weibull_min", (1.5, 2, 80, 2)),
        ("weibull_min", (1.5, 1e-20, 1.6, 1)),
        ("weibull_min", (50, 1, 0.5, 1)),
        ("gumbel_r", (0, 1e-3, 1, 2)),
        ("gumbel_r", (0, 3, 1, 0.5)),
        ("cauchy", (0, 1e-200, 5, 1e200)),
        ("cauchy", (1e9, 1, 0, 1e-3)),
        ("laplace", (0, 1e-17, 1e-18, 1)),
        ("pareto", (1e-3, 1e9, 1e3, 1)),
        ("poisson and expon", (1e-12, 0, 1, 0)),
        ("poisson and expon", (1e12, 0, 1.1e12, 0)),
        ("binom", (1e-15, 0, 0.9, 0)),
        ("geom", (0.9, 0, 1e-15, 0)),
        ("nbinom", (1e-9, 0, 0.5, 0)),
    ],
)
def test_formulas_lose_nothing_at_large_ratios_and_parameters(name, parameters):
    make = TEXTBOOK[name][0]
    value = continuous_kl_divergence(make(*parameters[:2]), make(*parameters[2:]))
    assert value == pytest.approx(_by_textbook(name, parameters), rel=1e-12, abs=0)


@pytest.mark.parametrize("step", [1e-3, 1e-6, 1e-9, 1e-13])
@pytest.mark.parametrize("name", TEXTBOOK)
def test_formulas_lose_nothing_where_distributions_are_nearly_equal(name, step):
    for first, second in ((0.4, 0.7), (0.61, 37.0)):
        q = np.array([first, second])
        p = q * (1 + step * np.array([1.0, 2.0 if name == "pareto" else -0.7]))
        make = TEXTBOOK[name][0]
        value = continuous_kl_divergence(make(*p), make(*q))
        assert value == pytest.approx(_by_textbook(name, (*p, *q)), rel=1e-12, abs=0)
        assert continuous_kl_divergence(make(*q), make(*q)) == 0


DISCRETE = [
    (st.poisson(3.0), st.poisson(5.0), True),
    (st.bernoulli(0.3), st.bernoulli(0.6), True),
    (st.binom(10, 0.3), st.binom(10, 0.5), True),
    (st.geom(0.3), st.geom(0.5), True),
    (st.nbinom(5, 0.3), st.nbinom(5, 0.5), True),
    (st.binom(10, 0.3), st.poisson(3), False),
    (st.binom(10, 0.3), st.binom(20, 0.3), False),
    (st.geom(0.3), st.nbinom(2, 0.3, loc=1), False),
]


def _log_mass(frozen):
    """In as many digits as mpmath works with."""
    n, k = frozen.dist.name, [mp.mpf(float(x)) for x in frozen.args]
    if n == "poisson":
        return lambda x: x * mp.log(k[0]) - k[0] - mp.loggamma(x + 1)
    if n in ("bernoulli", "binom"):
        n, p = k if n == "binom" else (1, k[0])
        return lambda x: mp.log(mp.binomial(n, x)) + x * mp.log(p) + (n - x) * mp.log(1 - p) if x <= n else -mp.inf
    if n == "geom":
        return lambda x: mp.log(k[0]) + (x - 1) * mp.log(1 - k[0])
    loc = frozen.kwds.get("loc", 0)
    return lambda x: _log_nbinom(x - loc, *k)


def _log_nbinom(x, n, p):
    return mp.log(mp.binomial(x + n - 1, x)) + n * mp.log(p) + x * mp.log(1 - p)


@pytest.mark.parametrize(("p", "q", "has_formula"), DISCRETE, ids=lambda value: getattr(value, "dist", value))
def test_discrete(p, q, has_formula):
    with mp.workdps(40):
        log_p, log_q = _log_mass(p), _log_mass(q)
        k = range(int(p.support()[0]), int(min(p.support()[1], 400)) + 1)
        expected = float(mp.fsum(mp.exp(log_p(x)) * (log_p(x) - log_q(x)) for x in k))
    value, error = continuous_kl_divergence(p, q, return_error=True)
    assert value == pytest.approx(expected, rel=1e-12 if has_formula else 1e-9)
    assert (error == 0) == has_formula or error < 1e-9 * value
    assert continuous_kl_divergence(p, q, method="quadrature") == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    "frozen",
    [
        st.hypsecant(1, 2),
        st.invweibull(2.5, 1, 2),
        st.laplace(1, 2),
        st.levy(1, 2),
        st.moyal(1, 2),
        st.pareto(2.5, 1, 2),
    ],
    ids=lambda frozen: frozen.dist.name,
)
def test_log_densities_of_our_own_are_those_of_scipy(frozen):
    own = distribution_of("p", frozen, frozen, None, ()).log_density
    x = frozen.ppf([1e-9, 1e-3, 0.1, 0.5, 0.9, 0.999, 1 - 1e-9])
    if math.isfinite(frozen.support()[0]):
        x = np.append(x, frozen.support()[0] - 1)
    np.testing.assert_allclose(own(x), frozen.logpdf(x), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("a", "c"), [(0.001, 0.3), (0.005, 0.3), (0.01, 1.5), (0.02, 0.3), (0.05, 1.5)])
def test_the_error_counts_what_lies_where_there_are_no_doubles(a, c):
    # Of a gamma distribution with the shape a (5e-324)^a lies below the least double.
    log_x, power = mpmath.psi(0, a), mpmath.gamma(a + c) / mpmath.gamma(a)
    exact = (a - 1) * log_x - a - mpmath.loggamma(a) - (mpmath.log(c) + (c - 1) * log_x - power)
    values = []
    for rtol in (1e-10, 1e-4, 1e-2, 0.5):
        try:
            value, error = continuous_kl_divergence(st.gamma(a), st.weibull_min(c), rtol=rtol, return_error=True)
        except ArithmeticError as refused:
            assert "does not converge" in str(refused)  # noqa: PT017 - it need not be refused
            continue
        assert abs(value - exact) <= max(error, 1e-13 * value)  # of which the last is rounding
        assert error <= 10 * rtol * value
        values.append(value)
    assert (len(values) > 0) == (a > 0.001)
    assert len(values) == 4 or a < 0.05


def test_far_out_nothing_underflows():
    for p, q, mean in (
        (st.norm(0, 1), st.laplace(0, 1e-4), math.sqrt(2 / math.pi)),
        (st.laplace(0, 1e4), st.laplace(0, 1), 1e4),
    ):
        expected = mean / q.args[1] + math.log(2 * q.args[1]) - float(p.entropy())
        assert continuous_kl_divergence(p, q, method="quadrature") == pytest.approx(expected, rel=1e-12)
    with pytest.raises(ArithmeticError, match="SciPy's log density of q is -inf inside the support"):
        continuous_kl_divergence(st.norm(0, 1), st.johnsonsu(0, 400))


def test_sums_of_many_terms():
    p, q = st.poisson(1e6), st.poisson(1.1e6)
    expected = continuous_kl_divergence(p, q)
    value, error = continuous_kl_divergence(p, q, method="quadrature", rtol=1e-8, return_error=True)
    assert value == pytest.approx(expected, rel=1e-9)
    assert abs(value - expected) <= error  # SciPy's masses have lost digits
    far = continuous_kl_divergence(st.poisson(3.0), st.poisson(1e12))
    assert continuous_kl_divergence(st.poisson(3.0), st.poisson(1e7), method="quadrature") == pytest.approx(
        continuous_kl_divergence(st.poisson(3.0), st.poisson(1e7)), rel=1e-9
    )
    assert far == pytest.approx(1e12, rel=1e-6)
    zipf = mp.log(mp.zeta(4) / mp.zeta(3.5)) - 0.5 * mp.zeta(3.5, derivative=1) / mp.zeta(3.5)
    value, error = continuous_kl_divergence(st.zipf(3.5), st.zipf(4), rtol=1e-8, return_error=True)
    assert value == pytest.approx(float(zipf), rel=1e-7)
    assert error < 1e-8 * value


@pytest.mark.parametrize(
    ("p", "q"),
    [
        (st.poisson(1e4), st.poisson(1.1e4)),
        (st.poisson(1e9), st.poisson(1.001e9)),
        (st.binom(10**6, 0.3), st.binom(10**6, 0.4)),
        (st.nbinom(1e5, 0.1), st.nbinom(1e5, 0.11)),
        (st.poisson(100), st.poisson(100.001)),
    ],
)
def test_the_estimated_error_of_a_sum_is_no_less_than_the_error(p, q):
    expected = continuous_kl_divergence(p, q)
    value, error = continuous_kl_divergence(p, q, method="quadrature", rtol=1e-5, return_error=True)
    assert abs(value - expected) <= error < 1e-5 * value
    if error > 1e-15:
        with pytest.raises(ArithmeticError, match="SciPy's masses have no more digits; pass a larger rtol"):
            continuous_kl_divergence(p, q, method="quadrature", rtol=0.5 * error / value)


def test_masses_that_underflow_in_scipy_are_no_infinite_divergence():
    for q in (st.skellam(2000, 1000), st.skellam(40000, 1000)):
        with pytest.raises(ArithmeticError, match=r"SciPy's log mass of q is -inf at -?\d+, inside the support of q"):
            continuous_kl_divergence(st.skellam(1000, 1000), q)


def test_sums_without_end_do_not_take_the_memory(run_python):
    script = """
        import resource
        import scipy.stats as st
        import fastkl

        resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
        for p, q in ((st.zipf(1.1), st.zipf(1.5)), (st.zipf(1.01), st.zipf(1.02)), (st.poisson(1e9, 1), st.zipf(3))):
            try:
                print(fastkl.continuous_kl_divergence(p, q, rtol=1e-3))
            except ArithmeticError as error:
                print(error)
    """
    first, second, third = run_python(script).splitlines()
    assert first.startswith("the sum does not converge within 4,194,304 terms")
    assert second == first
    # -E log q - H(p), of q = k^-3 / zeta(3).
    expected = 3 * math.log(1e9) + math.log(1.2020569031595942) - 0.5 * math.log(2 * math.pi * math.e * 1e9)
    assert float(third) == pytest.approx(expected, rel=1e-4)


# No formula: densities in mpmath, cut where they need it.
def _t(df):
    constant = mp.gamma(mp.mpf(df + 1) / 2) / (mp.sqrt(df * mp.pi) * mp.gamma(mp.mpf(df) / 2))
    return lambda x: constant * (1 + x * x / df) ** (-mp.mpf(df + 1) / 2)


def _of_fisk(x):
    return mp.mpf(3.5) * x ** mp.mpf(2.5) / (1 + x ** mp.mpf(3.5)) ** 2


def _both_sides(*decades):
    return sorted([-(mp.mpf(10) ** d) for d in decades] + [0] + [mp.mpf(10) ** d for d in decades])


@pytest.mark.parametrize(
    ("p", "q", "f", "g", "cuts"),
    [
        (st.t(3), st.norm(), _t(3), DENSITIES["norm"], _both_sides(*range(-1, 26))),
        (st.norm(), st.t(3), DENSITIES["norm"], _t(3), list(range(-20, 21, 2))),
        (st.t(0.5), st.cauchy(), _t(0.5), DENSITIES["cauchy"], _both_sides(*range(-1, 80, 2))),
        (
            st.skewnorm(5),
            st.norm(),
            lambda x: 2 * DENSITIES["norm"](x) * mp.ncdf(5 * x),
            DENSITIES["norm"],
            [-4, -2, -1, 0, 1, 3, 6, 15],
        ),
        (
            st.logistic(),
            st.laplace(),
            lambda x: mp.exp(-abs(x)) / (1 + mp.exp(-abs(x))) ** 2,
            DENSITIES["laplace"],
            list(range(-80, 81, 5)),
        ),
        # SciPy's densities and distribution functions of these overflow or underflow before others do.
        (
            st.fisk(3.5),
            st.fisk(3.5, scale=1.25),
            _of_fisk,
            lambda x: _of_fisk(x / mp.mpf(1.25)) / mp.mpf(1.25),
            [0, *(mp.mpf(10) ** d for d in range(-10, 16))],
        ),
        (
            st.mielke(10, 4.5),
            st.norm(1, 2),
            lambda x: 10 * x**9 / (1 + x ** mp.mpf(4.5)) ** (1 + 10 / mp.mpf(4.5)),
            lambda x: DENSITIES["norm"]((x - 1) / 2) / 2,
            [0, 0.1, 0.5, 1, 2, 4, *(mp.mpf(10) ** d for d in range(1, 25))],
        ),
        (
            st.invweibull(8),
            st.invweibull(8, scale=1.25),
            lambda x: DENSITIES["weibull_min"](1 / x, 8) / x**2,
            lambda x: DENSITIES["weibull_min"](1.25 / x, 8) / x**2 * mp.mpf(1.25),
            [0.2, 0.3, 0.5, 0.7, 1, 2, 5, *(mp.mpf(10) ** d for d in range(1, 10))],
        ),
        (
            st.gamma(0.1),
            st.weibull_min(0.3),
            lambda x: _gamma(x, mp.mpf(0.1)),
            lambda x: DENSITIES["weibull_min"](x, mp.mpf(0.3)),
            [0, *(mp.mpf(10) ** d for d in range(-200, 2, 8)), 10, 30, 100],
        ),
    ],
    ids=lambda value: getattr(getattr(value, "dist", None), "name", ""),
)
def test_quadrature_against_mpmath(p, q, f, g, cuts):
    with mp.workdps(30):
        expected = float(mp.quad(lambda x: f(x) * mp.log(f(x) / g(x)) if f(x) else f(x), cuts))
    value, error = continuous_kl_divergence(p, q, return_error=True)
    assert value == pytest.approx(expected, rel=1e-11)
    assert abs(value - expected) < error + 1e-13 * value
    assert error < 1e-9 * value


def _sample(points, masses, loc=0):
    return st.rv_discrete(values=(points, masses))(loc=loc)


def _histogram(counts, edges):
    return st.rv_histogram((np.array(counts), np.array(edges)), density=False)()


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
        (st.t(2), st.norm()),
        (st.norm(), st.vonmises(1.0)),
        (st.poisson(3, 0.5), st.poisson(4)),
        (st.bernoulli(0), st.bernoulli(1)),
        (st.uniform(0, 3), _histogram([1, 0, 1], [0, 1, 2, 3])),
        (st.binom(2, 0.5), st.rv_discrete(values=([0, 2], [0.5, 0.5]))()),
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
        (st.poisson(3, 0.5), st.poisson(5, 0.5), 3 * math.log(3 / 5) + 2),
        (st.laplace(), st.norm(), math.log(math.pi / 2) / 2),
        (st.uniform(-math.pi, 2 * math.pi), st.vonmises(2, 5), float(mp.log(mp.besseli(0, 2)))),
        (_sample([0.1, 0.7], [0.5, 0.5], 0.2), _sample([0.1, 0.7], [0.25, 0.75], 0.2), math.log(4 / 3) / 2),
        (_sample([1, 2], [0.5, 0.5]), st.geom(0.5), math.log(1 / 0.5 / 2) / 2 + math.log(0.5 / 0.25) / 2),
        (_sample([0.5, 3], [0.5, 0.5]), _sample([0.5, 3, 1], [0.25, 0.25, 0.5]), math.log(2)),
        (_histogram([1, 3], [0, 1, 2]), _histogram([2, 2], [0, 0.5, 2]), None),
        (st.norm(0, 1e-9), st.norm(0, 1), (1e-18 - 1) / 2 + 9 * math.log(10)),
        (st.norm(0, 1), st.norm(1e6, 1), 5e11),
    ],
)
@pytest.mark.parametrize("method", ["auto", "quadrature"])
def test_known_values(p, q, expected, method):
    if expected is None:  # densities 1/4, 3/4 on unit intervals; 1 on the first half, 1/3 after it
        expected = math.log(1 / 4) / 8 + math.log(3 / 4) / 8 + math.log(9 / 4) * 3 / 4
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


def test_functions_have_mass_in_the_support_alone():
    everywhere = {"support": (-INF, INF)}
    assert continuous_kl_divergence(st.norm().logpdf, st.uniform(), **everywhere) == INF
    assert continuous_kl_divergence(st.uniform().logpdf, st.norm(), **everywhere, points=[0, 1]) == pytest.approx(
        math.log(2 * math.pi) / 2 + 1 / 6, rel=1e-12
    )
    assert continuous_kl_divergence(st.uniform(0, 2), lambda x: 0 * x, support=(0, 1)) == INF
    assert continuous_kl_divergence(st.uniform(0, 1), lambda x: 0 * x - math.log(2), support=(-1, 1)) == pytest.approx(
        math.log(2), rel=1e-12
    )


def test_functions_of_one_number_and_narrow_peaks():
    everywhere = {"support": (-INF, INF)}

    def log_density(x):
        return -math.fabs(x) - math.log(2)

    value = continuous_kl_divergence(log_density, st.norm(), **everywhere, points=0)
    assert value == pytest.approx(math.log(math.pi / 2) / 2, rel=1e-12)
    p, q = st.norm(0, 1e-3), st.norm(50, 1)
    expected = continuous_kl_divergence(p, q)
    assert continuous_kl_divergence(p.logpdf, q.logpdf, **everywhere, points=[0, 50]) == pytest.approx(
        expected, rel=1e-12
    )


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
    assert continuous_kl_divergence(p, q, base=0.5) == -bits
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
        (st.norm(), st.norm(), {"return_error": "x"}, TypeError, "return_error must be True or False"),
        (lambda x: np.zeros(3), st.norm(), UNIT, ValueError, r"p returned the shape \(3,\) for points of the shape"),
        (st.uniform(), lambda x: np.zeros((len(x), 2)), UNIT, ValueError, r"q returned the shape \(21, 2\)"),
        (lambda x: x * 1j, st.norm(), UNIT, TypeError, "p returned values of type complex128; it must return"),
        (lambda x: 1j * math.sqrt(x), st.norm(), UNIT, TypeError, "p returned values of type complex128"),
        (lambda x: "a", st.norm(), UNIT, TypeError, "p returned values of type <U1"),
        (lambda x: None, st.norm(), UNIT, TypeError, "p returned a NoneType; it must return the logarithms"),
        (st.norm(), st.norm(), {"rtol": 0}, ValueError, "rtol must be a number"),
        (st.norm(), st.norm(), {"method": "formula"}, ValueError, "method must be 'auto' or 'quadrature'"),
        (st.norm(), st.norm(), {"base": 1}, ValueError, "base must be"),
        (st.norm(float("nan"), 1), st.norm(), {}, ValueError, "p has parameters out of their range"),
        (np.log, st.norm(), {"support": (0, 1), "points": ["a"]}, ValueError, "points must be finite numbers"),
        (st.norm(1e6).logpdf, st.norm(), {"support": (-INF, INF)}, ValueError, "p integrates to 0 .* pass as points"),
        (st.gaussian_kde([1.0, 2.0]), st.norm(), {}, TypeError, "p is a gaussian_kde: pass its method logpdf"),
        (st.rv_histogram(([1], [0, 1])), st.norm(), {}, TypeError, "p is not frozen: call it"),
        (st.multivariate_t([0, 0]), st.norm(), {}, TypeError, "of several variables only the normal is known"),
        (st.zipf(1.5), st.zipf(3), {}, ArithmeticError, "the sum does not converge within"),
        (st.randint(0, 10**9), st.randint(0, 10**10), {}, ArithmeticError, "the sum does not converge within"),
        (st.beta(0.01, 0.01), st.beta(0.5, 0.5), {"method": "quadrature"}, ArithmeticError, "does not converge"),
        (st.pareto(0.02), st.pareto(0.03), {"method": "quadrature"}, ArithmeticError, "does not converge"),
    ],
)
def test_bad_arguments(p, q, options, error, message):
    with pytest.raises(error, match=message):
        continuous_kl_divergence(p, q, **options)
