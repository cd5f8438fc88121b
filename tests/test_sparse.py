"""Rows of scipy.sparse give what the same rows give when they are dense, in time and memory of what they store."""

import math
import tracemalloc

import numpy as np
import pytest
import scipy.sparse as sp
from functions import DIVERGENCES, FUNCTIONS, call
from reference import exact, relative_error

import fastkl

FORMS = {
    "csr": sp.csr_array,
    "csr matrix": sp.csr_matrix,
    "csc": sp.csc_array,
    "csc matrix": sp.csc_matrix,
    "coo": sp.coo_array,
    "lil": sp.lil_array,
}


def counts(rows, bins, share, seed, dtype="float64"):
    rng = np.random.default_rng(seed)
    values = rng.integers(1, 50, (rows, bins)) * (rng.random((rows, bins)) < share)
    values[np.arange(rows), rng.integers(0, bins, rows)] = 7  # no row is empty
    return values.astype(dtype)


def in_falling_order(rows):
    """CSR whose indices must be sorted first."""
    turned = sp.csr_array(rows[:, ::-1])
    return sp.csr_array((turned.data, rows.shape[1] - 1 - turned.indices, turned.indptr), shape=rows.shape)


def assert_same(got, expected):
    got, expected = np.asarray(got), np.asarray(expected)
    assert got.dtype == expected.dtype
    assert got.shape == expected.shape
    finite = np.isfinite(expected)
    np.testing.assert_array_equal(got[~finite], expected[~finite])
    rtol, atol = (1e-12, 1e-15) if got.dtype == np.float64 else (2e-5, 1e-6)
    np.testing.assert_allclose(got[finite], expected[finite], rtol=rtol, atol=atol)


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_and_every_combination_of_sparse_and_dense(name, normalize):
    for bins, share in ((3, 0.5), (40, 0.3), (395, 0.05), (3000, 0.6)):
        p, q = counts(6, bins, share, 1), counts(6, bins, share, 2)
        if name == "renyi_divergence 0.6" and not normalize:
            p, q = p / p.sum(1, keepdims=True), q / q.sum(1, keepdims=True)
        q[3:] += p[3:]  # some divergences are finite
        q[5] = p[5]
        full = q + 1.0
        pairs = [(p, q), (p, full), (full, p), (p[0], q), (p, q[4]), (p, full[0]), (full[0], p), (p[1], q[1])]
        for x, y in pairs:
            expected = call(name, x, y, normalize=normalize)
            assert_same(call(name, sp.csr_array(x), sp.csr_array(y), normalize=normalize), expected)
            assert_same(call(name, sp.csr_array(x), y, normalize=normalize), expected)
            if name != "entropy":
                assert_same(call(name, x, sp.csr_array(y), normalize=normalize), expected)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("axis", [0, 1, -1, -2])
def test_formats_and_axes(form, axis):
    p, q = counts(12, 12, 0.4, 3), counts(12, 12, 0.4, 4) + 1
    expected = fastkl.js_divergence(p, q, axis=axis)
    assert_same(fastkl.js_divergence(FORMS[form](p), FORMS[form](q), axis=axis), expected)
    assert_same(fastkl.js_divergence(FORMS[form](p), q, axis=axis), expected)
    kept = fastkl.js_divergence(FORMS[form](p), q, axis=axis, keepdims=True)
    assert_same(kept, fastkl.js_divergence(p, q, axis=axis, keepdims=True))


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int16", "int64", "float32", "float64"])
def test_types(dtype):
    p, q = counts(9, 30, 0.4, 5, dtype), counts(9, 30, 0.4, 6, dtype)
    for x, y in ((p, q), (p, q[0])):
        assert_same(fastkl.js_divergence(sp.csr_array(x), sp.csr_array(y)), fastkl.js_divergence(x, y))
        assert_same(fastkl.js_divergence(sp.csr_array(x), y), fastkl.js_divergence(x, y))


def test_indices_of_64_bits_unsorted_and_twice_and_zeros_that_are_stored():
    data, indices, pointers = np.array([3.0, 1, 2, 5, 0, 4]), np.array([4, 0, 4, 2, 1, 2]), np.array([0, 4, 6])
    for kind in (np.int32, np.int64):
        p = sp.csr_array((data.copy(), indices.astype(kind), pointers.astype(kind)), shape=(2, 6))
        q = np.arange(1.0, 7)
        assert_same(fastkl.kl_divergence(p, q), fastkl.kl_divergence(p.toarray(), q))
        np.testing.assert_array_equal(p.data, data)
        np.testing.assert_array_equal(p.indices, indices)


@pytest.mark.parametrize("order", [slice(None, None, 2), slice(None, None, -1)])
def test_arrays_of_a_matrix_that_are_no_contiguous_ones(order):
    p = sp.csr_array(counts(6, 12, 0.5, 18))
    steps = abs(order.step)
    arrays = []
    for array in (p.data, p.indices):
        spaced = np.full(len(array) * steps, 1, array.dtype)  # what lies between is a bin too
        spaced[order] = array
        arrays.append(spaced[order])
    spaced = sp.csr_array((*arrays, p.indptr), shape=p.shape, copy=False)
    assert spaced.data.strides[0] == order.step * 8
    q = np.arange(1.0, 13)
    assert_same(fastkl.kl_divergence(spaced, q), fastkl.kl_divergence(p.toarray(), q))
    assert_same(fastkl.js_divergence(spaced, p[::-1]), fastkl.js_divergence(p.toarray(), p.toarray()[::-1]))


@pytest.mark.parametrize("dtype", [">f8", ">f4", ">i4", "float16"])
@pytest.mark.parametrize("form", [sp.csr_array, sp.csc_array, in_falling_order])
def test_types_that_scipy_holds_but_does_not_compute_with(form, dtype):
    p, q = counts(6, 12, 0.5, 19, "float32"), np.arange(1.0, 13)
    held = form(p)
    held = type(held)((held.data.astype(dtype), held.indices, held.indptr), shape=p.shape)
    assert held.dtype == np.dtype(dtype)
    assert_same(fastkl.kl_divergence(held, q), fastkl.kl_divergence(p.astype(dtype), q))
    held.data[0] = -1
    with pytest.raises(ValueError, match=r"p\[\d\] is not a histogram: bin \d+ is -1"):
        fastkl.kl_divergence(held, q)


@pytest.mark.parametrize("distance", [1e-1, 1e-6, 1e-12])
def test_near_rows_lose_nothing(distance):
    rng = np.random.default_rng(7)
    p = sp.random_array((1, 5000), density=0.1, rng=rng, format="csr")
    q = p.copy()
    q.data *= 1 + distance * rng.standard_normal(q.nnz)
    x, y = p.toarray()[0], q.toarray()[0]
    value = exact("kl_divergence", x[x > 0], y[x > 0], normalize=False).value
    for a, b in ((p, q), (p, y), (x, q)):
        assert relative_error(fastkl.kl_divergence(a, b, normalize=False)[0], value) <= 1e-14


@pytest.mark.parametrize("name", DIVERGENCES)
def test_equal_rows_are_exactly_0_apart(name):
    p = sp.random_array((30, 3000), density=0.3, rng=np.random.default_rng(8), format="csr")
    assert (call(name, p, p) == 0).all()
    assert (call(name, p, p.copy()) == 0).all()
    for row in (0, 7):
        dense = p[[row]].toarray()[0]
        assert call(name, p, dense)[row] == 0
        assert call(name, dense, p)[row] == 0


@pytest.mark.parametrize("rest", [1e-10, 1e-17, 1e-25, 1e-200, 5e-324])
def test_what_only_the_dense_row_has_is_never_lost(rest):
    dense = np.linspace(1, 2, 1000)
    dense[[3, 500]] = rest
    thin = dense.copy()
    thin[[3, 500]] = 0
    p = sp.csr_array(thin[None])
    # It is all that the generalised divergence consists of.
    assert fastkl.kl_divergence(p, dense, normalize=False)[0] == pytest.approx(2 * rest, rel=1e-12, abs=0)
    assert fastkl.kl_divergence(dense, p)[0] == np.inf


@pytest.mark.parametrize("share", [2e-9, 2e-12, 1e-15])
def test_a_small_rest_of_many_bins_keeps_its_digits(share):
    rng = np.random.default_rng(20)
    dense = rng.random(400_000) * 10.0 ** rng.uniform(-3, 0, 400_000)
    is_stored = rng.random(400_000) < 0.02
    dense[~is_stored] *= share * 0.02
    p = sp.csr_array(np.where(is_stored, dense, 0)[None])
    rest = math.fsum(dense[~is_stored])
    assert fastkl.kl_divergence(p, dense, normalize=False)[0] == pytest.approx(rest, rel=2e-15, abs=0)


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize(("dtype", "huge"), [("float64", 1.5e308), ("float32", 3e38)])
@pytest.mark.parametrize("name", ["kl_divergence", "cross_entropy", "js_divergence"])
def test_what_only_the_dense_row_has_may_sum_to_more_than_its_type_holds(name, dtype, huge, normalize):
    rng = np.random.default_rng(21)
    p, q = rng.random((2, 60)).astype(dtype)
    p[[5, 6, 7]], q[[5, 6, 7]] = 0, huge
    for x, y in ((p[None], q), (q, p[None])):
        expected = call(name, x, y, normalize=normalize)
        a, b = (value if value.ndim == 1 else sp.csr_array(value) for value in (x, y))
        assert_same(call(name, a, b, normalize=normalize), expected)
        assert not np.isnan(expected).any()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_pseudocount(name):
    p, q = counts(8, 50, 0.3, 9), counts(8, 50, 0.3, 10)
    for x, y in ((p, q), (p, q[0]), (p[0], q)):
        expected = call(name, x, y, pseudocount=0.25)
        assert_same(call(name, sp.csr_array(x), sp.csr_array(y), pseudocount=0.25), expected)
        assert_same(call(name, sp.csr_array(x), y, pseudocount=0.25), expected)


def test_options():
    p, q = counts(8, 50, 0.3, 11), counts(8, 50, 0.3, 12)
    x, y = sp.csr_array(p), sp.csr_array(q)
    assert_same(
        fastkl.js_divergence(x, y, base=2, dtype="float32"), fastkl.js_divergence(p, q, base=2, dtype="float32")
    )
    out = np.empty(8)
    assert fastkl.js_divergence(x, y, out=out) is out
    assert_same(out, fastkl.js_divergence(p, q))
    for got, expected in zip(fastkl.kl_divergences(x, q + 1), fastkl.kl_divergences(p, q + 1), strict=True):
        assert_same(got, expected)
    for alpha in (0, 0.5, 40, np.inf):
        assert_same(fastkl.renyi_divergence(x, q + 1, alpha), fastkl.renyi_divergence(p, q + 1, alpha))
    assert_same(fastkl.kl_divergence(sp.coo_array(p[0]), q[0] + 1), fastkl.kl_divergence(p[0], q[0] + 1))


def test_invalid_rows():
    p = counts(5, 20, 0.4, 13)
    p[1], p[3, 4], p[4, 0] = 0, -1, np.nan
    q = np.ones(20)
    got = fastkl.kl_divergence(sp.csr_array(p), q, on_invalid="nan")
    assert_same(got, fastkl.kl_divergence(p, q, on_invalid="nan"))
    with pytest.raises(ValueError, match=r"p\[1\] is not a histogram: its total is zero.*\(3 of 5 histograms"):
        fastkl.kl_divergence(sp.csr_array(p), q)
    with pytest.raises(ValueError, match=r"p\[3\] is not a histogram: bin 4 is -1"):
        fastkl.kl_divergence(sp.csr_array(p[3:4].repeat(4, 0) * [[0], [0], [0], [1]] + (np.arange(4) < 3)[:, None]), q)
    with pytest.raises(ValueError, match=r"q is not a histogram: bin 2 is inf"):
        fastkl.kl_divergence(sp.csr_array(np.ones((3, 20))), np.where(np.arange(20) == 2, np.inf, 1))
    assert np.isnan(fastkl.js_divergence(sp.csr_array((2, 20)), q, on_invalid="nan")).all()
    assert fastkl.kl_divergence(sp.csr_array((0, 20)), q).shape == (0,)


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("bad", [0.0, -1.0, np.nan, np.inf])
def test_invalid_rows_are_described_as_dense_ones_are(bad, normalize):
    good, wrong = counts(4, 12, 0.5, 22), counts(4, 12, 0.5, 23)
    wrong[2], wrong[2, 7] = 0, bad
    for x, y in ((wrong, good), (good, wrong), (wrong, good[0]), (good[0], wrong), (good, wrong[2]), (wrong[2], good)):
        said = [describe(x, y, normalize)]
        said += [describe(sp.csr_array(x), sp.csr_array(y), normalize)]
        said += [describe(sp.csr_array(x), y, normalize), describe(x, sp.csr_array(y), normalize)]
        assert len(set(said)) == 1
        assert (said[0] == "valid") == (bad == 0 and not normalize)


def describe(x, y, normalize):
    try:
        fastkl.js_divergence(x, y, normalize=normalize)
    except ValueError as error:
        return str(error)
    return "valid"


def test_one_histogram_of_one_dimension():
    p, q = counts(2, 20, 0.5, 24)
    for axis in (0, -1):
        assert_same(fastkl.js_divergence(sp.coo_array(p), q, axis=axis), fastkl.js_divergence(p, q))
        kept = fastkl.js_divergence(sp.coo_array(p), sp.coo_array(q), axis=axis, keepdims=True)
        assert_same(kept, fastkl.js_divergence(p, q, keepdims=True))
    with pytest.raises(ValueError, match="axis 1 is out of bounds for 1 dimension"):
        fastkl.js_divergence(sp.coo_array(p), q, axis=1)


def test_what_is_refused():
    p, q = sp.csr_array(counts(3, 20, 0.4, 14)), np.ones(20)
    refused = [
        (p, np.ones(19), {}, "q has 19 bins, p has 20"),
        (p, np.ones((4, 20)), {}, "can't be broadcast"),
        (p, q, {"weights": q}, "weights can't be given for sparse rows; multiply the bins of both by them"),
        (p, q, {"weights": q, "pseudocount": 1}, "sparse rows; pass dense arrays.*: the pseudocount is added before"),
        (p, q, {"axis": 2}, "axis 2 is out of bounds"),
        (p, np.ones((2, 3, 20)), {}, "at most two"),
        (p, q, {"pseudocount": "evidently"}, "pseudocount must be a number for sparse rows, not 'evidently'"),
    ]
    for x, y, options, message in refused:
        with pytest.raises(ValueError, match=message):
            fastkl.kl_divergence(x, y, **options)
    with pytest.raises(TypeError, match="complex"):
        fastkl.kl_divergence(sp.csr_array(np.eye(20) * 1j), q)
    beyond = sp.csr_array((np.ones(2), np.array([1, 2]), np.array([0, 1, 2])), shape=(2, 20))
    beyond.indices[1] = 20
    with pytest.raises(ValueError, match="p stores indices beyond its 20 bins, first in row 1"):
        fastkl.kl_divergence(beyond, q)
    for logits, name in (((p, p), "p_logits"), ((q, p), "q_logits")):
        with pytest.raises(ValueError, match=f"{name} has sparse rows, whose bins that are not stored would be logits"):
            fastkl.kl_divergence_from_logits(*logits)
    for entropy in (lambda **options: fastkl.entropy(p, **options), lambda **o: fastkl.cross_entropy(p, q, **o)):
        with pytest.raises(ValueError, match=r"pass dense arrays.* have another entropy"):
            entropy(weights=q)


def test_what_is_said_of_weights_is_true():
    p, q = (counts(3, 20, 0.4, seed) + 0.5 for seed in (14, 15))
    w = np.arange(20.0)
    for function in (fastkl.kl_divergence, fastkl.js_divergence, fastkl.psi):
        multiplied = function(sp.csr_array(w * p), sp.csr_array(w * q))
        np.testing.assert_allclose(multiplied, function(p, q, weights=w), rtol=1e-13)
    assert (abs(fastkl.entropy(sp.csr_array(w * p)) - fastkl.entropy(p, weights=w)) > 0.1).all()


def test_a_million_rows_of_fifty_thousand_bins_run_in_memory():
    rows, stored = 1_000_000, 50
    edges = np.linspace(0, 50_000, stored + 1).astype(np.int32)
    rng = np.random.default_rng(15)
    places = rng.integers(edges[:-1], edges[1:], (rows, stored), np.int32)
    values = rng.integers(1, 200, (rows, stored), np.uint8)
    p = sp.csr_array((values.ravel(), places.ravel(), np.arange(0, rows * stored + 1, stored)), shape=(rows, 50_000))
    q = rng.random(50_000)
    fastkl.kl_divergence(p[:10], q)
    assert p.has_canonical_format
    tracemalloc.start()
    got = fastkl.kl_divergence(p, q)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100e6
    some = [0, 1234, rows - 1]
    assert_same(got[some], fastkl.kl_divergence(p[some].toarray(), q))


def test_results_do_not_depend_on_threads():
    p, q = (sp.random_array((4000, 2000), density=0.05, rng=np.random.default_rng(s), format="csr") for s in (16, 17))
    for y in (q, q[[0]].toarray()[0] + 1):
        one = fastkl.js_divergence(p, y, threads=1)
        np.testing.assert_array_equal(one, fastkl.js_divergence(p, y, threads=5))
