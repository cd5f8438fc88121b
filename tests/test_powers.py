"""The order of the alpha and Rényi divergences: every one that is defined, its limits, and what lies between them."""

import math

import numpy as np
import pytest
from reference import mp, relative_error
from samples import near

import fastkl

ORDERS = [-20.0, -2.0, -1e-6, 1e-12, 0.2, 0.5, 0.999, 1 - 2e-16, 1 + 1e-9, 1.5, 2.0, 7.0, 60.0]


def exact_alpha(p, q, alpha):
    with mp.workdps(120):
        a, x, y = mp.mpf(alpha), *([mp.mpf(v) for v in row.tolist()] for row in (p, q))
        bins = [(u, v) for u, v in zip(x, y, strict=True) if u != v]
        return mp.fsum(u**a * v ** (1 - a) - a * u - (1 - a) * v for u, v in bins) / (a * (a - 1))


def exact_renyi(p, q, alpha):
    with mp.workdps(120):
        a, x, y = mp.mpf(alpha), *([mp.mpf(v) for v in row.tolist()] for row in (p, q))
        x, y = [v / mp.fsum(x) for v in x], [v / mp.fsum(y) for v in y]
        return mp.log(mp.fsum(u**a * v ** (1 - a) for u, v in zip(x, y, strict=True) if u > 0 and v > 0)) / (a - 1)


@pytest.mark.parametrize("alpha", ORDERS)
@pytest.mark.parametrize("length", [3, 100])
def test_alpha_divergence_has_a_relative_error_below_1e_13_however_near_the_rows(alpha, length):
    rng = np.random.default_rng(length)
    for distance in (1.0, 1e-1, 1e-4, 1e-8, 1e-12):
        p, q = near(rng, length, distance)
        got = fastkl.alpha_divergence(p, q, alpha, normalize=False)
        assert relative_error(got, exact_alpha(p, q, alpha)) <= 1e-13


@pytest.mark.parametrize("alpha", ORDERS)
def test_renyi_divergence_of_rows_that_lie_apart(alpha):
    # From overlapping to nearly disjoint: the sum of powers goes from 1 to 1e-250 or 1e+10000.
    for width in (30.0, 3.0, 0.5):
        x = np.arange(100.0)
        p, q = (np.exp(-(((x - mean) / width) ** 2) / 2) + 1e-290 for mean in (45, 55))
        answer = exact_renyi(p, q, alpha)
        assert relative_error(fastkl.renyi_divergence(p, q, alpha), answer) <= 3e-13
        unit = p / p.sum(), q / q.sum()
        assert relative_error(fastkl.renyi_divergence(*unit, alpha, normalize=False), answer) <= 1e-12 + 1e-15 / abs(
            float(answer) * (alpha - 1)
        )
        batch = fastkl.renyi_divergence(np.tile(p, (5, 1)), q, alpha)
        np.testing.assert_array_equal(batch, fastkl.renyi_divergence(p, q, alpha))


EXTREME_ORDERS = [3e-308, 1e-300, 1e-30, 1e-20, 1e-18, 1e4, 1e6, 1e10, 1e15, 1e23, 1e100, 1e110, 1e150, 1e200, 1.7e308]


@pytest.mark.parametrize("dtype", ["f8", "f4"])
@pytest.mark.parametrize("alpha", [sign * order for sign in (1, -1) for order in EXTREME_ORDERS])
def test_orders_of_every_magnitude(alpha, dtype):
    pairs = [
        ([1, 3], [3, 1]),
        ([1, 2, 3], [3, 2, 0.5]),
        ([1, 2, 0], [1, 1, 1]),
        ([1, 1], [2, 0]),
        ([1, 2.0**-50], [1, 0]),
    ]
    for p, q in (np.array(pair, dtype) for pair in pairs):
        with mp.workdps(700):
            a, x, y = mp.mpf(alpha), *([mp.mpf(v) / mp.fsum(row) for v in row.tolist()] for row in (p, q))
            is_finite = (q > 0)[p > 0].all() if alpha > 1 else (p > 0)[q > 0].all() if alpha < 0 else True
            powers = mp.fsum(u**a * v ** (1 - a) for u, v in zip(x, y, strict=True) if u and v) if is_finite else mp.inf
            renyi, divergence = float(mp.log(powers) / (a - 1)), float((powers - 1) / (a * (a - 1)))
        tolerance = 3e-13 if dtype == "f8" else 3e-6
        got = fastkl.renyi_divergence(p, q, alpha, dtype="f8")
        assert got == pytest.approx(renyi, rel=tolerance, abs=0)
        got = fastkl.alpha_divergence(p, q, alpha, dtype="f8")
        assert got == pytest.approx(divergence, rel=tolerance, abs=0)
        for function in (fastkl.renyi_divergence, fastkl.alpha_divergence):
            single, double = function(p, q, alpha), function(p, q, alpha, dtype="f8")
            with np.errstate(over="ignore"):
                expected = np.array(double).astype(dtype)
            # Where q's share is rounded to one, so is the divergence.
            assert single == pytest.approx(expected, rel=3e-6, abs=2e-45 if alpha > 0 else 1e-15)
            assert function(p, p, alpha) == 0


def test_large_orders_of_rows_that_are_no_histograms():
    for alpha in (1e10, 1e20, 1e23, 1e24, 1e100, 1e110, 1e200):
        # (p^alpha q^(1 - alpha) - alpha p - (1 - alpha) q) / (alpha (alpha - 1)), whose power is nothing.
        got = fastkl.alpha_divergence([1.0], [3.0], alpha, normalize=False)
        assert got == pytest.approx(2 / alpha, rel=1e-9, abs=0)
        assert fastkl.alpha_divergence([3.0], [1.0], alpha, normalize=False) == np.inf
        assert fastkl.renyi_divergence([3.0], [1.0], alpha, normalize=False) == pytest.approx(math.log(3), rel=1e-8)


def test_near_rows_keep_their_digits_where_powers_are_beyond_the_doubles():
    p, q = np.array([0.5, 0.5]), np.array([0.5 * (1 - 2.0**-30), 0.5 * (1 + 2.0**-30)])
    expected = -math.log1p(-(2.0**-30)) - math.log(2) / 1e15
    assert fastkl.renyi_divergence(p, q, 1e15) == pytest.approx(expected, rel=1e-14)


def test_orders_0_and_1_of_the_alpha_divergence_are_the_reverse_and_the_forward_divergence():
    p, q = np.random.default_rng(1).random((2, 50, 40))
    np.testing.assert_array_equal(fastkl.alpha_divergence(p, q, 1), fastkl.kl_divergence(p, q))
    np.testing.assert_array_equal(fastkl.alpha_divergence(p, q, 0), fastkl.kl_divergence(q, p))


@pytest.mark.parametrize("limit", [0.0, 1.0])
@pytest.mark.parametrize("distance", [1.0, 1e-6])
def test_the_divergences_are_smooth_through_their_limits(limit, distance):
    p, q = near(np.random.default_rng(2), 50, distance)
    for function in (fastkl.alpha_divergence, fastkl.renyi_divergence):
        at_limit = function(p, q, limit, normalize=False)
        for step in (1e-15, 1e-12, 1e-9):
            for alpha in (limit - step, limit + step):
                # Of the order 0 the divergence of Rényi is 0, and grows from there in proportion.
                expected = at_limit + (alpha * fastkl.kl_divergence(q, p, normalize=False) if at_limit == 0 else 0)
                assert function(p, q, alpha, normalize=False) == pytest.approx(expected, rel=10 * step + 1e-14)


def test_order_0_of_renyi_is_what_the_support_of_p_has_of_q():
    p, q = np.array([[1.0, 0, 2, 0], [0, 0, 0, 5], [1, 1, 1, 1]]), np.array([1.0, 2, 3, 1e-30])
    np.testing.assert_allclose(fastkl.renyi_divergence(p, q, 0), -np.log([4 / 6, 1e-30 / 6, 1]), rtol=1e-15)
    # What is missing is so little that 1 less it is 1.
    assert fastkl.renyi_divergence([1, 1, 0], [1, 1, 2e-30], 0) == pytest.approx(1e-30, rel=1e-14, abs=0)
    assert fastkl.renyi_divergence([1, 0], [0, 1], 0) == np.inf


@pytest.mark.parametrize("length", [2, 40, 3000])
def test_infinite_orders_are_the_extreme_ratios(length):
    p, q = np.random.default_rng(3).random((2, 7, length)) + 0.01
    ratios = (p / p.sum(1, keepdims=True)) / (q / q.sum(1, keepdims=True))
    np.testing.assert_allclose(fastkl.renyi_divergence(p, q, np.inf), np.log(ratios.max(1)), rtol=1e-13)
    np.testing.assert_allclose(fastkl.renyi_divergence(p, q, -np.inf), np.log(ratios.min(1)), rtol=1e-13)
    np.testing.assert_allclose(fastkl.renyi_divergence(p, q, 1e9), np.log(ratios.max(1)), rtol=1e-7)
    np.testing.assert_array_equal(fastkl.renyi_divergence(p, p, np.inf), 0)


def test_infinite_orders_at_the_edges():
    assert fastkl.renyi_divergence([1, 1], [1, 0], np.inf) == np.inf
    assert fastkl.renyi_divergence([1, 0], [1, 1], np.inf) == pytest.approx(math.log(2))
    assert fastkl.renyi_divergence([1, 0], [1, 1], -np.inf) == -np.inf
    assert fastkl.renyi_divergence([1, 1], [1, 0], -np.inf) == pytest.approx(-math.log(2))
    p, q = np.array([1e300, 5e-324, 0]), np.array([5e-324, 1e300, 0])
    assert fastkl.renyi_divergence(p, q, np.inf) == pytest.approx(math.log(1e300) - math.log(5e-324))
    near_one = np.array([0.5, 0.5]), np.array([0.5 * (1 + 1e-13), 0.5])
    expected = -math.log1p(1e-13)
    assert fastkl.renyi_divergence(*near_one, -np.inf, normalize=False) == pytest.approx(expected, rel=1e-2)
    with pytest.raises(ValueError, match=r"p\[1\] is not a histogram: bin 0 is -1"):
        fastkl.renyi_divergence([[1, 1], [-1, 1]], [1, 1], np.inf)


@pytest.mark.parametrize("alpha", [0, 0.4, 3, np.inf])
def test_renyi_divergence_with_every_option(alpha):
    rng = np.random.default_rng(4)
    p, q, w = rng.random((6, 5, 9)), rng.random((6, 5, 9)), rng.integers(0, 3, 9).astype(float)
    p[0, 0, 2:] = 0
    x, y = (v + 0.25 for v in (p, q))
    x, y = x / (w * x).sum(-1, keepdims=True), y / (w * y).sum(-1, keepdims=True)
    if alpha == np.inf:
        expected = np.log2((x / y)[..., w > 0].max(-1))
    else:
        expected = np.log2((w * x**alpha * y ** (1 - alpha)).sum(-1)) / (alpha - 1)
    options = {"base": 2, "weights": w, "pseudocount": 0.25}
    np.testing.assert_allclose(fastkl.renyi_divergence(p, q, alpha, **options), expected, rtol=1e-12, atol=1e-15)
    turned = np.moveaxis(p, -1, 0).copy(), np.moveaxis(q, -1, 0).copy()
    got = fastkl.renyi_divergence(*turned, alpha, axis=0, keepdims=True, **options)
    np.testing.assert_allclose(got, expected[None], rtol=1e-12, atol=1e-15)


def test_invalid_rows_of_a_batch_that_needs_every_way_of_computing():
    p = np.array([[1.0, 1], [1, 0], [np.nan, 1], [1, 1e-200], [0, 0]])
    q = np.array([[1.0, 1], [0, 1], [1, 1], [1e-200, 1], [1, 1]])
    got = fastkl.renyi_divergence(p, q, 3, on_invalid="nan")
    assert got[0] == 0
    assert got[1] == np.inf
    assert got[3] == pytest.approx(200 * math.log(10), rel=1e-12)
    assert np.isnan(got[[2, 4]]).all()
    got = fastkl.renyi_divergence(p, q, 0.5, on_invalid="nan")
    assert got[3] == pytest.approx(-2 * math.log(2e-100), rel=1e-12)


def test_renyi_divergence_grows_with_its_order():
    p, q = np.random.default_rng(5).random((2, 100, 20))
    orders = [-np.inf, -30, -1, 0, 0.1, 0.5, 0.9, 1, 1.1, 2, 10, 300, np.inf]
    values = np.array([fastkl.renyi_divergence(p, q, order) for order in orders])
    assert (np.diff(values, axis=0) >= -1e-15).all()


@pytest.mark.parametrize("alpha", [0.3, 2.0, 1e6, 1e15, 1e20, 1e50, 1e300, math.inf])
def test_renyi_divergence_of_nearly_equal_rows_is_not_negative(alpha):
    rng = np.random.default_rng(5)
    p = np.vstack([rng.random((200, 7)), np.full((1, 7), 0.0)])
    q = 7 * p * (1 + 1e-16 * rng.integers(-3, 4, p.shape))
    p[-1, :2], q[-1, :2] = (0.7, 0.2), (0.7000000000000001, 0.2)
    assert (fastkl.renyi_divergence(p, q, alpha) >= 0).all()
    assert (fastkl.renyi_divergence(p, q, alpha, base=0.5) <= 0).all()


@pytest.mark.parametrize("alpha", [-1.5, 0.3, 4.0])
def test_exchanged_histograms_are_those_of_the_opposite_order(alpha):
    p, q = np.random.default_rng(6).random((2, 30, 20))
    opposite = fastkl.alpha_divergence(q, p, 1 - alpha)
    np.testing.assert_allclose(fastkl.alpha_divergence(p, q, alpha), opposite, rtol=1e-14)
    factor = alpha / (1 - alpha)
    renyi = fastkl.renyi_divergence(p, q, alpha), factor * fastkl.renyi_divergence(q, p, 1 - alpha)
    np.testing.assert_allclose(*renyi, rtol=1e-13)


@pytest.mark.parametrize("alpha", [math.nan, "2", None, 1j, [1.0], True])
def test_an_order_that_is_none_is_refused(alpha):
    for function in (fastkl.alpha_divergence, fastkl.renyi_divergence):
        with pytest.raises(ValueError, match="alpha must be"):
            function([1, 2], [2, 1], alpha)


def test_the_alpha_divergence_has_no_infinite_order():
    with pytest.raises(ValueError, match="alpha must be a finite number, not inf"):
        fastkl.alpha_divergence([1, 2], [2, 1], math.inf)
