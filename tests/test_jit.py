"""fastkl inside other people's compiled code: the bits of the public functions, whatever the caller's options."""

import math
from importlib import import_module

import mpmath
import numba
import numpy as np
import pytest
from reference import relative_error
from samples import LENGTHS, PAIRS, near
from test_same_bits import batch

import fastkl
from fastkl import jit

NAMES = ["kl_divergence", "cross_entropy", "js_divergence", "js_distance", "jeffreys_divergence"]


def public(name, p, q, **options):
    return getattr(fastkl, name)(p, q, on_invalid="nan", **options)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("bins", [1, 5, 32, 33, 64, 65, 257, 1024, 1025, 5000])
def test_rows_have_the_bits_of_the_public_functions(bins, dtype):
    p, q = batch(70, bins, dtype)  # ordinary, odd and invalid rows
    for normalize in (True, False):
        for name in NAMES:
            got = [getattr(jit, name)(x, y, normalize) for x, y in zip(p, q, strict=True)]
            np.testing.assert_array_equal(got, public(name, p, q, normalize=normalize), err_msg=name)
        got = [jit.entropy(x, normalize) for x in p]
        np.testing.assert_array_equal(got, fastkl.entropy(p, normalize=normalize, on_invalid="nan"))


@pytest.mark.parametrize("name", NAMES)
def test_near_rows_and_rows_of_every_magnitude(name):
    function, rng = getattr(jit, name), np.random.default_rng(0)
    for bins in LENGTHS:
        pairs = [sample(rng, bins) for sample in PAIRS.values()] + [near(rng, bins, 10.0**-k) for k in range(1, 16)]
        for p, q in pairs:
            for normalize in (True, False):
                expected = public(name, p, q, normalize=normalize)
                np.testing.assert_array_equal(function(p, q, normalize), expected)
            np.testing.assert_array_equal(function(p, p, True), public(name, p, p))


def test_single_precision_gives_single_precision():
    p, q = np.random.default_rng(0).random((2, 100)).astype(np.float32)
    for name in NAMES:
        got = getattr(jit, name)(p, q)
        assert got == public(name, p, q)
        assert np.float32(got) == got
    # Not with a double beside it.
    assert jit.kl_divergence(p, q.astype(float)) == fastkl.kl_divergence(p, q.astype(float))


@pytest.mark.parametrize("dtype", ["f8", "f4", "u2"])
def test_any_type_and_layout(dtype):
    x = np.random.default_rng(0).integers(0, 100, (40, 50)).astype(dtype)
    x[:, 0] = 1
    for p, q in [(x[0], x[1]), (x[:, 3], x[:, 4]), (x[0, ::-2], x[1, ::2]), (x[2, :40], x[:, 7])]:
        assert jit.kl_divergence(p, q) == fastkl.kl_divergence(p, q)
    x.flags.writeable = False
    assert jit.kl_divergence(x[0], x[1]) == fastkl.kl_divergence(x[0], x[1])


def test_invalid_rows_and_rows_that_do_not_fit_are_nan():
    p = np.ones(5)
    for function in (getattr(jit, name) for name in NAMES):
        for bad in (-1.0, np.nan, np.inf):
            assert math.isnan(function(np.array([1, 1, bad, 1, 1]), p))
            assert math.isnan(function(p, np.array([1, 1, bad, 1, 1]), False))
        assert math.isnan(function(np.zeros(5), p))
        assert math.isnan(function(p, np.zeros(5)))
        assert math.isnan(function(p, np.ones(6)))
        assert math.isnan(function(np.ones(0), np.ones(0)))
        assert function(np.ones(0), np.ones(0), False) == 0
    assert math.isnan(jit.entropy(np.zeros(3)))
    assert jit.kl_divergence(p, np.array([1, 1, 0, 1, 1.0])) == np.inf


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (np.ones((2, 3)), r"p is an array\(float64, 2d, C\), and no row.*; pass the rows one at a time$"),
        (np.ones((2, 3), "f4"), "p is an array"),
        (np.array(1.0), "p is an array"),
        ((1.0, 2.0), r"p is of type .*; a row is a 1-D array of float64, float32, integers or bools"),
        (np.ones(3, "f2"), r"p is of type array\(float16"),
        (np.ones(3, "c16"), r"p is of type array\(complex128"),
        (1.0, "p is of type float64"),
    ],
)
def test_what_is_no_row_is_a_type_error_of_one_sentence(row, message):
    good = np.ones(3)
    for function in (getattr(jit, name) for name in NAMES):
        with pytest.raises(TypeError, match=f"^{message}"):
            function(row, good)
        with pytest.raises(TypeError, match=r"^q is"):
            function(good, row)
    with pytest.raises(TypeError, match=f"^{message}"):
        jit.entropy(row)

    @numba.njit
    def caller(x):
        return jit.psi(x, x)

    with pytest.raises(TypeError, match=message):
        caller(row)


def test_a_list_is_no_row():
    with pytest.raises(TypeError, match=r"^p is of type .*list"):
        jit.kl_divergence([1.0, 2.0], [2.0, 1.0])


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"parallel": True},
        {"fastmath": True},
        {"boundscheck": True},
    ],
    ids=str,
)
def test_the_options_of_the_caller_do_not_matter(options):
    @numba.njit(**options)
    def one_against_all(x):
        out = np.empty(len(x))
        for i in numba.prange(len(x)):
            out[i] = jit.js_distance(x[0], x[i], normalize=False)
        return out

    for bins in (1, 8, 300, 3000):
        x = batch(40, bins, np.float64)[0]
        x[0] = np.arange(bins) + 1
        expected = public("js_distance", x[0], x, normalize=False)
        np.testing.assert_array_equal(one_against_all(x), expected)


def test_callers_of_every_option_leave_the_public_functions_as_they_are(run_python):
    # The first to ask for a kernel has it compiled for all: by a caller with fast mathematics it would find no NaN.
    script = """
        import numba, numpy as np
        from fastkl import jit

        @numba.njit(fastmath=True, forceinline=True)
        def caller(p, q):
            return jit.kl_divergence(p, q) + jit.jeffreys_term(p[0], q[0])

        p, q = np.arange(1.0, 3001), np.arange(3001.0, 1, -1)
        print(caller(p, q), end=" ")
        import fastkl
        p[7], bad = 0, p.copy()
        bad[5] = np.nan
        print(fastkl.kl_divergence(np.array([p, bad]), q, on_invalid="nan").tolist(), end=" ")
        print(jit.kl_divergence(bad, q), jit.kl_divergence(q, p))
    """
    p, q = np.arange(1.0, 3001), np.arange(3001.0, 1, -1)
    first = fastkl.kl_divergence(p, q) + jit.jeffreys_term(1.0, 3001.0)
    p[7] = 0
    assert run_python(script).split() == f"{first} [{fastkl.kl_divergence(p, q)}, nan] nan inf".split()


def test_in_a_loop_on_many_threads(run_python):
    # More threads than there are CPUs, in a process of its own: the pool of Numba's threads is made once.
    script = """
        import numba, numpy as np, fastkl
        from fastkl import jit

        @numba.njit(parallel=True)
        def pairwise(x, y):
            out = np.empty((len(x), len(y)))
            for i in numba.prange(len(x)):
                for j in range(len(y)):
                    out[i, j] = jit.js_divergence(x[i], y[j])
            return out

        rng = np.random.default_rng(0)
        for bins in (10, 200, 1500):
            x, y = rng.random((2, 60, bins))
            y[:, :5] *= 1e-310  # odd rows
            expected = fastkl.js_divergence(x[:, None], y)
            for _ in range(5):
                assert (pairwise(x, y) == expected).all()
        print(numba.get_num_threads())
    """
    assert run_python(script, env={"NUMBA_NUM_THREADS": "7"}).strip() == "7"


def test_a_cached_caller_is_not_compiled_again(run_python, tmp_path):
    script = """
        import numba, numpy as np
        from fastkl import jit

        @numba.njit(cache=True)
        def caller(p, q):
            return jit.kl_divergence(p, q) + jit.kl_term(p[0], q[0])

        p, q = np.arange(1.0, 201), np.arange(201.0, 1, -1)
        result = caller(p, q)
        hits = sum(caller.stats.cache_hits.values())
        print(float(result).hex(), hits, len(jit.kl_divergence.signatures))
    """
    env = {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    value, hits, signatures = run_python(script, env=env).split()
    assert (hits, signatures) == ("0", "1")
    # The second process reads the caller, and of fastkl nothing.
    assert run_python(script, env=env).split() == [value, "1", "0"]
    p, q = np.arange(1.0, 201), np.arange(201.0, 1, -1)
    assert float.fromhex(value) == fastkl.kl_divergence(p, q) + jit.kl_term(p[0], q[0])


def test_importing_compiles_nothing(run_python):
    script = """
        from numba.core import event

        with event.install_recorder("numba:compile") as recorder:
            import fastkl.jit
        print(len(recorder.buffer))
    """
    assert run_python(script).strip() == "0"


def test_interpreted_functions_agree(run_python):
    script = """
        import numpy as np
        from fastkl import jit

        rng = np.random.default_rng(0)
        for bins in (1, 7, 70, 2100):
            for dtype, tiny in (("f8", 1e-310), ("f4", 1e-40)):
                p, q = rng.random((2, bins)).astype(dtype)
                for p in (p, (p * tiny).astype(dtype)):
                    for normalize in (True, False):
                        for function in (jit.kl_divergence, jit.cross_entropy, jit.js_distance):
                            print(float(function(p, q, normalize)))
        print(jit.kl_term(1.0, 2.0), jit.rel_entr(1e-310, 2.0), jit.js_term(0.0, 1e-310))
    """
    compiled = np.array(run_python(script).split(), float)
    interpreted = np.array(run_python(script, env={"NUMBA_DISABLE_JIT": "1"}).split(), float)
    np.testing.assert_allclose(interpreted, compiled, rtol=2e-5, atol=1e-7)


TERMS = {
    jit.kl_term: lambda x, y: x * mpmath.log(x / y) - x + y,
    jit.rel_entr: lambda x, y: x * mpmath.log(x / y),
    jit.cross_entropy_term: lambda x, y: -x * mpmath.log(y),
    jit.js_term: lambda x, y: (x * mpmath.log(2 * x / (x + y)) + y * mpmath.log(2 * y / (x + y))) / 2,
    jit.jeffreys_term: lambda x, y: (x - y) * mpmath.log(x / y),
}


def _doubles():
    rng = np.random.default_rng(0)
    for _ in range(300):
        yield 10.0 ** rng.uniform(-307, 306, 2)
        x = 10.0 ** rng.uniform(-307, 306)
        yield x, x * (1 + 10.0 ** -rng.uniform(0, 15))
        yield x, np.nextafter(x, 0)
        yield rng.integers(1, 10**6, 2) * 5e-324
        yield 10.0 ** rng.uniform(-307, 306), rng.integers(1, 10**9) * 5e-324
    edges = [5e-324, 2.0**-1022, 2.0**-700, np.nextafter(2.0**-700, 0), 1.0, 2.0**700, 2.0**701, 1e306]
    for x in edges:
        for y in edges:
            yield x, y
    yield 2.0**-1040, 2.0**-1040 - 5e-324  # exponents differ where the numbers hardly do


@pytest.mark.parametrize("function", TERMS, ids=lambda function: function.__name__)
def test_terms_of_any_doubles(function):
    for x, y in _doubles():
        with mpmath.workdps(700):
            exact = TERMS[function](mpmath.mpf(float(x)), mpmath.mpf(float(y)))
            got = function(x, y)
            if abs(exact) > 1.797e308:
                assert abs(got) == np.inf
            elif abs(exact) < 2.3e-308:
                assert abs(mpmath.mpf(got) - exact) <= 5e-324 * 1.01
            else:
                assert relative_error(got, exact) <= 2e-15, (x, y)


def test_terms_of_zeros_and_of_what_is_no_bin():
    inf = np.inf
    expected = {
        jit.kl_term: (3.0, inf, 0.0),
        jit.rel_entr: (0.0, inf, 0.0),
        jit.cross_entropy_term: (0.0, inf, 0.0),
        jit.js_term: (1.5 * math.log(2), 1.5 * math.log(2), 0.0),
        jit.jeffreys_term: (inf, inf, 0.0),
    }
    for function, values in expected.items():
        found = function(0.0, 3.0), function(3.0, 0.0), function(0.0, 0.0)
        assert found == pytest.approx(values, rel=2.3e-16, abs=0)
        assert function(-0.0, 0.0) == 0
        assert function(2, 2) == function(2.0, 2.0) == function(np.float32(2), 2.0)
        for bad in (-1.0, -5e-324, np.nan, inf, -inf):
            assert math.isnan(function(bad, 1.0))
            assert math.isnan(function(1.0, bad))
    assert jit.kl_term(0.0, 5e-324) == 5e-324


def test_terms_are_those_of_the_rows():
    rng = np.random.default_rng(0)
    for sample in PAIRS.values():
        for x, y in zip(*sample(rng, 50), strict=True):
            p, q = np.array([x]), np.array([y])
            assert jit.kl_term(x, y) == fastkl.kl_divergence(p, q, normalize=False)
            assert jit.js_term(x, y) == fastkl.js_divergence(p, q, normalize=False)


def test_every_function_says_what_it_does():
    for name in jit.__all__:
        function = getattr(jit, name)
        for section in ("Parameters", "Returns", "Examples"):
            assert f"{section}\n    ---" in function.__doc__, name
    assert jit.psi is jit.jeffreys_divergence
    assert jit.psi is import_module("fastkl.jit").psi


@pytest.mark.filterwarnings("ignore")
def test_as_a_metric_of_pynndescent():
    pynndescent = pytest.importorskip("pynndescent")
    rng = np.random.default_rng(0)
    data = rng.dirichlet(np.full(30, 0.5), 600).astype(np.float32)
    index = pynndescent.NNDescent(data, metric=jit.js_distance, n_neighbors=15, random_state=1, n_jobs=1)
    found, distances = index.neighbor_graph
    exact = fastkl.js_distance(data[:, None], data)
    np.testing.assert_array_equal(distances, np.take_along_axis(exact, found, 1))
    np.testing.assert_array_equal(found[:, 0], np.arange(600))
    nearest = np.argsort(exact, 1)[:, :15]
    assert np.mean([np.isin(found[i], nearest[i]).mean() for i in range(600)]) > 0.95
