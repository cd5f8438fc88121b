"""Histograms of many kinds, and one array in many layouts."""

import tempfile
from typing import Any

import numpy as np

_Array = np.ndarray[Any, Any]
Pair = tuple[_Array, _Array]

LENGTHS = [1, 2, 8, 31, 32, 33, 256, 1024, 1025, 2048, 2049, 10_000]


def _ordinary(rng: np.random.Generator, n: int) -> Pair:
    return rng.exponential(size=n), rng.exponential(size=n)


def _half_zero(rng: np.random.Generator, n: int) -> Pair:
    p, q = _ordinary(rng, n)
    return p * (rng.random(n) < 0.5), q


def _counts(rng: np.random.Generator, n: int) -> Pair:
    return rng.integers(0, 10**6, n) + 1.0, rng.exponential(size=n) / n


def _all_magnitudes(rng: np.random.Generator, n: int) -> Pair:
    return 10.0 ** rng.uniform(-300, 300, n), 10.0 ** rng.uniform(-300, 300, n)


def _subnormal(rng: np.random.Generator, n: int) -> Pair:
    return rng.integers(1, 10**6, n) * 5e-324, rng.integers(1, 10**9, n) * 5e-324


def _huge(rng: np.random.Generator, n: int) -> Pair:
    return rng.uniform(0.1, 1, n) * 1.7e306 / n, rng.uniform(0.1, 1, n) * 1.7e306 / n


def _equal_huge_with_different_tiny(rng: np.random.Generator, n: int) -> Pair:
    p = 10.0 ** rng.uniform(250, 300, n)
    q = p.copy()
    tiny = np.arange(n) % 3 == 0
    p[tiny], q[tiny] = 10.0 ** rng.uniform(-300, -250, (2, np.count_nonzero(tiny)))
    return p, q


def _ordinary_with_one_subnormal(rng: np.random.Generator, n: int) -> Pair:
    p, q = _ordinary(rng, n)
    p[n // 2] = 5e-324
    return p, q


def tiny_beside_ordinary(rng: np.random.Generator, n: int, least: float = -323.0) -> Pair:
    """Bins from 10^``least`` to 10^-20 and zeros, minus zeros among them, beside ordinary ones, which tell the sum."""
    p, q = _ordinary(rng, n)
    for x in (p, q):
        tiny = rng.random(n) < 0.4
        x[tiny] = 10.0 ** rng.uniform(least, -20, np.count_nonzero(tiny))
    p[rng.random(n) < 0.2] = 0.0
    p[rng.random(n) < 0.1] = -0.0
    return p, q


def _far_apart(rng: np.random.Generator, n: int) -> Pair:
    p, q = _ordinary(rng, n)
    return p * 1e-200, q * 1e200


PAIRS = {
    sample.__name__.removeprefix("_"): sample
    for sample in [
        _ordinary,
        _half_zero,
        _counts,
        _all_magnitudes,
        _subnormal,
        _huge,
        _equal_huge_with_different_tiny,
        _ordinary_with_one_subnormal,
        tiny_beside_ordinary,
        _far_apart,
    ]
}


def near(rng: np.random.Generator, n: int, distance: float) -> Pair:
    """Two histograms whose bins agree to about ``distance``."""
    p = rng.exponential(size=n) + 0.01
    return p, p * (1 + distance * rng.uniform(-1, 1, n))


def _strided_bins(x: _Array) -> _Array:
    out = np.zeros((x.shape[0], 3 * x.shape[1]), x.dtype)[:, 1::3]
    out[...] = x
    return out


def _strided_rows(x: _Array) -> _Array:
    out = np.zeros((2 * x.shape[0], x.shape[1] + 5), x.dtype)[::2, 3 : 3 + x.shape[1]]
    out[...] = x
    return out


def _read_only(x: _Array) -> _Array:
    out = x.copy()
    out.flags.writeable = False
    return out


def _memmap(x: _Array) -> _Array:
    with tempfile.TemporaryFile() as file:
        out = np.memmap(file, x.dtype, shape=x.shape)
    out[...] = x
    return out


def _field_of_records(x: _Array) -> _Array:
    out = np.zeros(x.shape, [("flag", "u1"), ("value", x.dtype), ("rest", "u2")])
    out["value"] = x
    return out["value"]


def _misaligned(x: _Array) -> _Array:
    out = np.frombuffer(bytearray(x.nbytes + 1), x.dtype, offset=1).reshape(x.shape)
    out[...] = x
    return out


LAYOUTS = {
    "C": np.ascontiguousarray,
    "Fortran": np.asfortranarray,
    "strided bins": _strided_bins,
    "strided rows": _strided_rows,
    "strided bins, turned": lambda x: _strided_bins(x.T.copy()).T,
    "reversed bins": lambda x: x[:, ::-1].copy()[:, ::-1],
    "reversed rows": lambda x: x[::-1].copy()[::-1],
    "reversed, turned": lambda x: np.asfortranarray(x[::-1, ::-1])[::-1, ::-1],
    "read-only": _read_only,
    "memmap": _memmap,
    "field of records": _field_of_records,
    "misaligned": _misaligned,
}
