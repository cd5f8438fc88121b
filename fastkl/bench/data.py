"""The arrays that benchmarks run on, each a function of its shape, type and seed alone.

Functions here are only ever added, never changed: a stored timing means something only as long as its data can be
made again.
"""

import tempfile
from typing import Any

import numpy as np
import numpy.typing as npt

_Array = npt.NDArray[Any]


def positive(rows: int, bins: int, dtype: str, seed: int) -> _Array:
    """Uniform over (0, 1]: no bin is zero, no total is one."""
    values = np.random.default_rng(seed).random((rows, bins), np.dtype(dtype))
    return np.subtract(1, values, out=values)


def histograms(rows: int, bins: int, dtype: str, seed: int) -> _Array:
    """Positive rows that sum to one."""
    values = positive(rows, bins, dtype, seed)
    values /= values.sum(axis=1, keepdims=True)
    return values


def counts(rows: int, bins: int, dtype: str, seed: int) -> _Array:
    """Integers from 1 to 1000."""
    return np.random.default_rng(seed).integers(1, 1001, (rows, bins), np.dtype(dtype))


def two_positive(rows: int, bins: int, dtype: str) -> tuple[_Array, _Array]:
    """p and q to be normalised."""
    return positive(rows, bins, dtype, 1), positive(rows, bins, dtype, 2)


def two_histograms(rows: int, bins: int, dtype: str) -> tuple[_Array, _Array]:
    """p and q that sum to one."""
    return histograms(rows, bins, dtype, 3), histograms(rows, bins, dtype, 4)


def two_counts(rows: int, bins: int, dtype: str) -> tuple[_Array, _Array]:
    """p and q of counts."""
    return counts(rows, bins, dtype, 5), counts(rows, bins, dtype, 6)


def half_zero(rows: int, bins: int, dtype: str) -> tuple[_Array, _Array]:
    """A random half of p's bins zero, half of those in q too; in every tenth row one more bin of q, hence inf."""
    p, q = two_positive(rows, bins, dtype)
    fate = np.random.default_rng(7).integers(0, 4, (rows, bins), np.uint8)
    p[fate < 2] = 0
    q[fate < 1] = 0
    p[:, -1] = 1  # no total is zero, however few the bins
    q[::10, -1] = 0
    q[:, 0] = 1
    return p, q


def columns(rows: int, bins: int, dtype: str) -> tuple[_Array, _Array]:
    """p and q whose histograms are the columns."""
    return positive(bins, rows, dtype, 8), positive(bins, rows, dtype, 9)


def one_against_many(rows: int, bins: int, dtype: str) -> tuple[_Array, _Array]:
    """One p for all q."""
    return positive(1, bins, dtype, 10)[0], positive(rows, bins, dtype, 11)


def one_pair(rows: int, bins: int, dtype: str) -> tuple[_Array, _Array]:
    """One histogram each, 1-D."""
    p, q = two_positive(rows, bins, dtype)
    return p[0], q[0]


def overlapping(rows: int, bins: int, dtype: str) -> tuple[_Array, _Array]:
    """p and q as two windows on one long array, half their length apart: three quarters of the memory, made quickly."""
    half = rows // 2 * bins
    values = np.empty(rows * bins + half, np.dtype(dtype))
    block = positive(1, 1_000_003, dtype, 12)[0]  # a prime length: no shift by whole rows meets itself
    for start in range(0, values.size, block.size):
        values[start : start + block.size] = block[: values.size - start]
    p, q = values[: rows * bins], values[half:]
    return p.reshape(rows, bins), q.reshape(rows, bins)


def near_pairs(rows: int, bins: int, dtype: str) -> tuple[_Array, _Array]:
    """Counts of equal totals: each row of q is that of p with some moved, the first ones few, the last ones nearly all.

    Totals are powers of two, so that the shares are exact, and divergences of equal numbers go from 1e-19 to 1.
    """
    p = np.random.default_rng(17).integers(1 << 41, 1 << 43, (rows, bins))
    p[:, 0] += (1 << 52) - p.sum(1)
    steps = (1 << 41) // 2.0 ** np.linspace(27, 0.01, rows)
    moved = np.tile([1, -1], bins // 2)[: bins - 1 - (bins - 1) % 2]
    q = p.copy()
    q[:, 1 : 1 + len(moved)] += steps.astype(np.int64)[:, None] * moved
    return p.astype(dtype), q.astype(dtype)


def two_supports(rows: int, bins: int, dtype: str) -> tuple[_Array, _Array]:
    """Even rows of p fill one half of the bins, odd ones the other; each row of q one half and some of the other.

    Of all pairs every second one is inf, beside one that is finite.
    """
    p, q = two_positive(rows, bins, dtype)
    rng = np.random.default_rng(20)
    first = np.zeros(bins, bool)
    first[rng.permutation(bins)[: bins // 2]] = True
    spared = rng.random((rows, bins)) < 0.5
    supports = np.where(np.arange(rows)[:, None] % 2 == 0, first, ~first)
    p[~supports] = 0
    q[~supports & ~spared] = 0
    return p, q


def digits(rows: int, bins: int, dtype: str) -> tuple[_Array, _Array]:
    """The first of scikit-learn's 1797 handwritten digits, ink over 64 cells and 0.5 in each; q is p."""
    from sklearn.datasets import load_digits

    images = (load_digits().data[:rows, :bins] + 0.5).astype(dtype)
    return images, images


def queries_and_base(rows: int, bins: int, dtype: str) -> tuple[_Array, _Array]:
    """Ten times as many rows of q as of p."""
    return positive(rows, bins, dtype, 18), positive(10 * rows, bins, dtype, 19)


def two_logits(rows: int, bins: int, dtype: str) -> tuple[_Array, _Array]:
    """p and q of normally distributed logits, in the memory order of a model's output."""
    p, q = (np.random.default_rng(seed).standard_normal((rows, bins), np.dtype(dtype)) for seed in (13, 14))
    return np.multiply(p, 3, out=p), np.multiply(q, 3, out=q)


def sparse_against_one(rows: int, bins: int, dtype: str) -> tuple[Any, _Array]:
    """Rows of 100 counts, each in a bin of its own, against one dense row."""
    from scipy.sparse import csr_array

    generator = np.random.default_rng(15)
    stored = min(100, bins)
    # One bin from each of as many stretches.
    edges = np.linspace(0, bins, stored + 1).astype(np.int32)
    places = generator.integers(edges[:-1], edges[1:], (rows, stored), np.int32)
    values = generator.integers(1, 1001, (rows, stored)).astype(dtype)
    pointers = np.arange(0, values.size + 1, stored, dtype=np.int64)
    return csr_array((values.ravel(), places.ravel(), pointers), shape=(rows, bins)), positive(1, bins, dtype, 16)[0]


def two_modes(rows: int, bins: int, dtype: str) -> tuple[_Array, _Array]:
    """Histograms of two normal modes of random weights, places and widths, with 1e-9 in each bin; and their edges."""
    return _fill_two_modes(np.empty((rows, bins), dtype))


def two_modes_mapped(rows: int, bins: int, dtype: str) -> tuple[_Array, _Array]:
    """The same in a temporary file, mapped anew: none of its pages is memory of this process."""
    with tempfile.TemporaryFile() as file:
        written = np.memmap(file, dtype, "w+", shape=(rows, bins))
        _, edges = _fill_two_modes(written)
        written.flush()
        return np.memmap(file, dtype, "r", shape=(rows, bins)), edges


def _fill_two_modes(p: _Array) -> tuple[_Array, _Array]:
    edges = np.linspace(-8.0, 18.0, p.shape[1] + 1)
    x = 0.5 * (edges[:-1] + edges[1:])
    generator, chunk = np.random.default_rng(21), 1 << 12
    for start in range(0, len(p), chunk):
        part = p[start : start + chunk]
        numbers = generator.uniform([-2.0, 4.0, 0.2, 0.5, 0.5], [2.0, 10.0, 0.8, 1.5, 1.5], (chunk, 5))[: len(part)]
        first, gap, weight, *widths = (column[:, None] for column in numbers.T)
        modes = [np.exp(-0.5 * ((x - loc) / s) ** 2) / s for loc, s in zip((first, first + gap), widths, strict=True)]
        part[:] = weight * modes[0] + (1 - weight) * modes[1] + 1e-9
    return p, edges
