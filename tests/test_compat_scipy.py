"""`fastkl.compat.scipy` against SciPy, against SciPy's own tests of these functions, and against mpmath."""

import dataclasses
import inspect
import pickle
import warnings
from types import SimpleNamespace

import mpmath
import numpy as np
import pytest
import scipy
import scipy.spatial
import scipy.special
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fastkl.compat import scipy as compat

UFUNCS = ["rel_entr", "kl_div"]
TINY, SUBNORMAL, HUGE = np.finfo(float).tiny, 5e-324, np.finfo(float).max
EDGES = [0.0, -0.0, 1.0, -1.0, 0.3, np.inf, -np.inf, np.nan, SUBNORMAL, -SUBNORMAL, 1e-310, TINY, 1e300, HUGE]
DTYPES = ["?", "b", "B", "h", "H", "i", "I", "q", "Q", "e", "f", "d", ">f8", "<f4", "g", "F", "D", "O", "U1"]
POLICIES = ["propagate", "omit", "raise"]

oracle = pytest.mark.skipif(
    np.lib.NumpyVersion(scipy.__version__) < "1.17.0",
    reason="the rules of SciPy 1.17 are followed, and this is older",
)
# Where NumPy's ufuncs do not know their module pickle looks into all, and some old ones warn.
pickles_ufuncs = pytest.mark.filterwarnings("ignore:.*deprecated:DeprecationWarning")


def outcome(function, *args, **kwargs):
    """What a call gives: its value, or the type of its error, and the categories of its warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            value, error = function(*args, **kwargs), None
        except (TypeError, ValueError) as raised:
            value, error = None, raised
    return value, error, [(warning.category, str(warning.message)) for warning in caught]


def assert_like_scipy(ours, scipys, *args, rtol=2e-13, atol=1e-14, **kwargs):
    """Both give the same value, type and warnings, or both raise the same error."""
    value, error, warned = outcome(ours, *args, **kwargs)
    expected, expected_error, expected_warned = outcome(scipys, *args, **kwargs)
    if expected_error is not None:
        assert type(error) is type(expected_error)
        assert str(error) == str(expected_error)
        return
    assert error is None
    assert type(value) is type(expected)
    assert value.dtype == expected.dtype
    assert value.shape == expected.shape
    np.testing.assert_allclose(value, expected, rtol=rtol, atol=atol)
    assert warned == expected_warned


def exact(name, x, y):
    x, y = mpmath.mpf(float(x)), mpmath.mpf(float(y))
    relative_entropy = x * mpmath.log(x / y)
    return relative_entropy if name == "rel_entr" else relative_entropy - x + y


def largest_error(name, x, y):
    """The largest relative error of the ufunc, in units of 2^-53, with 50 digits as the truth."""
    with mpmath.workdps(50):
        pairs = zip(getattr(compat, name)(x, y), x, y, strict=True)
        errors = [abs(mpmath.mpf(float(value)) / exact(name, a, b) - 1) for value, a, b in pairs]
        return float(max(errors) * 2**53)


@pytest.mark.parametrize("name", UFUNCS)
def test_is_a_ufunc_like_scipys(name):
    ours, scipys = getattr(compat, name), getattr(scipy.special, name)
    assert isinstance(ours, np.ufunc)
    for attribute in ["__name__", "types", "nin", "nout", "nargs", "ntypes", "identity", "signature"]:
        assert getattr(ours, attribute) == getattr(scipys, attribute)
    assert ours.__doc__.startswith(f"{name}(x1, x2, /, out=None, *, where=True")
    assert "Examples\n--------" in ours.__doc__


@pickles_ufuncs
@pytest.mark.parametrize("name", UFUNCS)
def test_ufunc_is_made_once_and_pickled_by_name(name):
    ufunc = getattr(compat, name)
    assert getattr(compat, name) is ufunc
    assert pickle.loads(pickle.dumps(ufunc)) is ufunc


def test_module_lists_its_names_and_no_others():
    assert set(compat.__all__) <= set(dir(compat))
    with pytest.raises(AttributeError, match="has no attribute 'entr'"):
        compat.entr  # noqa: B018


def test_import_makes_no_ufunc_and_imports_no_scipy(run_python):
    code = """
import sys, fastkl.compat.scipy as compat
print(*(name in vars(compat) for name in ("rel_entr", "kl_div")))
print(*(name in sys.modules for name in ("scipy.stats", "scipy.special", "scipy.spatial")))
"""
    assert run_python(code).split() == ["False"] * 5


@pickles_ufuncs
def test_ufuncs_are_unpickled_and_shared_in_a_fresh_process_with_threads(run_python):
    code = f"""
import pickle
from concurrent.futures import ThreadPoolExecutor
with ThreadPoolExecutor(8) as pool:
    ufuncs = set(pool.map(pickle.loads, [{pickle.dumps(compat.kl_div)!r}] * 8))
print(len(ufuncs), ufuncs.pop()(1.0, 1.0))
"""
    assert run_python(code).split() == ["1", "0.0"]


def test_ufuncs_work_where_the_jit_is_disabled(run_python):
    code = """
import warnings
import numpy as np
from fastkl.compat.scipy import kl_div, rel_entr
warnings.simplefilter("error")
x = np.array([0.0, 1.0, 0.5, np.nan, np.inf, 5e-324, 1e300, -1.0])
for f in (rel_entr, kl_div):
    print(f(x, x[:, None]).tobytes().hex(), np.asarray(f(np.float32(3), np.float32(4))).tobytes().hex())
"""
    x = np.array([0.0, 1.0, 0.5, np.nan, np.inf, 5e-324, 1e300, -1.0])
    printed = run_python(code, env={"NUMBA_DISABLE_JIT": "1"}).split()
    for i, ufunc in enumerate([compat.rel_entr, compat.kl_div]):
        interpreted = np.frombuffer(bytes.fromhex(printed[2 * i])).reshape(8, 8)
        np.testing.assert_allclose(interpreted, ufunc(x, x[:, None]), rtol=1e-15)
        single = np.frombuffer(bytes.fromhex(printed[2 * i + 1]), np.float32)
        assert single == ufunc(np.float32(3), np.float32(4))


@pytest.mark.parametrize("name", UFUNCS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_ufunc_at_the_edges_is_scipys(name, dtype):
    """All pairs but those of finite positive numbers, where SciPy's `kl_div` may overflow on the way."""
    with np.errstate(over="ignore", under="ignore"):
        values = np.array(EDGES).astype(dtype)
    x, y = np.broadcast_arrays(values[:, None], values)
    odd = ~((x > 0) & (y > 0) & np.isfinite(x) & np.isfinite(y))
    value = getattr(compat, name)(x[odd], y[odd])
    expected = getattr(scipy.special, name)(x[odd], y[odd])
    np.testing.assert_array_equal(value, expected)
    np.testing.assert_array_equal(np.signbit(value[value == 0]), np.signbit(expected[value == 0]))


@pytest.mark.parametrize("name", UFUNCS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_ufunc_sets_no_floating_point_flag(name, dtype):
    with np.errstate(over="ignore", under="ignore"):
        values = np.array([*EDGES, 3.4e38, 1e-45]).astype(dtype)
    x, y = (np.repeat(a, 600) for a in np.broadcast_arrays(values[:, None], values))
    with np.errstate(all="raise"):
        getattr(compat, name)(x, y)


@pytest.mark.parametrize("name", UFUNCS)
@pytest.mark.parametrize("left", DTYPES)
def test_ufunc_resolves_types_as_scipys(name, left):
    for right in DTYPES:
        operands = np.ones(2, left), np.ones(2, right)
        assert_like_scipy(getattr(compat, name), getattr(scipy.special, name), *operands)


@pytest.mark.parametrize("name", UFUNCS)
def test_ufunc_of_scalars_is_a_scalar_like_scipys(name):
    ours, scipys = getattr(compat, name), getattr(scipy.special, name)
    for x in (2, 2.0, np.float32(2), np.array(2.0), [2.0]):
        assert type(ours(x, 1)) is type(scipys(x, 1))
        assert ours(x, 1).dtype == scipys(x, 1).dtype
        assert ours(x, 1) == pytest.approx(scipys(x, 1), rel=1e-7, abs=0)


@pytest.mark.parametrize("name", UFUNCS)
def test_ufunc_is_exact_for_all_ratios(name):
    rng = np.random.default_rng(1)
    y = rng.uniform(0.5, 1.5, 400)
    for low, high in [(1e-3, 0.1), (0.1, 0.6), (0.6, 0.8), (0.8, 1.2), (1.2, 1.6), (1.6, 4.0), (4.0, 100.0)]:
        assert largest_error(name, y * rng.uniform(low, high, 400), y) < {"rel_entr": 4, "kl_div": 16}[name]


@pytest.mark.parametrize("name", UFUNCS)
@pytest.mark.parametrize("apart", [1e-1, 1e-3, 1e-6, 1e-9, 1e-12, 1e-15])
def test_ufunc_is_exact_near_equality(name, apart):
    rng = np.random.default_rng(2)
    y = np.exp(rng.uniform(-600, 600, 300))
    x = y * (1 + apart * rng.choice([-1, 1], 300) * rng.uniform(0.5, 2, 300))
    assert largest_error(name, x[x != y], y[x != y]) < 6


@pytest.mark.parametrize("name", UFUNCS)
@pytest.mark.parametrize(
    ("x_range", "y_range"),
    [
        ((-300, 300), (-300, 300)),
        ((-700, 700), (-700, 700)),
        ((600, 690), (-744, -700)),
        ((-300, 600), (-744, -709)),
        ((600, 702), (600, 709)),
    ],
)
def test_ufunc_is_exact_where_the_ratio_or_the_numbers_are_extreme(name, x_range, y_range):
    rng = np.random.default_rng(3)
    x, y = np.exp(rng.uniform(*x_range, 300)), np.exp(rng.uniform(*y_range, 300))
    assert largest_error(name, x, y) < 8


@pytest.mark.parametrize("name", UFUNCS)
def test_ufunc_is_exact_to_the_last_bit_of_a_subnormal_result(name):
    x = np.array([SUBNORMAL, 7 * SUBNORMAL, 1e-310, 2e-308])
    y = np.array([SUBNORMAL, 5 * SUBNORMAL, 3e-310, 1e-308])
    with mpmath.workdps(50):
        expected = [exact(name, a, b) / mpmath.mpf(SUBNORMAL) for a, b in zip(x, y, strict=True)]
    np.testing.assert_allclose(getattr(compat, name)(x, y) / SUBNORMAL, np.array(expected, float), rtol=1e-15, atol=1)


def test_kl_div_overflows_only_where_its_value_does():
    assert compat.kl_div(1e300, SUBNORMAL) == pytest.approx(1.434215599819595e303, rel=1e-15, abs=0)
    assert compat.kl_div(SUBNORMAL, HUGE) == HUGE
    assert compat.kl_div(HUGE, SUBNORMAL) == np.inf
    assert compat.kl_div(HUGE, HUGE) == 0


def test_kl_div_is_zero_only_for_equal_numbers():
    x = np.concatenate([np.exp(np.random.default_rng(4).uniform(-640, 709, 1000)), [HUGE, 1e-290]])
    assert (compat.kl_div(x, x) == 0).all()
    assert (compat.kl_div(x, np.nextafter(x, 0)) > 0).all()
    assert (compat.kl_div(np.nextafter(x, 0), x) > 0).all()


@pytest.mark.parametrize("name", UFUNCS)
def test_float32_is_computed_in_double_precision(name):
    rng = np.random.default_rng(5)
    x, y = np.exp(rng.uniform(-90, 80, (2, 2000))).astype(np.float32)
    y[:500] = x[:500] * np.float32(1.0001)
    value = getattr(compat, name)(x, y)
    assert value.dtype == np.float32
    np.testing.assert_array_equal(value, getattr(compat, name)(x.astype(float), y.astype(float)).astype(np.float32))


@pytest.mark.parametrize("name", UFUNCS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("n", [1, 7, 511, 512, 513, 1500])
def test_ufunc_gives_the_same_bits_in_every_layout(name, dtype, n):
    rng = np.random.default_rng(6)
    ufunc = getattr(compat, name)
    x, y = rng.exponential(size=(2, n)).astype(dtype)
    y[::100] = 0
    x[50::100] = np.finfo(dtype).smallest_subnormal
    expected = np.array([ufunc(a, b) for a, b in zip(x, y, strict=True)])
    spread = np.zeros((3, 2 * n), dtype)
    spread[0, ::2], spread[1, ::-2] = x, y
    packed = np.zeros(n, np.dtype([("x", dtype), ("gap", "u1"), ("y", dtype), ("out", dtype)]))
    packed["x"], packed["y"] = x, y
    np.testing.assert_array_equal(ufunc(x, y), expected)
    np.testing.assert_array_equal(ufunc(spread[0, ::2], spread[1, ::-2]), expected)
    np.testing.assert_array_equal(ufunc(packed["x"], packed["y"], out=packed["out"]), expected)
    np.testing.assert_array_equal(ufunc(x.astype(x.dtype.newbyteorder()), y), expected)
    np.testing.assert_array_equal(ufunc(np.broadcast_to(x, (2, n)).T, y[:, None])[:, 1], expected)


@pytest.mark.parametrize("name", UFUNCS)
@pytest.mark.parametrize("step", [2, -1, -3])
def test_out_may_be_strided(name, step):
    x, y = np.random.default_rng(7).random((2, 600))
    memory = np.full(3 * 600 + 2, 9.0)
    out = memory[1:-1][: 600 * abs(step)][::step]
    assert getattr(compat, name)(x, y, out=out) is out
    np.testing.assert_array_equal(out, getattr(compat, name)(x, y))
    untouched = np.ones(len(memory), bool)
    untouched[1:-1][: 600 * abs(step)][::step] = False
    assert (memory[untouched] == 9.0).all()


@pytest.mark.parametrize("name", UFUNCS)
def test_out_may_overlap_the_inputs(name):
    ufunc = getattr(compat, name)
    x, y = np.random.default_rng(8).random((2, 1500))
    for make_out in [lambda a, b: a, lambda a, b: b, lambda a, b: a[::-1], lambda a, b: b[::-1]]:
        a, b = x.copy(), y.copy()
        np.testing.assert_array_equal(ufunc(a, b, out=make_out(a, b)), ufunc(x, y))
    shifted = np.concatenate([x, [0.0]])
    np.testing.assert_array_equal(ufunc(shifted[:-1], y, out=shifted[1:]), ufunc(x, y))


@pytest.mark.parametrize("name", UFUNCS)
def test_ufunc_methods_and_arguments_work(name):
    ours, scipys = getattr(compat, name), getattr(scipy.special, name)
    x, y = np.random.default_rng(9).uniform(0.1, 1, (2, 5))
    where = x > 0.5
    np.testing.assert_allclose(ours(x, y, where=where, out=np.zeros(5)), scipys(x, y) * where, rtol=1e-13, atol=1e-16)
    np.testing.assert_allclose(ours.outer(x, y), scipys.outer(x, y), rtol=1e-13, atol=1e-16)
    np.testing.assert_allclose(ours.reduce(x), scipys.reduce(x), rtol=1e-12)
    np.testing.assert_allclose(ours.accumulate(x), scipys.accumulate(x), rtol=1e-12)
    np.testing.assert_allclose(ours.reduceat(x, [0, 2, 3]), scipys.reduceat(x, [0, 2, 3]), rtol=1e-12)
    np.testing.assert_allclose(ours(x, y, dtype=np.float32), scipys(x, y, dtype=np.float32), rtol=1e-5, atol=1e-8)
    np.testing.assert_allclose(ours(3, [4, 5]), scipys(3, [4, 5]), rtol=1e-13)
    assert isinstance(ours(np.ma.array(x, mask=where), y), np.ma.MaskedArray)
    assert ours(np.empty((0, 3)), np.ones(3)).shape == (0, 3)
    with pytest.raises(ValueError, match="could not be broadcast"):
        ours(x, y[:3])


@given(
    hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=3, min_side=0, max_side=4).flatmap(
        lambda shapes: st.tuples(
            *(
                hnp.arrays(float, shape, elements=st.sampled_from([0.0, 0.5, 1, 3, -1, np.nan]))
                for shape in shapes.input_shapes
            )
        )
    )
)
@settings(deadline=None, derandomize=True, max_examples=60)
def test_ufuncs_broadcast_as_scipys(arrays):
    for name in UFUNCS:
        value = getattr(compat, name)(*arrays)
        np.testing.assert_allclose(value, getattr(scipy.special, name)(*arrays), rtol=1e-14, strict=True)


@oracle
@pytest.mark.parametrize(
    ("ours", "scipys"),
    [(compat.entropy, scipy.stats.entropy), (compat.jensenshannon, scipy.spatial.distance.jensenshannon)],
)
def test_signature_is_scipys(ours, scipys):
    def described(function):
        return [(p.name, p.default, p.kind) for p in inspect.signature(function).parameters.values()]

    assert described(ours) == described(scipys)


def histograms(rng, shape, dtype):
    if np.dtype(dtype).kind == "f":
        return rng.exponential(size=shape).astype(dtype)
    return rng.integers(0, 2 if dtype == "?" else 100, shape).astype(dtype)


# float16 is not here: SciPy rounds to it in between.
SAMPLE_DTYPES = ["?", "b", "B", "h", "H", "i", "I", "q", "Q", "f", "d", ">f8", ">i4"]


@oracle
@pytest.mark.parametrize("dtype", SAMPLE_DTYPES)
@pytest.mark.parametrize("other", ["f", "d", "B"])
def test_values_and_types_are_scipys_for_all_types(dtype, other):
    rng = np.random.default_rng(10)
    p, q = histograms(rng, (40, 7), dtype), histograms(rng, (40, 7), other)
    p[:, 0], q[:, :2] = 1, 1
    tolerance = {"rtol": 2e-5, "atol": 2e-6} if "f" in (dtype, other) else {}
    for axis in (0, 1):
        assert_like_scipy(compat.entropy, scipy.stats.entropy, p, axis=axis, **tolerance)
        assert_like_scipy(compat.entropy, scipy.stats.entropy, p, q, axis=axis, **tolerance)
        assert_like_scipy(compat.jensenshannon, scipy.spatial.distance.jensenshannon, p, q, axis=axis, **tolerance)


@oracle
def test_float16_gives_float32_with_the_digits_of_float32():
    p = np.random.default_rng(11).random((3, 50)).astype(np.float16)
    expected = scipy.stats.entropy(p.astype(float), axis=1)
    value = compat.entropy(p, axis=1)
    assert value.dtype == scipy.stats.entropy(p, axis=1).dtype == np.float32
    np.testing.assert_allclose(value, expected, rtol=1e-6)
    assert compat.jensenshannon(p, p[:1], axis=1).dtype == np.float32
    assert compat.entropy([np.float16(np.nan), 1]).dtype == np.float64


@oracle
@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("axis", [0, 1, 2, -1, -3, None, (0,), (0, 1), (2, 0), (-1, -2, -3), (), 3, (0, 0), (0, -3)])
@pytest.mark.parametrize("q_shape", [None, (2, 3, 4), (4,), (1, 4), (3, 1), (2, 1, 1), (5, 4), (1,), (), (2, 2, 3, 4)])
def test_axes_and_shapes_are_as_in_scipy(q_shape, axis, keepdims):
    rng = np.random.default_rng(12)
    p = rng.random((2, 3, 4))
    q = None if q_shape is None else rng.random(q_shape)
    assert_like_scipy(compat.entropy, scipy.stats.entropy, p, q, axis=axis, keepdims=keepdims)
    if q is not None:
        assert_like_scipy(compat.entropy, scipy.stats.entropy, q, p, axis=axis, keepdims=keepdims)
        ours, scipys = compat.jensenshannon, scipy.spatial.distance.jensenshannon
        assert_like_scipy(ours, scipys, p, q, axis=axis, keepdims=keepdims)
        assert_like_scipy(ours, scipys, q, p, axis=axis, keepdims=keepdims)


@oracle
@pytest.mark.parametrize("base", [None, 2, 10.0, np.float32(3), 0.5, 1, np.inf, np.nan, 0, -1, -2.5, "e", [2.0, 3.0]])
@pytest.mark.parametrize("shape", [(4,), (3, 4)])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_base_is_as_in_scipy(base, shape, dtype):
    p, q = np.random.default_rng(13).random((2, *shape)).astype(dtype)
    tolerance = {"rtol": 1e-5, "atol": 1e-6} if dtype == np.float32 else {}
    if not isinstance(base, list):  # for which `entropy` raises errors of no meaning
        assert_like_scipy(compat.entropy, scipy.stats.entropy, p, None, base, **tolerance)
        assert_like_scipy(compat.entropy, scipy.stats.entropy, p, q, base, **tolerance)
    ours, scipys = compat.jensenshannon, scipy.spatial.distance.jensenshannon
    if base == "e":
        with pytest.raises(TypeError, match="ufunc 'log'"):
            ours(p, q, base)
    else:
        assert_like_scipy(ours, scipys, p, q, base, **tolerance)


INVALID = {
    "zero total": [0, 0, 0],
    "negative": [1, -0.5, 2],
    "negative total": [1, -3, 1],
    "cancelling": [1, -1, 0],
    "infinite": [1, np.inf, 1],
    "both infinities": [1, np.inf, -np.inf],
    "NaN": [1, np.nan, 1],
    "NaN and infinite": [np.nan, np.inf, 1],
    "NaN and zero": [np.nan, 0, 0],
    "only NaN": [np.nan] * 3,
    "negative zero": [1, -0.0, 1],
    "fine": [1, 2, 3],
    "support violation": [0, 1, 0],
}


@oracle
@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("left", INVALID)
def test_invalid_histograms_have_scipys_values_and_warnings(left, policy):
    p = np.array(INVALID[left], float)
    assert_like_scipy(compat.entropy, scipy.stats.entropy, p, nan_policy=policy)
    for right in INVALID.values():
        q = np.array(right, float)
        assert_like_scipy(compat.entropy, scipy.stats.entropy, p, q, nan_policy=policy)
        assert_like_scipy(compat.jensenshannon, scipy.spatial.distance.jensenshannon, p, q)


@oracle
@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("policy", ["propagate", "omit"])
def test_invalid_histograms_leave_the_others_alone(policy, axis):
    rng = np.random.default_rng(14)
    p, q = rng.random((2, 200, 3))
    bad = rng.choice(200, (2, len(INVALID)), replace=False)
    p[bad[0]], q[bad[1]] = list(INVALID.values()), list(INVALID.values())
    p, q = (np.moveaxis(a, 1, axis) for a in (p, q))
    with np.errstate(all="ignore"):
        for args in [(p,), (p, q), (q, p), (p, q.take([5], 1 - axis)), (p.take([5], 1 - axis), q)]:
            assert_like_scipy(compat.entropy, scipy.stats.entropy, *args, axis=axis, nan_policy=policy)
            if len(args) == 2:
                assert_like_scipy(compat.jensenshannon, scipy.spatial.distance.jensenshannon, *args, axis=axis)


@oracle
@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0), (0, 0), (2, 0, 3)])
@pytest.mark.parametrize("axis", [0, 1, -1, None])
def test_empty_input_is_as_in_scipy(shape, axis):
    for dtype in (np.float64, np.float32, np.int32):
        p = np.ones(shape, dtype)
        assert_like_scipy(compat.entropy, scipy.stats.entropy, p, axis=axis)
        assert_like_scipy(compat.entropy, scipy.stats.entropy, p, p, axis=axis, keepdims=True)
        assert_like_scipy(compat.entropy, scipy.stats.entropy, p, base=-1, axis=axis)
        assert_like_scipy(compat.jensenshannon, scipy.spatial.distance.jensenshannon, p, p, axis=axis)


@oracle
@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("axis", [0, 1, None])
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int16])
def test_masked_bins_are_left_out_as_in_scipy(axis, policy, dtype):
    rng = np.random.default_rng(15)
    p, q = rng.integers(1, 50, (2, 12, 9)).astype(dtype)
    p[3], q[4] = 0, 0
    p_mask, q_mask = rng.random((2, 12, 9)) < 0.2
    p_mask[5], q_mask[:, 6] = True, True
    if np.dtype(dtype).kind == "f":
        p[p_mask] = np.nan
        p[7, 2] = p[3, 1] = np.nan
        p[8, 3] = -1
    masked_p, masked_q = np.ma.array(p, mask=p_mask), np.ma.array(q, mask=q_mask)
    tolerance = {"rtol": 2e-5, "atol": 2e-6} if dtype == np.float32 else {}
    for args in [(masked_p,), (masked_p, masked_q), (masked_p, q), (q, masked_p), (np.ma.array(q), q)]:
        assert_like_scipy(compat.entropy, scipy.stats.entropy, *args, axis=axis, nan_policy=policy, **tolerance)


CORNERS = {
    "3": np.array([1.0, 2, 3]),
    "3 NaN": np.array([np.nan, 1, 2]),
    "3 only NaN": np.full(3, np.nan),
    "2": np.array([1, 2]),
    "4 NaN": np.array([1.0, 2, 3, np.nan], "f4"),
    "2x3 NaN": np.array([[1.0, np.nan, 3], [3, 2, 1]]),
    "2x3 NaN in each": np.array([[1.0, np.nan, 3], [3, 2, np.nan]]),
    "3 masked": np.ma.array([1.0, 2, 4], mask=[1, 0, 0]),
    "3 masked NaN": np.ma.array([np.nan, 2, 3], mask=[1, 0, 0]),
    "3 masked beside NaN": np.ma.array([1.0, np.nan, 3], mask=[1, 0, 0]),
    "2x3 masked": np.ma.array([[np.nan, 2, 3], [3, np.nan, 1]], mask=[[1, 0, 0], [0, 0, 0]]),
}


@oracle
@pytest.mark.parametrize("name", CORNERS)
def test_what_scipy_finds_first_nan_a_wrong_base_or_shapes_that_differ(name):
    for other in (None, *CORNERS.values()):
        samples = (CORNERS[name],) if other is None else (CORNERS[name], other)
        for axis in (0, -1, None):
            for base in (None, 2, 0, -1):
                for policy in POLICIES:
                    options = {"axis": axis, "base": base, "nan_policy": policy, "keepdims": base == 2}
                    assert_like_scipy(compat.entropy, scipy.stats.entropy, *samples, **options)


@oracle
def test_masks_do_not_count_in_jensenshannon_as_in_scipy():
    p = np.ma.array([1.0, 2.0, 3.0], mask=[0, 1, 0])
    assert_like_scipy(compat.jensenshannon, scipy.spatial.distance.jensenshannon, p, [3, 2, 1])


@oracle
@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        (([1, 2],), {"nan_policy": "keep"}),
        (([[1, np.nan], [1, 2]],), {"nan_policy": "raise"}),
        (([1, 2], [1, 2, 3]), {}),
        ((np.ones((10, 1, 12)), np.ones((11, 2))), {}),
        (([1, 2],), {"axis": 1}),
        (([1, 2],), {"axis": "rows"}),
        ((5.0,), {}),
        ((5.0, 2.0), {}),
        (([1, 2], 3), {}),
        ((np.float32([1, 2]), 3.0), {}),
        ((np.float32([1, 2]), np.float64(3.0)), {}),
        (([[1, 2], [3, 4]], None, 2, 1), {}),
        (([1, 2], None, 2, 0, "omit"), {}),
        (([1, 2],), {"weights": [1, 2]}),
        ((), {}),
        (([],), {}),
        ((range(1, 5),), {}),
        (([True, False, True],), {}),
    ],
)
def test_odd_calls_of_entropy_are_as_in_scipy(args, kwargs):
    tolerance = {"rtol": 1e-6, "atol": 1e-7}
    if kwargs == {"nan_policy": "keep"}:  # SciPy prints a set, in an order of its own
        with pytest.raises(ValueError, match=r"nan_policy must be one of \{'propagate', 'omit', 'raise'\}"):
            compat.entropy(*args, **kwargs)
    else:
        assert_like_scipy(compat.entropy, scipy.stats.entropy, *args, **kwargs, **tolerance)


@oracle
@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        (([1, 2], [1, 2, 3]), {}),
        ((1.0, 2.0), {}),
        (([1], [1, 2]), {}),
        (([[1, 2], [3, 4]], [1, 2]), {}),
        (([[1, 2], [3, 4]], [1, 3]), {"axis": -1}),
        (([1, 2], [1, 3]), {"axis": "rows"}),
        (([1, 2], [1, 3], 2.0, 0), {}),
        (([1, 2],), {}),
        (([1 + 1j, 2], [1, 2]), {}),
        ((np.array([1, 2], object), [1, 2]), {}),
        ((np.longdouble([1, 2]), [1, 2]), {}),
        (([True, False], [True, True]), {}),
    ],
)
def test_odd_calls_of_jensenshannon_are_as_in_scipy(args, kwargs):
    assert_like_scipy(compat.jensenshannon, scipy.spatial.distance.jensenshannon, *args, **kwargs)


@pytest.mark.parametrize("dtype", ["g", "F", "D", "O", "U1", "M8[s]"])
def test_entropy_of_types_that_have_none_is_a_type_error(dtype):
    p = np.zeros(3, dtype) if dtype == "M8[s]" else np.ones(3, dtype)
    for function in (scipy.stats.entropy, compat.entropy):
        with pytest.raises(TypeError):
            function(p)


def test_inputs_are_not_changed():
    p, q = np.array([[1, -1.0, np.nan], [1, 2, 3], [0, 0, 0]]), np.array([1, np.nan, 3.0])
    masked = np.ma.array(p, mask=[[0, 1, 0]] * 3)
    kept = p.copy(), q.copy(), masked.copy()
    for array in (p, q):
        array.flags.writeable = False
    compat.entropy(p, q, axis=1, nan_policy="omit")
    compat.entropy(masked, q, axis=1, nan_policy="omit")
    compat.jensenshannon(p[1], q)
    np.testing.assert_array_equal(p, kept[0])
    np.testing.assert_array_equal(q, kept[1])
    np.testing.assert_array_equal(masked.data, kept[2].data)
    np.testing.assert_array_equal(masked.mask, kept[2].mask)


ELEMENTS = st.sampled_from([0.0, -0.0, 0.25, 1.0, 2.0, 1e-100, 1e100, -1.0, np.inf, np.nan])


@st.composite
def calls(draw):
    shapes = draw(hnp.mutually_broadcastable_shapes(num_shapes=2, min_dims=1, max_dims=3, min_side=0, max_side=4))
    p, q = (draw(hnp.arrays(float, shape, elements=ELEMENTS)) for shape in shapes.input_shapes)
    ndim = len(shapes.result_shape)
    if p.size != q.size and draw(st.booleans()):
        p, q = np.broadcast_arrays(p, q)
    axes = st.integers(-ndim, ndim - 1) | hnp.valid_tuple_axes(ndim, min_size=1)
    # Without `axis` SciPy looks for NaN before it broadcasts, and fails to index the smaller array.
    axis = draw(axes | st.none() if p.shape == q.shape else axes)
    return p, q, axis, draw(st.booleans())


@oracle
@given(calls(), st.sampled_from(POLICIES), st.booleans())
@settings(deadline=None, derandomize=True, max_examples=150)
def test_entropy_of_arbitrary_arrays_is_scipys(call, policy, relative):
    p, q, axis, keepdims = call
    kwargs = {"axis": axis, "keepdims": keepdims, "nan_policy": policy}
    assert_like_scipy(compat.entropy, scipy.stats.entropy, p, *([q] if relative else []), **kwargs)


@oracle
@given(calls())
@settings(deadline=None, derandomize=True, max_examples=150)
def test_jensenshannon_of_arbitrary_arrays_is_scipys(call):
    p, q, axis, keepdims = call
    # SciPy's own error: of the order of the square root of an ulp.
    ours, scipys = compat.jensenshannon, scipy.spatial.distance.jensenshannon
    assert_like_scipy(ours, scipys, p, q, axis=axis, keepdims=keepdims, atol=3e-8)


@pytest.mark.parametrize("apart", [1e-3, 1e-6, 1e-9, 1e-12, 1e-15])
def test_nearly_equal_histograms_are_apart_by_what_they_are(apart):
    """Normalised rows are right for inputs moved by an ulp: the root of the divergence moves by as much."""
    rng = np.random.default_rng(16)
    p = rng.random((20, 30)) + 0.1
    q = p * (1 + apart * rng.uniform(-1, 1, p.shape))
    with mpmath.workdps(50):
        for row, other, divergence, distance in zip(
            p, q, compat.entropy(p, q, axis=1), compat.jensenshannon(p, q, axis=1), strict=True
        ):
            x, y = ([mpmath.mpf(float(v)) for v in values] for values in (row, other))
            x, y = [v / mpmath.fsum(x) for v in x], [v / mpmath.fsum(y) for v in y]
            m = [(a + b) / 2 for a, b in zip(x, y, strict=True)]
            kl = mpmath.fsum(a * mpmath.log(a / b) for a, b in zip(x, y, strict=True))
            js = mpmath.fsum(
                (a * mpmath.log(a / c) + b * mpmath.log(b / c)) / 2 for a, b, c in zip(x, y, m, strict=True)
            )
            assert divergence >= 0
            assert abs(mpmath.sqrt(float(divergence)) - mpmath.sqrt(kl)) < 4e-16
            assert abs(float(distance) - mpmath.sqrt(js)) < 4e-16


def test_equal_histograms_have_no_divergence():
    p = np.random.default_rng(17).random((300, 11))
    assert (compat.entropy(p, p, axis=1) == 0).all()
    assert (compat.jensenshannon(p, p, axis=1) == 0).all()
    assert (compat.jensenshannon(p, 4 * p, axis=1) == 0).all()


def test_sums_do_not_overflow():
    assert compat.entropy([1e308, 1e308]) == pytest.approx(np.log(2), rel=1e-15, abs=0)
    assert compat.entropy([1e308, 1e308], [1.0, 1.0]) == 0
    assert compat.jensenshannon([1e308, 1e308], [SUBNORMAL, SUBNORMAL]) == 0


def scipy_tests(module):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip(module, reason="this SciPy comes without its tests", exc_type=ImportError)


ENTROPY_TESTS = [
    "test_entropy_positive",
    "test_entropy_base",
    "test_entropy_zero",
    "test_entropy_2d",
    "test_entropy_2d_zero",
    "test_entropy_base_2d_nondefault_axis",
    "test_entropy_2d_nondefault_axis",
    "test_entropy_raises_value_error",
    "test_base_entropy_with_axis_0_is_equal_to_default",
    "test_entropy_with_axis_0_is_equal_to_default",
    "test_base_entropy_transposed",
    "test_entropy_transposed",
    "test_entropy_broadcasting",
    "test_entropy_shape_mismatch",
    "test_input_validation",
]


@oracle
@pytest.mark.parametrize("name", ENTROPY_TESTS)
def test_scipys_test_of_entropy_passes(name, monkeypatch):
    module = scipy_tests("scipy.stats.tests.test_entropy")
    monkeypatch.setattr(module, "stats", SimpleNamespace(entropy=compat.entropy))
    getattr(module.TestEntropy(), name)(np)


@oracle
def test_all_of_scipys_tests_of_entropy_are_run():
    module = scipy_tests("scipy.stats.tests.test_entropy")
    assert set(ENTROPY_TESTS) >= {name for name in vars(module.TestEntropy) if name.startswith("test_")}


@oracle
@pytest.mark.parametrize(
    "name",
    ["test_kl_div", "test_rel_entr", "test_rel_entr_gh_20710_near_zero", "test_rel_entr_gh_20710_overflow"],
)
def test_scipys_test_of_the_ufuncs_passes(name, monkeypatch):
    module = scipy_tests("scipy.special.tests.test_basic")
    for ufunc in UFUNCS:
        monkeypatch.setattr(module.special, ufunc, getattr(compat, ufunc))
    with scipy.special.errstate():
        getattr(module, name)()


@oracle
def test_scipys_test_of_jensenshannon_passes(monkeypatch):
    module = scipy_tests("scipy.spatial.tests.test_distance")
    monkeypatch.setattr(module, "jensenshannon", compat.jensenshannon)
    module.test_jensenshannon()


@oracle
@pytest.mark.parametrize("name", ["test_pdist_jensenshannon_random_nonC", "test_pdist_jensenshannon_iris_nonC"])
def test_scipys_test_of_pdist_passes_with_our_distance(name, monkeypatch):
    module = scipy_tests("scipy.spatial.tests.test_distance")
    metrics = scipy.spatial.distance._TEST_METRICS
    ours = dataclasses.replace(metrics["test_jensenshannon"], dist_func=compat.jensenshannon)
    monkeypatch.setitem(metrics, "test_jensenshannon", ours)
    getattr(module.TestPdist(), name)()


def entropy_for_axis_tests(*args, _no_deco=False, **kwargs):
    """`entropy`. SciPy's tests compare it, on histograms without NaN, with itself without its wrapper."""
    return compat.entropy(*args, **kwargs)


@pytest.fixture
def axis_tests(monkeypatch):
    module = scipy_tests("scipy.stats.tests.test_axis_nan_policy")
    for special_cases in ("empty_special_case_funcs", "too_small_special_case_funcs"):
        functions = {*getattr(module, special_cases), entropy_for_axis_tests, compat.entropy}
        monkeypatch.setattr(module, special_cases, functions)
    return module


AXIS_CASE = {"args": (), "kwds": {}, "n_outputs": 1, "unpacker": lambda result: (result,)}
ONE_SAMPLE = {**AXIS_CASE, "n_samples": 1, "paired": False}
TWO_SAMPLES = {**AXIS_CASE, "n_samples": 2, "paired": True}


@oracle
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("case", [ONE_SAMPLE, TWO_SAMPLES])
class TestScipysTestsOfAxesAndNaN:
    @pytest.mark.parametrize("nan_policy", POLICIES)
    @pytest.mark.parametrize("axis", [-3, 0, 1])
    @pytest.mark.parametrize("data_generator", ["all_nans", "all_finite", "mixed"])
    def test_axis_and_nan_policy(self, axis_tests, case, nan_policy, axis, data_generator):
        axis_tests._axis_nan_policy_test(
            entropy_for_axis_tests, **case, nan_policy=nan_policy, axis=axis, data_generator=data_generator
        )

    @pytest.mark.parametrize("nan_policy", POLICIES)
    @pytest.mark.parametrize("data_generator", ["all_nans", "all_finite", "mixed", "empty"])
    def test_axis_none(self, axis_tests, case, nan_policy, data_generator):
        axis_tests.test_axis_nan_policy_axis_is_None(
            entropy_for_axis_tests, **case, nan_policy=nan_policy, data_generator=data_generator
        )

    @pytest.mark.parametrize("nan_policy", ["omit", "propagate"])
    @pytest.mark.parametrize(
        ("sample_shape", "axis_cases"),
        [
            ((2, 3, 3, 4), (None, 0, -1, (0, 2), (1, -1), (3, 1, 2, 0))),
            ((10,), (0, -1)),
            ((20, 0), (0, 1)),
        ],
    )
    def test_keepdims(self, axis_tests, case, nan_policy, sample_shape, axis_cases):
        axis_tests.test_keepdims(
            compat.entropy, **case, sample_shape=sample_shape, axis_cases=axis_cases, nan_policy=nan_policy
        )

    def test_pickled(self, axis_tests, case):
        axis_tests.test_axis_nan_policy_decorated_pickled(compat.entropy, **case)

    def test_empty(self, axis_tests, case):
        axis_tests.test_empty(compat.entropy, **case)

    @pytest.mark.parametrize("axis", [0, 1])
    def test_non_broadcastable(self, axis_tests, case, axis):
        if case is TWO_SAMPLES:
            axis_tests.test_non_broadcastable(compat.entropy, **case, axis=axis)
