"""Arrays of dask: nothing is computed by a call, and what is computed later is what the call on arrays gives."""

import pickle
from functools import partial

import dask
import dask.array as da
import numpy as np
import pytest
import scipy.stats
import xarray as xr
from dask.array.utils import assert_eq
from functions import FUNCTIONS

import fastkl
from fastkl import _compare, _threads

RNG = np.random.default_rng(11)
P, Q = RNG.random((9, 5, 12)), RNG.random((9, 5, 12))
P[2, 3, :4] = Q[6, 1, 5:] = 0.0
CHUNKED_P = da.from_array(P, chunks=(4, 2, -1))
CHUNKED_Q = da.from_array(Q, chunks=(3, 5, -1))
X, Y = RNG.random((130, 40)), RNG.random((90, 40))
LATER_X, LATER_Y = da.from_array(X, chunks=((50, 64, 16), -1)), da.from_array(Y, chunks=(40, -1))
POINTS = np.linspace(-5, 5, 60)
BELLS = np.array([[scipy.stats.norm(m, s).pdf(POINTS) for m in (-1, 0, 1.3)] for s in (0.5, 1, 2, 0.7)])
LATER_BELLS = da.from_array(BELLS, chunks=(3, 2, -1))
GRID = {"loc": np.linspace(-3, 3, 20), "scale": np.geomspace(0.2, 4, 15)}
MORE = {"js_distance": fastkl.js_distance, "kl_divergence_from_logits": fastkl.kl_divergence_from_logits}


def refuse(*args, **options):
    raise AssertionError("something was computed")


@pytest.fixture(autouse=True)
def nothing_is_computed():
    """Unless a test asks for it by `values`."""
    with dask.config.set(scheduler=refuse):
        yield


def values(lazy, scheduler="synchronous"):
    with dask.config.set(scheduler=scheduler):
        return dask.compute(lazy)[0]


def check(lazy, expected):
    """The same bits, and what was said of them before holds."""
    assert isinstance(lazy, da.Array)
    with dask.config.set(scheduler="synchronous"):
        assert_eq(lazy, expected, equal_nan=True)
    assert lazy.dtype == np.asarray(expected).dtype
    assert type(lazy._meta) is np.ndarray
    assert np.array_equal(values(lazy), expected, equal_nan=True)


# Rows


@pytest.mark.parametrize("name", [*FUNCTIONS, *MORE])
def test_every_function_of_rows(name):
    function = (FUNCTIONS | MORE)[name]
    expected = function(P, Q)
    both = function(CHUNKED_P, CHUNKED_Q)
    check(both, expected)
    assert both.chunks == (((4, 4, 1) if name == "entropy" else (3, 1, 2, 2, 1)), (2, 2, 1))
    check(function(CHUNKED_P, Q[0, 0]), function(P, Q[0, 0]))
    check(function(CHUNKED_P[0, 0], CHUNKED_Q, keepdims=True, base=2), function(P[0, 0], Q, keepdims=True, base=2))
    if name != "entropy":
        check(function(P, CHUNKED_Q), expected)
        check(function(CHUNKED_P[:, :1], CHUNKED_Q[:1]), function(P[:, :1], Q[:1]))


@pytest.mark.parametrize(("axis", "chunks"), [(0, (-1, 2, 5)), (1, (4, -1, 5)), (-2, (4, -1, 5))])
@pytest.mark.parametrize("keepdims", [False, True])
def test_any_axis(axis, chunks, keepdims):
    lazy = fastkl.kl_divergence(da.from_array(P, chunks=chunks), Q, axis=axis, keepdims=keepdims)
    check(lazy, fastkl.kl_divergence(P, Q, axis=axis, keepdims=keepdims))
    reference = Q.sum((0, 2)) if axis else Q.sum((1, 2))
    later = fastkl.kl_divergence(da.from_array(P, chunks=chunks), da.from_array(reference), axis=axis)
    check(later, fastkl.kl_divergence(P, reference, axis=axis))


def test_both_directions():
    options = {"weights": np.arange(12.0), "keepdims": True}
    for lazy, expected in zip(
        fastkl.kl_divergences(CHUNKED_P, CHUNKED_Q, **options), fastkl.kl_divergences(P, Q, **options), strict=True
    ):
        check(lazy, expected)
    lazy = fastkl.kl_divergences(CHUNKED_P, Q, pseudocount="evidently")
    check(lazy[1], fastkl.kl_divergences(P, Q, pseudocount="evidently")[1])


@pytest.mark.parametrize(
    "options",
    [
        {"normalize": False},
        {"pseudocount": 0.25, "base": 0.5},
        {"pseudocount": "popmon"},
        {"weights": RNG.random(12)},
        {"weights": RNG.random((5, 12)).tolist()},
        {"weights": da.from_array(np.arange(60.0).reshape(5, 12) + 1, chunks=(2, 12))},
        {"dtype": np.float32},
    ],
)
def test_options(options):
    eager = {name: values(option) if isinstance(option, da.Array) else option for name, option in options.items()}
    check(fastkl.jeffreys_divergence(CHUNKED_P, CHUNKED_Q, **options), fastkl.jeffreys_divergence(P, Q, **eager))


@pytest.mark.parametrize("dtype", ["f4", "f2", "u1", "i8", "?", ">f8"])
def test_types(dtype):
    p, q = (100 * P).astype(dtype) + np.ones(1, dtype), (100 * Q).astype(dtype) + np.ones(1, dtype)
    lazy = fastkl.kl_divergence(da.from_array(p, chunks=(4, 2, -1)), da.from_array(q, chunks=(3, 5, -1)))
    check(lazy, fastkl.kl_divergence(p, q))


def test_one_pair_and_no_rows():
    check(fastkl.kl_divergence(CHUNKED_P[0, 0], Q[0, 0]), fastkl.kl_divergence(P[0, 0], Q[0, 0]))
    check(fastkl.kl_divergence(CHUNKED_P[:0], Q[0, 0]), np.empty((0, 5)))


def test_chunks_of_unknown_length():
    chosen = CHUNKED_P[CHUNKED_P[:, 0, 0] > 0.4]
    lazy = fastkl.kl_divergence(chosen, Q[0, 0])
    assert np.isnan(lazy.shape[0])
    known = P[P[:, 0, 0] > 0.4]
    assert np.array_equal(values(lazy), fastkl.kl_divergence(known, Q[0, 0]))
    assert np.array_equal(values(fastkl.psi(chosen, chosen * 2 + 1)), fastkl.psi(known, known * 2 + 1))
    with pytest.raises(ValueError, match="compute_chunk_sizes"):
        fastkl.kl_divergence(chosen, CHUNKED_Q[:4])


def test_names_of_tasks_tell_what_is_computed():
    def name(**options):
        return fastkl.js_divergence(CHUNKED_P, CHUNKED_Q, **options).name

    assert name() == name()
    assert len({name(), name(base=2), name(p_weight=0.25), name(normalize=False)}) == 4
    assert fastkl.renyi_divergence(CHUNKED_P, Q, 2).name != fastkl.renyi_divergence(CHUNKED_P, Q, 3).name


@pytest.mark.parametrize("scheduler", ["threads", "processes"])
def test_schedulers(scheduler):
    check_with = partial(values, scheduler=scheduler)
    lazy = (
        fastkl.js_distance(CHUNKED_P, CHUNKED_Q, base=2),
        fastkl.kl_divergences(CHUNKED_P, Q, pseudocount="evidently")[1],
        fastkl.renyi_divergence(CHUNKED_P, Q, float("inf")),
        fastkl.pairwise(LATER_X, LATER_Y, divergence="js"),
        fastkl.fit(LATER_BELLS, points=POINTS, grid=GRID).params["loc"],
    )
    expected = (
        fastkl.js_distance(P, Q, base=2),
        fastkl.kl_divergences(P, Q, pseudocount="evidently")[1],
        fastkl.renyi_divergence(P, Q, float("inf")),
        fastkl.pairwise(X, Y, divergence="js"),
        fastkl.fit(BELLS, points=POINTS, grid=GRID).params["loc"],
    )
    for found, wanted in zip(check_with(lazy), expected, strict=True):
        assert np.array_equal(found, wanted)


def test_results_go_on_lazily():
    drifts = (fastkl.psi(CHUNKED_P, Q[0, 0], pseudocount=0.5) > 1.0).sum()
    assert values(drifts) == (fastkl.psi(P, Q[0, 0], pseudocount=0.5) > 1.0).sum()


def test_tasks_have_one_thread(monkeypatch):
    p, q = RNG.random((2048, 256)), RNG.random((2048, 256))
    later = da.from_array(p, chunks=(2048, 256))
    expected = fastkl.kl_divergence(p, q), fastkl.pairwise(p[:700], q[:700])

    def start(*args):
        raise AssertionError("a thread was started")

    monkeypatch.setattr(_threads, "_start", start)
    assert np.array_equal(values(fastkl.kl_divergence(later, q)), expected[0])
    assert np.array_equal(values(fastkl.pairwise(later[:700], q[:700])), expected[1])
    with pytest.raises(AssertionError, match="a thread was started"):
        values(fastkl.kl_divergence(later, q, threads=2))


def test_blocks_are_not_copied(monkeypatch):
    block, seen, batch_of = RNG.random((2, 2000)), [], _compare.batch_of

    def record(names, arrays):
        seen.append(np.shares_memory(arrays[0], block))
        return batch_of(names, arrays)

    later = da.map_blocks(lambda: block, chunks=block.shape, dtype=float, meta=np.empty((0, 0)))
    lazy = fastkl.kl_divergence(later, Q[0, 0, 0] + np.arange(2000.0))
    monkeypatch.setattr(_compare, "batch_of", record)
    values(lazy)
    assert seen == [True]


# What is wrong


def broken(*places):
    p = P.copy()
    for place in places:
        p[place] = -1.0
    return da.from_array(p, chunks=(4, 2, -1))


@pytest.mark.parametrize(
    "divergence", [fastkl.kl_divergence, lambda p, q: fastkl.kl_divergences(p, q)[0], lambda p, q: fastkl.entropy(p)]
)
def test_invalid_rows_are_named_by_their_place_in_the_whole(divergence):
    lazy = divergence(broken((5, 3, 7), (5, 3, 8), (6, 2, 0)), Q)
    with pytest.raises(ValueError, match=r"^p\[5, 3\] is not a histogram: bin 7 is -1.0; .*\(2 of 8 in its chunk"):
        values(lazy)


def test_invalid_rows_of_arrays_that_broadcast():
    with pytest.raises(ValueError, match=r"^q\[8, 0\] is not a histogram: bin 2 is -1.0"):
        values(fastkl.kl_divergence(CHUNKED_P, broken((8, 0, 2))[:, :1]))
    with pytest.raises(ValueError, match=r"^q\[4\] is not a histogram: bin 2 is -1.0"):
        values(fastkl.kl_divergence(CHUNKED_P, broken((1, 4, 2))[1]))
    with pytest.raises(ValueError, match=r"^q is not a histogram: bin 2 is -1.0; bins must be finite and >= 0$"):
        values(fastkl.kl_divergence(CHUNKED_P, broken((1, 4, 2))[1, 4]))
    weights = da.from_array(np.eye(12) + 0.5, chunks=(5, 12))
    empty = da.from_array(np.zeros((1, 12)))
    with pytest.raises(ValueError, match=r"^p\[(0|5|10)\] is not a histogram: its weighted total is zero"):
        values(fastkl.kl_divergence(empty, Q[0, 0], weights=weights))


def test_invalid_logits():
    logits = np.zeros((6, 4))
    logits[4, 1] = np.nan
    with pytest.raises(ValueError, match=r"^p_logits\[4\] is not a logit row: bin 1 is nan"):
        values(fastkl.kl_divergence_from_logits(da.from_array(logits, chunks=(2, -1)), np.zeros(4)))


def test_invalid_rows_after_chunks_of_unknown_length():
    p = broken((8, 1, 3))
    lazy = fastkl.kl_divergence(p[p[:, 0, 0] > 0.0], Q[0, 0])
    with pytest.raises(ValueError, match=r"^p\[0, 1\] of a chunk, after chunks of unknown length, is not a histogram"):
        values(lazy)


def test_invalid_rows_may_be_nan():
    p = broken((5, 3, 7), (6, 2, 0))
    check(fastkl.kl_divergence(p, Q, on_invalid="nan"), fastkl.kl_divergence(values(p), Q, on_invalid="nan"))


REFUSED = [
    (lambda: fastkl.kl_divergence(CHUNKED_P.rechunk((4, 2, 5)), Q), r"bins of p, axis 2, .*`p.rechunk\({2: -1}\)`"),
    (lambda: fastkl.kl_divergence(P, CHUNKED_Q, axis=0), r"bins of q, axis 0, are in 3 chunks.*`q.rechunk\({0: -1}\)`"),
    (lambda: fastkl.kl_divergence(P, da.ones(12, chunks=5)), r"bins of q, axis 0, .*`q.rechunk\({0: -1}\)`"),
    (lambda: fastkl.kl_divergence(P, Q, weights=da.ones(12, chunks=5)), "bins of weights, axis 0"),
    (lambda: fastkl.kl_divergence(CHUNKED_P, Q[..., :5]), "q has 5 bins, p has 12"),
    (lambda: fastkl.kl_divergence(CHUNKED_P, CHUNKED_Q[:2]), r"can't be broadcast: p \(9, 5\), q \(2, 5\)"),
    (lambda: fastkl.kl_divergence(P, CHUNKED_Q[0], axis=0), "axis 0 .* which q, of shape .* lacks"),
    (lambda: fastkl.kl_divergence(CHUNKED_P, Q, axis=3), "axis 3 is out of bounds"),
    (lambda: fastkl.kl_divergence(CHUNKED_P, Q, base=1), "base must be"),
    (lambda: fastkl.kl_divergence(CHUNKED_P, Q, threads=0), "threads must be"),
    (lambda: fastkl.kl_divergence(CHUNKED_P, Q, dtype="f2"), "dtype must be"),
    (lambda: fastkl.kl_divergence(CHUNKED_P, Q, weights=-np.ones(12)), r"weights\[0\] is -1.0"),
    (lambda: fastkl.kl_divergence(CHUNKED_P, Q, dim="bin"), "dim names a dimension of a DataArray"),
    (lambda: fastkl.kl_divergence(CHUNKED_P[0, 0, 0], Q), "p is a scalar"),
]


@pytest.mark.parametrize(("call", "message"), REFUSED)
def test_what_is_refused_at_once(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(
    ("p", "options", "message"),
    [
        (CHUNKED_P, {"out": np.empty((9, 5))}, "out is for results that are computed at once"),
        (CHUNKED_P.astype(complex), {}, "p has dtype complex128"),
        (da.ma.masked_less(CHUNKED_P, 0), {}, "p is an array of dask with chunks of numpy.ma"),
        (dask.delayed(P), {}, r"p is a Delayed.* of dask; pass `p.compute\(\)`"),
    ],
)
def test_types_that_are_refused_at_once(p, options, message):
    with pytest.raises(TypeError, match=message):
        fastkl.kl_divergence(p, Q, **options)


def test_other_containers_beside():
    import pandas as pd

    with pytest.raises(TypeError, match="q is a DataFrame beside arrays of dask; pass an array"):
        fastkl.kl_divergence(LATER_X, pd.DataFrame(X))


# xarray


def data_array(values, chunks, **coords):
    return xr.DataArray(values, dims=("day", "cell", "bin"), coords=coords, name="p", attrs={"unit": 1}).chunk(chunks)


def test_data_arrays_stay_lazy_and_keep_labels():
    days, cells = np.arange(9) * 10, list("abcde")
    p = data_array(P, {"day": 4, "cell": 2, "bin": -1}, day=days, cell=cells)
    q = xr.DataArray(Q[0], dims=("cell", "bin"), coords={"cell": cells})
    for function in (fastkl.kl_divergence, fastkl.js_distance):
        lazy, expected = function(p, q, dim="bin"), function(p.compute(scheduler="synchronous"), q, dim="bin")
        assert isinstance(lazy.data, da.Array)
        assert lazy.chunks == ((4, 4, 1), (2, 2, 1))
        assert (lazy.name, lazy.attrs) == ("p", {"unit": 1})
        assert lazy.compute(scheduler="synchronous").identical(expected)
    both = fastkl.kl_divergences(q, p, dim="bin")
    assert both[1].dims == ("cell", "day")
    expected = fastkl.kl_divergences(q, p.compute(scheduler="synchronous"), dim="bin")[1]
    assert both[1].compute(scheduler="synchronous").identical(expected)


def test_data_arrays_with_bins_first():
    p = data_array(P, {"day": -1, "cell": 2, "bin": 5})
    lazy = fastkl.entropy(p, dim="day", weights=np.arange(9.0))
    assert lazy.dims == ("cell", "bin")
    expected = fastkl.entropy(P, axis=0, weights=np.arange(9.0))
    assert np.array_equal(lazy.compute(scheduler="synchronous").values, expected)
    with pytest.raises(ValueError, match=r"bins of p, dimension 'bin', are in 3 chunks.*`p.chunk\({'bin': -1}\)`"):
        fastkl.entropy(p, dim="bin")


def test_labels_of_data_arrays_must_agree():
    p = data_array(P, {"day": 4, "bin": -1}, day=np.arange(9))
    with pytest.raises(ValueError, match="must have the same 'day' labels"):
        fastkl.kl_divergence(p, data_array(Q, {"day": 4, "bin": -1}, day=np.arange(9) + 1), dim="bin")


# Pairs


@pytest.mark.parametrize(
    ("divergence", "alpha"),
    [("kl", None), ("reverse_kl", None), ("jeffreys", None), ("js", None), ("cross_entropy", None), ("alpha", 0.3)],
)
def test_all_pairs(divergence, alpha):
    options = {"divergence": divergence, "alpha": alpha, "pseudocount": 0.25}
    expected = fastkl.pairwise(X, Y, **options)
    lazy = fastkl.pairwise(LATER_X, LATER_Y, **options)
    assert lazy.chunks == ((50, 64, 16), (40, 40, 10))
    check(lazy, expected)
    check(fastkl.pairwise(LATER_X, Y, **options), expected)
    check(fastkl.pairwise(X, LATER_Y, **options), expected)
    itself = fastkl.pairwise(LATER_X, **options)
    check(itself, fastkl.pairwise(X, **options))
    if divergence in ("js", "jeffreys"):
        assert np.array_equal(values(itself), values(itself).T)


def test_all_pairs_of_single_precision_and_of_equal_rows():
    x = np.repeat(X[:9], 10, axis=0).astype("f4")
    lazy = fastkl.pairwise(da.from_array(x, chunks=(20, -1)))
    assert lazy.dtype == np.float32
    found = values(lazy)
    np.testing.assert_allclose(found, fastkl.pairwise(x), rtol=2e-4, atol=0)
    assert np.array_equal(found == 0, np.kron(np.eye(9), np.ones((10, 10))))


@pytest.mark.parametrize("options", [{}, {"divergence": "js", "base": 2}, {"divergence": "reverse_kl", "base": 0.5}])
@pytest.mark.parametrize("k", [1, 7, 90])
def test_nearest_rows(options, k):
    x, y = np.vstack([X, Y[:5]]), np.vstack([Y[:60], Y[20:50]])  # with ties, in several chunks
    expected = fastkl.nearest(x, y, k, **options)
    later_x = da.from_array(x, chunks=(50, -1))
    for later_y in (y, da.from_array(y, chunks=(45, -1)), da.from_array(y, chunks=((2, 0, 80, 8), -1))):
        for lazy, wanted in zip(fastkl.nearest(later_x, later_y, k, **options), expected, strict=True):
            check(lazy, wanted)


def test_nearest_rows_where_some_are_invalid():
    x, y = X.copy(), Y.copy()
    x[60] = -1.0
    y[50:85] = 0.0
    later = da.from_array(x, chunks=(50, -1)), da.from_array(y, chunks=(40, -1))
    expected = fastkl.nearest(x, y, 70, on_invalid="nan")
    for lazy, wanted in zip(fastkl.nearest(*later, 70, on_invalid="nan"), expected, strict=True):
        check(lazy, wanted)
    for call in (fastkl.pairwise, lambda x, y: fastkl.nearest(x, y)[1]):
        with pytest.raises(ValueError, match=r"^x\[60\] is not a histogram: bin 0 is -1.0; .* \(1 of 50 in its chunk"):
            values(call(later[0], Y))
        with pytest.raises(ValueError, match=r"^y\[(50|80)\] is not a histogram: its total is zero"):
            values(call(X, later[1]))
    with pytest.raises(ValueError, match=r"^x\[60\] is not a histogram"):
        values(fastkl.pairwise(later[0]))


def test_pairs_of_data_arrays_are_arrays_of_dask():
    x = xr.DataArray(X, dims=("day", "bin")).chunk({"day": 50})
    check(fastkl.pairwise(x, LATER_Y), fastkl.pairwise(X, Y))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: fastkl.pairwise(LATER_X.rechunk((50, 30)), Y), ValueError, r"bins of x, axis 1, .*`x.rechunk"),
        (lambda: fastkl.pairwise(LATER_X, Y[:, :7]), ValueError, "y has 7 bins, x has 40"),
        (lambda: fastkl.pairwise(LATER_X[0], Y), ValueError, "x has 1 dimensions"),
        (lambda: fastkl.pairwise(LATER_X, Y, divergence="hellinger"), ValueError, "divergence must be"),
        (lambda: fastkl.pairwise(LATER_X, Y, divergence="renyi"), ValueError, "pass alpha"),
        (lambda: fastkl.pairwise(LATER_X, Y, out=np.empty((130, 90))), TypeError, "out is for results"),
        (lambda: fastkl.pairwise(LATER_X, Y, progress=True), TypeError, "progress is for calls that compute at once"),
        (lambda: fastkl.nearest(LATER_X, LATER_Y, 91), ValueError, "k must be a whole number from 1 to the 90 rows"),
        (lambda: fastkl.nearest(LATER_X, LATER_Y[LATER_Y[:, 0] > 0]), ValueError, r"y.compute_chunk_sizes\(\)"),
    ],
)  # fmt: skip
def test_pairs_that_are_refused_at_once(call, error, message):
    with pytest.raises(error, match=message):
        call()


# Fits


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"minima": 2, "objective": "reverse", "pseudocount": 1e-3},
        {"surface": True, "objective": 0.4, "refine": False},
        {"surface": True, "minima": 2, "fixed": {"scale": 1.0}, "grid": {"loc": GRID["loc"]}},
    ],
)
def test_fits(options):
    options = {"points": POINTS, "grid": GRID} | options
    lazy, expected = fastkl.fit(LATER_BELLS, **options), fastkl.fit(BELLS, **options)
    assert isinstance(lazy, fastkl.Fit)
    assert lazy.shape == expected.shape
    for name, wanted in expected.params.items():
        check(lazy.params[name], wanted)
        assert np.array_equal(lazy.grid[name], expected.grid[name])
    for name in ("divergence", "grid_index", "converged"):
        check(getattr(lazy, name), getattr(expected, name))
    if options.get("surface"):
        check(lazy.surface, expected.surface)
    assert "LazyFit of norm" in repr(lazy)
    computed = lazy.compute(scheduler="synchronous")
    assert type(computed) is fastkl.Fit
    assert repr(computed) == repr(expected)


def test_methods_of_fits_compute():
    lazy, expected = (fastkl.fit(p, points=POINTS, grid=GRID) for p in (LATER_BELLS, BELLS))
    with dask.config.set(scheduler="synchronous"):
        assert np.array_equal(lazy.histogram(), expected.histogram())
        assert np.array_equal(lazy.target((3, 2)), expected.target((3, 2)))
        assert lazy.to_pandas().equals(expected.to_pandas())
        assert lazy.distribution((1, 2)).mean() == expected.distribution((1, 2)).mean()
        assert lazy.plot((1, 2)).lines
        computed = lazy.compute()
        assert np.array_equal(computed.target((-1, 0)), expected.target((-1, 0)))


def test_fits_of_one_histogram_and_of_a_table():
    lazy = fastkl.fit(LATER_BELLS[0, 1], points=POINTS, grid=GRID)
    assert repr(lazy.compute(scheduler="synchronous")) == repr(fastkl.fit(BELLS[0, 1], points=POINTS, grid=GRID))
    lazy = fastkl.fit(LATER_BELLS, family=BELLS[2], minima=2)
    check(lazy.params["candidate"], fastkl.fit(BELLS, family=BELLS[2], minima=2).params["candidate"])


def test_fits_that_are_refused():
    with pytest.raises(ValueError, match="a fit of an array of dask needs a grid"):
        fastkl.fit(LATER_BELLS, points=POINTS)
    with pytest.raises(ValueError, match="grid has 'a', which is no parameter of norm"):
        fastkl.fit(LATER_BELLS, points=POINTS, grid={"a": [1.0]})
    with pytest.raises(ValueError, match="p has 60 bins and points has 59 numbers"):
        fastkl.fit(LATER_BELLS, points=POINTS[1:], grid=GRID)
    with pytest.raises(ValueError, match=r"bins of p, axis 2, are in 2 chunks"):
        fastkl.fit(LATER_BELLS.rechunk(40), points=POINTS, grid=GRID)
    bells = BELLS.copy()
    bells[3, 1, 5] = -1.0
    lazy = fastkl.fit(da.from_array(bells, chunks=(3, 2, -1)), points=POINTS, grid=GRID)
    with pytest.raises(ValueError, match=r"^p\[3, 1\] is not a histogram: bin 5 is -1.0"):
        values(lazy.params["loc"])


def test_lazy_results_pickle():
    for function in (fastkl.js_divergence, fastkl.js_distance):
        check(pickle.loads(pickle.dumps(function(da.from_array(P), Q))), function(P, Q))
    lazy = fastkl.kl_divergence(CHUNKED_P, CHUNKED_Q, pseudocount="popmon")
    check(pickle.loads(pickle.dumps(lazy)), fastkl.kl_divergence(P, Q, pseudocount="popmon"))
