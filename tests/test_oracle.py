"""Every dtype, layout, axis and broadcast against SciPy's functions of one bin."""

import math

import numpy as np
import pytest
import scipy.spatial
import scipy.stats
from functions import FUNCTIONS, call
from reference import by_scipy, exact
from samples import LAYOUTS

import fastkl
from fastkl.kernels import PIECE

DTYPES = ["?", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8"]
SWAPPED = [">i2", ">u2", ">i4", ">u4", ">i8", ">u8", ">f2", ">f4", ">f8"]


def oracle(name, p, q, **options):
    return by_scipy(name, p, None if name == "entropy" else q, **options)


def counts(shape, dtype, seed=0):
    """Histograms of small counts, which every dtype holds; some bins are zero, no row is."""
    x = np.random.default_rng(seed).integers(0, 2 if dtype == "?" else 100, shape).astype(dtype)
    x[..., :1] = x[..., -1:] = 1
    x[:1], x[-1:] = 1, 1
    return x


def assert_close(got, expected, dtype=np.float64):
    assert got.shape == expected.shape
    single = np.dtype(dtype).kind == "f" and np.dtype(dtype).itemsize <= 4
    assert got.dtype == (np.float32 if single else np.float64)
    np.testing.assert_allclose(got, expected, rtol=1e-5 if single else 1e-12, atol=1e-5 if single else 1e-13)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", DTYPES + SWAPPED)
def test_every_dtype_in_every_layout(dtype, layout):
    for shape in [(21, 8), (70, 33)]:
        p, q = counts(shape, dtype, 1), counts(shape, dtype, 2)
        for axis in (0, 1):
            got = fastkl.kl_divergence(LAYOUTS[layout](p), LAYOUTS[layout](q), axis=axis)
            assert_close(got, by_scipy("kl_divergence", p, q, axis=axis), dtype)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", ["f8", "f4", "u2", ">f4"])
def test_long_rows_in_every_layout(dtype, layout):
    p, q = counts((40, 2500), dtype, 1), counts((40, 2500), dtype, 2)
    for name in ("kl_divergence", "js_divergence", "jeffreys_divergence"):
        got = call(name, LAYOUTS[layout](p), LAYOUTS[layout](q))
        assert_close(got, by_scipy(name, p, q), dtype)
        got = call(name, LAYOUTS[layout](p.T), LAYOUTS[layout](q.T), axis=0)
        assert_close(got, by_scipy(name, p, q), dtype)


@pytest.mark.parametrize("p_dtype", ["f4", "f8", "u1", "f2", ">i4"])
@pytest.mark.parametrize("q_dtype", ["f4", "f8", "?", "i8"])
def test_operands_of_two_dtypes(p_dtype, q_dtype):
    for bins in (8, 40):
        p, q = counts((30, bins), p_dtype, 1), counts((30, bins), q_dtype, 2)
        single = all(np.dtype(dtype).kind == "f" and np.dtype(dtype).itemsize <= 4 for dtype in (p_dtype, q_dtype))
        got = fastkl.kl_divergence(p, q)
        assert_close(got, by_scipy("kl_divergence", p, q), "f4" if single else "f8")


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_whole_range_of_a_dtype(dtype):
    kind = np.dtype(dtype).kind
    top = True if kind == "b" else np.iinfo(dtype).max if kind in "iu" else np.finfo(dtype).max
    tiny = np.finfo(dtype).smallest_subnormal if kind == "f" else 1
    p, q = (
        np.array([[top, tiny, 0, top], [top, 1, 1, 1]], dtype),
        np.array([[top, tiny, tiny, tiny], [1, 1, top, 1]], dtype),
    )
    expected = [float(exact("kl_divergence", *row).value) for row in zip(p, q, strict=True)]
    assert_close(fastkl.kl_divergence(p, q), np.array(expected), dtype)


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", ">f2", ">f4", ">f8"])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, -1.0, -1e-7])
def test_invalid_bins_of_every_float_are_found(dtype, bad):
    for bins in (3, 40, 2100):
        p = np.ones((5, bins), dtype)
        p[3, 1] = bad
        for array in (p, np.asfortranarray(p)):
            got = fastkl.kl_divergence(array, np.ones(bins, dtype), on_invalid="nan")
            np.testing.assert_array_equal(np.isnan(got), [False, False, False, True, False])


SHAPES = [
    ((8,), (8,), -1),
    ((8,), (5, 8), -1),
    ((5, 8), (8,), -1),
    ((5, 8), (1, 8), 1),
    ((1, 8), (5, 8), -1),
    ((4, 1, 8), (5, 8), -1),
    ((4, 1, 8), (1, 5, 8), 2),
    ((1, 8, 5), (4, 8, 1), 1),
    ((8, 4, 1), (8, 1, 5), 0),
    ((8, 4, 1), (8, 1, 5), -3),
    ((3, 1, 8, 5), (2, 8, 1), -2),
    ((8, 1, 1), (8, 3, 4), 0),
    ((2, 1, 3, 1, 8), (4, 1, 6, 8), -1),
    ((40, 33), (1, 33), 1),
    ((33, 40), (33, 1), 0),
    ((33, 7, 1), (33, 1, 9), 0),
    ((3, 2100), (2100,), -1),
    ((2100, 3), (2100, 1), 0),
    ((2100, 2, 1), (2100, 1, 20), 0),
    ((1, 1), (1, 1), 0),
    ((0, 8), (8,), -1),
    ((8, 0), (8, 1), 0),
    ((3, 0, 8), (1, 8), -1),
]


@pytest.mark.parametrize(("p_shape", "q_shape", "axis"), SHAPES)
@pytest.mark.parametrize("dtype", ["f8", "u1"])
def test_batches_broadcast_as_in_numpy(p_shape, q_shape, axis, dtype):
    p, q = counts(p_shape, dtype, 1), counts(q_shape, dtype, 2)
    expected = np.asarray(by_scipy("kl_divergence", p, q, axis=axis))
    assert_close(np.asarray(fastkl.kl_divergence(p, q, axis=axis)), expected)
    ndim = max(p.ndim, q.ndim)
    kept = fastkl.kl_divergence(p, q, axis=axis, keepdims=True)
    assert_close(kept, np.expand_dims(expected, axis if axis < 0 else axis - ndim))


@pytest.mark.parametrize("axis", [0, 1, -1, -2])
def test_one_histogram_meets_a_batch_whatever_the_axis(axis):
    p, q = counts((8,), "f8"), counts((8, 8), "f8", 1)
    expected = [by_scipy("kl_divergence", p, row) for row in (q.T if axis in (0, -2) else q)]
    np.testing.assert_allclose(fastkl.kl_divergence(p, q, axis=axis), expected, rtol=1e-12)
    expected = [by_scipy("kl_divergence", row, p) for row in (q.T if axis in (0, -2) else q)]
    np.testing.assert_allclose(fastkl.kl_divergence(q, p, axis=axis), expected, rtol=1e-12)


@pytest.mark.parametrize(("p_shape", "q_shape"), [((40,),) * 2, ((3, 40),) * 2, ((40,), (3, 40)), ((3, 4, 2000),) * 2])
def test_the_last_axis_may_be_counted_from_either_end(p_shape, q_shape):
    rng = np.random.default_rng(3)
    p, q = rng.random(p_shape), rng.random(q_shape)
    expected = np.asarray(fastkl.js_divergence(p, q, axis=-1))
    assert np.asarray(fastkl.js_divergence(p, q, axis=q.ndim - 1)).tobytes() == expected.tobytes()
    assert np.asarray(fastkl.js_divergence(p.tolist(), q, axis=q.ndim - 1)).tobytes() == expected.tobytes()
    with pytest.raises(ValueError, match=f"axis {q.ndim} is out of bounds"):
        fastkl.js_divergence(p, q, axis=q.ndim)


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("bins", [1, 8, 33, 2100])
def test_every_function(name, normalize, bins):
    rng = np.random.default_rng(bins)
    for dtype in ("f8", "f4"):
        p, q = rng.exponential(size=(2, 6, bins)).astype(dtype)
        p[1, 0] = q[2, 0] = 0
        p[1, -1] = q[2, -1] = p[3, -1] = 1
        p[3, 0] = q[3, 0] = bins == 1
        if normalize:
            p[:, -1], q[:, -1] = 1, 1
        expected = oracle(name, p, q, normalize=normalize)
        assert_close(call(name, p, q, normalize=normalize), expected, dtype)
        turned = call(name, np.asfortranarray(p).T, q.T.copy(), axis=0, normalize=normalize, base=2)
        assert_close(turned, expected / math.log(2), dtype)


def test_scipys_own_functions_of_rows_agree():
    p, q = np.random.default_rng(0).exponential(size=(2, 50, 100))
    np.testing.assert_allclose(fastkl.kl_divergence(p, q), scipy.stats.entropy(p, q, axis=1), rtol=1e-12)
    np.testing.assert_allclose(fastkl.entropy(p, base=2), scipy.stats.entropy(p, base=2, axis=1), rtol=1e-12)
    expected = scipy.spatial.distance.jensenshannon(p, q, axis=1) ** 2
    np.testing.assert_allclose(fastkl.js_divergence(p, q), expected, rtol=1e-12)


@pytest.mark.parametrize("inputs", ["f8", "f4", "f2", "u1"])
@pytest.mark.parametrize("wanted", ["f8", "f4", np.float64, float])
def test_dtype_of_the_result(inputs, wanted):
    for bins in (8, 40, 2100):
        p, q = counts((5, bins), inputs, 1), counts((5, bins), inputs, 2)
        got = fastkl.kl_divergence(p, q, dtype=wanted)
        assert got.dtype == np.dtype(wanted)
        single = np.dtype(wanted) == np.float32
        np.testing.assert_allclose(got, by_scipy("kl_divergence", p, q), rtol=1e-5 if single else 1e-12)
    assert fastkl.kl_divergence(p[0], q[0], dtype=wanted).dtype == np.dtype(wanted)


def test_lists_scalars_and_the_types_of_results():
    got = fastkl.kl_divergence([1, 2, 1], [1, 1, 2], base=2)
    assert isinstance(got, float)
    assert got == 0.25
    got = fastkl.kl_divergence([[1.0, 2], [3, 4]], [[2, 1]])
    assert isinstance(got, np.ndarray)
    np.testing.assert_allclose(got, scipy.stats.entropy([[1, 2], [3, 4]], [[2, 1]], axis=1), rtol=1e-14)
    got = fastkl.kl_divergence([1, 2], [2, 1], keepdims=True)
    assert got.shape == (1,)
    assert isinstance(fastkl.kl_divergence(np.float32([1, 2]), np.float32([2, 1])), np.float32)


def test_rows_without_bins_are_zero_when_not_normalized():
    for shape in [(0,), (3, 0), (0, 0)]:
        for name in FUNCTIONS:
            got = call(name, np.ones(shape), np.ones(shape), normalize=False)
            np.testing.assert_array_equal(got, np.zeros(shape[:-1]))
    assert fastkl.kl_divergence(np.ones((0, 4)), np.ones(4), keepdims=True).shape == (0, 1)


@pytest.mark.parametrize("bins", [8, 40, 3000, 5000])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_bins_that_share_memory(name, bins):
    q = counts((4, bins), "f8")
    for value in (np.float64(0.5), np.uint8(3)):
        constant = np.broadcast_to(value, (4, bins))
        for p, r in ((constant, q), (q, constant), (constant, constant)):
            for normalize in (True, False):
                got = call(name, p, r, normalize=normalize)
                np.testing.assert_array_equal(got, call(name, p.copy(), r.copy(), normalize=normalize))
    got = call(name, q, q, weights=np.broadcast_to(0.25, bins))
    np.testing.assert_array_equal(got, call(name, q, q, weights=np.full(bins, 0.25)))


@pytest.mark.parametrize("bins", [8, 40, 3000])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_rows_that_overlap_in_memory(name, bins):
    long = counts((bins + 200,), "f8")
    windows = np.lib.stride_tricks.sliding_window_view(long, bins)
    for p, q in ((windows, windows[::-1]), (windows[5:], windows[:-5]), (windows[0], windows[::7])):
        np.testing.assert_array_equal(call(name, p, q), call(name, p.copy(), q.copy()))
    two = np.lib.stride_tricks.sliding_window_view(counts((bins + 2 * PIECE,), "f8"), bins)[: 2 * PIECE : PIECE]
    turned = np.asfortranarray(two)
    np.testing.assert_array_equal(call(name, two, turned), call(name, two.copy(), two.copy()))
    turned = call(name, windows.T, windows[::-1].T, axis=0)
    np.testing.assert_array_equal(turned, call(name, windows.copy(), windows[::-1].copy()))


@pytest.mark.parametrize("bins", [8, 40, 3000])
def test_two_types_of_view_of_the_same_memory(bins):
    raw = np.random.default_rng(0).integers(1, 2**40, (3, bins))
    views = [raw, raw.view("u8"), raw.view("f8"), raw.view(">i8").view("i8")]
    for p in views:
        for q in views:
            got = fastkl.kl_divergence(p, q)
            np.testing.assert_array_equal(got, fastkl.kl_divergence(p.copy(), q.copy()))
