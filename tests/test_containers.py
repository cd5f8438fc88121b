"""Containers of other libraries: the numbers of bare arrays, labels that agree, results as their users expect them."""

import itertools
import re

import boost_histogram as bh
import hist
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import xarray as xr
from functions import FUNCTIONS
from pandas.testing import assert_series_equal
from xarray.testing import assert_identical

import fastkl
from fastkl import _compare

ROWS, BINS = 5, 12
LETTERS = list("abcdefghijkl")
NAMES = [f"customer {i}" for i in range(ROWS)]


def counts(shape=(ROWS, BINS), seed=0, dtype=float):
    return np.random.default_rng(seed).integers(1, 100, shape).astype(dtype)


P, Q = counts(), counts(seed=1)


def frame(array):
    return pd.DataFrame(array, index=NAMES, columns=LETTERS)


def fixed_size_list(array):
    return pa.FixedSizeListArray.from_arrays(pa.array(array.ravel()), array.shape[1])


def data_array(array, **options):
    coords = {"customer": NAMES, "bin": LETTERS}
    return xr.DataArray(array, dims=["customer", "bin"], coords=coords, **options)


def histogram(array, *axes):
    made = hist.Hist(*(axes or [hist.axis.Regular(n, 0, 1) for n in array.shape]))
    made[...] = array
    return made


ARROW_LISTS = pd.ArrowDtype(pa.list_(pa.float64()))

# What is made of an array whose rows are histograms, and the type of the result.
BATCHES = {
    "pandas": (frame, pd.Series),
    "polars": (lambda array: pl.DataFrame(array, schema=LETTERS), pl.Series),
    "polars Array": (pl.Series, pl.Series),
    "polars List": (lambda array: pl.Series(array.tolist()), pl.Series),
    "polars List in a frame": (lambda array: pl.DataFrame({"hist": array.tolist()}), pl.Series),
    "polars Array in a frame": (lambda array: pl.DataFrame({"hist": array}), pl.Series),
    "pandas lists": (lambda array: pd.Series(array.tolist(), NAMES[: len(array)]), pd.Series),
    "pandas arrays": (lambda array: pd.Series(list(array)), pd.Series),
    "pandas List": (lambda array: pd.Series(array.tolist(), dtype=ARROW_LISTS), pd.Series),
    "pandas lists in a frame": (lambda array: pd.DataFrame({"hist": array.tolist()}), pd.Series),
    "pyarrow FixedSizeList": (fixed_size_list, pa.DoubleArray),
    "pyarrow List": (lambda array: pa.array(array.tolist()), pa.DoubleArray),
    "pyarrow tensor": (pa.FixedShapeTensorArray.from_numpy_ndarray, pa.DoubleArray),
    "pyarrow chunks": (lambda array: pa.chunked_array(map(fixed_size_list, (array[:2], array[2:]))), pa.DoubleArray),
    "pyarrow List in a Table": (lambda array: pa.table({"hist": array.tolist()}), pa.DoubleArray),
    "pyarrow Table": (lambda array: pa.table(list(array.T), names=LETTERS), pa.DoubleArray),
    "pyarrow RecordBatch": (lambda array: pa.table(list(array.T), names=LETTERS).to_batches()[0], pa.DoubleArray),
    "xarray": (data_array, xr.DataArray),
    "list of Series": (lambda array: [pd.Series(row, LETTERS) for row in array], np.ndarray),
    "list of Hist": (lambda array: [histogram(row) for row in array], np.ndarray),
}
SINGLES = {
    "pandas": lambda row: pd.Series(row, LETTERS),
    "polars": pl.Series,
    "pyarrow": pa.array,
    "pyarrow chunks": lambda row: pa.chunked_array([row[:3], row[3:]]),
    "pyarrow scalar": lambda row: fixed_size_list(row[None])[0],
    "hist": histogram,
    "joint hist": lambda row: histogram(row.reshape(3, 4)),
}


def read_as(value):
    """The array that the engine is given for a container."""
    return _compare.open_containers({"p": value}, -1, None).arrays[0]


# Every function, every container


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("container", BATCHES)
def test_batches_give_what_their_arrays_give(name, container):
    make, kind = BATCHES[container]
    got = FUNCTIONS[name](make(P), make(Q))
    assert isinstance(got, kind)
    np.testing.assert_array_equal(np.asarray(got), FUNCTIONS[name](P, Q))


@pytest.mark.parametrize("container", BATCHES)
def test_batches_beside_arrays_and_on_either_side(container):
    make, kind = BATCHES[container]
    for p, q in [(make(P), Q), (P, make(Q))]:
        got = fastkl.kl_divergence(p, q)
        assert isinstance(got, kind)
        np.testing.assert_array_equal(np.asarray(got), fastkl.kl_divergence(P, Q))
    got = fastkl.kl_divergence(make(P), Q[0], base=2, pseudocount=1, weights=Q[1])
    assert isinstance(got, kind)
    np.testing.assert_array_equal(np.asarray(got), fastkl.kl_divergence(P, Q[0], base=2, pseudocount=1, weights=Q[1]))


@pytest.mark.parametrize("dtype", ["f4", "i4", "u1"])
@pytest.mark.parametrize("container", [name for name in BATCHES if not re.search(r"List|lists|list of Hist", name)])
def test_types_are_read_as_they_are(container, dtype):
    make, _ = BATCHES[container]
    p, q = P.astype(dtype), Q.astype(dtype)
    np.testing.assert_array_equal(read_as(make(p)), p, strict=True)
    got = fastkl.kl_divergence(make(p), make(q))
    np.testing.assert_array_equal(np.asarray(got), fastkl.kl_divergence(p, q), strict=True)


@pytest.mark.parametrize("container", SINGLES)
def test_one_histogram_gives_a_number(container):
    make = SINGLES[container]
    got = fastkl.kl_divergence(make(P[0]), make(Q[0]))
    assert type(got) is np.float64
    assert got == fastkl.kl_divergence(P[0], Q[0])
    assert fastkl.entropy(make(P[0])) == fastkl.entropy(P[0])


@pytest.mark.parametrize("container", SINGLES)
def test_one_histogram_against_a_batch(container):
    got = fastkl.kl_divergence(SINGLES[container](P[0]), frame(Q) if container == "pandas" else Q)
    np.testing.assert_array_equal(np.asarray(got), fastkl.kl_divergence(P[0], Q))


@pytest.mark.parametrize("container", BATCHES)
def test_invalid_histograms_are_found_in_containers(container):
    make, _ = BATCHES[container]
    bad = P.copy()
    bad[3, 2] = -1
    for p, q, name in [(bad, Q, "p"), (Q, bad, "q")]:
        with pytest.raises(ValueError, match=re.escape(f"{name}[3] is not a histogram: bin 2 is -1.0")):
            fastkl.kl_divergence(make(p), make(q))
    got = fastkl.kl_divergence(make(bad), make(Q), on_invalid="nan")
    np.testing.assert_array_equal(np.asarray(got), fastkl.kl_divergence(bad, Q, on_invalid="nan"))


@pytest.mark.parametrize("container", BATCHES)
def test_out_is_filled_and_returned(container):
    make, _ = BATCHES[container]
    out = np.empty(ROWS)
    assert fastkl.kl_divergence(make(P), make(Q), out=out) is out
    np.testing.assert_array_equal(out, fastkl.kl_divergence(P, Q))


@pytest.mark.parametrize("container", [name for name in BATCHES if not re.search(r"[Ll]ist|arrays", name)])
def test_batches_of_no_rows(container):
    make, kind = BATCHES[container]
    got = fastkl.kl_divergence(make(P)[:0], Q[0])
    assert isinstance(got, kind)
    assert len(got) == 0


@pytest.mark.parametrize("container", BATCHES)
def test_dim_is_for_data_arrays_alone(container):
    if container != "xarray":
        with pytest.raises(ValueError, match="dim names a dimension of a DataArray"):
            fastkl.kl_divergence(BATCHES[container][0](P), Q, dim="bin")
    with pytest.raises(ValueError, match="dim names a dimension of a DataArray"):
        fastkl.kl_divergence(P[0], Q[0], dim="bin")


# In place


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (pd.DataFrame, P),
        (lambda array: pd.DataFrame(array)[1:], P[1:]),
        (lambda array: pd.Series(array[0]), P[0]),
        (lambda array: pd.Series(pd.array(array[0].astype(int), "Int64")), P[0]),
        (pl.Series, P),
        (lambda array: pl.Series(array)[1:], P[1:]),
        (lambda array: pl.Series(array.tolist())[1:], P[1:]),
        (fixed_size_list, P),
        (lambda array: fixed_size_list(array)[2:], P[2:]),
        (lambda array: pa.chunked_array([fixed_size_list(array)[1:4]]), P[1:4]),
        (lambda array: pa.array(array.tolist())[1:], P[1:]),
        (pa.FixedShapeTensorArray.from_numpy_ndarray, P),
        (lambda array: pa.FixedShapeTensorArray.from_numpy_ndarray(array)[2:], P[2:]),
        (data_array, P),
        (lambda array: histogram(array[0]), P[0]),
    ],
)
def test_memory_is_read_in_place(make, expected):
    value = make(P.copy())
    first, second = read_as(value), read_as(value)
    assert np.shares_memory(first, second)
    np.testing.assert_array_equal(first, expected)


# Labels


def labelled(p, q):
    return pd.Series(fastkl.kl_divergence(p, q), NAMES)


def test_a_series_keeps_the_index():
    assert_series_equal(fastkl.kl_divergence(frame(P), frame(Q)), labelled(P, Q))
    assert_series_equal(fastkl.kl_divergence(frame(P), frame(Q).iloc[0]), labelled(P, Q[0]))
    assert_series_equal(fastkl.kl_divergence(frame(P).iloc[0], frame(Q)), labelled(P[0], Q))
    by_column = fastkl.kl_divergence(frame(P), frame(Q), axis=0)
    assert_series_equal(by_column, pd.Series(fastkl.kl_divergence(P, Q, axis=0), LETTERS))
    dated = pd.MultiIndex.from_product([["x"], pd.date_range("2026-01-01", periods=ROWS)], names=["k", "day"])
    got = fastkl.kl_divergence(frame(P).set_axis(dated), Q)
    assert_series_equal(got, pd.Series(fastkl.kl_divergence(P, Q), dated))


def test_one_row_is_compared_with_every_row():
    got = fastkl.kl_divergence(frame(P)[2:3], frame(Q))
    assert_series_equal(got, labelled(P[2], Q))
    assert_series_equal(fastkl.kl_divergence(frame(P), frame(Q)[1:2]), labelled(P, Q[1]))
    assert_series_equal(fastkl.kl_divergence(frame(P)[2:3], Q), labelled(P[2], Q).reset_index(drop=True))


SWAPPED = [*LETTERS[:3], "e", "d", *LETTERS[5:]]


@pytest.mark.parametrize(
    ("p", "q", "axis"),
    [
        (frame(P), frame(Q)[SWAPPED], -1),
        (frame(P), frame(Q)[SWAPPED].iloc[0], -1),
        (frame(P).T, frame(Q)[SWAPPED].T, 0),
        (frame(P).iloc[0], frame(Q)[SWAPPED].iloc[0], -1),
        (frame(P), frame(Q).rename(columns={"d": "e", "e": "d"}), 1),
        (pl.DataFrame(P, schema=LETTERS), pl.DataFrame(Q, schema=SWAPPED), -1),
        (pa.table(list(P.T), names=LETTERS), pa.table(list(Q.T), names=SWAPPED), -1),
        (frame(P), pl.DataFrame(Q, schema=SWAPPED), -1),
        (data_array(P), data_array(Q).sel(bin=SWAPPED), -1),
        (histogram(P[0], hist.axis.StrCategory(LETTERS)), histogram(Q[0], hist.axis.StrCategory(SWAPPED)), -1),
    ],
)
def test_labels_of_bins_must_agree(p, q, axis):
    with pytest.raises(
        ValueError, match=r"p and q must have the same .*bin.* labels in the same order: .* 3 is 'd' in p"
    ):
        fastkl.kl_divergence(p, q, axis=axis)
    with pytest.raises(ValueError, match="3 is 'e' in p and 'd' in q"):
        fastkl.kl_divergence(q, p, axis=axis)


def test_labels_of_rows_must_agree():
    with pytest.raises(ValueError, match=r"same row labels .* row 0 is 'customer 0' in p and 'customer 4' in q"):
        fastkl.kl_divergence(frame(P), frame(Q)[::-1])
    with pytest.raises(ValueError, match="'customer' 0 is 'customer 0' in p and 'customer 4' in q"):
        fastkl.kl_divergence(data_array(P), data_array(Q)[::-1])
    with pytest.raises(ValueError, match=r"same row labels .* row 1 is 'b' in p and 'c' in q"):
        fastkl.kl_divergence(frame(P), frame(Q)[["a", "c", "b", *LETTERS[3:]]], axis=0)


def test_labels_of_weights_must_agree():
    weights = pd.Series(np.arange(BINS), LETTERS)
    got = fastkl.kl_divergence(frame(P), frame(Q), weights=weights)
    assert_series_equal(got, pd.Series(fastkl.kl_divergence(P, Q, weights=np.arange(BINS)), NAMES))
    assert isinstance(fastkl.kl_divergence(P, Q, weights=weights), np.ndarray)
    with pytest.raises(ValueError, match="p and weights must have the same bin labels"):
        fastkl.kl_divergence(frame(P), Q, weights=weights[::-1])


def test_equal_labels_of_different_types_agree():
    p, q = frame(P), frame(Q)
    for columns in [pd.Index(LETTERS, dtype=object), pd.CategoricalIndex(LETTERS), pd.Index(LETTERS, dtype="string")]:
        assert_series_equal(fastkl.kl_divergence(p, q.set_axis(columns, axis=1)), labelled(P, Q))
    numbers = [np.nan, *range(1, BINS)]
    got = fastkl.kl_divergence(p.set_axis(numbers, axis=1), q.set_axis(pd.Index(numbers, dtype=object), axis=1))
    assert_series_equal(got, labelled(P, Q))
    assert_series_equal(fastkl.kl_divergence(p, pl.DataFrame(Q, schema=LETTERS)), labelled(P, Q))


def test_invalid_histograms_are_named_by_their_labels():
    bad = P.copy()
    bad[3, 2] = -1
    with pytest.raises(ValueError, match=r"^p\[3\] .* bin 2 is -1.0; .*; p\[3\] is labelled 'customer 3'$"):
        fastkl.kl_divergence(frame(bad), Q)
    with pytest.raises(ValueError, match=r"^q\[3\] .*; it is at customer='customer 3'$"):
        fastkl.kl_divergence(P, data_array(bad))
    with pytest.raises(ValueError, match=r"^p is not a histogram: bin 2 is -1.0; bins must be finite and >= 0$"):
        fastkl.kl_divergence(frame(bad).iloc[3], Q[3])
    with pytest.raises(ValueError, match=r"^p\[2\] is not a histogram: its weighted total is zero"):
        fastkl.kl_divergence(frame(P)[:1], Q[0], weights=np.array([[1], [1], [0]]) * np.ones(BINS))


# Types and missing values


@pytest.mark.parametrize("dtype", ["Int64", "UInt8", "Float64", "Float32", "int64[pyarrow]", "double[pyarrow]"])
def test_nullable_columns_of_pandas(dtype):
    p = frame(P).astype(dtype)
    assert_series_equal(
        fastkl.kl_divergence(p, Q).astype(float), fastkl.kl_divergence(read_as(p), frame(Q)).astype(float)
    )
    np.testing.assert_array_equal(read_as(p), P)
    np.testing.assert_array_equal(read_as(p.iloc[0]), P[0])
    p.loc["customer 2", "d"] = None
    p.loc["customer 3", "d"] = None
    with pytest.raises(ValueError, match=r"row 'customer 2' of column 'd' of p is missing \(2 in all\)"):
        fastkl.kl_divergence(p, Q, on_invalid="nan")
    with pytest.raises(ValueError, match=r"bin 'd' of p is missing"):
        fastkl.kl_divergence(p.loc["customer 2"], Q)


def test_columns_of_several_types():
    p = frame(P).astype({"a": "int8", "b": "uint64", "c": "Int32", "d": "float32", "e": "float[pyarrow]"})
    np.testing.assert_array_equal(read_as(p), P, strict=True)
    flags = frame(P > 50).astype({"a": int})
    np.testing.assert_array_equal(read_as(flags), (P > 50).astype(int), strict=True)
    assert read_as(frame(P > 50)).dtype == bool
    mixed = pl.DataFrame({"a": [1, 2], "b": [0.5, 0.25], "c": [True, False]})
    np.testing.assert_array_equal(read_as(mixed), [[1, 0.5, 1], [2, 0.25, 0]], strict=True)
    table = pa.table({"a": [1, 2], "b": [0.5, 0.25], "c": [True, False]})
    np.testing.assert_array_equal(read_as(table), [[1, 0.5, 1], [2, 0.25, 0]], strict=True)


# Polars 1.0 has no such integers.
WIDEST = [
    (make(), words)
    for make, words in [
        (lambda: pl.Series([1, 2], dtype=pl.Int128), "p has dtype Int128; the widest integers that are computed with"),
        (lambda: pl.Series([[1, 2]], dtype=pl.List(pl.Int128)), "p has dtype Int128; the widest"),
        (
            lambda: pl.DataFrame({"a": [1], "b": [2]}, {"a": pl.Int64, "b": pl.Int128}),
            "column 'b' of p has dtype Int128",
        ),
    ]
    if hasattr(pl, "Int128")
]


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (frame(P).assign(b="x"), "column 'b' of p has dtype"),
        (frame(P).astype({"b": "category"}), "column 'b' of p has dtype category"),
        (frame(P).astype("category"), "column 'a' of p has dtype category"),
        (frame(P) * 1j, "column 'a' of p has dtype complex128"),
        (pd.Series([pd.Series(P[0])]), r"p has dtype object; it must have real numbers.*pass `list\(p\)`"),
        (pd.Series([[1, 2], "ab"]), r"p\[1\] is a str beside lists"),
        (pd.Series([["x"]]), "p has dtype <U1"),
        (pd.Series([["x"]], dtype=pd.ArrowDtype(pa.list_(pa.string()))), "p has dtype string"),
        *WIDEST,
        (pl.DataFrame({"{a}": ["x"]}), "column '{a}' of p has dtype String"),
        (pl.DataFrame({"a": [None]}), "column 'a' of p has dtype Null"),
        (pl.Series(["x"]), "p has dtype String"),
        (pl.Series([["x"]]), "p has dtype String"),
        (pl.DataFrame(P).lazy(), r"p is a LazyFrame; pass `p.collect\(\)`"),
        (pl.col("a"), "p is an expression"),
        (pa.array(["x"]), "p has dtype string"),
        (pa.table({"a": ["x"]}), r"p\['a'\] has dtype string"),
        (xr.Dataset({"a": data_array(P)}), "p is a Dataset; pass a DataArray"),
        (xr.Variable("bin", P[0]), "p is a Variable; pass a DataArray"),
        (data_array(P).astype(complex), "p has dtype complex128"),
        ({"a": 1.0}, "p is a dict; .* pass a list of its values"),
        ((x for x in P), "p is a generator; .* pass a list"),
        ("text", "p is a str"),
        (None, "p is a NoneType"),
        (np.array([1, 2], object), r"p has dtype object.*`.astype\(float\)`"),
        (np.ma.masked_less(P, 50), "p is a masked array"),
        (object(), "p is a object"),
    ],
)
def test_what_is_not_accepted(value, found):
    with pytest.raises(TypeError, match=found):
        fastkl.kl_divergence(value, Q)


def test_a_collection_of_dask_is_not_computed_behind_the_back():
    class Array:
        def __array__(self, *args, **kwargs):
            raise AssertionError("computed")

    Array.__module__ = "dask.array.core"
    with pytest.raises(TypeError, match=r"p is a Array of dask; pass `p.compute\(\)`"):
        fastkl.kl_divergence(Array(), Q)


@pytest.mark.parametrize(
    ("value", "where"),
    [
        (pl.DataFrame({"a": [1, 2], "b": [None, 3]}), r"p\['b'\]\[0\] is missing \(1 in all\)"),
        (pl.DataFrame({"a": [1, None], "b": [None, 3]}), r"p\['a'\]\[1\] is missing \(2 in all\)"),
        (
            pd.DataFrame({"a": [1, None], "b": [None, 3]}, dtype="Int64"),
            r"row 1 of column 'a' of p is missing \(2 in all",
        ),
        (pd.DataFrame({"a": pd.array([1, None]), "b": [np.nan, 1.0]}), r"row 1 of column 'a' .* missing \(1 in all"),
        (pl.Series([1, None, 3]), r"p\[1\] is missing"),
        (pl.Series([[1, 2], None, [3, 4]]), r"p\[1\] is missing"),
        (pl.Series([[1, 2], [None, 3], [4, None]]), r"p\[1, 0\] is missing \(2 in all\)"),
        (pl.Series([[1, 2], [None, 3]], dtype=pl.Array(pl.Int64, 2)), r"p\[1, 0\] is missing"),
        (pl.DataFrame({"a": [[1, 2], None]}), r"p\['a'\]\[1\] is missing"),
        (pd.Series([[1, 2], None, [3, 4], np.nan]), r"p\[1\] is missing \(2 in all\)"),
        (pd.DataFrame({"a": [[1, 2], None]}), r"p\['a'\]\[1\] is missing"),
        (pd.Series([[1, 2], [3, None]], dtype=pd.ArrowDtype(pa.list_(pa.int64()))), r"p\[1, 1\] is missing"),
        (pa.array([1, None, 3]), r"p\[1\] is missing"),
        (pa.array([[1, 2], None], pa.list_(pa.int64(), 2)), r"p\[1\] is missing"),
        (pa.array([[1, 2], [3, None]], pa.list_(pa.int64(), 2)), r"p\[1, 1\] is missing"),
        (pa.array([[1, 2], [3, None]]), r"p\[1, 1\] is missing"),
        (pa.table({"a": [1, 2], "b": [None, 3]}), r"p\['b'\]\[0\] is missing"),
        (
            pa.ExtensionArray.from_storage(
                pa.fixed_shape_tensor(pa.int64(), [2]), pa.array([[1, 2], None], pa.list_(pa.int64(), 2))
            ),
            r"p\[1\] is missing",
        ),
        (
            pa.ExtensionArray.from_storage(
                pa.fixed_shape_tensor(pa.int64(), [2]), pa.array([[1, 2], [3, None]], pa.list_(pa.int64(), 2))
            ),
            r"p\[1, 1\] is missing",
        ),
    ],
)
def test_missing_values(value, where):
    with pytest.raises(ValueError, match=where):
        fastkl.kl_divergence(value, [1, 2], on_invalid="nan")


def test_missing_values_outside_of_a_slice_do_not_matter():
    column = pa.array([[None, 2], [3, 4], None, [5, 6]], pa.list_(pa.int64(), 2))
    np.testing.assert_array_equal(read_as(column[1:2]), [[3, 4]])
    np.testing.assert_array_equal(read_as(column[3:]), [[5, 6]])
    np.testing.assert_array_equal(read_as(pl.Series([[None, 2], [3, 4]])[1:]), [[3, 4]])


@pytest.mark.parametrize(
    "make", [pl.Series, pa.array, pd.Series, lambda rows: pd.Series(rows, dtype=pd.ArrowDtype(pa.list_(pa.int64())))]
)
def test_lists_of_several_lengths(make):
    with pytest.raises(ValueError, match=r"^p\[2\] has 1 bin, p\[0\] has 2; all histograms must have the same number$"):
        fastkl.kl_divergence(make([[1, 2], [3, 4], [5]]), [1, 1])
    with pytest.raises(ValueError, match=r"^p\[1\] has 3 bins, p\[0\] has 2"):
        fastkl.kl_divergence(make([[1, 2], [3, 4, 5]]), [1, 1])


def test_lists_in_pandas_keep_the_index_and_labels_must_agree():
    p, q = (pd.Series(array.tolist(), NAMES) for array in (P, Q))
    for x, y in [(p, q), (p, frame(Q)), (pd.DataFrame({"hist": p}), Q), (p.astype(ARROW_LISTS), q)]:
        assert_series_equal(fastkl.kl_divergence(x, y), labelled(P, Q))
    np.testing.assert_array_equal(fastkl.pairwise(p, q), fastkl.pairwise(P, Q))
    with pytest.raises(ValueError, match=r"same row labels .* row 0 is 'customer 0' in p and 'customer 4' in q"):
        fastkl.kl_divergence(p, q[::-1])
    p.iloc[3] = [-1.0, *P[3, 1:]]
    with pytest.raises(ValueError, match=r"^p\[3\] .* bin 0 is -1.0; .*; p\[3\] is labelled 'customer 3'$"):
        fastkl.kl_divergence(p, q)


# What each library has besides


def test_tensors_of_more_dimensions():
    x, y = counts((3, 4, BINS)), counts((3, 4, BINS), 1)
    expected = fastkl.kl_divergence(x, y)
    got = fastkl.kl_divergence(pa.FixedShapeTensorArray.from_numpy_ndarray(x), y)
    np.testing.assert_array_equal(got.to_numpy_ndarray(), expected)
    got = fastkl.kl_divergence(pl.Series(x), y)
    assert got.dtype == pl.Array(pl.Float64, 4)
    np.testing.assert_array_equal(got.to_numpy(), expected)
    storage = pa.FixedSizeListArray.from_arrays(pa.array(x.ravel()), 4 * BINS)
    turned = pa.ExtensionArray.from_storage(pa.fixed_shape_tensor(pa.float64(), [4, BINS], permutation=[1, 0]), storage)
    np.testing.assert_array_equal(read_as(turned), x.transpose(0, 2, 1))


def test_series_of_polars_keep_their_name():
    assert fastkl.entropy(pl.Series("hist", P)).name == "hist"
    assert fastkl.entropy(pl.DataFrame(P)).name == ""


def test_results_in_single_precision():
    p = P.astype("f4")
    assert fastkl.entropy(frame(p)).dtype == np.float32
    assert fastkl.entropy(pl.Series(p)).dtype == pl.Float32
    assert fastkl.entropy(fixed_size_list(p)).type == pa.float32()
    assert fastkl.entropy(data_array(p)).dtype == np.float32
    assert fastkl.entropy(frame(P), dtype="f4").dtype == np.float32


def test_a_series_has_one_dimension():
    with pytest.raises(ValueError, match=r"shape \(5, 1\), which no Series can have"):
        fastkl.entropy(frame(P), keepdims=True)
    with pytest.raises(ValueError, match=r"shape \(2, 5\), which no Series can have"):
        fastkl.kl_divergence(frame(P), np.stack([Q, Q]))


def test_an_axis_that_is_not_there():
    for value in (frame(P), data_array(P), pl.Series(P)):
        with pytest.raises(ValueError, match="axis 2 is out of bounds"):
            fastkl.entropy(value, axis=2)


def test_a_column_of_lists_is_no_bin():
    columns = {"n": [1] * ROWS, "hist": P.tolist()}
    for table, name in [
        (pa.table(columns), "p['hist']"),
        (pl.DataFrame(columns), "p['hist']"),
        (pd.DataFrame(columns), "column 'hist' of p"),
        (pd.DataFrame({"hist": P.tolist(), "more": Q.tolist()}), "column 'hist' of p"),
    ]:
        with pytest.raises(ValueError, match=re.escape(f"{name} has lists, not numbers; pass that column alone")):
            fastkl.entropy(table)


# xarray


def test_dimensions_are_broadcast_by_their_names():
    x = xr.DataArray(
        counts((2, BINS, 3)), dims=["run", "bin", "site"], coords={"run": [10, 20], "day": ("run", [1, 2])}
    )
    y = xr.DataArray(counts((4, 3, BINS), 1), dims=["model", "site", "bin"], coords={"model": list("wxyz")})
    expected = fastkl.kl_divergence(x.values.transpose(0, 2, 1)[:, :, None], y.values.transpose(1, 0, 2))
    got = fastkl.kl_divergence(x, y, dim="bin")
    assert got.dims == ("run", "site", "model")
    assert_identical(got, xr.DataArray(expected, got.coords, got.dims))
    assert set(got.coords) == {"run", "day", "model"}
    assert_identical(fastkl.kl_divergence(x, y, axis=1), got)
    other = fastkl.kl_divergence(y, x, dim="bin")
    assert other.dims == ("model", "site", "run")


def test_coordinates_names_and_attributes_are_kept():
    attributes = {"units": "counts"}
    p = data_array(P, name="drift", attrs=attributes).assign_coords(
        city=("customer", list("uvwxy")), width=("bin", np.arange(BINS)), version=3
    )
    expected = xr.DataArray(
        fastkl.kl_divergence(P, Q),
        dims=["customer"],
        coords={"customer": NAMES, "city": ("customer", list("uvwxy")), "version": 3},
        name="drift",
        attrs=attributes,
    )
    for q in (
        Q,
        data_array(Q, name="drift"),
        data_array(Q, name="drift").T,
        xr.DataArray(Q, dims=p.dims, name="drift"),
    ):
        assert_identical(fastkl.kl_divergence(p, q, dim="bin"), expected)
    assert fastkl.kl_divergence(p, data_array(Q, name="other")).name == "drift"
    single = fastkl.kl_divergence(p[0], Q[0])
    assert single.item() == fastkl.kl_divergence(P[0], Q[0])
    assert single.coords["customer"] == "customer 0"


def test_arrays_beside_data_arrays():
    p = data_array(P)
    same = fastkl.kl_divergence(P, Q[0])
    for q in (Q[0], Q[:1], xr.DataArray(Q[0], dims="bin")):
        np.testing.assert_array_equal(fastkl.kl_divergence(p, q, dim="bin"), same)
    np.testing.assert_array_equal(fastkl.kl_divergence(p.T, Q.T, dim="bin"), fastkl.kl_divergence(P, Q))
    weights = xr.DataArray(np.arange(BINS), dims="bin")
    got = fastkl.kl_divergence(p, Q, dim="bin", weights=weights)
    np.testing.assert_array_equal(got, fastkl.kl_divergence(P, Q, weights=weights.values))
    with pytest.raises(ValueError, match=r"q, an array of shape \(2, 5, 12\), can't be aligned"):
        fastkl.kl_divergence(p, np.stack([Q, Q]))
    with pytest.raises(TypeError, match="q is a DataFrame beside DataArrays"):
        fastkl.kl_divergence(p, frame(Q))


def test_what_does_not_fit_a_data_array():
    p, q = data_array(P), data_array(Q)
    with pytest.raises(ValueError, match="axis and dim both"):
        fastkl.kl_divergence(p, q, axis=0, dim="bin")
    with pytest.raises(ValueError, match=r"q has dimensions .*'bins'.*, none of which is that of the bins, 'bin'"):
        fastkl.kl_divergence(p, q.rename(bin="bins"), dim="bin")
    with pytest.raises(ValueError, match="q has 11 bins, p has 12"):
        fastkl.kl_divergence(p, q[:, 1:])
    with pytest.raises(ValueError, match="q has 11 bins, p has 12"):
        fastkl.kl_divergence(p, Q[:, 1:])
    with pytest.raises(ValueError, match="q has 4 elements along 'customer', p has 5"):
        fastkl.kl_divergence(p, q[1:])
    with pytest.raises(ValueError, match="keepdims is for arrays"):
        fastkl.kl_divergence(p, q, keepdims=True)


def test_both_directions_give_two_containers():
    forward, reverse = fastkl.kl_divergences(frame(P), frame(Q))
    assert_series_equal(forward, labelled(P, Q))
    assert_series_equal(reverse, labelled(Q, P))
    forward, reverse = fastkl.kl_divergences(data_array(P), data_array(Q).T, dim="bin")
    assert forward.dims == reverse.dims == ("customer",)
    np.testing.assert_array_equal(reverse, fastkl.kl_divergence(Q, P))


def test_logits_in_containers():
    x, y = np.log(P), np.log(Q)
    expected = pd.Series(fastkl.kl_divergence_from_logits(x, y), NAMES)
    assert_series_equal(fastkl.kl_divergence_from_logits(frame(x), frame(y)), expected)
    x[3, 2] = np.nan
    with pytest.raises(ValueError, match=r"^p_logits\[3\] .*; p_logits\[3\] is labelled 'customer 3'$"):
        fastkl.kl_divergence_from_logits(frame(x), frame(y))


# Histograms


def test_flow_bins_do_not_count_and_values_of_weighted_storages_do():
    values = [0.05, 0.3, 0.3, 0.6, 0.9, 0.95]
    plain = hist.Hist(hist.axis.Regular(4, 0, 1))
    weighted = bh.Histogram(bh.axis.Regular(4, 0, 1), storage=bh.storage.Weight())
    plain.fill([-1, 2, 2, *values])
    weighted.fill(values, weight=0.5)
    assert fastkl.kl_divergence(plain, weighted) == 0
    assert fastkl.entropy(plain) == fastkl.entropy([1, 2, 1, 2])
    integers = bh.Histogram(bh.axis.Regular(4, 0, 1), storage=bh.storage.Int64())
    integers.fill(values)
    assert fastkl.entropy(integers) == fastkl.entropy([1, 2, 1, 2])


def test_edges_must_agree_up_to_rounding():
    p = histogram(P[0], hist.axis.Regular(BINS, 0, 1, name="x", label="data"))
    agreeing = [
        hist.axis.Regular(BINS, 0, 1, name="y", flow=False),
        hist.axis.Variable(np.linspace(0, 1, BINS + 1)),
        hist.axis.Variable(np.nextafter(np.linspace(0, 1, BINS + 1), 2)),
    ]
    for axis in agreeing:
        assert fastkl.kl_divergence(p, histogram(Q[0], axis)) == fastkl.kl_divergence(P[0], Q[0])
    moved = np.linspace(0, 1, BINS + 1)
    moved[4] += 1e-6
    for axis in [hist.axis.Regular(BINS, 0, 2), hist.axis.Variable(moved), hist.axis.Integer(0, BINS)]:
        with pytest.raises(ValueError, match="p and q must have the same bin labels"):
            fastkl.kl_divergence(p, histogram(Q[0], axis))
    with pytest.raises(ValueError, match=r"bin 3 is \(0.25, 0.33333\d+\) in p and \(0.25, 0.333334\d+\) in q"):
        fastkl.kl_divergence(p, histogram(Q[0], hist.axis.Variable(moved)))
    open_ended = [hist.axis.Variable([-np.inf, x, np.inf]) for x in (0, 1)]
    assert fastkl.kl_divergence(*(histogram(np.ones(2), open_ended[0]) for _ in range(2))) == 0
    with pytest.raises(ValueError, match=r"bin 0 is \(-inf, 0.0\) in p and \(-inf, 1.0\) in q"):
        fastkl.kl_divergence(*(histogram(np.ones(2), axis) for axis in open_ended))


def test_histograms_of_several_dimensions_are_joint_ones():
    x, y = counts((3, 4)), counts((3, 4), 1)
    p, q = histogram(x), histogram(y)
    assert fastkl.js_divergence(p, q) == fastkl.js_divergence(x.ravel(), y.ravel())
    same = fastkl.js_divergence([p, q], q)
    np.testing.assert_array_equal(same, fastkl.js_divergence(np.stack([x.ravel(), y.ravel()]), y.ravel()))
    with pytest.raises(ValueError, match=r"bin 0 is .* in p and .* in q"):
        fastkl.js_divergence(p, histogram(y.T))
    with pytest.raises(ValueError, match=r"bin 1 is .* in p and .* in q"):
        fastkl.js_divergence(p, histogram(y, hist.axis.Regular(3, 0, 1), hist.axis.Variable([0, 0.25, 0.6, 0.75, 1])))
    with pytest.raises(ValueError, match="p is one joint histogram, which has no axis 0"):
        fastkl.js_divergence(p, q, axis=0)


def test_profiles_are_no_histograms():
    profile = hist.Hist(hist.axis.Regular(4, 0, 1), storage=hist.storage.Mean())
    with pytest.raises(ValueError, match="p is a profile, of kind MEAN"):
        fastkl.entropy(profile)


def test_histograms_in_a_list_must_have_the_same_bins():
    p, other = histogram(P[0]), histogram(P[1], hist.axis.Regular(BINS, 0, 2))
    with pytest.raises(ValueError, match=r"p\[0\] and p\[1\] must have the same bin labels"):
        fastkl.kl_divergence([p, other], p)
    with pytest.raises(ValueError, match=r"p\[1\] has the shape \(3,\), p\[0\] has \(12,\)"):
        fastkl.kl_divergence([p, histogram(np.ones(3))], p)
    with pytest.raises(ValueError, match="p and q must have the same bin labels"):
        fastkl.kl_divergence([p, p], other)


def test_any_histogram_of_the_protocol():
    class Axis(tuple):
        """Edges as pairs: what the protocol asks of an axis."""

    class Plottable:
        kind = "COUNT"

        def __init__(self, values, edges):
            self._values, self.axes = values, (Axis(itertools.pairwise(edges)),)

        def values(self):
            return self._values

    edges = np.linspace(0, 1, BINS + 1)
    assert fastkl.kl_divergence(Plottable(P[0], edges), histogram(Q[0])) == fastkl.kl_divergence(P[0], Q[0])
    with pytest.raises(ValueError, match="same bin labels"):
        fastkl.kl_divergence(Plottable(P[0], 2 * edges), histogram(Q[0]))


# Tensors


class Tensor:
    """One that speaks DLPack, and lies where it is said to."""

    def __init__(self, array, device):
        self.array, self.device = array, device

    def __dlpack__(self, **options):
        return self.array.__dlpack__()

    def __dlpack_device__(self):
        return (self.device, 0)


def test_any_tensor_of_the_cpu():
    got = fastkl.kl_divergence(Tensor(P, 1), Q)
    assert isinstance(got, np.ndarray)
    np.testing.assert_array_equal(got, fastkl.kl_divergence(P, Q))
    assert np.shares_memory(read_as(Tensor(P, 1)), P)


@pytest.mark.parametrize("device", [2, 8, 10])
def test_tensors_of_devices(device):
    with pytest.raises(TypeError, match=r"q is in the memory of a device; copy it to the CPU: `q.cpu\(\)`"):
        fastkl.kl_divergence(P, Tensor(Q, device))


def test_tensors_of_torch():
    torch = pytest.importorskip("torch")
    p, q = torch.from_numpy(P), torch.from_numpy(Q)
    assert read_as(p).__array_interface__["data"][0] == p.data_ptr()
    got = fastkl.kl_divergence(p, q)
    assert isinstance(got, torch.Tensor)
    np.testing.assert_array_equal(got.numpy(), fastkl.kl_divergence(P, Q), strict=True)
    single = fastkl.kl_divergence(p[0], q[0])
    assert isinstance(single, torch.Tensor)
    assert single.shape == ()
    assert single.item() == fastkl.kl_divergence(P[0], Q[0])
    assert fastkl.kl_divergence(p.float(), q.float()).dtype == torch.float32
    assert fastkl.entropy(p, keepdims=True).shape == (ROWS, 1)
    turned = fastkl.kl_divergence(p.T[:, ::2], Q.T[:, ::2], axis=0)
    np.testing.assert_array_equal(turned.numpy(), fastkl.kl_divergence(P[::2], Q[::2]))
    np.testing.assert_array_equal(fastkl.kl_divergence([p[0], p[1]], Q[:2]), fastkl.kl_divergence(P[:2], Q[:2]))


def test_narrow_floats_of_torch():
    torch = pytest.importorskip("torch")
    p, q = torch.from_numpy(P), torch.from_numpy(Q)
    for narrow in (torch.bfloat16, torch.float16):
        got = fastkl.kl_divergence(p.to(narrow), q.to(narrow))
        assert got.dtype == torch.float32
        exact = fastkl.kl_divergence(p.to(narrow).double(), q.to(narrow).double())
        np.testing.assert_allclose(got, exact, rtol=1e-6)


def test_what_torch_has_to_do_first():
    torch = pytest.importorskip("torch")
    p = torch.from_numpy(P)
    with pytest.raises(TypeError, match=r"p requires grad.*`p.detach\(\)`"):
        fastkl.kl_divergence(p.clone().requires_grad_(), Q)
    with pytest.raises(TypeError, match=r"q has the layout torch.sparse_coo; pass `q.to_dense\(\)`"):
        fastkl.kl_divergence(P, p.to_sparse())
    with pytest.raises(TypeError, match=r"p, of dtype torch.float64, can't be read in place"):
        fastkl.kl_divergence(p.to("meta"), Q)
    with pytest.raises(TypeError, match="p has dtype complex128"):
        fastkl.kl_divergence(p * 1j, Q)
    # DLPack would lose the sign that torch leaves for later.
    with pytest.raises(ValueError, match=r"bin 0 is -"):
        fastkl.kl_divergence(torch.complex(p, p).conj().imag, Q)


def test_arrays_of_jax():
    jax = pytest.importorskip("jax")
    p, q = (jax.numpy.asarray(x, dtype="float32") for x in (P, Q))
    assert read_as(p).__array_interface__["data"][0] == p.unsafe_buffer_pointer()
    assert not read_as(p).flags.writeable
    got = fastkl.kl_divergence(p, q)
    assert isinstance(got, jax.Array)
    np.testing.assert_array_equal(np.asarray(got), fastkl.kl_divergence(P.astype("f4"), Q.astype("f4")), strict=True)
    assert isinstance(fastkl.kl_divergence(p[0], q[0]), jax.Array)
    integers = fastkl.kl_divergence(p.astype(int), q.astype(int))
    assert integers.dtype == (np.float64 if jax.config.jax_enable_x64 else np.float32)
    np.testing.assert_allclose(integers, fastkl.kl_divergence(P, Q), rtol=1e-6)
    got = fastkl.kl_divergence(p.astype("bfloat16"), q)
    np.testing.assert_array_equal(got, fastkl.kl_divergence(p.astype("bfloat16").astype("float32"), q))
    with pytest.raises(TypeError, match=r"p has dtype bfloat16.*astype"):
        fastkl.entropy(np.asarray(p.astype("bfloat16")))
    with pytest.raises(TypeError, match="p is traced by JAX"):
        jax.jit(fastkl.kl_divergence)(p, q)


# Imports


def test_libraries_are_imported_only_for_their_own_objects(run_python):
    script = """
    import sys
    import numpy as np
    import fastkl

    p = np.arange(1.0, 25).reshape(6, 4)
    fastkl.kl_divergence(p, p[::-1])
    fastkl.kl_divergence(p.tolist(), p.astype("f4"))
    fastkl.kl_divergence(p[0], tuple(p[1]))
    try:
        fastkl.kl_divergence({"a": 1}, p)
    except TypeError:
        pass
    others = ["pandas", "polars", "pyarrow", "xarray", "hist", "boost_histogram", "torch", "jax", "dask"]
    print([name for name in others if name in sys.modules])
    import polars
    fastkl.kl_divergence(polars.Series(p), p)
    print([name for name in others if name in sys.modules])
    """
    assert run_python(script).splitlines() == ["[]", "['polars']"]
