"""The nearest rows: those of a sorted matrix of all pairs, which is never there."""

import tracemalloc
from typing import Any

import numpy as np
import pytest
import scipy.sparse
from test_pairwise import ROW_FUNCTIONS, pair_by_pair, rows

import fastkl
from fastkl import _nearest, _tiles

Array = np.ndarray[Any, Any]


def sorted_matrix(matrix: Array, k: int) -> tuple[Array, Array]:
    order = np.argsort(matrix, 1, kind="stable")[:, :k]
    return np.take_along_axis(matrix, order, 1), order


def assert_same(got: tuple[Array, Array], want: tuple[Array, Array]) -> None:
    np.testing.assert_array_equal(got[1], want[1])
    np.testing.assert_array_equal(got[0], want[0])


def with_copies(count: int, bins: int, seed: int, zeros: float, dtype: Any) -> Array:
    # Every fourth row is a copy, or nearly one, of another.
    y = rows(count, bins, seed, zeros, dtype)
    y[::4] = y[1]
    y[4::8] *= dtype(1 + 3e-7)
    y[2::8, 1] *= dtype(1 + 1e-6)
    return y


@pytest.mark.parametrize("zeros", [0.0, 0.03])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("divergence", ROW_FUNCTIONS)
def test_the_same_as_a_sort(divergence, dtype, zeros):
    x, y = rows(25, 12, 1, zeros, dtype), with_copies(1100, 12, 2, zeros, dtype)
    x[3] = y[1]
    for normalize in (True, False):
        matrix = pair_by_pair(divergence, x, y, normalize=normalize)
        for k in (1, 7, 300, 1100):
            got = fastkl.nearest(x, y, k, divergence=divergence, normalize=normalize)
            assert got[0].dtype == dtype
            assert_same(got, sorted_matrix(matrix, k))


@pytest.mark.parametrize(
    ("divergence", "alpha"), [("alpha", 0.5), ("alpha", 2.5), ("renyi", 0.5), ("renyi", 3.0), ("alpha", -1.0)]
)
def test_orders(divergence, alpha):
    x, y = rows(10, 12, 1, 0.03), with_copies(200, 12, 2, 0.03, np.float64)
    function = fastkl.alpha_divergence if divergence == "alpha" else fastkl.renyi_divergence
    got = fastkl.nearest(x, y, 30, divergence=divergence, alpha=alpha)
    assert_same(got, sorted_matrix(function(x[:, None], y[None], alpha), 30))


def test_negative_orders_of_renyi_are_refused():
    with pytest.raises(ValueError, match="negative order"):
        fastkl.nearest(rows(3, 6, 1), rows(3, 6, 2), divergence="renyi", alpha=-1.0)
    with pytest.raises(ValueError, match="alpha must be a number, inf or -inf, not 'x'"):
        fastkl.nearest(rows(3, 6, 1), rows(3, 6, 2), divergence="renyi", alpha="x")


@pytest.mark.parametrize(("dtype", "size"), [(np.float64, 3e-8), (np.float32, 1e-3)])
def test_js_of_rows_that_are_nearly_uniform(dtype, size):
    rng = np.random.default_rng(0)
    y = (1 + size * rng.uniform(0.5, 1, (600, 8)) * rng.choice([-1, 1], (600, 8))).astype(dtype)
    x = np.full((20, 8), 0.7, dtype)
    assert_same(fastkl.nearest(x, y, 3, divergence="js"), sorted_matrix(pair_by_pair("js", x, y), 3))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("divergence", "alpha"), [("kl", None), ("alpha", 0.5), ("renyi", 2.0), ("alpha", 10.0)])
def test_single_precision_beside_a_product_in_double(divergence, alpha, seed):
    # The bound of the product is far below what the kernel in single precision rounds away.
    rng = np.random.default_rng(seed)
    base = rng.random((1, 4)) + 0.1
    x, y = ((base * (1 + 1e-3 * rng.random((count, 4)))).astype(np.float32) for count in (20, 900))
    options = {"normalize": alpha is not None, "pseudocount": 0.5}
    if alpha is None:
        matrix = pair_by_pair(divergence, x, y, **options)
    else:
        function = fastkl.alpha_divergence if divergence == "alpha" else fastkl.renyi_divergence
        matrix = function(x[:, None], y[None], alpha, **options)
    assert_same(fastkl.nearest(x, y, 3, divergence=divergence, alpha=alpha, **options), sorted_matrix(matrix, 3))


@pytest.mark.parametrize("seed", range(12))
def test_tiles_as_wrong_as_their_bound_allows(seed, monkeypatch):
    # First rows of little doubt, too low; then nearer ones of much doubt, too high.
    error, first = 0.02, 2 * _tiles.TILE
    nearly = _tiles.Tiles.nearly

    def wrong(self: Any, x_rows: slice, x: Any, y_rows: slice, panel: Any) -> Any:
        doubts = x.doubts[: x_rows.stop - x_rows.start, None] + panel.side.doubts[y_rows]
        exact, sign = self._directly(x_rows, y_rows), 1 if y_rows.start >= first else -1
        return exact + 0.99 * sign * error * (2 * exact + doubts), nearly(self, x_rows, x, y_rows, panel)[1]

    monkeypatch.setattr(_tiles.Tiles, "nearly", wrong)
    monkeypatch.setattr(_tiles.Tiles, "error", property(lambda self: error))
    rng = np.random.default_rng(seed)
    x, near, far = rng.dirichlet(np.ones(8) * 0.8, 1), rng.dirichlet(np.ones(8) * 30, first), np.ones(8) * 0.5
    pool = rng.dirichlet(far, 20_000)
    limit, found = np.sort(fastkl.js_divergence(x, near))[2], fastkl.js_divergence(x, pool)
    y = np.concatenate([near, pool[(found < 0.99 * limit) & (found > 0.8 * limit)][:500]])
    matrix = pair_by_pair("js", x, y)
    assert_same(fastkl.nearest(x, y, 3, divergence="js", threads=1), sorted_matrix(matrix, 3))


def test_ties_that_rounding_makes():
    # Doubles that are inf, 0 or -inf in single precision.
    x, y = np.array([[1, 1]], np.float32), np.array([[1, 0], [1, 1e-25], [1, 1e-22], [1, 1]], np.float32)
    for count in (1, 200):
        many = np.repeat(y[::-1], count, 0)
        matrix = fastkl.alpha_divergence(x[:, None], many[None], 3.0)
        for k in (1, 3 * count, 4 * count):
            assert_same(fastkl.nearest(x, many, k, divergence="alpha", alpha=3.0), sorted_matrix(matrix, k))
    x, sizes = rows(1, 8, 1), np.arange(800, 0, -1)[:, None]
    options = {"normalize": False, "dtype": np.float32}
    for divergence, y in (
        ("js", x * 1e-42 * (1 + 1e-5 * sizes * rows(1, 8, 2))),
        ("cross_entropy", 1e3 + sizes * rows(1, 8, 2)),
    ):
        left = x * (1e-42 if divergence == "js" else 1e42)
        matrix = pair_by_pair(divergence, left, y, **options)
        assert not np.isfinite(matrix).any() or not matrix.any()
        for k in (1, 5):
            assert_same(fastkl.nearest(left, y, k, divergence=divergence, **options), sorted_matrix(matrix, k))


def test_a_base_below_one_changes_the_sign_and_not_the_order():
    x, y = rows(10, 12, 1), rows(40, 12, 2)
    divergences, indices = fastkl.nearest(x, y, 5)
    got = fastkl.nearest(x, y, 5, base=0.5)
    np.testing.assert_array_equal(got[1], indices)
    np.testing.assert_allclose(got[0], -divergences / np.log(2), rtol=1e-15)


@pytest.mark.parametrize("options", [{"base": 2}, {"pseudocount": 0.5}, {"dtype": np.float32}])
def test_options(options):
    x, y = rows(10, 12, 1), with_copies(200, 12, 2, 0.0, np.float64)
    assert_same(fastkl.nearest(x, y, 30, **options), sorted_matrix(pair_by_pair("kl", x, y, **options), 30))


def test_the_same_for_any_blocks_and_threads(monkeypatch):
    x, y = rows(90, 16, 1), with_copies(700, 16, 2, 0.0, np.float64)
    want = sorted_matrix(pair_by_pair("kl", x, y), 5)
    for threads in (1, 3, 16):
        assert_same(fastkl.nearest(x, y, 5, threads=threads), want)
    for tile, panel, block, candidates in ((16, 16 * 16, 16 * 16, 1), (32, 128 * 16, 32 * 16, 1 << 15)):
        for module, name, value in (
            (_tiles, "TILE", tile),
            (_nearest, "TILE", tile),
            (_tiles, "_PANEL", panel),
            (_tiles, "_BLOCK", block),
            (_nearest, "_CANDIDATES", candidates),
        ):
            monkeypatch.setattr(module, name, value)
        assert_same(fastkl.nearest(x, y, 5), want)


def test_rows_that_are_all_alike():
    y = np.tile(rows(1, 12, 1), (3000, 1))
    divergences, indices = fastkl.nearest(y[:2], y, 40)
    assert (divergences == 0).all()
    assert (indices == np.arange(40)).all()


def test_invalid_rows_are_no_neighbours():
    x, y = rows(4, 6, 1), rows(5, 6, 2)
    x[1], y[2, 3], y[4] = -1.0, np.nan, 0.0
    y[3, 0] = 0.0
    for method in ("kl", "js"):
        divergences, indices = fastkl.nearest(x, y, 5, divergence=method, on_invalid="nan")
        want, order = sorted_matrix(pair_by_pair(method, x, y, on_invalid="nan"), 5)
        np.testing.assert_array_equal(divergences, want)
        np.testing.assert_array_equal(indices, np.where(np.isnan(want), -1, order))
    with pytest.raises(ValueError, match=r"x\[1\] is not a histogram"):
        fastkl.nearest(x, y)


@pytest.mark.parametrize("k", [0, 6, 1.5, True, None])
def test_bad_k(k):
    with pytest.raises(ValueError, match="k must be a whole number from 1 to the 5 rows of y"):
        fastkl.nearest(rows(4, 6, 1), rows(5, 6, 2), k)


def test_sparse_and_mapped(tmp_path):
    x, y = rows(30, 20, 1, 0.1), rows(400, 20, 2, 0.1)
    want = fastkl.nearest(x, y, 5)
    assert_same(fastkl.nearest(scipy.sparse.csr_array(x), scipy.sparse.csr_array(y), 5), want)
    np.save(tmp_path / "y.npy", np.asfortranarray(y))
    assert_same(fastkl.nearest(x, np.load(tmp_path / "y.npy", mmap_mode="r"), 5), want)


def test_little_memory():
    rng = np.random.default_rng(0)
    x, y = rng.random((3000, 100), dtype=np.float32), rng.random((60_000, 100), dtype=np.float32)
    for k in (1, 1000):
        tracemalloc.start()
        got = fastkl.nearest(x[: 3000 if k == 1 else 300], y, k, threads=2)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak <= 512e6
        assert_same((got[0][:5], got[1][:5]), sorted_matrix(fastkl.kl_divergence(x[:5, None], y), k))


def test_all_rows_in_little_memory():
    x, y = rows(160, 8, 1), rows(8000, 8, 2)
    tracemalloc.start()
    got = fastkl.nearest(x, y, 8000, threads=1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak <= 60e6 + got[0].nbytes + got[1].nbytes
    assert_same(got, sorted_matrix(pair_by_pair("kl", x, y), 8000))


@pytest.mark.parametrize("divergence", ["kl", "reverse_kl", "jeffreys", "js"])
def test_digits(divergence):
    datasets = pytest.importorskip("sklearn.datasets")
    pixels, labels = datasets.load_digits(return_X_y=True)
    options = {"divergence": divergence, "pseudocount": 0.5}
    divergences, indices = fastkl.nearest(pixels, pixels, 2, **options)
    matrix = fastkl.pairwise(pixels, method="direct", **options)
    assert_same((divergences, indices), sorted_matrix(matrix, 2))
    np.testing.assert_array_equal(indices[:, 0], np.arange(1797))
    assert np.mean(labels[indices[:, 1]] == labels) > 0.97
