"""What the mathematics promises, on histograms that hypothesis makes up."""

import math

import numpy as np
from functions import DIVERGENCES
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from reference import ORDERS

import fastkl

ANY_BIN = st.floats(0, 1e290, allow_subnormal=True)
PLAIN_BIN = st.one_of(st.just(0.0), st.floats(1e-3, 1e3))
POSITIVE_BIN = st.floats(1e-3, 1e3)
# Short rows, rows of one piece, and rows of several pieces go through different loops.
BINS = st.one_of(st.integers(1, 12), st.integers(30, 40), st.sampled_from([100, 2048, 2049, 5000]))


def pairs(bins, sizes=BINS):
    """Two rows of one number of bins; long ones repeat a shorter one, turned."""

    def stretched(size):
        short = min(size, 24)
        rows = hnp.arrays(float, (2, short), elements=bins)
        return rows.map(lambda x: np.resize(x, (2, size)) if size == short else _repeat(x, size))

    return sizes.flatmap(stretched).filter(lambda x: x.any(axis=1).all())


def _repeat(x, size):
    return np.stack([np.resize(np.append(row, row[::-1] / 2), size) for row in x])


@given(pairs(ANY_BIN))
def test_never_negative_and_never_nan(pair):
    p, q = pair
    for normalize in (True, False):
        for function in DIVERGENCES.values():
            assert function(p, q, normalize=normalize) >= 0
    assert fastkl.entropy(p) >= 0


@given(pairs(ANY_BIN))
def test_finite_where_the_support_of_p_lies_in_that_of_q(pair):
    p, q = pair
    supported = not ((p > 0) & (q == 0)).any()
    assert np.isfinite(fastkl.kl_divergence(p, q)) == supported
    assert np.isfinite(fastkl.kl_divergence(p, q, normalize=False)) == supported
    assert np.isfinite(fastkl.cross_entropy(p, q)) == supported
    assert np.isfinite(fastkl.js_divergence(p, q))
    assert np.isfinite(fastkl.entropy(p))


@given(pairs(st.one_of(st.just(0.0), st.floats(1e-120, 1e120))))
def test_zero_only_for_equal_rows(pair):
    p, q = pair
    assert (fastkl.kl_divergence(p, q, normalize=False) == 0) == np.array_equal(p, q)
    assert fastkl.kl_divergence(p, p.copy(), normalize=False) == 0
    assert fastkl.kl_divergence(p, p.copy()) == 0
    assert fastkl.js_divergence(p, p.copy()) == 0


@given(pairs(PLAIN_BIN), st.randoms(use_true_random=False))
def test_the_order_of_bins_does_not_matter(pair, random):
    order = list(range(pair.shape[1]))
    random.shuffle(order)
    for function in (*DIVERGENCES.values(), fastkl.cross_entropy):
        for normalize in (True, False):
            got = function(*pair[:, order], normalize=normalize)
            np.testing.assert_allclose(got, function(*pair, normalize=normalize), rtol=1e-11, atol=1e-12)


@given(pairs(PLAIN_BIN), st.floats(1e-250, 1e250), st.floats(1e-250, 1e250))
def test_scale_does_not_matter_to_normalized_rows(pair, a, b):
    p, q = pair
    for function in (*DIVERGENCES.values(), fastkl.cross_entropy):
        np.testing.assert_allclose(function(a * p, b * q), function(p, q), rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(fastkl.entropy(a * p), fastkl.entropy(p), rtol=1e-11, atol=1e-12)


@given(pairs(PLAIN_BIN), st.floats(1e-200, 1e200))
def test_unnormalized_divergences_scale_with_the_rows(pair, a):
    for function in (function for name, function in DIVERGENCES.items() if name not in ORDERS):
        expected = a * function(*pair, normalize=False)
        np.testing.assert_allclose(function(*(a * pair), normalize=False), expected, rtol=1e-11, atol=1e-12 * a)


@given(pairs(PLAIN_BIN), st.integers(2, 7))
def test_merging_bins_never_raises_a_divergence(pair, width):
    starts = np.arange(0, pair.shape[1], width)
    merged = np.add.reduceat(pair, starts, axis=1)
    for function in DIVERGENCES.values():
        for normalize in (True, False):
            fine, coarse = function(*pair, normalize=normalize), function(*merged, normalize=normalize)
            assert coarse <= fine * (1 + 1e-11) + 1e-11


@given(pairs(POSITIVE_BIN, st.integers(1, 60)), pairs(POSITIVE_BIN, st.integers(1, 60)))
def test_divergences_and_entropies_of_independent_parts_add_up(first, second):
    (p1, q1), (p2, q2) = first, second
    p, q = np.outer(p1, p2).ravel(), np.outer(q1, q2).ravel()
    for function in (fastkl.kl_divergence, fastkl.cross_entropy):
        np.testing.assert_allclose(function(p, q), function(p1, q1) + function(p2, q2), rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(fastkl.entropy(p), fastkl.entropy(p1) + fastkl.entropy(p2), rtol=1e-11, atol=1e-12)


@given(pairs(POSITIVE_BIN))
def test_the_functions_are_made_of_each_other(pair):
    p, q = (x / x.sum() for x in pair)
    m = (p + q) / 2
    got = fastkl.entropy(p) + fastkl.kl_divergence(p, q)
    np.testing.assert_allclose(got, fastkl.cross_entropy(p, q), rtol=1e-12, atol=1e-13)
    got = (fastkl.kl_divergence(p, m) + fastkl.kl_divergence(q, m)) / 2
    np.testing.assert_allclose(got, fastkl.js_divergence(p, q), rtol=1e-11, atol=1e-15)
    assert fastkl.js_divergence(p, q) <= math.log(2)
    got = fastkl.kl_divergence(p, q) + fastkl.kl_divergence(q, p)
    np.testing.assert_allclose(got, fastkl.jeffreys_divergence(p, q), rtol=1e-11, atol=1e-15)
    assert fastkl.entropy(p) <= math.log(len(p)) * (1 + 1e-15)
    assert fastkl.js_divergence(p, q) == fastkl.js_divergence(q, p)


@given(pairs(POSITIVE_BIN))
def test_pinsker(pair):
    p, q = (x / x.sum() for x in pair)
    assert fastkl.kl_divergence(p, q) >= np.abs(p - q).sum() ** 2 / 2 * (1 - 1e-11)


@given(pairs(POSITIVE_BIN), st.floats(0, 1))
def test_jointly_convex(pair, t):
    p, q = (x / x.sum() for x in pair)
    r, s = p[::-1], q
    middle = fastkl.kl_divergence(t * p + (1 - t) * r, t * q + (1 - t) * s, normalize=False)
    ends = t * fastkl.kl_divergence(p, q, normalize=False) + (1 - t) * fastkl.kl_divergence(r, s, normalize=False)
    assert middle <= ends * (1 + 1e-11) + 1e-13
