"""The same histograms give the same bits, whatever stands around them."""

import numpy as np
import pytest
from functions import FUNCTIONS, call
from samples import LAYOUTS, PAIRS

import fastkl


def batch(rows, bins, dtype, seed=0):
    """Rows of all kinds: ordinary ones among those that the fast loops leave to the careful ones, and invalid ones."""
    rng = np.random.default_rng([rows, bins, seed])
    kinds = list(PAIRS.values())
    few = [kinds[i % len(kinds)](rng, bins) for i in range(min(rows, 60))]
    x = np.array([few[i][0] if i < len(few) else rng.exponential(size=bins) for i in range(rows)])
    y = np.array([few[i][1] if i < len(few) else rng.exponential(size=bins) for i in range(rows)])
    x[::7, 0], y[::11, 0] = 0, 0
    x[5::13, -1] = np.nan
    with np.errstate(over="ignore"):
        return x.astype(dtype), y.astype(dtype)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize(("rows", "bins"), [(40_000, 8), (1500, 256), (60, 5000), (2, 300_001)])
def test_the_number_of_threads_does_not_matter(rows, bins, name, dtype):
    x, y = batch(rows, bins, dtype)
    for normalize in (True, False):
        alone = call(name, x, y, threads=1, normalize=normalize, on_invalid="nan")
        for threads in (2, 7):
            got = call(name, x, y, threads=threads, normalize=normalize, on_invalid="nan")
            np.testing.assert_array_equal(got, alone)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("bins", [1, 2, 5, 31, 32, 33, 100, 257, 1024, 1025, 2049])
def test_the_size_of_the_batch_does_not_matter(bins, name, dtype):
    x, y = batch(67, bins, dtype)
    for normalize in (True, False):
        options = {"normalize": normalize, "on_invalid": "nan"}
        alone = [call(name, a, b, **options) for a, b in zip(x, y, strict=True)]
        np.testing.assert_array_equal(call(name, x, y, **options), alone)
        for size in (1, 2, 3, 7, 8, 9, 33):
            parts = [call(name, x[i : i + size], y[i : i + size], **options) for i in range(0, 67, size)]
            np.testing.assert_array_equal(np.concatenate(parts), alone)
        turned = x.T.copy(), y.T.copy()
        for size in (1, 3, 8, 15, 16, 17, 31, 67):
            parts = [call(name, *(z[:, i : i + size] for z in turned), axis=0, **options) for i in range(0, 67, size)]
            np.testing.assert_array_equal(np.concatenate(parts), alone)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])  # 0 and 1 have another term
def test_neither_layout_nor_weights_of_one_nor_empty_bins_matter_to_alpha(alpha, dtype):
    rng = np.random.default_rng(7)
    x = rng.random((300, 60)).astype(dtype)
    y = (rng.random((300, 60)) * np.exp(rng.normal(size=(300, 60)))).astype(dtype)
    rows = fastkl.alpha_divergence(x, y, alpha, normalize=False)
    padded = [np.pad(z, ((0, 0), (0, 68))) for z in (x, y)]
    for p, q in ((x, y), padded):
        columns = fastkl.alpha_divergence(p.T.copy(), q.T.copy(), alpha, axis=0, normalize=False)
        weighed = fastkl.alpha_divergence(p, q, alpha, normalize=False, weights=np.ones(p.shape[1], dtype))
        np.testing.assert_array_equal(fastkl.alpha_divergence(p, q, alpha, normalize=False), rows)
        np.testing.assert_array_equal(columns, rows)
        np.testing.assert_array_equal(weighed, rows)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.uint16])
@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize(("rows", "bins"), [(70, 1), (70, 8), (70, 40), (300, 300), (40, 2100)])
def test_the_layout_does_not_matter(rows, bins, name, dtype):
    if dtype == np.uint16:
        x, y = np.random.default_rng(0).integers(0, 60000, (2, rows, bins)).astype(dtype)
    else:
        x, y = batch(rows, bins, dtype)
    for normalize in (True, False):
        options = {"normalize": normalize, "on_invalid": "nan"}
        expected = call(name, x, y, **options)
        for layout in LAYOUTS.values():
            np.testing.assert_array_equal(call(name, layout(x), layout(y), **options), expected)
            np.testing.assert_array_equal(call(name, x, layout(y), **options), expected)
        np.testing.assert_array_equal(call(name, x.T, y.T, axis=0, **options), expected)
        np.testing.assert_array_equal(call(name, x.T.copy(), y.T, axis=0, **options), expected)
        cubes = x.reshape(2, -1, bins).transpose(1, 2, 0), y.reshape(2, -1, bins).transpose(1, 2, 0).copy()
        np.testing.assert_array_equal(call(name, *cubes, axis=1, **options).T.ravel(), expected)
        slabs = [z.reshape(2, -1, bins).transpose(0, 2, 1).copy() for z in (x, y)]
        np.testing.assert_array_equal(call(name, *slabs, axis=1, **options).ravel(), expected)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
@pytest.mark.parametrize("name", ["kl_divergence", "js_divergence", "alpha_divergence 0.3"])
@pytest.mark.parametrize("neighbours", [33, 63, 64, 65, 100, 130, 200, 1000])  # one block of them, several, many
def test_the_number_of_rows_side_by_side_does_not_matter(neighbours, name, dtype):
    x, y = (z.reshape(3, neighbours, 41) for z in batch(3 * neighbours, 41, dtype))
    p, q = (z.swapaxes(1, 2).copy().swapaxes(1, 2) for z in (x, y))
    cut = np.s_[:, 3:]  # begins within a vector
    for normalize in (True, False):
        options = {"normalize": normalize, "on_invalid": "nan"}
        for a, b, expected in (
            (p, q, call(name, x, y, **options)),
            (p[:, :1], q, call(name, x[:, :1], y, **options)),
            (p, q[:1, 2:3], call(name, x, y[:1, 2:3], **options)),
            (p[cut], q[cut], call(name, x[cut], y[cut], **options)),
        ):
            for threads in (1, 2):
                np.testing.assert_array_equal(call(name, a, b, threads=threads, **options), expected)


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("neighbours", [40, 130, 700])
def test_nothing_is_read_beside_the_operands(neighbours, normalize, run_python):
    # Pages before and after each that can't be read: a process that tries ends.
    code = f"""
import ctypes, mmap
import numpy as np
import fastkl

def fenced(x):
    page, libc = mmap.PAGESIZE, ctypes.CDLL(None, use_errno=True)
    size = -(-x.nbytes // page) * page
    memory = mmap.mmap(-1, size + 2 * page)
    first = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    for fence in (first, first + page + size):
        assert libc.mprotect(ctypes.c_void_p(fence), ctypes.c_size_t(page), 0) == 0
    y = np.frombuffer(memory, x.dtype, x.size, page + size - x.nbytes).reshape(x.shape)
    y[...] = x
    return y

rng = np.random.default_rng(0)
for dtype in ("f8", "f4", "f2"):
    q = fenced(rng.random((2, 50, {neighbours})).astype(dtype))
    for shape in ((2, 50, {neighbours}), (2, 50, 1), (1, 50, 1), (1, 50, {neighbours})):
        p = fenced(rng.random(shape).astype(dtype))
        for x, y in ((p, q), (q, p)):
            rows = [np.moveaxis(np.broadcast_to(z, q.shape), 1, -1).copy() for z in (x, y)]
            got = fastkl.kl_divergence(x, y, axis=1, normalize={normalize}, threads=1)
            np.testing.assert_array_equal(got, fastkl.kl_divergence(*rows, normalize={normalize}))
print("done")
"""
    assert run_python(code).split() == ["done"]


@pytest.mark.parametrize("name", [name for name in FUNCTIONS if name != "entropy"])
@pytest.mark.parametrize("bins", [8, 40, 2100])
def test_one_against_many_is_each_against_each(name, bins):
    function = FUNCTIONS[name]
    x, y = batch(70, bins, np.float64)
    p = x[0] + 1
    for options in ({}, {"normalize": False}, {"pseudocount": 0.5}, {"weights": np.arange(bins) + 0.5}):
        options["on_invalid"] = "nan"
        expected = [function(p, row, **options) for row in y]
        np.testing.assert_array_equal(function(p, y, **options), expected)
        np.testing.assert_array_equal(function(np.broadcast_to(p, y.shape), y, **options), expected)
        np.testing.assert_array_equal(function(p, y.T.copy(), axis=0, **options), expected)
        expected = [function(row, p, **options) for row in x]
        np.testing.assert_array_equal(function(x, p, **options), expected)
        np.testing.assert_array_equal(function(x.T.copy(), p, axis=0, **options), expected)
        crossed = function(x[:9, None], y[:5], **options)
        one_by_one = [[function(a, b, **options) for b in y[:5]] for a in x[:9]]
        np.testing.assert_array_equal(crossed, one_by_one)


@pytest.mark.parametrize("bins", [8, 40, 2100])
def test_integers_give_the_bits_of_the_same_floats(bins):
    x, y = np.random.default_rng(0).integers(0, 200, (2, 70, bins))
    x[:, 0], y[:, 1] = 1, 1
    expected = fastkl.kl_divergence(x.astype(float), y.astype(float))
    for dtype in ("u1", "i2", "u2", "i4", "u4", "i8", "u8", ">i4", ">u2", ">f8"):
        np.testing.assert_array_equal(fastkl.kl_divergence(x.astype(dtype), y.astype(dtype)), expected)
    half = fastkl.kl_divergence(x.astype("f2"), y.astype("f2"))
    np.testing.assert_array_equal(half, fastkl.kl_divergence(x.astype("f4"), y.astype("f4")))


def test_repeated_calls_give_the_same_bits():
    x, y = batch(2000, 200, np.float64)
    first = fastkl.kl_divergence(x, y, on_invalid="nan")
    for _ in range(20):
        np.testing.assert_array_equal(fastkl.kl_divergence(x, y, on_invalid="nan"), first)


@pytest.mark.parametrize("bins", [5, 256])
def test_a_pair_is_taken_as_it_lies(bins):
    p, q = np.random.default_rng(bins).random((2, bins))
    expected = fastkl.kl_divergence(np.array([p, p]), np.array([q, q]))[0]
    fixed, written = p.copy(), np.broadcast_arrays(p, q)
    fixed.flags.writeable = False
    odd = np.frombuffer(b"x" + q.tobytes(), np.uint8)[1:].view(np.float64)  # at an odd address
    assert not odd.flags.aligned
    for x, y in ((p, q), (fixed, q), tuple(written), (p, odd), (np.array([q, p])[1], q)):
        assert fastkl.kl_divergence(x, y) == expected
        np.testing.assert_array_equal(fastkl.kl_divergence(x[None], y), [expected], strict=True)
        np.testing.assert_array_equal(fastkl.kl_divergence(x, y[None, None]), [[expected]], strict=True)


@pytest.mark.parametrize("shape", [(5, 5000), (2, 300_000)])
@pytest.mark.parametrize("normalize", [True, False])
def test_it_does_not_matter_in_what_parts_odd_pieces_are_computed(shape, normalize, monkeypatch):
    x, y = np.random.default_rng(0).random((2, *shape))
    x[:, ::700], y[:, 350::900] = 2.0**800, 5e-324  # one thread takes several parts, the last of them not whole
    expected = [function(x, y, normalize=normalize) for function in (fastkl.kl_divergence, fastkl.js_divergence)]
    monkeypatch.setattr("fastkl._engine._LARGEST_CAREFUL_CHUNK", 3 << 10)
    got = [function(x, y, normalize=normalize) for function in (fastkl.kl_divergence, fastkl.js_divergence)]
    np.testing.assert_array_equal(got, expected)
    assert np.isfinite(got).all()
