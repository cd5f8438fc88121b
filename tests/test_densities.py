"""Weights as quadrature: densities on a grid give the closed forms of the continuous divergences."""

import math

import numpy as np
import pytest
import scipy.special
import scipy.stats

import fastkl


def panels(edges, order=40):
    """Nodes and weights of Gauss-Legendre quadrature on each interval between the edges."""
    nodes, weights = np.polynomial.legendre.leggauss(order)
    half = np.diff(edges)[:, None] / 2
    return (edges[:-1, None] + half * (1 + nodes)).ravel(), (half * weights).ravel()


@pytest.mark.parametrize(("mean", "sd"), [(0.0, 1.0), (0.3, 1.2), (-2.0, 0.8), (1e-7, 1.0)])
def test_normal_densities(mean, sd):
    x = np.linspace(-14, 14, 1501)
    weights = np.full(1501, x[1] - x[0])
    p, q = scipy.stats.norm.pdf(x), scipy.stats.norm.pdf(x, mean, sd)
    expected = math.log(sd) + (1 + mean**2) / (2 * sd**2) - 0.5
    for normalize in (True, False):
        got = fastkl.kl_divergence(p, q, weights=weights, normalize=normalize)
        np.testing.assert_allclose(got, expected, rtol=1e-8 if mean == 1e-7 else 1e-12, atol=1e-16)
    got = fastkl.entropy(p, weights=weights)
    np.testing.assert_allclose(got, 0.5 * math.log(2 * math.pi * math.e), rtol=1e-13)
    got = fastkl.cross_entropy(p, q, weights=weights)
    np.testing.assert_allclose(got, 0.5 * math.log(2 * math.pi * math.e) + expected, rtol=1e-13)


@pytest.mark.parametrize(("a", "b"), [((2.0, 1.0), (3.0, 2.0)), ((0.9, 1.0), (0.7, 0.5)), ((40.0, 3.0), (35.0, 2.5))])
def test_gamma_densities(a, b):
    (k, rate), (k2, rate2) = a, b
    log_x = np.linspace(-60, 8, 20_001)
    x = np.exp(log_x)
    weights = x * (log_x[1] - log_x[0])
    p, q = scipy.stats.gamma.pdf(x, k, scale=1 / rate), scipy.stats.gamma.pdf(x, k2, scale=1 / rate2)
    keep = q > 0  # the far tail has densities below the smallest double
    expected = (
        (k - k2) * scipy.special.digamma(k)
        - scipy.special.gammaln(k)
        + scipy.special.gammaln(k2)
        + k2 * math.log(rate / rate2)
        + k * (rate2 / rate - 1)
    )
    got = fastkl.kl_divergence(p[keep], q[keep], weights=weights[keep])
    np.testing.assert_allclose(got, expected, rtol=1e-10)


@pytest.mark.parametrize(("shift", "scale"), [(0.0, 2.0), (1.0, 1.0), (-3.0, 0.5)])
def test_laplace_densities(shift, scale):
    edges = np.unique(np.concatenate([np.linspace(-90, 90, 181), [0.0, shift]]))
    x, weights = panels(edges)
    p, q = scipy.stats.laplace.pdf(x), scipy.stats.laplace.pdf(x, shift, scale)
    far = abs(shift)
    expected = math.log(scale) - 1 + (math.exp(-far) + far) / scale
    for normalize in (True, False):
        got = fastkl.kl_divergence(p, q, weights=weights, normalize=normalize)
        np.testing.assert_allclose(got, expected, rtol=1e-11)


@pytest.mark.parametrize(("a", "b"), [((2.0, 5.0), (3.0, 3.0)), ((1.0, 1.0), (2.5, 1.5)), ((12.0, 8.0), (10.0, 12.0))])
def test_beta_densities(a, b):
    edges = np.concatenate(
        [[0], np.logspace(-12, -1, 34), np.linspace(0.1, 0.9, 9)[1:], 1 - np.logspace(-1, -12, 34)[1:]]
    )
    x, weights = panels(np.append(edges, 1.0))
    p, q = scipy.stats.beta.pdf(x, *a), scipy.stats.beta.pdf(x, *b)
    (k, m), (k2, m2) = a, b
    digamma = scipy.special.digamma
    expected = (
        scipy.special.betaln(k2, m2)
        - scipy.special.betaln(k, m)
        + (k - k2) * digamma(k)
        + (m - m2) * digamma(m)
        + (k2 - k + m2 - m) * digamma(k + m)
    )
    for normalize in (True, False):
        got = fastkl.kl_divergence(p, q, weights=weights, normalize=normalize)
        np.testing.assert_allclose(got, expected, rtol=1e-9)


def test_weights_as_the_widths_of_bins_that_are_not_uniform():
    edges = np.sort(np.random.default_rng(5).uniform(-8, 8, 4001))
    widths, middles = np.diff(edges), (edges[1:] + edges[:-1]) / 2
    p, q = scipy.stats.norm.pdf(middles), scipy.stats.norm.pdf(middles, 0.5, 1.5)
    keep = widths > 0
    expected = math.log(1.5) + (1 + 0.5**2) / (2 * 1.5**2) - 0.5
    got = fastkl.kl_divergence(p[keep], q[keep], weights=widths[keep])
    np.testing.assert_allclose(got, expected, rtol=1e-3)


def test_weights_scaled_by_a_constant_leave_normalized_divergences_alone():
    p, q, weights = np.random.default_rng(3).exponential(size=(3, 50))
    for function in (fastkl.kl_divergence, fastkl.js_divergence):
        got = function(p, q, weights=weights * 1e100), function(p, q, weights=weights * 1e-9)
        expected = function(p * weights, q * weights)
        np.testing.assert_allclose(got, expected, rtol=1e-13)


def test_each_row_may_have_its_own_weights():
    p, q, weights = np.random.default_rng(3).exponential(size=(3, 7, 50))
    got = fastkl.kl_divergence(p, q, weights=weights)
    one_by_one = [fastkl.kl_divergence(a, b, weights=w) for a, b, w in zip(p, q, weights, strict=True)]
    np.testing.assert_array_equal(got, one_by_one)
    got = fastkl.kl_divergence(p[0], q[0], weights=weights)
    np.testing.assert_array_equal(got, [fastkl.kl_divergence(p[0], q[0], weights=w) for w in weights])


def test_bins_of_weight_zero_count_for_nothing():
    for length in (4, 40, 3000):
        p, q, weights = np.random.default_rng(length).exponential(size=(3, length))
        q[1] = weights[1] = 0.0
        p[2], weights[2] = 1e-310, 0.0
        kept = weights > 0
        for normalize in (True, False):
            got = fastkl.kl_divergence(p, q, weights=weights, normalize=normalize)
            expected = fastkl.kl_divergence(p[kept], q[kept], weights=weights[kept], normalize=normalize)
            np.testing.assert_allclose(got, expected, rtol=1e-13)
