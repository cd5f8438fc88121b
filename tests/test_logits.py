"""The divergence from logits: exact, indifferent to offsets, the same bits in every arrangement."""

import os
import re
import subprocess
import sys

import numpy as np
import pytest
import scipy.special
from conftest import PACKAGE
from reference import mp, relative_error
from samples import LAYOUTS

import fastkl
from fastkl import kl_divergence_from_logits as kl

INF = np.inf
DTYPES = [np.float64, np.float32]
LENGTHS = [1, 2, 3, 8, 33, 257, 1024, 1025, 2500]


def exact(x, y, normalize=True):
    """The divergence of two rows of logits, in 60 digits."""
    with mp.workdps(60):
        x, y = ([mp.mpf(float(v)) for v in row] for row in (x, y))
        if normalize:
            x, y = _normalized(x), _normalized(y)
        return mp.fsum(_term(a, b) for a, b in zip(x, y, strict=True))


def _normalized(x):
    top = max(x)
    log_total = mp.log(mp.fsum(mp.exp(v - top) for v in x))
    return [v - top - log_total for v in x]


def _term(a, b):
    if mp.isinf(a):
        return mp.mpf(0) if mp.isinf(b) else mp.exp(b)
    return mp.inf if mp.isinf(b) else mp.exp(a) * (a - b) - mp.exp(a) + mp.exp(b)


def tolerance(dtype):
    return 1e-13 if dtype == np.float64 else 1e-6


def assert_exact(x, y, dtype, normalize=True):
    """The relative error is within the limit, where the answer is a normal number of its type."""
    with np.errstate(over="ignore"):
        x, y = x.astype(dtype), y.astype(dtype)
    got, answer = kl(x, y, normalize=normalize), exact(x, y, normalize)
    assert got.dtype == dtype
    if 0 < answer < np.finfo(dtype).tiny:
        assert 0 <= got <= np.finfo(dtype).tiny
    elif answer > np.finfo(dtype).max:
        assert got == INF
    else:
        assert relative_error(got, answer) <= tolerance(dtype)


def ordinary(rng, n):
    x = 3 * rng.normal(size=n)
    return x, x + 0.5 * rng.normal(size=n)


def independent(rng, n):
    return 3 * rng.normal(size=(2, n))


def wide(rng, n):
    return 30 * rng.normal(size=(2, n))


def wide_and_near(rng, n):
    x = 100 * rng.normal(size=n)
    return x, x + 1e-3 * rng.normal(size=n)


def extreme(rng, n):
    return 1e4 * rng.normal(size=(2, n))


def high_and_near(rng, n):
    x = 1e4 + 3 * rng.normal(size=n)
    return x, x + 1e-2 * rng.normal(size=n)


def low_against_high(rng, n):
    x, y = ordinary(rng, n)
    return x - 1e4, y + 1e4


def tiny(rng, n):
    return 1e-9 * rng.normal(size=(2, n))


def equal_bins(rng, n):
    return np.full(n, 0.1) + 0.37 * (np.arange(n) % 2), np.full(n, 0.1)


def some_zero_bins(rng, n):
    x, y = ordinary(rng, n)
    x[1::3] = -INF
    y[1::6] = -INF
    return x, y


def masked(rng, n):
    x, y = ordinary(rng, n)
    x[1::2], y[1::2] = -1e9, -1e9
    return x, y


def masked_in_q_alone(rng, n):
    x, y = ordinary(rng, n)
    y[1::2] = -1e9
    return x, y


def masked_by_the_smallest_number(rng, n):
    x, y = ordinary(rng, n)
    x[1::2], y[1::4] = np.finfo(np.float32).min, np.finfo(np.float32).min
    return x, y


def one_bin_among_flat_ones(rng, n):
    x, y = rng.normal(size=(2, n)) * 1e-2
    x[-1], y[-1] = 40, 41
    return x, y


SAMPLES = [ordinary, independent, wide, wide_and_near, extreme, high_and_near, low_against_high, tiny, equal_bins]
SAMPLES += [some_zero_bins, masked, masked_in_q_alone, masked_by_the_smallest_number, one_bin_among_flat_ones]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("sample", SAMPLES)
@pytest.mark.parametrize("length", LENGTHS)
def test_the_answer_is_exact(length, sample, dtype):
    assert_exact(*sample(np.random.default_rng(length), length), dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("length", [2, 3, 33, 1025, 2500])
def test_distributions_that_agree_to_many_digits_lose_none(length, dtype):
    rng = np.random.default_rng(length)
    for distance in 10.0 ** -np.arange(1, 13):
        x = 3 * rng.normal(size=length)
        y = x + distance * rng.normal(size=length)
        assert_exact(x, y, dtype)
        assert_exact(x, y + 1000, dtype)
        assert_exact(x * 1e-6, y * 1e-6 + 64, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("length", [1, 3, 33, 1025, 2500])
def test_log_probabilities_as_they_are_are_exact(length, dtype):
    rng = np.random.default_rng(length)
    x, y = ordinary(rng, length)
    x, y = x - scipy.special.logsumexp(x), y - scipy.special.logsumexp(y)
    assert_exact(x, y, dtype, normalize=False)
    assert_exact(x, x + 20 * rng.normal(size=length), dtype, normalize=False)
    for shift in (-60, 60, 300, 800, -300, 1e5):
        assert_exact(x + shift, y + shift, dtype, normalize=False)
    for distance in 10.0 ** -np.arange(1, 13):
        assert_exact(x, x + distance * rng.normal(size=length), dtype, normalize=False)
    x[::3], y[::6] = -INF, -INF
    assert_exact(x, y, dtype, normalize=False)


def test_small_probabilities_count_where_the_large_are_equal():
    for x, y in (([450, -300], [450, -300.5]), ([0, -700], [0, -700.5])):
        assert_exact(np.array(x), np.array(y), np.float64, normalize=False)
    assert_exact(np.array([0, -700.0]), np.array([0, -700.5]), np.float64)
    # No single-precision number, its logit so far off that it counts.
    assert_exact(np.array([0, -95.0]), np.array([0, -1e38]), np.float32)


def test_rows_of_a_vocabulary_are_exact_in_single_precision():
    rng = np.random.default_rng(0)
    x = 3 * rng.normal(size=(3, 131072)).astype(np.float32)
    for distance in (1, 1e-2, 1e-4):
        y = x + np.float32(distance) * rng.normal(size=x.shape).astype(np.float32)
        double = kl(x.astype(np.float64), y.astype(np.float64))
        np.testing.assert_allclose(kl(x, y), double, rtol=1e-6)
        np.testing.assert_array_equal(kl(x, y, dtype=np.float64), double)
        log_p, log_q = scipy.special.log_softmax(x.astype(float), -1), scipy.special.log_softmax(y.astype(float), -1)
        np.testing.assert_allclose(double, (np.exp(log_p) * (log_p - log_q)).sum(-1), rtol=1e-9 / distance**2)


def test_log_probabilities_give_the_divergence_of_the_histograms():
    p, q = np.random.default_rng(0).dirichlet(np.ones(300), (2, 20))
    np.testing.assert_allclose(kl(np.log(p), np.log(q), normalize=False), fastkl.kl_divergence(p, q), rtol=1e-12)
    np.testing.assert_allclose(kl(np.log(p), np.log(q)), fastkl.kl_divergence(p, q), rtol=1e-12)
    counts, others = np.random.default_rng(0).exponential(size=(2, 20, 300))
    expected = fastkl.kl_divergence(counts, others, normalize=False)
    np.testing.assert_allclose(kl(np.log(counts), np.log(others), normalize=False), expected, rtol=1e-12)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("length", [1, 5, 1024, 2500])
def test_equal_rows_give_zero_and_an_offset_changes_nothing(length, dtype):
    rng = np.random.default_rng(length)
    x = rng.integers(-40, 40, (3, length)).astype(dtype) / 8  # sums with the offsets are exact
    y = rng.integers(-40, 40, (3, length)).astype(dtype) / 8
    np.testing.assert_array_equal(kl(x, x), 0)
    np.testing.assert_array_equal(kl(x, x, normalize=False), 0)
    expected = kl(x, y)
    for offset in (1, -64, 300, -5000, 2.0**18):
        offset = dtype(offset)
        np.testing.assert_allclose(kl(x + offset, y), expected, rtol=tolerance(dtype))
        np.testing.assert_allclose(kl(x, y + offset), expected, rtol=tolerance(dtype))
        np.testing.assert_allclose(kl(x + offset, y - offset), expected, rtol=tolerance(dtype))
        assert (kl(x, x + offset) <= 1e-40).all()


def test_offsets_far_beyond_the_other_row():
    x, y = np.full(5, 1e17), np.arange(5) / 7
    assert relative_error(kl(x, y), exact(x, y)) <= 1e-13
    assert relative_error(kl(y, -1e280 * np.ones(5)), exact(y, np.zeros(5))) <= 1e-13
    smallest = np.finfo(float).min * np.ones(5)
    assert relative_error(kl(smallest, y), exact(np.zeros(5), y)) <= 1e-13
    assert relative_error(kl(y, smallest), exact(y, np.zeros(5))) <= 1e-13


@pytest.mark.parametrize("dtype", [*DTYPES, np.float16])
@pytest.mark.parametrize("length", [3, 40, 2500])
def test_zero_bins(length, dtype):
    x, y = (np.random.default_rng(length).normal(size=(2, length))).astype(dtype)
    x[1] = -INF
    assert np.isfinite(kl(x, y))
    assert kl(y, x) == INF
    assert kl(y, x, normalize=False) == INF
    y[1] = -INF
    others = np.arange(length) != 1
    np.testing.assert_allclose(kl(x, y), kl(x[others], y[others]), rtol=1e-6)
    one_hot, other = np.full(length, -INF), np.full(length, -INF)
    one_hot[1], other[2] = 7, 7
    assert kl(one_hot, one_hot + 1) == 0
    assert kl(one_hot, other) == INF
    spread = np.zeros(length)
    np.testing.assert_allclose(kl(one_hot, spread), np.log(length), rtol=1e-14)
    assert kl(spread, one_hot) == INF
    # A probability too small for a number is not zero.
    assert kl([0, -1e6, 0], [0, -INF, 0]) == INF


def test_whole_pieces_of_zero_bins():
    x, y = np.random.default_rng(0).normal(size=(2, 4000))
    x[:1500], y[:1100] = -INF, -INF
    assert relative_error(kl(x, y), exact(x, y)) <= 1e-13
    assert kl(y, x) == INF
    np.testing.assert_array_equal(kl(np.full(3000, -INF), np.full(3000, -INF), normalize=False), 0)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
@pytest.mark.parametrize("bad", [np.nan, -np.nan, INF])
@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("length", [3, 40, 2100])
def test_the_message_names_the_argument_the_row_and_the_logit(length, normalize, bad, dtype):
    x, y = np.random.default_rng(0).normal(size=(2, 6, length)).astype(dtype)
    before = kl(x, y, normalize=normalize)
    x[4, 2], x[5, 0] = bad, INF
    message = f"p_logits[4] is not a logit row: bin 2 is {abs(bad)!r}; logits must be -inf or finite and at most 2**960"
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        kl(x, y, normalize=normalize)
    assert "2 of 6 logit rows" in str(caught.value)
    with pytest.raises(ValueError, match=re.escape("q_logits[4] is not a logit row")):
        kl(y, x, normalize=normalize)
    with pytest.raises(ValueError, match=re.escape("p_logits is not a logit row: bin 2 is")):
        kl(x[4], y[4], normalize=normalize)
    got = kl(x, y, normalize=normalize, on_invalid="nan")
    np.testing.assert_array_equal(got[:4], before[:4])
    assert np.isnan(got[4:]).all()


@pytest.mark.parametrize("length", [3, 2100])
def test_rows_without_probability(length):
    x = np.random.default_rng(0).normal(size=(3, length))
    y = x.copy()
    x[1] = -INF
    for dtype in DTYPES:
        with pytest.raises(ValueError, match=re.escape("p_logits[1]") + ".* all its logits are -inf"):
            kl(x.astype(dtype), y.astype(dtype))
        with pytest.raises(ValueError, match=re.escape("q_logits[1]") + ".* all its logits are -inf"):
            kl(y.astype(dtype), x.astype(dtype))
        got = kl(x.astype(dtype), y.astype(dtype), on_invalid="nan")
        np.testing.assert_array_equal(np.isnan(got), [False, True, False])
        assert np.isfinite(kl(x.astype(dtype), y.astype(dtype), normalize=False)).all()


def test_logits_that_are_too_large():
    with pytest.raises(
        ValueError, match=re.escape("bin 1 is 1e+300; logits must be -inf or finite and at most 2**960")
    ):
        kl([0, 1e300], [0, 1])
    assert kl([0, -1e300], [0, 1]) == pytest.approx(np.log(1 + np.e))


def test_other_bad_arguments():
    with pytest.raises(ValueError, match="q_logits has 3 bins, p_logits has 4"):
        kl(np.zeros(4), np.zeros(3))
    with pytest.raises(ValueError, match="it has no bins"):
        kl(np.zeros((3, 0)), np.zeros((3, 0)))
    with pytest.raises(TypeError, match="p_logits has dtype complex128"):
        kl(np.zeros(3, complex), np.zeros(3))
    with pytest.raises(ValueError, match="base"):
        kl([0, 1], [0, 1], base=1)
    with pytest.raises(TypeError, match="normalize"):
        kl([0, 1], [0, 1], normalize="yes")
    with pytest.raises(ValueError, match="on_invalid"):
        kl([0, 1], [0, 1], on_invalid="skip")
    assert kl(np.zeros((0, 5)), np.zeros((0, 5))).shape == (0,)


def batch(rows, bins, dtype):
    """Rows of all kinds, among them invalid ones and ones that single precision leaves."""
    rng = np.random.default_rng([rows, bins])
    pairs = [SAMPLES[i % len(SAMPLES)](rng, bins) for i in range(rows)]
    x, y = (np.array([pair[side] for pair in pairs]) for side in (0, 1))
    x[5::13, -1] = np.nan
    y[7::17] = x[7::17]
    with np.errstate(over="ignore"):
        return x.astype(dtype), y.astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize(("rows", "bins"), [(20_000, 8), (400, 1500), (3, 300_001)])
def test_the_number_of_threads_does_not_matter(rows, bins, normalize, dtype):
    x, y = (np.resize(z, (rows, bins)) for z in batch(min(rows, 60), bins, dtype))
    alone = kl(x, y, threads=1, normalize=normalize, on_invalid="nan")
    for threads in (2, 7, None):
        np.testing.assert_array_equal(kl(x, y, threads=threads, normalize=normalize, on_invalid="nan"), alone)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("bins", [1, 3, 8, 33, 1024, 1025, 2500])
def test_the_size_of_the_batch_and_the_layout_do_not_matter(bins, normalize, dtype):
    x, y = batch(40, bins, dtype)
    options = {"normalize": normalize, "on_invalid": "nan"}
    alone = [kl(a, b, **options) for a, b in zip(x, y, strict=True)]
    np.testing.assert_array_equal(kl(x, y, **options), alone)
    for layout in LAYOUTS.values():
        np.testing.assert_array_equal(kl(layout(x), y, **options), alone)
        np.testing.assert_array_equal(kl(layout(x), layout(y), **options), alone)
    np.testing.assert_array_equal(kl(x.T, y.T.copy(), axis=0, **options), alone)
    cubes = x.reshape(2, 20, bins).transpose(1, 2, 0), y.reshape(2, 20, bins).transpose(1, 2, 0).copy()
    np.testing.assert_array_equal(kl(*cubes, axis=1, **options).T.ravel(), alone)
    crossed = [[kl(a, b, **options) for b in y[:3]] for a in x[:4]]
    np.testing.assert_array_equal(kl(x[:4, None], y[:3], **options), crossed)


@pytest.mark.parametrize("bins", [8, 2100])
def test_every_real_type_is_read_as_it_is(bins):
    x, y = np.random.default_rng(0).integers(0, 100, (2, 7, bins))
    expected = kl(x.astype(float), y.astype(float))
    for code in ("u1", "i2", "u2", "i4", "u4", "i8", "u8", ">i4", ">u2", ">f8"):
        np.testing.assert_array_equal(kl(x.astype(code), y.astype(code)), expected)
    single = kl(x.astype("f4"), y.astype("f4"))
    for code in ("f2", ">f2", ">f4"):
        np.testing.assert_array_equal(kl(x.astype(code), y.astype(code)), single)
    assert single.dtype == np.float32
    mixed = kl(x.astype("f4"), y)
    assert mixed.dtype == np.float64
    np.testing.assert_array_equal(mixed, expected)
    flags, others = x % 2 == 0, y % 2 == 0
    np.testing.assert_array_equal(kl(flags, others), kl(flags.astype(float), others.astype(float)))


def test_options_of_the_result():
    x, y = np.random.default_rng(0).normal(size=(2, 4, 50))
    expected = kl(x, y)
    np.testing.assert_allclose(kl(x, y, base=2), expected / np.log(2), rtol=1e-15)
    np.testing.assert_array_equal(kl(x, y, keepdims=True), expected[:, None])
    np.testing.assert_array_equal(kl(x.T, y.T, axis=0, keepdims=True), expected[None])
    assert kl(x, y, dtype="f4").dtype == np.float32
    out = np.zeros(4, np.float32)
    assert kl(x, y, out=out) is out
    np.testing.assert_array_equal(out, expected.astype("f4"))
    assert isinstance(kl(x[0], y[0]), np.float64)
    np.testing.assert_array_equal(kl(x.tolist(), y.tolist()), expected)


SCRIPT = """
import sys
import numpy as np
from test_logits import batch, kl

answers = {}
for dtype in ("f4", "f8"):
    for bins in (1, 19, 1030):
        x, y = batch(34, bins, dtype)
        for normalize in (True, False):
            options = {"normalize": normalize, "on_invalid": "nan", "threads": 1}
            answers[f"{dtype} {bins} {normalize}"] = kl(x, y, **options)
            answers[f"{dtype} {bins} {normalize} turned"] = kl(np.asfortranarray(x), y, **options)
np.savez(sys.argv[1], **answers)
"""


def test_interpreted_kernels_agree_with_compiled_ones(tmp_path):
    paths = os.pathsep.join([str(PACKAGE.parent), os.path.dirname(__file__)])
    answers = []
    for disabled in ("0", "1"):
        file = tmp_path / f"{disabled}.npz"
        environment = {**os.environ, "NUMBA_DISABLE_JIT": disabled, "PYTHONPATH": paths}
        command = [sys.executable, "-c", SCRIPT, str(file)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        with np.load(file) as loaded:
            answers.append(dict(loaded))
    compiled, interpreted = answers
    assert set(compiled) == set(interpreted)
    for label, answer in compiled.items():
        # Fused multiply-adds are the machine code's own.
        tolerance = {"rtol": 2e-6} if answer.dtype == np.float32 else {"rtol": 1e-12, "atol": 1e-40}
        np.testing.assert_allclose(interpreted[label], answer, **tolerance, err_msg=label)
