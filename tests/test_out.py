"""Where results are written."""

import numpy as np
import pytest

import fastkl


@pytest.fixture
def pq():
    return np.random.default_rng(0).exponential(size=(2, 6, 40))


@pytest.mark.parametrize("dtype", ["f8", "f4", ">f8"])
def test_out_is_filled_and_returned(pq, dtype):
    out = np.zeros(6, dtype)
    assert fastkl.kl_divergence(*pq, out=out) is out
    np.testing.assert_array_equal(out, fastkl.kl_divergence(*pq).astype(dtype))


def test_out_may_have_any_layout_and_the_kept_axis(pq):
    expected = fastkl.kl_divergence(*pq)
    for out in (np.zeros((2, 6))[:, ::-2], np.zeros(18)[::3], np.zeros(6)[::-1]):
        out = out.reshape(-1)[:6] if out.ndim > 1 else out
        assert fastkl.kl_divergence(*pq, out=out) is out
        np.testing.assert_array_equal(out, expected)
    kept = np.zeros((6, 1))
    assert fastkl.kl_divergence(*pq, out=kept, keepdims=True) is kept
    np.testing.assert_array_equal(kept[:, 0], expected)
    single = np.zeros(())
    assert fastkl.kl_divergence(pq[0, 0], pq[1, 0], out=single) is single
    assert single == expected[0]
    grid = np.zeros((6, 6), order="F")
    fastkl.kl_divergence(pq[0][:, None], pq[1], out=grid)
    np.testing.assert_array_equal(grid, [[fastkl.kl_divergence(p, q) for q in pq[1]] for p in pq[0]])


def test_out_may_overlap_the_inputs(pq):
    p, q = pq
    expected = fastkl.kl_divergence(p, q)
    for source in (p, q):
        a, b = p.copy(), q.copy()
        target = (a if source is p else b)[:, 3]
        assert fastkl.kl_divergence(a, b, out=target) is target
        np.testing.assert_array_equal(target, expected)
    weights = np.ones(40)
    fastkl.kl_divergence(p, q, weights=weights, out=weights[2:8])
    np.testing.assert_array_equal(weights[2:8], expected)


@pytest.mark.parametrize("shape", [(5,), (6, 1), (1, 6), (), (7,), (6, 40)])
def test_out_of_another_shape_raises(pq, shape):
    out = np.full(shape, 7.0)
    with pytest.raises(ValueError, match="out"):
        fastkl.kl_divergence(*pq, out=out)
    np.testing.assert_array_equal(out, 7.0)


@pytest.mark.parametrize("dtype", ["i8", "u1", "?", "S8"])
def test_out_that_cannot_hold_a_real_number_raises(pq, dtype):
    out = np.full(6, 1, dtype)
    before = out.copy()
    with pytest.raises(TypeError, match=r"out|cast"):
        fastkl.kl_divergence(*pq, out=out)
    np.testing.assert_array_equal(out, before)


def test_out_that_is_no_array_or_read_only_raises(pq):
    with pytest.raises((TypeError, ValueError), match="out"):
        fastkl.kl_divergence(*pq, out=[0.0] * 6)
    out = np.zeros(6)
    out.flags.writeable = False
    with pytest.raises(ValueError, match=r"read-only|writ"):
        fastkl.kl_divergence(*pq, out=out)


def test_out_is_untouched_by_an_error(pq):
    p, q = pq
    out = np.full(6, 7.0)
    p[5, 39] = -1
    with pytest.raises(ValueError, match="bin 39 is -1"):
        fastkl.kl_divergence(p, q, out=out)
    with pytest.raises(ValueError, match="base"):
        fastkl.kl_divergence(q, q, out=out, base=-1)
    np.testing.assert_array_equal(out, 7.0)
    fastkl.kl_divergence(p, q, out=out, on_invalid="nan")
    np.testing.assert_array_equal(out[:5], fastkl.kl_divergence(p[:5], q[:5]))
    assert np.isnan(out[5])
