"""Counts: every width of integers is read as it is, whatever the totals."""

import tracemalloc

import numpy as np
import pytest
from functions import FUNCTIONS, call
from reference import mp

import fastkl

INTEGERS = ["bool", "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64"]


def exact_kl(p, q):
    """Of integers that no double holds."""
    with mp.workdps(60):
        x, y = ([mp.mpf(int(v)) / int(sum(map(int, row))) for v in row] for row in (p, q))
        return mp.fsum(u * mp.log(u / v) for u, v in zip(x, y, strict=True) if u > 0)


@pytest.mark.parametrize("dtype", ["int64", "uint64"])
@pytest.mark.parametrize("length", [2, 7, 50, 1000, 3000])
def test_totals_up_to_2_63(dtype, length):
    rng = np.random.default_rng(length)
    most = 2**63 // length
    p, q = rng.integers(most // 2, most, (2, length), dtype=dtype)
    assert 2**62 <= int(p.sum()) < 2**63
    assert float(abs(fastkl.kl_divergence(p, q) / exact_kl(p, q) - 1)) < 1e-14
    # One bin holds nearly everything, and the others are ones.
    p[:], q[:] = 1, 1
    p[0], q[0], q[1] = 2**62, 2**61, 2**40
    assert float(abs(fastkl.kl_divergence(p, q) / exact_kl(p, q) - 1)) < 1e-14
    assert fastkl.kl_divergence(p, p) == 0.0


@pytest.mark.parametrize("dtype", INTEGERS)
def test_totals_far_beyond_the_width_of_a_bin(dtype):
    most = True if dtype == "bool" else np.iinfo(dtype).max
    p = np.full((3, 70_000), most, dtype)
    p[1, ::3] = 0
    q = np.ones_like(p)
    got = fastkl.kl_divergence(p, q)
    share = np.count_nonzero(p[1]) / p.shape[1]
    np.testing.assert_allclose(got, [0, -np.log(share), 0], rtol=1e-14, atol=0)


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("dtype", INTEGERS)
def test_pseudocount_with_integers_is_that_of_their_values(name, dtype):
    rng = np.random.default_rng(1)
    p, q = rng.integers(0, 2, (2, 40, 30)).astype(dtype)
    got = call(name, p, q, pseudocount=0.5)
    np.testing.assert_array_equal(got, call(name, p.astype(float), q.astype(float), pseudocount=0.5))
    np.testing.assert_allclose(got, call(name, p + 0.5, q + 0.5), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("pseudocount", [0.0, 0.5])
@pytest.mark.parametrize("shape", [(40_000, 200), (300_000, 20), (3, 2_000_000)])
def test_integers_are_never_copied_whole(shape, pseudocount):
    p, q = np.random.default_rng(2).integers(1, 9, (2, *shape), dtype=np.uint8)
    fastkl.kl_divergence(p[:, :100], q[:, :100], pseudocount=pseudocount)
    tracemalloc.start()
    fastkl.kl_divergence(p, q, pseudocount=pseudocount)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    results = 8 * shape[0]
    assert peak < 0.1 * p.size * 8 + 4 * results
