"""The exponentials of the kernels against 50-digit arithmetic, at their limits, and as machine code without calls."""

import re

import numba
import numpy as np
import pytest
from reference import mp

from fastkl.kernels import _exp


@numba.njit(error_model="numpy")
def _exp_of(x, out):
    for i in range(len(x)):
        out[i] = _exp.exp(x[i])


@numba.njit(error_model="numpy")
def _expm1_of(x, out):
    for i in range(len(x)):
        out[i] = _exp.expm1(x[i])


FUNCTIONS = {"exp": (_exp_of, mp.exp), "expm1": (_expm1_of, mp.expm1)}
# Where the results are normal numbers.
NORMAL = {np.float32: (-87.3, 88.7), np.float64: (-708.3, 709.7)}


def evaluate(name, x):
    out = np.empty_like(x)
    FUNCTIONS[name][0](x, out)
    return out


def errors_in_ulp(name, x):
    with mp.workdps(50):
        exact = [FUNCTIONS[name][1](mp.mpf(float(v))) for v in x]
        ulps = np.spacing(np.abs(np.array([float(v) for v in exact]).astype(x.dtype))).astype(float)
        got = evaluate(name, x)
        return [float(abs(mp.mpf(float(g)) - e)) / u for g, e, u in zip(got, exact, ulps, strict=True)]


@pytest.mark.parametrize("dtype", NORMAL)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_errors_are_below_two_ulp(name, dtype):
    rng = np.random.default_rng(0)
    low, high = NORMAL[dtype]
    magnitudes = 10.0 ** rng.uniform(-30, 1, 2000) * rng.choice([-1, 1], 2000)
    half_octaves = np.log(2) * (np.arange(-100, 100) + 0.5)
    edges = [
        np.nextafter(dtype(v), dtype(s)) for v in half_octaves[abs(half_octaves) < high] for s in (-np.inf, np.inf)
    ]
    x = np.concatenate([rng.uniform(low, high, 3000), rng.uniform(-1, 1, 3000), magnitudes, edges]).astype(dtype)
    x = x[(x > low) & (x < high)]
    assert max(errors_in_ulp(name, x)) < (1.01 if name == "exp" else 2)


@pytest.mark.parametrize("dtype", NORMAL)
def test_subnormal_results_are_rounded(dtype):
    low = {np.float32: (-103, -87.4), np.float64: (-744, -708.4)}[dtype]
    x = np.random.default_rng(0).uniform(*low, 500).astype(dtype)
    assert max(errors_in_ulp("exp", x)) <= 1


@pytest.mark.parametrize("dtype", NORMAL)
def test_limits(dtype):
    info = np.finfo(dtype)
    beyond = np.array([np.inf, info.max, 2 * NORMAL[dtype][1]], dtype)
    tiny = np.array([0, info.smallest_subnormal, -info.smallest_subnormal, info.tiny, -info.tiny], dtype)
    np.testing.assert_array_equal(evaluate("exp", beyond), np.inf)
    np.testing.assert_array_equal(evaluate("exp", -beyond), 0)
    np.testing.assert_array_equal(evaluate("exp", tiny), 1)
    np.testing.assert_array_equal(evaluate("expm1", beyond), np.inf)
    np.testing.assert_array_equal(evaluate("expm1", -beyond), -1)
    np.testing.assert_array_equal(evaluate("expm1", tiny), tiny)
    for name in FUNCTIONS:
        assert np.isnan(evaluate(name, np.array([np.nan], dtype))).all()


@pytest.mark.parametrize("dtype", NORMAL)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_number_gives_the_same_bits_wherever_it_stands(name, dtype):
    x = np.random.default_rng(0).uniform(-90, 90, 37).astype(dtype)
    one_by_one = [evaluate(name, x[i : i + 1])[0] for i in range(len(x))]
    np.testing.assert_array_equal(evaluate(name, x), one_by_one)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_loops_call_no_function_of_the_mathematical_library(name):
    for dtype in NORMAL:
        evaluate(name, np.zeros(1, dtype))
    for code in FUNCTIONS[name][0].inspect_asm().values():
        assert not re.search(r"\b(numba_)?expm?1?f?(@|$)", code, re.MULTILINE)
