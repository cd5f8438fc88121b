"""Bad input: the right error, or NaN for the rows concerned and the same bits for all others."""

import re

import numpy as np
import pytest
from functions import FUNCTIONS
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import fastkl

BINS = [3, 8, 40, 2100]
COMPARISONS = [function for name, function in FUNCTIONS.items() if name != "entropy"]


def rows(shape, seed=0):
    return np.random.default_rng(seed).exponential(size=shape) + 0.1


@pytest.mark.parametrize("bins", BINS)
@pytest.mark.parametrize("bad", [-1.0, -1e-320, np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("unit", [1, 0.01])  # bins on both sides of 2 are looked at another way than those below
def test_the_message_names_argument_index_bin_value_and_number(bins, bad, normalize, unit):
    x, y = unit * rows((6, bins)), unit * rows((6, bins), 1)
    x[4, 2], x[5, 0] = bad, -3
    for function in COMPARISONS:
        with pytest.raises(ValueError, match=re.escape("p[4]")) as caught:
            function(x, y, normalize=normalize)
        assert f"bin 2 is {bad!r}" in str(caught.value)
        assert "2 of 6" in str(caught.value)
        with pytest.raises(ValueError, match=re.escape(f"q[4] is not a histogram: bin 2 is {bad!r}")):
            function(y, x, normalize=normalize)
    with pytest.raises(ValueError, match=re.escape(f"bin 2 is {bad!r}")):
        fastkl.entropy(x, normalize=normalize)
    with pytest.raises(ValueError, match=re.escape(f"p is not a histogram: bin 2 is {bad!r}")):
        fastkl.kl_divergence(x[4], y[4], normalize=normalize)


@pytest.mark.parametrize("bins", BINS)
def test_bins_of_both_signs_whose_sum_is_zero_are_seen(bins):
    x, y = rows((2, bins)), rows((2, bins), 1)
    x[1, :1024] = 0  # all of a piece of a long row
    x[1, :3] = 1, -2, 1
    for function in COMPARISONS:
        for a, b, name in (x, y, "p"), (y, x, "q"):
            with pytest.raises(ValueError, match=re.escape(f"{name}[1] is not a histogram: bin 1 is -2.0")):
                function(a, b)
            # Rows that lie side by side, and rows of one argument alone.
            assert np.isnan(function(a.T, b.T, axis=0, on_invalid="nan")).tolist() == [False, True]
            assert np.isnan(function(a[1], b[1], on_invalid="nan"))


@pytest.mark.parametrize("bins", BINS)
def test_the_message_names_histograms_without_a_total(bins):
    x, y = rows((2, 3, bins)), rows(bins)
    x[1, 1] = x[1, 2] = 0
    with pytest.raises(ValueError, match=re.escape("p[1, 1]")) as caught:
        fastkl.kl_divergence(x, y)
    assert "total" in str(caught.value)
    assert "2 of 6" in str(caught.value)
    with pytest.raises(ValueError, match=re.escape("q[1, 1]")):
        fastkl.kl_divergence(y, x)
    assert np.isfinite(fastkl.kl_divergence(x, y, normalize=False)).all()
    assert np.isfinite(fastkl.kl_divergence(x, y, pseudocount=1e-300)).all()


@pytest.mark.parametrize("bins", BINS)
def test_the_message_names_histograms_whose_weighted_total_is_zero(bins):
    x, weights = rows((4, bins)), np.zeros(bins)
    weights[0] = 1
    x[2, 0] = 0
    with pytest.raises(ValueError, match=re.escape("p[2]")) as caught:
        fastkl.kl_divergence(x, x[0], weights=weights)
    assert "total" in str(caught.value)
    assert "1 of 4" in str(caught.value)
    with pytest.raises(ValueError, match=re.escape("q[2]")):
        fastkl.kl_divergence(x[0], x, weights=weights)
    got = fastkl.kl_divergence(x, x[0], weights=weights, on_invalid="nan")
    np.testing.assert_array_equal(np.isnan(got), [False, False, True, False])


@pytest.mark.parametrize("pseudocount", [0.0, 1.0])
def test_histograms_without_bins_have_no_total(pseudocount):
    with pytest.raises(ValueError, match=r"p\[0\].* bins"):
        fastkl.kl_divergence(np.ones((3, 0)), np.ones((3, 0)), pseudocount=pseudocount)
    got = fastkl.kl_divergence(np.ones((3, 0)), np.ones((3, 0)), pseudocount=pseudocount, on_invalid="nan")
    np.testing.assert_array_equal(got, [np.nan] * 3)


def test_the_index_is_that_of_the_argument_not_of_the_broadcast():
    x, y = rows((4, 1, 5)), rows((3, 5))
    x[2, 0, 1] = -1
    with pytest.raises(ValueError, match=r"p\[2, 0\].* bin 1 .*1 of 4"):
        fastkl.kl_divergence(x, y)
    x, y = rows((7, 4)), rows(7)
    x[3, 2] = np.nan
    with pytest.raises(ValueError, match=r"q\[2\].* bin 3 is nan.*1 of 4"):
        fastkl.kl_divergence(y, x, axis=0)


def test_integers_are_shown_as_integers():
    with pytest.raises(ValueError, match=r"p\[1\].* bin 0 is -4[;,. ]"):
        fastkl.kl_divergence([[1, 2], [-4, 1]], [1, 1])


def test_huge_bins_with_a_huge_pseudocount_are_no_invalid_histograms():
    for bins in (2, 40, 3000):
        p, q = np.full((2, bins), 1.7e308)
        q[0] = 1
        assert 0 < fastkl.kl_divergence(p, q, pseudocount=1e308) < 1


@pytest.mark.parametrize("bins", BINS)
@pytest.mark.parametrize("dtype", ["f8", "f4", "i4", "f2"])
def test_rows_beside_invalid_ones_keep_their_bits(bins, dtype):
    x, y = (np.ceil(9 * rows((50, bins), seed)).astype(dtype) for seed in (1, 2))
    bad_x, bad_y = x.copy(), y.copy()
    bad_x[3, 1], bad_x[17], bad_y[30, 0] = -1, 0, -2
    if dtype[0] == "f":
        bad_x[41, 2], bad_y[42, 2], bad_x[49, 0] = np.nan, np.inf, -np.inf
    for function in COMPARISONS:
        for normalize in (True, False):
            expected = function(x, y, normalize=normalize)
            got = function(bad_x, bad_y, normalize=normalize, on_invalid="nan")
            wrong = [3, 17, 30, 41, 42, 49] if dtype[0] == "f" else [3, 17, 30]
            if not normalize:
                wrong.remove(17)
                expected[17] = function(bad_x[17], y[17], normalize=False)
            assert sorted(np.flatnonzero(np.isnan(got))) == wrong
            expected[wrong] = np.nan
            np.testing.assert_array_equal(got, expected)


ANY = st.sampled_from([np.nan, np.inf, -np.inf, -1.0, -5e-324, -0.0, 0.0, 5e-324, 1e-310, 1e300])
PLAIN = st.floats(0.01, 100)


@given(
    shapes=hnp.mutually_broadcastable_shapes(num_shapes=2, min_dims=0, max_dims=2, min_side=0, max_side=4),
    sizes=st.sampled_from([(0, 0), (1, 1), (4, 4), (4, 4), (33, 33), (3, 4), (1, 4)]),
    bins=st.sampled_from([PLAIN, st.one_of(PLAIN, PLAIN, PLAIN, ANY), st.one_of(PLAIN, st.just(0.0)), ANY]),
    normalize=st.booleans(),
    data=st.data(),
)
def test_any_input_gives_an_answer_or_the_right_error(shapes, sizes, bins, normalize, data):
    p, q = (
        data.draw(hnp.arrays(float, (*batch, size), elements=bins))
        for batch, size in zip(shapes.input_shapes, sizes, strict=True)
    )
    if p.shape[-1] != q.shape[-1]:
        with pytest.raises(ValueError, match=f"{p.shape[-1]} bins|{q.shape[-1]} bins"):
            fastkl.kl_divergence(p, q, normalize=normalize)
        return
    wrong = [invalid_rows(x, normalize) for x in (p, q)]
    got = np.asarray(fastkl.kl_divergence(p, q, normalize=normalize, on_invalid="nan"))
    np.testing.assert_array_equal(np.isnan(got), np.broadcast_arrays(*wrong)[0] | np.broadcast_arrays(*wrong)[1])
    infinite = ((p > 0) & (q == 0)).any(axis=-1)
    np.testing.assert_array_equal(np.isinf(got), infinite & ~np.isnan(got))
    assert not (got < 0).any()
    if got.size and np.isnan(got).any():
        name, found = ("p", wrong[0]) if wrong[0].any() else ("q", wrong[1])
        index = list(map(int, np.argwhere(found)[0]))
        with pytest.raises(ValueError, match=re.escape(f"{name}{index or ''} is not a histogram")) as caught:
            fastkl.kl_divergence(p, q, normalize=normalize)
        if index:
            assert f"{np.count_nonzero(found)} of {found.size}" in str(caught.value)
    else:
        np.testing.assert_array_equal(fastkl.kl_divergence(p, q, normalize=normalize), got)


def invalid_rows(x, normalize):
    wrong = ~((x >= 0) & np.isfinite(x)).all(axis=-1)
    return wrong | ~x.any(axis=-1) if normalize else wrong


@pytest.mark.parametrize(
    ("value", "error"),
    [
        (["a", "b"], TypeError),
        ([1j, 2], TypeError),
        ([None, 1], TypeError),
        ([2**70, 1], TypeError),
        (np.array(["2020", "2021"], "M8[Y]"), TypeError),
        (np.zeros(2, "i4,f8"), TypeError),
        (np.zeros(2, object), TypeError),
        (1.0, ValueError),
        (np.float64(1.0), ValueError),
        ("text", TypeError),
    ],
)
def test_what_is_no_array_of_real_numbers_raises(value, error):
    for function in COMPARISONS:
        with pytest.raises(error, match=r"^p "):
            function(value, [1, 2])
        with pytest.raises(error, match=r"^q "):
            function([1, 2], value)
    with pytest.raises(error, match=r"^p "):
        fastkl.entropy(value)
    with pytest.raises(error, match=r"^weights "):
        fastkl.entropy([1, 2], weights=value)


@pytest.mark.parametrize(
    ("options", "error", "word"),
    [
        ({"base": 1}, ValueError, "base"),
        ({"base": 0}, ValueError, "base"),
        ({"base": -2}, ValueError, "base"),
        ({"base": np.inf}, ValueError, "base"),
        ({"base": np.nan}, ValueError, "base"),
        ({"pseudocount": -1e-9}, ValueError, "pseudocount"),
        ({"pseudocount": np.nan}, ValueError, "pseudocount"),
        ({"pseudocount": True}, ValueError, "pseudocount must be a finite number >= 0, not True"),
        ({"pseudocount": np.inf}, ValueError, "pseudocount"),
        ({"on_invalid": "ignore"}, ValueError, "on_invalid"),
        ({"on_invalid": None}, ValueError, "on_invalid"),
        ({"threads": 0}, ValueError, "threads"),
        ({"threads": True}, ValueError, "threads must be None or a whole number >= 1, not True"),
        ({"threads": -1}, ValueError, "threads"),
        ({"threads": 1.5}, (TypeError, ValueError), "threads"),
        ({"axis": 2}, ValueError, "axis"),
        ({"axis": -3}, ValueError, "axis"),
        ({"axis": 0.5}, TypeError, "axis must be an integer"),
        ({"axis": -1.0}, TypeError, r"axis must be an integer, not -1\.0"),
        ({"axis": True}, TypeError, "axis must be an integer, not True"),
        ({"dtype": int}, (TypeError, ValueError), "dtype"),
        ({"dtype": "c16"}, (TypeError, ValueError), "dtype"),
        ({"dtype": "f2"}, (TypeError, ValueError), "dtype"),
        ({"dtype": "foo"}, ValueError, "^dtype must be float64 or float32, not 'foo'$"),
        ({"dtype": [1]}, ValueError, r"^dtype must be float64 or float32, not \[1\]$"),
        ({"on_invalid": np.array(["nan", "raise"])}, ValueError, "on_invalid must be"),
        ({"weights": [1, 2]}, ValueError, "weights"),
        ({"weights": [1, 2, -1]}, ValueError, r"weights\[2\].* -1"),
        ({"weights": [1, np.nan, 1]}, ValueError, r"weights\[1\].* nan"),
        ({"weights": [[1, 1, 1], [1, np.inf, 1]]}, ValueError, r"weights\[1, 1\].* inf"),
        ({"weights": np.ones((4, 3))}, ValueError, "broadcast"),
        ({"unknown": 1}, TypeError, "unknown"),
    ],
)
def test_options_out_of_range_raise(options, error, word):
    with pytest.raises(error, match=word):
        fastkl.kl_divergence(np.ones((2, 3)), np.ones((2, 3)), **options)


def test_an_axis_that_equals_an_integer_is_none_for_one_pair_either():
    for axis in (0.0, -1.0, np.array([0])):
        with pytest.raises(TypeError, match="axis must be an integer"):
            fastkl.kl_divergence(np.ones(3), np.ones(3), axis=axis)
    assert fastkl.kl_divergence(np.ones(3), np.ones(3), axis=np.int64(-1)) == 0


def test_shapes_that_do_not_fit_raise():
    with pytest.raises(ValueError, match=r"4 bins.* 3"):
        fastkl.kl_divergence(np.ones((2, 3)), np.ones((2, 4)))
    with pytest.raises(ValueError, match="broadcast"):
        fastkl.kl_divergence(np.ones((2, 3)), np.ones((4, 3)))
    with pytest.raises(ValueError, match="axis"):
        fastkl.kl_divergence(np.ones((2, 3, 4)), np.ones((3, 4)), axis=0)
    with pytest.raises(TypeError, match=r"^q "):
        fastkl.kl_divergence([1, 2], None)
    with pytest.raises(ValueError, match=r"can't be broadcast by NumPy beyond 32 dimensions: p \(1, 1"):
        fastkl.kl_divergence(np.ones((1,) * 40 + (2,)), np.ones((3, 2)))


MASKED = np.ma.masked_less([1.0, 2.0], 1.5)


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: fastkl.kl_divergence(MASKED, [1, 1]), "p is a masked array; pass an array, with `.filled"),
        (lambda: fastkl.kl_divergence([1, 1], [[1, 1], MASKED]), r"q\[1\] is a masked array; pass"),
        (lambda: fastkl.kl_divergence([1, 1], ([(1, 1)], [MASKED])), r"q\[1\]\[0\] is a masked array; pass"),
        (lambda: fastkl.kl_divergence([1, np.ma.masked], [1, 1]), r"p\[1\] is a masked array; pass"),
        (lambda: fastkl.kl_divergence([1, 1], [1, 1], weights=[MASKED]), r"weights\[0\] is a masked array"),
        (lambda: fastkl.pairwise([MASKED, [1, 1]]), r"x\[0\] is a masked array"),
        (lambda: fastkl.kl_divergence_from_logits([MASKED], [1, 1]), r"\[0\] is a masked array"),
        (lambda: fastkl.fit([MASKED], points=[0, 1]), r"p\[0\] is a masked array"),
        (lambda: fastkl.fit([1, 1], points=MASKED), "points is a masked array"),
        (lambda: fastkl.fit([1], edges=MASKED), "edges is a masked array"),
        (lambda: fastkl.fit([1, 1], points=[0, 1], grid={"loc": MASKED}), r"grid\['loc'\] is a masked array"),
    ],
)
def test_a_mask_is_never_dropped(call, name):
    with pytest.raises(TypeError, match=name):
        call()


def test_options_are_keyword_only():
    for function in (
        fastkl.kl_divergence,
        fastkl.kl_divergences,
        fastkl.cross_entropy,
        fastkl.js_divergence,
        fastkl.psi,
    ):
        with pytest.raises(TypeError, match="positional"):
            function([1, 2], [1, 2], 0)
    for function in (fastkl.alpha_divergence, fastkl.renyi_divergence):
        with pytest.raises(TypeError, match="positional"):
            function([1, 2], [1, 2], 2, 0)
    with pytest.raises(TypeError, match="positional"):
        fastkl.entropy([1, 2], 0)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"base": "2"}, ValueError, "base must be a positive number"),
        ({"base": 2**2000}, ValueError, "base must be a positive number"),
        ({"pseudocount": None}, ValueError, "pseudocount must be a finite number"),
        ({"axis": (0, 1)}, TypeError, "axis must be an integer"),
        ({"axis": None}, TypeError, "axis must be an integer"),
        ({"normalize": None}, TypeError, "normalize must be True or False"),
        ({"keepdims": "no"}, TypeError, "keepdims must be True or False"),
    ],
)
def test_an_option_of_the_wrong_kind_is_named(options, error, message):
    for function in FUNCTIONS.values():
        with pytest.raises(error, match=message):
            function(np.ones((2, 3)), np.ones((2, 3)), **options)


def test_a_distance_has_no_base_below_1():
    with pytest.raises(ValueError, match=r"^base must be above 1, or None for nats, not 0\.5: a distance"):
        fastkl.js_distance([1, 3], [3, 1], base=0.5)
    assert fastkl.js_divergence([1, 3], [3, 1], base=0.5) == -fastkl.js_divergence([1, 3], [3, 1], base=2)


@pytest.mark.parametrize("p_weight", [0, 1, -0.5, 2, 1e-300, np.nan, "half"])
def test_a_weight_that_is_no_fraction_is_refused(p_weight):
    for function in (fastkl.js_divergence, fastkl.js_distance):
        with pytest.raises(ValueError, match="p_weight must be a number between 0 and 1"):
            function([1, 2], [2, 1], p_weight=p_weight)


def test_what_is_no_array_is_named_and_so_is_an_output_that_cant_be_written():
    with pytest.raises(ValueError, match="q is no array"):
        fastkl.kl_divergence([[1, 2], [1, 2]], [[1, 2], [1]])
    with pytest.raises(ValueError, match=r"p is no array: .*; of counts and edges, as np\.histogram gives them, pass"):
        fastkl.entropy(np.histogram([1, 2, 3]))
    with pytest.raises(ValueError, match="axis 0 is the axis -3 of 3 dimensions, which q, of shape"):
        fastkl.kl_divergence(np.ones((4, 2, 3)), np.ones((2, 3)), axis=0)
    out = np.empty(2)
    out.flags.writeable = False
    with pytest.raises(ValueError, match="out is read-only"):
        fastkl.kl_divergence(rows((2, 3)), rows((2, 3)), out=out)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_histograms_of_one_bin_are_equal(dtype):
    x, y = np.random.default_rng(0).uniform(0.1, 9, (2, 1000, 1)).astype(dtype)
    for function in FUNCTIONS.values():
        for p, q in [(x, y), (x[:, 0], y[0]), (x[:1], y[:1]), (x * np.finfo(dtype).tiny / 64, y)]:
            got = function(p[..., None] if p.ndim == 1 else p, q)
            assert not got.any()
        assert not function(x.T, y.T, axis=0).any()


@pytest.mark.parametrize("bins", [1, 5, 40, 2100])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_total_of_zero_is_invalid_to_every_function_in_every_layout(bins, dtype):
    x, y = rows((3, bins)).astype(dtype), rows((3, bins), 1).astype(dtype)
    x[1] = 0
    for function in FUNCTIONS.values():
        for p, q, axis in [(x, y, -1), (x.T.copy(), y.T.copy(), 0), (x, y[0], -1), (x[1], y[0], -1)]:
            with pytest.raises(ValueError, match="its total is zero"):
                function(p, q, axis=axis)
            got = function(p, q, axis=axis, on_invalid="nan")
            np.testing.assert_array_equal(np.isnan(got), np.isnan([0, np.nan, 0]) if got.ndim else True)
        for weights in (np.ones(bins), rows(bins)):
            with pytest.raises(ValueError, match="its weighted total is zero"):
                function(x, y, weights=weights)
