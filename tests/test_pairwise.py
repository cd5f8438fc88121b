"""All pairs: as pair by pair, whatever the data, the blocks and the threads; and the bound that promises it."""

import sys
import textwrap
import threading
import tracemalloc
from collections.abc import Callable
from functools import partial
from typing import Any

import mpmath
import numpy as np
import pytest
import scipy.sparse
from threadpoolctl import threadpool_info, threadpool_limits

import fastkl
from fastkl import _blas, _products, _tiles

Array = np.ndarray[Any, Any]


def _exchanged(p: Any, q: Any, **options: Any) -> Any:
    return fastkl.kl_divergence(q, p, **options)


ROW_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "kl": fastkl.kl_divergence,
    "reverse_kl": _exchanged,
    "jeffreys": fastkl.jeffreys_divergence,
    "js": fastkl.js_divergence,
    "cross_entropy": fastkl.cross_entropy,
}
# name, order
ORDERED = [("alpha", 0.3), ("alpha", 2.0), ("alpha", -1.0), ("alpha", 0.0), ("alpha", 1.0)] + [
    ("renyi", order) for order in (0.5, 3.0, -0.5, 0.0, 1.0, float("inf"))
]


def pair_by_pair(divergence: str, x: Array, y: Array, **options: Any) -> Array:
    return np.asarray(ROW_FUNCTIONS[divergence](x[:, None], y[None], **options))


def rows(count: int, bins: int, seed: int = 0, zeros: float = 0.0, dtype: Any = np.float64) -> Array:
    rng = np.random.default_rng(seed)
    x = rng.gamma(0.7, size=(count, bins)) * (rng.random((count, bins)) >= zeros)
    x[:, 0] += 0.1
    return x.astype(dtype)


def assert_close(got: Array, want: Array, rtol: float) -> None:
    np.testing.assert_array_equal(np.isfinite(got), np.isfinite(want))
    np.testing.assert_allclose(got, want, rtol=rtol, atol=0)


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("divergence", ROW_FUNCTIONS)
def test_the_same_as_pair_by_pair(divergence, dtype, normalize):
    x, y = rows(40, 30, 1, 0.02, dtype), rows(33, 30, 2, 0.02, dtype)
    x[5], x[6] = y[7], y[8] * dtype(1 + 1e-6)
    y[9] = y[8]
    y[9, 3] *= dtype(1 + 1e-5)
    got = fastkl.pairwise(x, y, divergence=divergence, normalize=normalize)
    assert got.dtype == dtype
    assert_close(got, pair_by_pair(divergence, x, y, normalize=normalize), 1e-9 if dtype == np.float64 else 1e-4)
    if divergence != "cross_entropy":
        assert got[5, 7] == 0.0
        assert (got >= 0).all()


@pytest.mark.parametrize(("divergence", "order"), ORDERED)
def test_orders(divergence, order):
    x, y = rows(20, 30, 1, 0.02), rows(17, 30, 2, 0.02)
    x[3] = y[4]
    function = fastkl.alpha_divergence if divergence == "alpha" else fastkl.renyi_divergence
    for left, right in ((x, y), (x + 0.01, y + 0.01)):
        got = fastkl.pairwise(left, right, divergence=divergence, alpha=order)
        assert_close(got, function(left[:, None], right[None], order), 1e-9)


def _exact_of_order(divergence: str, order: float, p: Array, q: Array) -> mpmath.mpf:
    # Of rows without a zero where the other one has none, or of an order between 0 and 1.
    with mpmath.workdps(400):
        p, q = ([mpmath.mpf(float(value)) for value in row] for row in (p, q))
        pairs = [(a / sum(p), b / sum(q)) for a, b in zip(p, q, strict=True) if a and b]
        power_sum = mpmath.fsum(a**order * b ** (1 - order) for a, b in pairs)
        if divergence == "alpha":
            return (power_sum - 1) / (order * (order - 1))
        return mpmath.log(power_sum) / (order - 1)


@pytest.mark.parametrize("method", ["auto", "blas"])
@pytest.mark.parametrize(
    ("x", "y", "order"),
    [
        ([[0.5, 0.5]], [[1, 1e-155]], 2.0),  # powers beyond doubles
        ([[0.5, 0.5]], [[1, 1e-80]], 4.0),
        ([[0.5, 0.5], [1, 0]], [[1, 1e-170]], 3.0),
        ([[1, 1e-155]], [[0.5, 0.5], [1, 1e-170]], -1.0),
        ([[0.5, 0.5]], [[1, 1e-250]], 1.1),  # shares below the least factor
        ([[1, 1e-250]], [[0.5, 0.5]], -0.1),
        ([[1, 1e-250]], [[0, 1.0]], 0.5),
    ],
)
@pytest.mark.parametrize("divergence", ["alpha", "renyi"])
def test_powers_that_factors_have_no_room_for(divergence, x, y, order, method):
    # Beside ordinary rows, which stay in the product.
    x, y = (np.concatenate([rows(20, 2, seed), np.array(few)]) for seed, few in ((1, x), (2, y)))
    if method == "blas" and divergence == "renyi" and order < 0:
        pytest.skip("there is no product")
    got = fastkl.pairwise(x, y, divergence=divergence, alpha=order, method=method)
    for i, p in enumerate(x[20:], 20):
        for j, q in enumerate(y[20:], 20):
            exact = _exact_of_order(divergence, order, p, q)
            if exact > np.finfo(float).max:
                assert got[i, j] == np.inf
            else:
                assert abs(got[i, j] / exact - 1) < 1e-9
    if method == "auto":
        function = fastkl.alpha_divergence if divergence == "alpha" else fastkl.renyi_divergence
        assert_close(got, function(x[:, None], y[None], order), 1e-9)


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize(("order", "divergence"), [(0.5, "alpha"), (2.5, "alpha"), (-1.5, "alpha"), (2.5, "renyi")])
def test_orders_of_invalid_rows(order, divergence, normalize):
    x = np.array([[-1, 3, 1], [1, 2, 3], [np.nan, 1, 1], [np.inf, 1, 1], [2, 1, 1]])
    got = fastkl.pairwise(x, divergence=divergence, alpha=order, normalize=normalize, on_invalid="nan")
    is_valid = np.array([False, True, False, False, True])
    np.testing.assert_array_equal(np.isfinite(got), is_valid[:, None] & is_valid)


@pytest.mark.parametrize("normalize", [True, False])
def test_order_zero_has_the_bits_of_its_function(normalize):
    x, y = rows(5, 9, 1), rows(6, 9, 2)
    want = fastkl.alpha_divergence(x[:, None], y[None], 0.0, normalize=normalize)
    options = {"divergence": "alpha", "alpha": 0.0, "normalize": normalize}
    np.testing.assert_array_equal(fastkl.pairwise(x, y, method="direct", **options), want)
    assert_close(fastkl.pairwise(x, y, **options), want, 1e-9)
    np.testing.assert_array_equal(fastkl.nearest(x, y, 6, **options)[0], np.sort(want, 1))


@pytest.mark.parametrize("bins", [8, 49, 100])
def test_js_of_rows_that_are_nearly_uniform(bins):
    # The sum of each term's parts is rounded, which moves the term by as much, however small it is.
    rng = np.random.default_rng(0)
    sizes = 10.0 ** np.arange(-7, 0, 0.25)[:, None]
    x, y = np.full((1, bins), 0.7), 1 + sizes * rng.uniform(-1, 1, (len(sizes), bins))
    want = fastkl.js_divergence(x[:, None], y[None])
    assert_close(fastkl.pairwise(x, y, divergence="js"), want, 1e-9)
    for dtype in (np.float64, np.float32):
        assert not fastkl.pairwise(np.ones((3, bins), dtype), divergence="js").any()


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_js_is_at_most_one_bit(dtype):
    x, y = rows(40, 33, 1), rows(40, 33, 2)
    x[:, 16:], y[:, :16] = 0.0, 0.0
    x, y = x.astype(dtype), y.astype(dtype)
    for method in ("auto", "blas", "direct"):
        got = fastkl.pairwise(x, y, divergence="js", base=2, method=method)
        assert (got <= 1).all()
        assert_close(got, np.ones((40, 40)), 1e-6)
    np.testing.assert_array_equal(got, fastkl.js_divergence(x[:, None], y[None], base=2))
    divergences, _ = fastkl.nearest(x, y, 40, divergence="js")
    np.testing.assert_array_equal(divergences, np.sort(fastkl.js_divergence(x[:, None], y[None]), 1))


def test_cross_entropy_of_next_to_nothing():
    # A bin that holds nearly all, beside one that is out of the fast loops' range; and shares below the least factor.
    x, y = np.array([[1.0, 0, 0]]), np.array([[1, 1e-10, 1e-250], [1, 1e-300, 0]])
    got = fastkl.pairwise(x, y, divergence="cross_entropy")
    np.testing.assert_allclose(got, [[np.log1p(1e-10), 1e-300]], rtol=1e-14)
    for dtype, small, smaller in ((np.float64, 1e-200, 1e-205), (np.float32, 1e-36, 1e-38)):
        x, y = np.array([[1, smaller]], dtype), np.array([[1, small]], dtype)
        want = float(y[0, 1]) - float(x[0, 1]) * np.log(float(y[0, 1]))
        got = fastkl.pairwise(x, y, divergence="cross_entropy")
        np.testing.assert_allclose(got, [[want]], rtol=1e-6)


def _near_equal_counts(bins: int, steps: list[int]) -> tuple[Array, Array]:
    # Rows of the total 2^52, so that shares are exact, and rows with some counts moved.
    rng = np.random.default_rng(5)
    x = rng.integers(1 << 40, 1 << 43, bins)
    x[0] += (1 << 52) - x.sum()
    y = np.repeat(x[None], len(steps) + 1, 0)
    y[-1] = x[::-1]
    for row, step in enumerate(steps):
        y[row, 1::2] += step
        y[row, 2::2] -= step
    return x[None].astype(np.float64), y.astype(np.float64)


def _exact_kl(p: Array, q: Array) -> mpmath.mpf:
    with mpmath.workdps(60):
        pairs = [(mpmath.mpf(float(a)), mpmath.mpf(float(b))) for a, b in zip(p, q, strict=True)]
        total_p, total_q = sum(a for a, _ in pairs), sum(b for _, b in pairs)
        return mpmath.fsum(a / total_p * mpmath.log(a * total_q / (b * total_p)) for a, b in pairs if a)


@pytest.mark.parametrize(
    ("options", "rtol"), [({}, 1e-9), ({"rtol": 1e-13}, 1e-13), ({"method": "direct"}, 1e-13)], ids=str
)
def test_relative_error_of_divergences_from_1e_16_to_1(options, rtol):
    x, y = _near_equal_counts(101, [1 << k for k in range(14, 40, 2)])
    got = fastkl.pairwise(x, y, **options)[0]
    truth = [_exact_kl(x[0], q) for q in y]
    assert float(min(truth)) < 1e-15
    assert float(max(truth)) > 0.1
    for value, true in zip(got, truth, strict=True):
        assert abs(mpmath.mpf(float(value)) / true - 1) <= rtol


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("divergence", ["kl", "reverse_kl", "jeffreys"])
@pytest.mark.parametrize("bins", [3, 256, 5000])
def test_the_bound_of_the_error_of_a_product(divergence, bins, dtype):
    peaks = np.linspace(-3, 3, 30)[:, None] - np.linspace(-4, 4, bins)
    kinds = [rows(30, bins, 1), rows(30, bins, 2) ** 8 + 1e-30, np.exp(-4 * peaks**2) + 1e-25, np.ones((1, bins))]
    x = np.concatenate([kind / kind.sum(1, keepdims=True) for kind in kinds]).astype(dtype)
    got = fastkl.pairwise(x, divergence=divergence, method="blas").astype(float)
    want = fastkl.pairwise(x.astype(float), divergence=divergence, method="direct")
    # What the module promises, of the shares that are computed with.
    product = _products.Product(_products.plan_of(divergence, None, True), bins, True, np.dtype(dtype))
    h = fastkl.kl_divergence(x.astype(float), np.ones(bins))
    c = 0.5 + h + np.sqrt(2 * h)
    doubts = {"kl": c[:, None], "reverse_kl": c, "jeffreys": c[:, None] + c}[divergence]
    assert (abs(got - want) <= product.error * (2 * want + doubts)).all()


@pytest.mark.parametrize("divergence", ["kl", "jeffreys"])
def test_planted_at_the_edges_of_tiles(divergence):
    count, bins = 2 * _tiles.TILE + 17, 16
    x, y = rows(count, bins, 1), rows(count, bins, 2)
    edges = [0, 1, 15, 16, 17, *(k * _tiles.TILE + d for k in (1, 2) for d in (-1, 0, 1)), count - 1]
    for n, i in enumerate(edges):
        j = edges[-1 - n]
        y[j] = x[i]
        y[j, 2] *= 1 + 1e-7 * n
        x[i, 5 + n % 3] = 0.0
    y[edges[3], 4] = 0.0
    got = fastkl.pairwise(x, y, divergence=divergence)
    assert_close(got, pair_by_pair(divergence, x, y), 1e-9)
    assert np.isinf(got[:, edges[3]]).all()


@pytest.mark.parametrize("divergence", ["kl", "reverse_kl", "jeffreys", "js"])
def test_the_same_bits_for_any_blocks_threads_and_part(divergence, monkeypatch):
    x, y = rows(120, 40, 1, 0.01), rows(90, 40, 2, 0.01)
    y[3] = x[4]
    want = fastkl.pairwise(x, y, divergence=divergence)
    for threads in (1, 3, 16):
        np.testing.assert_array_equal(fastkl.pairwise(x, y, divergence=divergence, threads=threads), want)
    part = fastkl.pairwise(x[7:93], y[5:], divergence=divergence)
    np.testing.assert_array_equal(part, want[7:93, 5:])
    for tile, panel, block, read in ((16, 16 * 40, 16 * 40, 40), (32, 64 * 40, 16 * 40, 400)):
        for name, value in (("TILE", tile), ("_PANEL", panel), ("_BLOCK", block), ("_READ", read)):
            monkeypatch.setattr(_tiles, name, value)
        np.testing.assert_array_equal(fastkl.pairwise(x, y, divergence=divergence), want)


@pytest.mark.parametrize("bins", [3, 31, 64, 100, 2049])
@pytest.mark.parametrize("divergence", ["kl", "reverse_kl", "jeffreys", "js", "cross_entropy"])
def test_the_same_bits_for_few_rows_and_many(divergence, bins):
    x, y = rows(300, bins, 1), rows(150, bins, 2)
    y[75:] = x[75:150]  # half of a tile's corner is in doubt, or a thirtieth of all
    want = fastkl.pairwise(x, y, divergence=divergence)
    for i, j in ((1, 1), (7, 5), (8, 60), (40, 16), (120, 140)):
        np.testing.assert_array_equal(fastkl.pairwise(x[:i], y[:j], divergence=divergence), want[:i, :j])
    near = x[75:100] * (1 + 1e-9 * np.random.default_rng(0).standard_normal((25, bins)))
    alone, beside = (fastkl.pairwise(x[75:100], part, divergence=divergence) for part in (near, np.vstack([near, y])))
    np.testing.assert_array_equal(alone, beside[:, :25])


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("divergence", ["kl", "jeffreys", "js"])
def test_against_itself(divergence, dtype, monkeypatch):
    monkeypatch.setattr(_tiles, "TILE", 32)
    monkeypatch.setattr(_tiles, "_BLOCK", 16 * 25)
    x = rows(100, 25, 3, 0.01, dtype)
    x[70] = x[30]
    got = fastkl.pairwise(x, divergence=divergence)
    assert_close(got, pair_by_pair(divergence, x, x), 1e-9 if dtype == np.float64 else 1e-4)
    assert (np.diag(got) == 0).all()
    assert got[70, 30] == got[30, 70] == 0
    if divergence != "kl":
        np.testing.assert_array_equal(got, got.T)


@pytest.mark.parametrize("options", [{}, {"normalize": False}, {"pseudocount": 0.25}, {"divergence": "js", "base": 2}])
def test_sparse_rows_are_as_dense_ones(options):
    x, y = rows(30, 50, 1, 0.6), rows(20, 50, 2, 0.3)
    want = fastkl.pairwise(x, y, **options)
    for left in (x, scipy.sparse.csr_array(x), scipy.sparse.csc_matrix(x)):
        for right in (scipy.sparse.csr_array(y), scipy.sparse.coo_array(y)):
            np.testing.assert_array_equal(fastkl.pairwise(left, right, **options), want)


@pytest.mark.parametrize("dtype", ["float16", ">f8", ">i2", "uint8", "bool"])
def test_sparse_rows_of_types_that_scipy_holds_but_does_not_move(dtype):
    x = (rows(9, 12, 1, 0.5) * 20).astype(dtype)
    held = scipy.sparse.csr_array(x.astype(float))
    held = scipy.sparse.csr_array((held.data.astype(dtype), held.indices, held.indptr), shape=x.shape)
    options = {"normalize": False, "on_invalid": "nan"}
    np.testing.assert_array_equal(fastkl.pairwise(held, **options), fastkl.pairwise(x, **options))
    held.indices[3] = 100
    with pytest.raises(ValueError, match="x stores indices beyond its 12 bins"):
        fastkl.pairwise(held)


@pytest.mark.parametrize("dtype", ["float16", "uint8", "int64", "bool", ">f8", ">f4", ">i2"])
def test_types_and_layouts(dtype):
    x, y = ((rows(12, 9, seed) * 20 + 1).astype(dtype) for seed in (1, 2))
    want = pair_by_pair("kl", x, y)
    read_only = x.copy()
    read_only.flags.writeable = False
    for left in (read_only, np.asfortranarray(x), np.repeat(x, 2, 1)[:, ::2], x[::-1][::-1], x.tolist()):
        assert_close(fastkl.pairwise(left, y), want, 1e-9 if want.dtype == np.float64 else 1e-4)


@pytest.mark.parametrize("scale", [1e-320, 1e-200, 1e-29, 1e-20, 1e20, 1e24, 1e26, 1e28, 1e29, 1e30, 1e31, 1e200])
@pytest.mark.parametrize("divergence", ["kl", "reverse_kl", "jeffreys", "js"])
def test_numbers_of_any_magnitude(divergence, scale):
    x, y = rows(6, 8, 1), rows(5, 8, 2)
    x[0, 1], x[1, 1], y[0, 1], y[1, 2] = 1e-320, 1e-300, 0.0, 1e-310
    for normalize in (True, False):
        for left, right in ((x * scale, y), (x, y * scale), (x * scale, y * scale)):
            options = {"normalize": normalize, "on_invalid": "nan"}
            got = fastkl.pairwise(left, right, divergence=divergence, **options)
            assert_close(got, pair_by_pair(divergence, left, right, **options), 1e-9)


@pytest.mark.parametrize("scale", [1e-40, 1e40])
def test_blas_leaves_totals_without_room_to_the_kernel(scale):
    x, y = rows(40, 8, 1), rows(30, 8, 2)
    x[3] *= scale
    y[[5, 29]] *= scale
    for left, right in ((x, y), (x[3:4], y)):
        got = fastkl.pairwise(left, right, normalize=False, method="blas")
        assert_close(got, pair_by_pair("kl", left, right, normalize=False), 1e-9)


def test_invalid_rows():
    x, y = rows(6, 8, 1), rows(5, 8, 2)
    x[2, 3], y[4] = -1.0, 0.0
    for method in ("auto", "blas", "direct"):
        got = fastkl.pairwise(x, y, on_invalid="nan", method=method)
        is_nan = np.isnan(got)
        assert is_nan[2].all()
        assert is_nan[:, 4].all()
        assert np.count_nonzero(is_nan) == 5 + 6 - 1
    out = np.full((6, 5), 7.0)
    with pytest.raises(ValueError, match=r"x\[2\] is not a histogram: bin 3 is -1.0; .* \(1 of 6 histograms of x"):
        fastkl.pairwise(x, y, out=out)
    with pytest.raises(ValueError, match=r"y\[4\] is not a histogram: its total is zero"):
        fastkl.pairwise(x[:2], scipy.sparse.csr_array(y), out=out[:2])
    assert (out == 7.0).all()
    got = fastkl.pairwise(x[:2], y, normalize=False)  # a row of zeros is no invalid one then
    assert_close(got, pair_by_pair("kl", x[:2], y, normalize=False), 1e-9)
    assert np.isinf(got[:, 4]).all()


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        (([1, 2], [[1, 2]]), {}, ValueError, r"x has 1 dimensions; it must have two.*x\[None, :\]"),
        (([[1, 2]], [[[1, 2]]]), {}, ValueError, "y has 3 dimensions; it must have two"),
        (([[1, 2]], [[1, 2, 3]]), {}, ValueError, "y has 3 bins, x has 2"),
        (([[1j, 2]], [[1, 2]]), {}, TypeError, "x has dtype complex128"),
        (([[1, 2]],), {"divergence": "psi"}, ValueError, "divergence must be 'kl' or .*, not 'psi'"),
        (([[1, 2]],), {"divergence": "renyi"}, ValueError, "'renyi' has an order: pass alpha"),
        (([[1, 2]],), {"alpha": 0.5}, ValueError, "alpha is the order of renyi and alpha; kl has none"),
        (([[1, 2]],), {"divergence": "alpha", "alpha": float("inf")}, ValueError, "alpha must be a finite number"),
        (([[1, 2]],), {"method": "gemm"}, ValueError, "method must be 'auto' or 'blas' or 'direct'"),
        (
            ([[1, 2]],),
            {"method": "blas", "divergence": "js", "normalize": False},
            ValueError,
            "no product that gives js",
        ),
        (([[1, 2]],), {"rtol": 0}, ValueError, "rtol must be a number between 0 and 1, without these, or None, not 0"),
        (([[1, 2]],), {"pseudocount": "evidently"}, ValueError, "pseudocount must be a finite number"),
        (([[1, 2]],), {"base": 1}, ValueError, "base must be"),
        (([[1, 2]],), {"threads": 0}, ValueError, "threads must be"),
        (([[1, 2]],), {"progress": 1}, TypeError, "progress must be True or False"),
        (([[1, 2]],), {"on_invalid": "skip"}, ValueError, "on_invalid must be"),
        (([[1, 2]],), {"out": np.empty((2, 1))}, ValueError, r"out must be an array of shape \(1, 1\)"),
        (([[1, 2]],), {"out": np.empty((1, 1), int)}, TypeError, "out has dtype int64"),
    ],
)
def test_bad_arguments(arguments, options, error, message):
    with pytest.raises(error, match=message):
        fastkl.pairwise(*arguments, **options)


def test_out(tmp_path):
    x, y = rows(30, 8, 1), rows(20, 8, 2)
    want = fastkl.pairwise(x, y, base=2)
    mapped = np.lib.format.open_memmap(tmp_path / "d.npy", "w+", np.float32, (30, 20))
    assert fastkl.pairwise(x, y, base=2, out=mapped) is mapped
    np.testing.assert_array_equal(np.load(tmp_path / "d.npy"), want.astype(np.float32))
    turned = np.empty((20, 60)).T[::2]
    np.testing.assert_array_equal(fastkl.pairwise(x, y, base=2, out=turned), want)
    square = rows(8, 8, 1)
    for shared in (square, square.T, square[::-1]):
        with pytest.raises(ValueError, match="out shares memory with x"):
            fastkl.pairwise(square, out=shared)
    both = rows(6, 10, 1)  # columns of one matrix lie between each other
    want = fastkl.pairwise(both[:, :4].copy())
    np.testing.assert_array_equal(fastkl.pairwise(both[:, :4], out=both[:, 4:]), want)


@pytest.mark.parametrize("shape", [(0, 5), (5, 0), (0, 0)])
def test_nothing_to_do(shape):
    assert fastkl.pairwise(np.ones((shape[0], 3)), np.ones((shape[1], 3))).shape == shape
    with pytest.raises(ValueError, match="it has no bins"):
        fastkl.pairwise(np.ones((2, 0)))


def test_long_rows_in_little_memory():
    # More bins than a product takes, and as many as fill a panel with one tile of rows.
    for bins, count in ((_tiles._MOST_BINS + 5, 3), (100_000, 40)):
        x = rows(count, bins, 1, dtype=np.float32)
        out = np.empty((count, count), np.float32)
        tracemalloc.start()
        fastkl.pairwise(x, out=out, threads=2)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak <= 256e6
        assert_close(out[:2, :3], pair_by_pair("kl", x[:2], x[:3]), 1e-4)


def test_many_rows_in_little_memory(tmp_path):
    x = np.random.default_rng(0).random((20_000, 16), dtype=np.float32)
    out = np.lib.format.open_memmap(tmp_path / "d.npy", "w+", np.float32, (20_000, 20_000))
    tracemalloc.start()
    fastkl.pairwise(x, out=out, divergence="jeffreys", threads=2)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak <= 256e6
    i, j = np.random.default_rng(1).integers(0, 20_000, (2, 1000))
    np.testing.assert_allclose(out[i, j], fastkl.jeffreys_divergence(x[i], x[j]), rtol=1e-4)


def _blas_threads() -> list[int]:
    return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]


def test_blas_threads_are_restored(monkeypatch):
    x = rows(40, 8, 1)
    with threadpool_limits(2, user_api="blas"):
        before = _blas_threads()
        during = []
        multiply = _products.Product.multiply

        def watched(self: Any, *arguments: Any) -> Any:
            during.append(_blas_threads())
            return multiply(self, *arguments)

        monkeypatch.setattr(_products.Product, "multiply", watched)
        fastkl.pairwise(x)
        fastkl.nearest(x, x, 3)
        assert during
        assert all(set(threads) == {1} for threads in during)
        assert _blas_threads() == before

        def broken(self: Any, *arguments: Any) -> Any:
            raise KeyboardInterrupt

        monkeypatch.setattr(_products.Product, "multiply", broken)
        for call in (fastkl.pairwise, partial(fastkl.nearest, k=2)):
            with pytest.raises(KeyboardInterrupt):
                call(x, x)
            assert _blas_threads() == before


def test_blas_threads_of_calls_that_overlap():
    with threadpool_limits(2, user_api="blas"):
        before, inside, leave = _blas_threads(), threading.Event(), threading.Event()

        def hold() -> None:
            with _blas.one_blas_thread():
                inside.set()
                leave.wait(10)

        other = threading.Thread(target=hold)
        with _blas.one_blas_thread():
            other.start()
            inside.wait(10)
        assert set(_blas_threads()) == {1}  # the other one still computes
        leave.set()
        other.join()
        assert _blas_threads() == before


def test_progress(capsys, monkeypatch):
    fastkl.pairwise(rows(40, 8, 1), progress=True)
    assert "fastkl pairwise:" in capsys.readouterr().err
    fastkl.nearest(rows(40, 8, 1), rows(40, 8, 1), progress=True)
    assert "fastkl nearest:" in capsys.readouterr().err
    fastkl.pairwise(rows(40, 8, 1))
    assert capsys.readouterr().err == ""


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("call", ["fastkl.pairwise(x, x, out=out)", "fastkl.nearest(x, x, 5)"])
def test_ctrl_c_stops_a_long_call(run_python, call):
    script = f"""
    import os, signal, threading, time
    import numpy as np
    import fastkl

    # Rows that are one in memory, and results too: much work, little memory.
    x = np.broadcast_to(np.random.default_rng(0).random((1, 400)), (50_000, 400))
    out = np.broadcast_to(np.empty(1), (50_000, 50_000))
    out.flags.writeable = True
    fastkl.pairwise(x[:600], x[:600])
    fastkl.nearest(x[:600], x[:600])
    sent = []

    def interrupt():
        time.sleep(0.5)
        sent.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    try:
        {call}
    except KeyboardInterrupt:
        print("stopped after", time.monotonic() - sent[0], "s")
    else:
        raise SystemExit("it was not stopped")
    """
    assert "stopped" in run_python(script)


def test_a_blas_that_each_thread_tells_for_itself(monkeypatch):
    # As OpenBLAS over OpenMP is. This one has a pool, but one caller at a time can't tell the difference.
    caches = (_blas._of_process, _blas._of_threads)
    monkeypatch.setattr(_blas, "_is_told_by_threads", lambda library: True)
    for cached in caches:
        cached.cache_clear()
    try:
        with threadpool_limits(2, user_api="blas"):
            with _blas.one_blas_thread():
                assert set(_blas_threads()) == {2}
                with _blas.one_blas_thread_here():
                    assert set(_blas_threads()) == {1}
            assert set(_blas_threads()) == {2}
    finally:
        for cached in caches:
            cached.cache_clear()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork")
def test_in_a_forked_child_while_another_thread_computes(run_python):
    script = """
    import os, threading

    os.environ["OPENBLAS_NUM_THREADS"] = "2"  # threadpool_limits would make this thread the only one that may say more
    import numpy as np
    import fastkl

    from threadpoolctl import threadpool_info

    def threads_of_blas():
        return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]

    x = np.random.default_rng(0).random((3000, 64))
    expected, product = fastkl.pairwise(x[:50]), x.T @ x  # Numba loads the BLAS of SciPy too
    before = threads_of_blas()
    stop = threading.Event()

    def is_right():
        if threads_of_blas() != before or not np.allclose(x.T @ x, product, rtol=1e-12):
            return False
        return np.array_equal(fastkl.pairwise(x[:50], threads=2), expected) and threads_of_blas() == before

    def works_in_a_child(grandchildren):
        child = os.fork()
        if child == 0:
            good = is_right() and (grandchildren == 0 or works_in_a_child(grandchildren - 1))
            os._exit(0 if good else 1)
        return os.waitpid(child, 0)[1] == 0

    def work():
        while not stop.is_set():
            fastkl.pairwise(x)

    thread = threading.Thread(target=work)
    thread.start()
    for _ in range(5):
        assert works_in_a_child(1)
    stop.set()
    thread.join()
    print("right")
    """
    assert run_python("import warnings; warnings.simplefilter('ignore')\n" + textwrap.dedent(script)) == "right\n"
