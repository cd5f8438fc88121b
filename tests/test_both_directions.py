"""Both directions in one pass are those of two calls."""

import numpy as np
import pytest
from reference import exact, relative_error
from samples import PAIRS, near

import fastkl

LENGTHS = [1, 8, 64, 65, 200, 256, 1000, 1024, 1025, 3000]


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("length", LENGTHS)
def test_both_directions_are_those_of_two_calls(length, normalize):
    rng = np.random.default_rng(length)
    pairs = np.array([sample(rng, length) for sample in PAIRS.values()] + [near(rng, length, 1e-6)])
    pairs[:, :, 0] = np.maximum(pairs[:, :, 0], 1e-3)  # no total is zero
    for dtype in ("f8", "f4"):
        with np.errstate(over="ignore"):
            p, q = pairs[:, 0].astype(dtype), pairs[:, 1].astype(dtype)
        options = {"normalize": normalize, "on_invalid": "nan"}
        forward, reverse = fastkl.kl_divergences(p, q, **options)
        assert forward.dtype == reverse.dtype == dtype
        np.testing.assert_array_equal(forward, fastkl.kl_divergence(p, q, **options))
        expected = fastkl.kl_divergence(q, p, **options)
        finite = np.isfinite(expected)
        np.testing.assert_array_equal(reverse[~finite], expected[~finite])
        got, expected = reverse[finite], expected[finite]
        # Rounded totals change what is nearly 0 in proportion to its root.
        eps = np.finfo(dtype).eps
        allowed = 40 * eps * (expected + np.sqrt(expected) * normalize + np.finfo(dtype).tiny)
        assert (abs(got - expected) <= allowed).all()


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("dtype", ["f8", "f4"])
def test_a_direction_has_its_bits_whatever_the_other_needs(dtype, normalize):
    p, q = np.random.default_rng(0).exponential(size=(2, 600, 65)).astype(dtype)
    p[:, 0] = np.finfo(dtype).smallest_subnormal * np.arange(600)  # q from p is infinite, or nearly so
    for x, y, direction in ((p, q, 0), (q, p, 1)):
        got = fastkl.kl_divergences(x, y, normalize=normalize)[direction]
        if direction == 0:
            np.testing.assert_array_equal(got, fastkl.kl_divergence(p, q, normalize=normalize))
        else:
            np.testing.assert_allclose(
                got, fastkl.kl_divergence(p, q, normalize=normalize), rtol=40 * np.finfo(dtype).eps
            )


@pytest.mark.parametrize("length", [8, 100, 256, 1024, 2000])
def test_near_rows_lose_nothing_in_either_direction(length):
    rng = np.random.default_rng(length)
    for distance in (1e-1, 1e-4, 1e-8, 1e-12, 1e-15):
        p, q = near(rng, length, distance)
        got = fastkl.kl_divergences(p, q, normalize=False)
        for value, (x, y) in zip(got, ((p, q), (q, p)), strict=True):
            assert relative_error(value, exact("kl_divergence", x, y, normalize=False).value) <= 1e-14
    assert fastkl.kl_divergences(p, p) == (0.0, 0.0)


def test_every_option_and_layout():
    rng = np.random.default_rng(0)
    p, q, w = rng.integers(0, 50, (6, 5, 100)), rng.integers(1, 50, (5, 100)), rng.random(100)
    options = {"weights": w, "base": 2, "pseudocount": 0.5, "keepdims": True, "threads": 1}
    forward, reverse = fastkl.kl_divergences(p, q, **options)
    np.testing.assert_array_equal(forward, fastkl.kl_divergence(p, q, **options))
    np.testing.assert_allclose(reverse, fastkl.kl_divergence(q, p, **options), rtol=1e-13)
    turned = np.moveaxis(p, -1, 0).astype(float), np.moveaxis(np.broadcast_to(q, p.shape), -1, 0).astype(float)
    forward, reverse = fastkl.kl_divergences(*turned, axis=0)
    np.testing.assert_allclose(forward, fastkl.kl_divergence(p, q), rtol=1e-13)
    np.testing.assert_allclose(reverse, fastkl.kl_divergence(*turned[::-1], axis=0), rtol=1e-13)


@pytest.mark.parametrize("dtype", ["f8", "f4", "f2", "i4", ">f8"])
@pytest.mark.parametrize("length", LENGTHS)
def test_layouts_do_not_change_a_bit(length, dtype):
    p, q = np.random.default_rng(length).integers(1, 1000, (2, 8, length)).astype(dtype)
    expected = fastkl.kl_divergences(p, q)
    columns = p.T.copy(), q.T.copy()
    np.testing.assert_array_equal(fastkl.kl_divergences(*columns, axis=0), expected)
    np.testing.assert_array_equal(fastkl.kl_divergences(columns[0].T, columns[1].T), expected)
    np.testing.assert_array_equal(fastkl.kl_divergences(p, columns[1].T), expected)
    one = fastkl.kl_divergences(p[0], q)
    np.testing.assert_array_equal(fastkl.kl_divergences(p[0], columns[1], axis=0), one)


def test_out_is_a_pair():
    p, q = np.random.default_rng(1).random((2, 4, 100))
    out = np.empty(4), np.empty(4, np.float32)
    got = fastkl.kl_divergences(p, q, out=out)
    assert got[0] is out[0]
    assert got[1] is out[1]
    np.testing.assert_array_equal(out[0], fastkl.kl_divergence(p, q))
    with pytest.raises(TypeError, match="out must be a tuple of two arrays, not ndarray"):
        fastkl.kl_divergences(p, q, out=np.empty((2, 4)))
    for shared in ((out[0], out[0]), (out[0], out[0][::-1])):
        with pytest.raises(ValueError, match="out must be two arrays that share no memory"):
            fastkl.kl_divergences(p, q, out=shared)
    beside = np.empty((4, 2))
    fastkl.kl_divergences(p, q, out=(beside[:, 0], beside[:, 1]))
    np.testing.assert_array_equal(beside.T, fastkl.kl_divergences(p, q))


def test_invalid_rows_of_either_are_named():
    p, q = np.ones((3, 100)), np.ones((3, 100))
    q[1, 7] = -1
    with pytest.raises(ValueError, match=r"q\[1\] is not a histogram: bin 7 is -1"):
        fastkl.kl_divergences(p, q)
    forward, reverse = fastkl.kl_divergences(p, q, on_invalid="nan")
    np.testing.assert_array_equal(forward, [0, np.nan, 0])
    np.testing.assert_array_equal(reverse, [0, np.nan, 0])


def test_results_do_not_depend_on_threads_or_batch():
    p, q = np.random.default_rng(2).random((2, 5000, 256))
    got = fastkl.kl_divergences(p, q, threads=1)
    np.testing.assert_array_equal(got, fastkl.kl_divergences(p, q, threads=4))
    np.testing.assert_array_equal([g[:3] for g in got], fastkl.kl_divergences(p[:3], q[:3]))
