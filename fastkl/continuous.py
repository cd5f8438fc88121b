"""The Kullback-Leibler divergence of distributions that are no histograms."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fastkl._check import check_base, check_flag
from fastkl._distributions import Discrete, Normals, distribution_of
from fastkl._quadrature import integral
from fastkl._series import series


def continuous_kl_divergence(
    p: Any,
    q: Any,
    *,
    support: tuple[float, float] | None = None,
    points: float | Sequence[float] = (),
    base: float | None = None,
    rtol: float = 1e-10,
    method: str = "auto",
    return_error: bool = False,
) -> float | tuple[float, float]:
    r"""Kullback-Leibler divergence of two distributions, each frozen in scipy.stats or given by its log density.

    .. math:: D(P \| Q) = \int p(x) \log \frac{p(x)}{q(x)} \, dx

    or the sum over the support of discrete distributions. Where there is a formula it is used: for two distributions of
    one of the families norm, multivariate_normal, lognorm, expon, gamma, chi2, erlang, invgamma, beta, uniform,
    laplace, cauchy, weibull_min, rayleigh, halfnorm, gumbel_l, gumbel_r, pareto, vonmises, poisson, bernoulli, binom,
    geom and nbinom, as far as their locations allow one. Otherwise the integrand :math:`p \log(p / q) - p + q`, which
    is never negative and cancels nothing, is integrated adaptively, piece by piece between quantiles of both.

    Parameters
    ----------
    p, q : frozen distributions of scipy.stats, or callables
        A callable takes an array (or a number, which is slower) and returns the logarithm of a normalised density
        there, -inf where it is zero.
    support : (float, float), optional
        Where callables may have mass; either end may be infinite. Beyond it they count as zero. It is needed where one
        of p and q is a callable, and refused elsewhere: distributions know theirs.
    points : float or sequence of float
        Where callables change quickly: peaks, kinks, jumps. Not needed for distributions. The mass of a callable is
        checked, so that a peak that was missed is an error.
    base : float, optional
        Base of the logarithm. Default: e, nats.
    rtol : float
        The relative error to reach by quadrature or summation.
    method : {"auto", "quadrature"}
        "quadrature" uses no formula.
    return_error : bool
        True to get an estimate of the absolute error as well, 0 for formulas, which are exact but for rounding. That of
        a sum counts what SciPy's masses lost to rounding, by what they sum to.

    Returns
    -------
    float, or (float, float)
        The divergence, >= 0; inf where p has mass and q has none, and where the integral has no end.

    Raises
    ------
    TypeError
        What is neither a frozen distribution of one variable nor a callable; a discrete one beside a continuous one;
        a callable that returns no real numbers.
    ValueError
        A callable that returns another shape than that of its points, a density that does not integrate to 1 over the
        support, parameters out of their range.
    ArithmeticError
        An integral or sum whose estimated error stays above ten times ``rtol`` (within 4,194,304 terms), or whose
        densities or masses underflow in SciPy, have not the digits for it, or lie where doubles have no points.

    References
    ----------
    S. Kullback and R. A. Leibler, On information and sufficiency, Annals of Mathematical Statistics 22 (1951), 79-86.
    The sources of the formulas are named in `fastkl._closed_forms`.

    Examples
    --------
    >>> import scipy.stats
    >>> import fastkl
    >>> fastkl.continuous_kl_divergence(scipy.stats.norm(0, 1), scipy.stats.norm(1, 2))
    0.4431471805599453
    >>> value = fastkl.continuous_kl_divergence(scipy.stats.t(3), scipy.stats.norm())
    >>> round(value, 12)
    0.645460961341
    >>> def log_density(x):
    ...     return -abs(x) - 0.6931471805599453
    >>> value, error = fastkl.continuous_kl_divergence(
    ...     log_density, scipy.stats.norm(), support=(-float("inf"), float("inf")), points=[0], return_error=True
    ... )
    >>> round(value, 12), error < 1e-10
    (0.225791352645, True)
    """
    factor, gives_error = check_base(base), check_flag("return_error", return_error)
    if method not in ("auto", "quadrature"):
        raise ValueError(f"method must be 'auto' or 'quadrature', not {method!r}")
    if not (isinstance(rtol, int | float | np.floating) and 1e-14 <= rtol < 1):
        raise ValueError(f"rtol must be a number between 1e-14 and 1, not {rtol!r}")
    left, right = distribution_of("p", p, q, support, points), distribution_of("q", q, p, support, points)
    if isinstance(left, Discrete) != isinstance(right, Discrete):
        raise TypeError("one of p and q is discrete and the other continuous; neither has a density beside the other")
    if isinstance(left, Normals) != isinstance(right, Normals):
        raise TypeError("one of p and q is a multivariate normal distribution and the other is not")
    value, error = _divergence(left, right, rtol, method == "auto")
    if math.isnan(value) or math.isnan(error):
        raise ArithmeticError("the divergence of p and q can't be computed: a density is NaN")
    value, error = factor * max(0.0, value), abs(factor) * error
    return (value, error) if gives_error else value


def _divergence(p: Any, q: Any, rtol: float, may_use_formula: bool) -> tuple[float, float]:
    if isinstance(p, Normals):
        return p.divergence_from(q), 0.0
    if may_use_formula and (known := p.known_divergence_from(q)) is not None:
        return known, 0.0
    compute: Callable[..., tuple[float, float]] = series if isinstance(p, Discrete) else integral
    return compute(p, q, rtol)


__all__ = ["continuous_kl_divergence"]
