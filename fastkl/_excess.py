"""What convex functions rise above their tangents, to full relative precision: the terms of divergences with a formula.

The logarithms of the gamma function and of the Bessel function I0 are taken apart into a large part, whose excess is
that of the exponential, and a small rest, given by its asymptotic series far out. Every part is convex, so that sums of
them cancel nothing.
"""

import functools
import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

_Array = npt.NDArray[Any]
_SMALL = 0.25
_LARGEST_EXPONENT = 709.7
_HALF_LOG_TAU = 0.5 * math.log(2.0 * math.pi)
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(20)
# Bernoulli numbers B2, B4, ...: of Stirling's series, which is exact to double precision from here on.
_BERNOULLI = np.array([1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6])
_STIRLING_FROM = 20.0
_HANKEL_FROM = 30.0
_HANKEL_TERMS = 25


def log_ratio(a: float, b: float, apart: float | None = None) -> float:
    """log(a / b) of positive numbers; ``apart`` is a - b where it is known better than from their rounded values."""
    apart = a - b if apart is None else apart
    if abs(apart) <= 0.5 * b:
        return math.log1p(apart / b)
    ratio = a / b
    return math.log(ratio) if 1e-300 < ratio < 1e300 else math.log(a) - math.log(b)


def log_ratio_of_products(numerator: tuple[float, float], denominator: tuple[float, float]) -> float:
    """log((a b) / (c d)) of positive numbers, to full precision also where the products are nearly equal."""
    (a, b), (c, d) = numerator, denominator
    apart = Fraction(a) * Fraction(b) / (Fraction(c) * Fraction(d)) - 1
    return math.log1p(float(apart)) if abs(apart) < 0.5 else log_ratio(a, c) + log_ratio(b, d)


def excess_of_exp(g: float) -> float:
    """e^g - 1 - g."""
    if abs(g) > _SMALL:
        return math.expm1(g) - g if g < _LARGEST_EXPONENT else math.inf
    term = total = g * g / 2.0
    for k in range(3, 16):
        term *= g / k
        total += term
    return total


def excess_of_gammaln(a: float, b: float, apart: float | None = None) -> float:
    """log Gamma(b) - log Gamma(a) - (b - a) psi(a)."""
    return b * excess_of_exp(log_ratio(a, b, None if apart is None else -apart)) + excess_of_gamma_rest(a, b, apart)


def excess_of_gamma_rest(a: float, b: float, apart: float | None = None) -> float:
    """That of log Gamma(x) - (x log x - x)."""
    apart = b - a if apart is None else apart
    of_log = 0.5 * excess_of_exp(log_ratio(b, a, apart))
    if abs(apart) <= 0.5 * a:
        return of_log + _by_second_derivative(_binet_second, a, apart)
    return of_log + max(0.0, _binet(b) - _binet(a) - apart * _binet_first(a))


def excess_of_log_i0(k: float, m: float) -> float:
    """log I0(m) - log I0(k) - (m - k) I1(k) / I0(k)."""
    from scipy.special import i0e

    apart = m - k
    if min(k, m) >= 2.0 * _HANKEL_FROM:
        of_log = 0.5 * excess_of_exp(log_ratio(m, k))
        if abs(apart) <= 0.5 * k:
            return of_log + _by_second_derivative(functools.partial(_hankel, derivative=2), k, apart)
        rest = [float(_hankel(np.array(x), derivative)) for x, derivative in ((m, 0), (k, 0), (k, 1))]
        return of_log + max(0.0, rest[0] - rest[1] - apart * rest[2])
    if abs(apart) <= 0.1 * (1.0 + k):
        return _by_second_derivative(_variance_of_cosine, k, apart)
    return math.log(i0e(m) / i0e(k)) + apart * (1.0 - mean_cosine(k) if k < _HANKEL_FROM else _one_minus_mean(k))


def mean_cosine(k: float) -> float:
    """I1(k) / I0(k), the mean of the cosine of a von Mises distribution."""
    from scipy.special import i0e, i1e

    return float(i1e(k) / i0e(k))


def _by_second_derivative(second: Callable[[_Array], _Array], a: float, apart: float) -> float:
    t = (_NODES + 1.0) / 2.0
    return float(((1.0 - t) * second(a + t * apart) * _WEIGHTS).sum()) / 2.0 * apart**2


# What log Gamma has beyond (x - 1/2) log x - x + log(2 pi) / 2, and its derivatives.


def _binet(x: float) -> float:
    from scipy.special import gammaln

    if x < _STIRLING_FROM:
        return float(gammaln(x)) - ((x - 0.5) * math.log(x) - x + _HALF_LOG_TAU)
    return math.fsum(b / (2 * j * (2 * j - 1)) * x ** (1 - 2 * j) for j, b in enumerate(_BERNOULLI.tolist(), 1))


def _binet_first(x: float) -> float:
    from scipy.special import psi

    if x < _STIRLING_FROM:
        return float(psi(x)) - math.log(x) + 0.5 / x
    return -math.fsum(b / (2 * j) * x ** (-2 * j) for j, b in enumerate(_BERNOULLI.tolist(), 1))


def _binet_second(x: _Array) -> _Array:
    from scipy.special import polygamma

    powers = 2 * np.arange(1, len(_BERNOULLI) + 1) + 1
    far: _Array = (_BERNOULLI * np.maximum(x, _STIRLING_FROM)[:, None] ** -powers).sum(1)
    return np.where(x < _STIRLING_FROM, polygamma(1, x) - 1.0 / x - 0.5 / x**2, far)


# What log I0 has beyond x - log(2 pi x) / 2, by the logarithm of Hankel's series, and its derivatives.


@functools.cache
def _hankel_coefficients() -> _Array:
    series = [Fraction(1)]
    for j in range(1, _HANKEL_TERMS + 1):
        series.append(series[-1] * (2 * j - 1) ** 2 / (8 * j))
    logs = [Fraction(0)]
    for j in range(1, _HANKEL_TERMS + 1):
        logs.append(series[j] - sum((i * logs[i] * series[j - i] for i in range(1, j)), Fraction(0)) / j)
    return np.array([float(c) for c in logs[1:]])


def _hankel(x: _Array, derivative: int) -> _Array:
    j = np.arange(1, _HANKEL_TERMS + 1)
    factor = {0: 1.0, 1: -j, 2: j * (j + 1.0)}[derivative]
    values: _Array = (_hankel_coefficients() * factor * x[..., None] ** -(j + float(derivative))).sum(-1)
    return values


def _one_minus_mean(k: float) -> float:
    return 0.5 / k - float(_hankel(np.array(k), 1))


def _variance_of_cosine(x: _Array) -> _Array:
    from scipy.special import i0e, i1e

    mean = i1e(x) / i0e(x)
    with np.errstate(invalid="ignore"):
        return np.where(x < 1e-6, 0.5, 1.0 - mean / np.maximum(x, 1e-300) - mean**2)
