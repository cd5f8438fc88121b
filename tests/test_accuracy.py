"""Every answer against 50-digit arithmetic."""

import math

import mpmath
import numpy as np
import pytest
from functions import DIVERGENCES, FUNCTIONS, SYMMETRIC, call
from reference import ORDERS, assert_backward_stable, exact, mp, relative_error, representable
from samples import LENGTHS, PAIRS, near, tiny_beside_ordinary

import fastkl

EPS_32 = 2.0**-23


def reference(name, p, q, **options):
    return exact(name, p, None if name == "entropy" else q, **options)


def pair_with_reference(name, kind, length, normalize):
    """A pair of histograms and the exact answer; bins of long rows repeat, for the sake of the time that it takes."""
    rng = np.random.default_rng(length)
    few = 200 if length > 256 else length
    p, q = PAIRS[kind](rng, few)
    if not (p.any() and q.any()):
        p[0] = q[0] = 1.0
    index = rng.integers(0, few, length) if few < length else np.arange(length)
    answer = reference(name, p, q, normalize=normalize, times=np.bincount(index, minlength=few))
    return p[index], q[index], answer


def distances(length):
    """The distances of near rows: all of them for short rows."""
    return 10.0 ** -np.arange(1, 16) if length <= 256 else [1e-1, 1e-8, 1e-12, 1e-15]


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("kind", PAIRS)
def test_unnormalized_divergence_has_a_relative_error_below_1e_14(kind, length):
    p, q, answer = pair_with_reference("kl_divergence", kind, length, normalize=False)
    got = fastkl.kl_divergence(p, q, normalize=False)
    slack = length * 5e-324  # what rounding each bin of a subnormal result may cost
    assert abs(mp.mpf(float(got)) - answer.value) <= 1e-14 * answer.value + slack


@pytest.mark.parametrize("length", LENGTHS)
def test_unnormalized_divergence_of_near_rows_has_a_relative_error_below_1e_14(length):
    rng = np.random.default_rng(length)
    for distance in distances(length):
        p, q = near(rng, length, distance)
        got = fastkl.kl_divergence(p, q, normalize=False)
        assert relative_error(got, exact("kl_divergence", p, q, normalize=False).value) <= 1e-14, distance


@pytest.mark.parametrize("scale", [1.0, 2.0**-1000, 2.0**980])
@pytest.mark.parametrize("length", [31, 32, 33, 256, 2048, 2049, 10_000, 1_000_000])
def test_rounding_does_not_pile_up_in_rows_of_equal_bins(length, scale):
    rng = np.random.default_rng(length)
    for p, q in scale * rng.uniform(1, 2, (4, 2)):
        answer = exact("kl_divergence", [p], [q], normalize=False).value * length
        p, q = np.broadcast_to([[p], [q]], (2, length)).copy()
        assert relative_error(fastkl.kl_divergence(p, q, normalize=False), answer) <= 1e-14


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("wanted", [None, np.float64])
def test_unnormalized_single_precision_has_a_relative_error_below_1e_5(length, wanted):
    rng = np.random.default_rng(length)
    pairs = [PAIRS["ordinary"](rng, length), PAIRS["half_zero"](rng, length)]
    pairs += [near(rng, length, distance) for distance in (1e-1, 1e-3, 1e-6)]
    pairs += [tiny_beside_ordinary(rng, length, -44.0) for _ in range(3)]
    pairs += [10.0 ** rng.uniform(-42, 30, (2, length)), rng.uniform(1, 2, (2, 1)) * np.ones((2, length))]
    for p, q in np.array(pairs, np.float32):
        got = fastkl.kl_divergence(p, q, normalize=False, dtype=wanted)
        assert got.dtype == (wanted or np.float32)
        limit = 1e-5 if wanted is None else 1e-14
        assert relative_error(got, exact("kl_divergence", p, q, normalize=False).value) <= limit


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("kind", PAIRS)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_normalized_answers_are_backward_stable(name, kind, length):
    p, q, answer = pair_with_reference(name, kind, length, normalize=True)
    assert_backward_stable(call(name, p, q), answer, length)


@pytest.mark.parametrize("length", [2, 8, 33, 2049])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_totals_beyond_the_largest_double(name, length):
    p, q = np.random.default_rng(length).uniform(0.5, 1, (2, length)) * 1.79e308
    assert_backward_stable(call(name, p, q), reference(name, p, q), length)
    assert_backward_stable(call(name, p, q * 1e-300), reference(name, p, q * 1e-300), length)


@pytest.mark.parametrize("length", [1, 8, 33, 256, 2049])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_normalized_answers_of_near_rows_are_backward_stable(name, length):
    rng = np.random.default_rng(length)
    for distance in (1e-1, 1e-4, 1e-8, 1e-12, 1e-15):
        p, q = near(rng, length, distance)
        for scale in (0.3, 1e250):
            assert_backward_stable(call(name, p, q * scale), reference(name, p, q * scale), length)


@pytest.mark.parametrize("length", [1, 8, 33, 256, 2049])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_normalized_single_precision_is_backward_stable(name, length):
    rng = np.random.default_rng(length)
    pairs = [
        PAIRS["ordinary"](rng, length),
        near(rng, length, 1e-4),
        10.0 ** rng.uniform(-42, 36, (2, length)),
    ]
    for p, q in np.array(pairs, np.float32):
        got = call(name, p, q)
        assert got.dtype == np.float32
        assert_backward_stable(got, reference(name, p, q), length, EPS_32)
        got = call(name, p, q, dtype=np.float64)
        assert_backward_stable(got, reference(name, p, q), length)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_million_bins(name):
    rng = np.random.default_rng(6)
    few = (
        rng.exponential(size=(2, 500)),
        10.0 ** rng.uniform(-300, 290, (2, 500)),
        rng.integers(1, 99, (2, 500)) * 5e-324,
    )
    for pairs in few:
        index = rng.integers(0, 500, 10**6)
        got = call(name, *pairs[:, index])
        assert_backward_stable(got, reference(name, *pairs, times=np.bincount(index, minlength=500)), 10**6)
    got = fastkl.kl_divergence(*few[0][:, index], normalize=False)
    answer = exact("kl_divergence", *few[0], normalize=False, times=np.bincount(index, minlength=500))
    assert relative_error(got, answer.value) <= 1e-14


@pytest.mark.parametrize("length", [1, 8, 33, 256, 2049])
@pytest.mark.parametrize("name", [name for name in FUNCTIONS if name != "kl_divergence" and name not in ORDERS])
def test_unnormalized_sums_are_exact_to_a_few_ulp_of_their_terms(name, length):
    rng = np.random.default_rng(length)
    pairs = [PAIRS[kind](rng, length) for kind in PAIRS if kind != "huge"] + [near(rng, length, 1e-9)]
    for p, q in pairs:
        answer = reference(name, p, q, normalize=False)
        got = call(name, p, q, normalize=False)
        value = representable(answer.value, got)
        if name in DIVERGENCES and mp.isfinite(value):
            assert abs(mp.mpf(float(got)) - value) <= 1e-14 * value + length * 5e-324
        else:
            assert_backward_stable(got, answer, length, ulps=16)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_bins_around_the_bounds_of_the_fast_loops(name):
    # Those of doubles, of what stands for a zero, of the least sum that tells, of what is looked for and of scales.
    bounds = [-1074, -1022, -1000, -800, -700, -200, 0]
    rng = np.random.default_rng(0)
    for length in (1, 8, 33) * 20:
        p, q = np.exp2(rng.choice(bounds, (2, length)) + rng.uniform(-3, 3, (2, length)))
        same = rng.random(length) < rng.choice([0, 0.7])  # then the others are the sum
        q[same] = p[same]
        p[rng.random(length) < 0.1] = 0
        q[(p < 2.0**-1000) & (rng.random(length) < 0.2)] = 0
        p[0], q[0] = p[0] or 1, q[0] or 1
        for normalize in (True, False):
            answer = reference(name, p, q, normalize=normalize)
            assert_backward_stable(call(name, p, q, normalize=normalize), answer, length, ulps=16)


@pytest.mark.parametrize("length", [2, 8, 33, 256, 2049, 10_000])
def test_entropy_of_one_hot_rows_is_exactly_zero(length):
    rows = np.zeros((200, length))
    rows[np.arange(200), np.random.default_rng(1).integers(0, length, 200)] = np.arange(1, 201) / 7
    np.testing.assert_array_equal(fastkl.entropy(rows), 0.0)
    np.testing.assert_array_equal(fastkl.entropy(rows.astype(np.float32)), 0.0)
    np.testing.assert_array_equal(fastkl.entropy(rows * 1e-310), 0.0)


@pytest.mark.parametrize("length", [2, 8, 33, 256, 2049])
@pytest.mark.parametrize("rest", [1e-3, 1e-9, 1e-15, 1e-20, 1e-100, 1e-290])
def test_entropy_near_one_hot_keeps_its_digits(length, rest):
    for top in (1.0, 3.0, 49.0, 0.1):
        p = np.full(length, rest)
        p[length // 2] = top
        assert relative_error(fastkl.entropy(p), exact("entropy", p).value) <= 1e-12


@pytest.mark.parametrize("length", [2, 8, 33, 256, 2049])
def test_entropies_that_are_subnormal_beside_one_bin_keep_their_digits(length):
    # 49 / 49 is not 49 (1 / 49): a sum that is nothing but this rounding tells of no bin.
    p = np.zeros(length)
    p[:2] = 49 * 2.0**-204, 5e-324
    assert relative_error(fastkl.entropy(p), exact("entropy", p).value) <= 1e-12
    p[:2] = 2.0**-600, 2.0**-1060
    q = np.full(length, 2.0**-900)
    q[0] = 49
    assert relative_error(fastkl.cross_entropy(p, q), exact("cross_entropy", p, q).value) <= 1e-12


@pytest.mark.parametrize("length", [2, 8, 33, 256, 2049])
def test_symmetric_divergences_are_so_to_the_bit_and_js_is_never_above_log_2(length):
    rng = np.random.default_rng(length)
    pairs = [sample(rng, length) for sample in PAIRS.values()]
    pairs += [near(rng, length, distance) for distance in (1e-4, 1e-8, 1e-15)]
    for p, q in pairs:
        p[0], q[0] = p[0] or q[0], q[0] or p[0]
        for function in SYMMETRIC.values():
            for normalize in (True, False):
                assert function(p, q, normalize=normalize) == function(q, p, normalize=normalize)
        assert 0 <= fastkl.js_divergence(p, q) <= math.log(2)
        assert fastkl.js_distance(p, q) == np.sqrt(fastkl.js_divergence(p, q))


def test_js_divergence_of_disjoint_rows_is_log_2():
    for length in (2, 10, 40, 3000):
        p = np.arange(length) % 2
        assert abs(fastkl.js_divergence(p, 1 - p) - math.log(2)) < 1e-15
        assert fastkl.js_divergence(p, 1 - p, base=2) == pytest.approx(1.0, rel=1e-15)


@pytest.mark.parametrize("length", [1, 8, 33, 256, 2049])
@pytest.mark.parametrize("name", DIVERGENCES)
def test_divergences_of_near_rows_have_a_relative_error_below_1e_14(name, length):
    rng = np.random.default_rng(length)
    for distance in distances(length):
        p, q = near(rng, length, distance)
        assert relative_error(call(name, p, q, normalize=False), reference(name, p, q, normalize=False).value) <= 1e-14


@pytest.mark.parametrize("length", [1, 8, 40, 3000])
@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("scale", [1e-250, 1e250])
def test_products_of_weights_and_bins_may_leave_the_range_of_doubles(name, length, scale):
    rng = np.random.default_rng(length)
    p, q = rng.exponential(size=(2, length)) + 0.1
    weights = rng.exponential(size=length) + 0.1
    answer = reference(name, p, q, weights=weights)
    assert_backward_stable(call(name, p, q * scale, weights=weights), answer, length, ulps=16)
    few = np.arange(length) % 2 == 0
    x, y, w = p.copy(), q.copy(), weights.copy()
    x[few], y[few], w[few] = x[few] * scale, y[few] * scale, w[few] * scale
    assert_backward_stable(call(name, x, y, weights=w), reference(name, x, y, weights=w), length, ulps=16)


@pytest.mark.parametrize("p_weight", [1e-9, 0.1, 0.9, 1 - 1e-9])
def test_weighted_js_divergence_of_disjoint_rows_is_the_entropy_of_the_weights(p_weight):
    expected = fastkl.entropy([p_weight, 1 - p_weight])
    for length in (2, 40, 3000):
        p = np.arange(length) % 2
        got = fastkl.js_divergence(p, 1 - p, p_weight=p_weight)
        assert got == pytest.approx(expected, rel=1e-14)
        assert got <= expected * (1 + 1e-15)


# 0.99972 is one whose distance from 1 is not that of the nearest number of single precision.
@pytest.mark.parametrize(
    "p_weight", [2.0**-9, 2.0**-11, 2.0**-20, 2.0**-50, 1e-30, 0.99972, 1 - 2.0**-11, 1 - 2.0**-20]
)
@pytest.mark.parametrize(("dtype", "smallest", "largest"), [(np.float32, -76, 24), (np.float64, -700, 200)])
@pytest.mark.parametrize("has_large_total", [True, False])
def test_weighted_js_divergence_with_small_weights_and_bins(p_weight, dtype, smallest, largest, has_large_total):
    # The least bins that the fast loops take, and the largest total that they divide by.
    least, unit = 2.0**smallest, 2.0**largest / 6.001 if has_large_total else 1.0
    p = np.array([unit, 2 * unit, 3 * unit, 0, least, least], dtype)
    q = np.array([2 * unit, unit, 3 * unit, least, 0, 3 * least], dtype)
    for x, y in ((p, q), (q, p)):
        with mpmath.workdps(60):
            w = mpmath.mpf(p_weight)
            a, b = ([mpmath.mpf(float(v)) / float(row.sum()) for v in row] for row in (x, y))
            m = [w * s + (1 - w) * t for s, t in zip(a, b, strict=True)]
            parts = [c * s * mpmath.log(s / n) for c, r in ((w, a), (1 - w, b)) for s, n in zip(r, m, strict=True) if s]
            expected = float(mpmath.fsum(parts))
        got = fastkl.js_divergence(x, y, p_weight=p_weight)
        assert got == pytest.approx(expected, rel=1e-13 if dtype == np.float64 else 1e-6, abs=0)


@pytest.mark.parametrize("length", [1, 8, 33, 2049])
@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_equal_rows_diverge_by_exactly_zero(length, normalize, dtype):
    rng = np.random.default_rng(length)
    for sample in PAIRS.values():
        with np.errstate(over="ignore"):
            p = np.minimum(sample(rng, length)[0].astype(dtype), np.finfo(dtype).max)
        p[0] = p[0] or 1
        for function in DIVERGENCES.values():
            assert function(p, p.copy(), normalize=normalize) == 0.0


@pytest.mark.parametrize("length", [1, 8, 33, 2049])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_rows_that_differ_in_one_last_digit_do_not_diverge_by_zero(length, dtype):
    rng = np.random.default_rng(length)
    p = rng.exponential(size=length).astype(dtype)
    for i in range(0, length, max(length // 8, 1)):
        q = p.copy()
        q[i] = np.nextafter(p[i], dtype(9))
        got = fastkl.kl_divergence(p, q, normalize=False)
        assert got > 0
        assert relative_error(got, exact("kl_divergence", p, q, normalize=False).value) <= (
            1e-14 if dtype == np.float64 else 1e-5
        )


@pytest.mark.parametrize("length", [2, 8, 33, 256, 2049])
@pytest.mark.parametrize("normalize", [True, False])
def test_infinite_exactly_where_q_is_zero_and_p_is_not(length, normalize):
    rng = np.random.default_rng(length)
    p = rng.exponential(size=(300, length)) * (rng.random((300, length)) < 0.9)
    q = rng.exponential(size=(300, length)) * (rng.random((300, 1)) < rng.random((300, length)) ** 0.02)
    p[::3], q[::5] = p[::3] * 1e-310, q[::5] * 5e-324 * 100
    p[:, 0], q[:, 0] = 1.0, 1.0
    infinite = ((q == 0) & (p > 0)).any(axis=1)
    assert infinite.any()
    assert not infinite.all()
    for function in (fastkl.kl_divergence, fastkl.cross_entropy):
        np.testing.assert_array_equal(np.isinf(function(p, q, normalize=normalize)), infinite)
    assert np.isfinite(fastkl.js_divergence(p, q, normalize=normalize)).all()
    infinite = ((q == 0) != (p == 0)).any(axis=1)
    np.testing.assert_array_equal(np.isinf(fastkl.jeffreys_divergence(p, q, normalize=normalize)), infinite)


@pytest.mark.parametrize("length", [3, 100, 300, 3000])
@pytest.mark.parametrize(("dtype", "large"), [(np.float64, 2.0**100), (np.float32, 2.0**20)])
def test_a_bin_that_scaling_takes_to_zero_is_no_zero(length, dtype, large):
    p, q = np.arange(1, length + 1, dtype=dtype), np.full(length, large, dtype)
    p[1], q[1] = 0, np.finfo(dtype).smallest_subnormal
    for x, y in ((p, q), (q, p)):
        assert fastkl.jeffreys_divergence(x, y) == np.inf
        assert fastkl.kl_divergence(x, y) == (np.inf if x is q else pytest.approx(fastkl.kl_divergence(p, q)))
        assert fastkl.kl_divergences(x, y) == (fastkl.kl_divergence(x, y), fastkl.kl_divergence(y, x))
    assert np.isfinite(fastkl.kl_divergence(p, q))
    np.testing.assert_array_equal(fastkl.jeffreys_divergence([p, q], [q, p]), np.inf)


@pytest.mark.parametrize("length", [2, 33, 3000])
def test_bins_that_are_zero_in_both_count_for_nothing(length):
    rng = np.random.default_rng(length)
    p, q = rng.exponential(size=(2, length))
    wide_p, wide_q = np.zeros((2, 3 * length))
    wide_p[1::3], wide_q[1::3] = p, q
    wide_p[2::3] = -0.0
    for name in FUNCTIONS:
        for normalize in (True, False):
            got = call(name, wide_p, wide_q, normalize=normalize)
            np.testing.assert_allclose(got, call(name, p, q, normalize=normalize), rtol=1e-13)


@pytest.mark.parametrize("base", [2, 10, math.e, 1.5])
def test_base_divides_by_its_logarithm(base):
    p, q = np.random.default_rng(0).exponential(size=(2, 20, 40))
    for name in FUNCTIONS:
        got = call(name, p, q, base=base)
        np.testing.assert_allclose(got, call(name, p, q) / math.log(base), rtol=1e-15)


@pytest.mark.parametrize("length", [8, 100, 5000])
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.uint16])
def test_pseudocount_is_the_same_as_adding_it_by_hand(length, dtype):
    p, q = np.random.default_rng(0).integers(0, 4, (2, 50, length)).astype(dtype)
    for name in FUNCTIONS:
        for normalize in (True, False):
            for pseudocount in (0.5, 1e-3, 1e-300 if dtype != np.float32 else 1e-20):
                added = dtype(pseudocount) if dtype != np.uint16 else pseudocount
                got = call(name, p, q, pseudocount=pseudocount, normalize=normalize)
                np.testing.assert_array_equal(got, call(name, p + added, q + added, normalize=normalize))


@pytest.mark.parametrize("length", [2, 40, 3000])
def test_the_smallest_pseudocount_makes_single_precision_finite(length):
    p, q = np.ones((2, length), np.float32)
    q[0] = 0
    for pseudocount in (1e-30, 1e-42, 1e-50, 1e-300):
        answer = exact("kl_divergence", p, q, pseudocount=pseudocount)
        assert_backward_stable(fastkl.kl_divergence(p, q, pseudocount=pseudocount), answer, length, EPS_32)


@pytest.mark.parametrize("length", [2, 8, 33, 2049])
@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("normalize", [True, False])
def test_weighted_sums_are_backward_stable(name, normalize, length):
    rng = np.random.default_rng(length)
    p, q = rng.exponential(size=(2, length))
    weights = rng.exponential(size=length) * (np.arange(length) % 5 != 3)
    for scale in (1.0, 1e-150, 1e150, 1e-300):
        answer = reference(name, p * scale, q, weights=weights / scale, normalize=normalize)
        got = call(name, p * scale, q, weights=weights / scale, normalize=normalize)
        assert_backward_stable(got, answer, length, ulps=16)


@pytest.mark.parametrize("length", [2, 40, 3000])
@pytest.mark.parametrize(
    ("dtype", "size", "weight"), [(np.float64, 2.0**-560, 2.0**-505), (np.float32, 2.0**-70, 2.0**-70)]
)
def test_weights_whose_products_with_the_bins_underflow(length, dtype, size, weight):
    rng = np.random.default_rng(length)
    p, q = (rng.exponential(size=(2, length)) * size).astype(dtype)
    weights = (rng.exponential(size=length) * weight).astype(dtype)
    answer = exact("kl_divergence", p, q, weights=weights)
    assert_backward_stable(fastkl.kl_divergence(p, q, weights=weights), answer, length, float(np.finfo(dtype).eps))


@pytest.mark.parametrize("length", [2, 40, 1024, 3000])
@pytest.mark.parametrize(
    ("dtype", "size", "weight"),
    [
        (np.float64, 2.0**-400, 2.0**-620),
        (np.float64, 2.0**600, 2.0**500),
        (np.float32, 2.0**-60, 2.0**-66),
        (np.float32, 2.0**70, 2.0**70),
    ],
)
def test_weights_whose_products_with_the_terms_leave_the_range(length, dtype, size, weight):
    rng = np.random.default_rng(length)
    p, q = (rng.exponential(size=(2, length)) * size).astype(dtype)
    weights = rng.exponential(size=length).astype(dtype) * dtype(weight)
    out = np.empty(())
    for x, y in ((p, q), (p, p * dtype(1.001)), (p, p)):
        expected = exact("kl_divergence", x, y, weights=weights, normalize=False).value
        rounding = float(np.finfo(dtype).smallest_subnormal)
        expected = float(expected) if expected < np.finfo(float).max else np.inf
        for got in (
            fastkl.kl_divergence(x, y, weights=weights, normalize=False, out=out),
            fastkl.kl_divergences(x, y, weights=weights, normalize=False)[0],
        ):
            wanted = expected if expected <= float(np.finfo(got.dtype).max) else np.inf
            rtol = 1e-14 if dtype == np.float64 else 1e-5
            np.testing.assert_allclose(float(got), wanted, rtol=rtol, atol=rounding)


@pytest.mark.parametrize(
    ("p", "q", "base"), [(4e305, 1e-10, 10), (1e-320, 5e-320, 1 + 2**-50), (2e-310, 6e-310, 1.0001)]
)
def test_divergences_that_are_doubles_in_this_base_alone(p, q, base):
    nats = exact("kl_divergence", [p], [q], normalize=False).value
    got = fastkl.kl_divergence([p], [q], normalize=False, base=base)
    assert relative_error(got, nats / mp.log(mp.mpf(base))) <= 1e-14


@pytest.mark.parametrize("length", [2, 40, 3000])
def test_small_double_weights_count_for_single_precision_bins(length):
    p, q, weights = np.zeros((3, length))
    p[:2], q[:2], weights[:2] = (1e-22, 1e26), (3e-22, 1e26), (1, 1e-47)
    p, q = p.astype(np.float32), q.astype(np.float32)
    answer = exact("kl_divergence", p, q, weights=weights)
    assert_backward_stable(fastkl.kl_divergence(p, q, weights=weights), answer, length, EPS_32)
    q[1] = 0
    assert fastkl.kl_divergence(p, q, weights=weights) == np.inf
