"""A real data set: 1797 handwritten digits as histograms of ink over 64 cells, half of them empty."""

import numpy as np
import pytest
import scipy.spatial
import scipy.stats
from sklearn.datasets import load_digits

import fastkl


@pytest.fixture(scope="module")
def digits():
    images, labels = load_digits(return_X_y=True)
    means = np.array([images[labels == k].mean(axis=0) for k in range(10)])
    return images, labels, means


def test_each_digit_against_the_mean_of_each_class(digits):
    images, _, means = digits
    assert (images == 0).mean() > 0.45
    expected = scipy.stats.entropy(images[:, None], means, axis=-1)
    assert np.isinf(expected).any()
    assert np.isfinite(expected).any()
    got = fastkl.kl_divergence(images[:, None], means)
    np.testing.assert_allclose(got, expected, rtol=1e-12)
    for dtype in (np.uint8, np.float16):
        np.testing.assert_allclose(fastkl.kl_divergence(images[:, None].astype(dtype), means), expected, rtol=1e-12)
    turned = fastkl.kl_divergence(images.T[:, :, None], means.T[:, None], axis=0)
    np.testing.assert_array_equal(turned, got)


def test_each_digit_against_the_mean_of_its_own_class(digits):
    images, labels, means = digits
    got = fastkl.kl_divergence(images, means[labels])
    assert np.isfinite(got).all()
    np.testing.assert_allclose(got, scipy.stats.entropy(images, means[labels], axis=1), rtol=1e-12)
    got = fastkl.js_divergence(images, means[labels])
    expected = scipy.spatial.distance.jensenshannon(images, means[labels], axis=1) ** 2
    np.testing.assert_allclose(got, expected, rtol=1e-12)
    np.testing.assert_allclose(fastkl.entropy(images), scipy.stats.entropy(images, axis=1), rtol=1e-13)


def test_most_digits_are_nearest_to_the_mean_of_their_class(digits):
    images, labels, means = digits
    got = fastkl.kl_divergence(images[:, None], means, pseudocount=0.1)
    expected = scipy.stats.entropy(images[:, None] + 0.1, means + 0.1, axis=-1)
    np.testing.assert_allclose(got, expected, rtol=1e-12)
    assert (got.argmin(axis=1) == labels).mean() > 0.85
