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


@pytest.mark.parametrize("scale", [1e-320, 1e-200, 1e-20, 1e20, 1e200])
@pytest.mark.parametrize("divergence", ["kl", "reverse_kl", "jeffreys", "js"])
def test_numbers_of_any_magnitude(divergence, scale):
    x, y = rows(6, 8, 1), rows(5, 8, 2)
    x[0, 1], x[1, 1], y[0, 1], y[1, 2] = 1e-320, 1e-300, 0.0, 1e-310
    for normalize in (True, False):
        for left, right in ((x * scale, y), (x, y * scale), (x * scale, y * scale)):
            options = {"normalize": normalize, "on_invalid": "nan"}
            got = fastkl.pairwise(left, right, divergence=divergence, **options)
            assert_close(got, pair_by_pair(divergence, left, right, **options), 1e-9)


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
        (([[1, 2]],), {"rtol": 0}, ValueError, "rtol must be a number between 0 and 1"),
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
    with pytest.raises(ValueError, match="out shares memory with x"):
        fastkl.pairwise(square, out=square)


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
    assert "fastkl pairwise [####" in capsys.readouterr().err
    fastkl.nearest(rows(40, 8, 1), rows(40, 8, 1), progress=True)
    assert "fastkl nearest [####" in capsys.readouterr().err
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
    import numpy as np
    import fastkl

    x = np.random.default_rng(0).random((3000, 64))
    expected = fastkl.pairwise(x[:50])
    stop = threading.Event()

    def work():
        while not stop.is_set():
            fastkl.pairwise(x)

    thread = threading.Thread(target=work)
    thread.start()
    for _ in range(5):
        child = os.fork()
        if child == 0:
            os._exit(0 if np.array_equal(fastkl.pairwise(x[:50], threads=2), expected) else 1)
        _, status = os.waitpid(child, 0)
        assert status == 0
    stop.set()
    thread.join()
    print("right")
    """
    assert run_python("import warnings; warnings.simplefilter('ignore')\n" + textwrap.dedent(script)) == "right\n"
