"""Small inputs that go through every branch of the kernels; as a script, it saves the answers."""

import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import scipy.sparse
from functions import FUNCTIONS
from reference import ORDERS
from samples import PAIRS

import fastkl


def call(name: str, p: Any, q: Any, **options: Any) -> Any:
    """One of the functions; rows that are invalid give NaN."""
    return FUNCTIONS[name](p, q, on_invalid="nan", threads=1, **options)


def cases() -> Iterator[tuple[str, Any]]:
    """Labels and answers."""
    with np.errstate(all="ignore"):
        for name in FUNCTIONS.keys() - ORDERS.keys():  # those have the kernels of the alpha-divergence
            yield from _rows_of_all_kinds(name)
            yield from _long_rows(name)
            yield from _columns(name)
        yield from _layouts()
        yield from _dtypes()
        yield from _sparse_rows()
        yield from _all_pairs()
        yield from _fits()


def _rows_of_all_kinds(name: str) -> Iterator[tuple[str, Any]]:
    for bins in (1, 19, 41):
        for dtype in ("f8", "f4"):
            rng = np.random.default_rng(bins)
            pairs = np.array([sample(rng, bins) for sample in PAIRS.values()] + [rng.exponential(size=(2, bins))] * 4)
            pairs[:-4] *= 2.0**-20  # no answer overflows: Python's ldexp raises where C's gives infinity
            pairs[-1, 0, -1], pairs[-2, 1, 0], pairs[-3, 0], pairs[-4, 1, -1] = np.nan, -1, 0, 0
            p, q = pairs[:, 0].astype(dtype), pairs[:, 1].astype(dtype)
            weights = rng.exponential(size=bins) * (np.arange(bins) != 2)
            for normalize in (True, False):
                label = f"{name} {bins} {dtype} {normalize}"
                yield label, call(name, p, q, normalize=normalize)
                yield f"{label} weights", call(name, p, q, normalize=normalize, weights=weights)
                yield f"{label} pseudocount", call(name, p, q, normalize=normalize, pseudocount=0.5)
                both = {"pseudocount": 0.5, "weights": weights, "base": 2}
                yield f"{label} both", call(name, p, q, normalize=normalize, **both)


def _long_rows(name: str) -> Iterator[tuple[str, Any]]:
    rng = np.random.default_rng(0)
    p, q = rng.exponential(size=(2, 3, 2100))
    p[1, 2050], q[2, 2090] = 5e-324, 0
    q[0, :2048] = p[0, :2048]
    for normalize in (True, False):
        yield f"{name} long {normalize}", call(name, p, q, normalize=normalize)
        yield f"{name} long f4 {normalize}", call(name, p.astype("f4"), q.astype("f4"), normalize=normalize)
        turned = [np.tile(x[:, -1060:], (3, 1)).T.copy() for x in (p, q)]  # as many rows as are staged
        turned[0][7, 5] = np.nan
        yield f"{name} long, turned {normalize}", call(name, *turned, axis=0, normalize=normalize)
    p[0, :2048], q[1, :2048] = 0, 0
    yield f"{name} long, empty pieces", call(name, p, q)


def _columns(name: str) -> Iterator[tuple[str, Any]]:
    # Some lanes have four bins, or all of them fewer.
    for dtype, bins in (("f8", 51), ("f8", 17), ("f4", 99), ("f4", 17)):
        p, q = np.random.default_rng(bins).exponential(size=(2, bins, 33)).astype(dtype)
        many = {"many": (p, q), "one p": (p[:, :1], q), "one q": (p, q[:, 3].copy())}
        for label, (x, y) in many.items():
            for normalize in (True, False):
                yield (
                    f"{name} columns {bins} {dtype} {label} {normalize}",
                    call(name, x, y, axis=0, normalize=normalize),
                )
        p[1, 2], q[2, 5], p[0, 7], p[:, 8], q[3, 9], p[4, 10] = np.nan, -1, 1e-40, 0, 0, 1e30
        for normalize in (True, False):
            yield f"{name} columns {bins} {dtype} odd {normalize}", call(name, p, q, axis=0, normalize=normalize)
    for dtype in ("f8", "f4"):
        p, q = np.random.default_rng(3).exponential(size=(2, 2, 3, 130)).astype(dtype)  # in blocks
        p[0, 1, 100], q[0, 2, 40] = np.nan, -1
        for normalize in (True, False):
            yield f"{name} blocks {dtype} {normalize}", call(name, p, q, axis=1, normalize=normalize)
            yield (
                f"{name} blocks {dtype} one p {normalize}",
                call(name, p[:, :, 5:6], q, axis=1, normalize=normalize),
            )


def _layouts() -> Iterator[tuple[str, Any]]:
    p, q = np.random.default_rng(0).exponential(size=(2, 19, 41))
    for label, x in {
        "turned": np.asfortranarray(p),
        "turned and reversed": np.asfortranarray(p[::-1, ::-1])[::-1, ::-1],
        "strided": np.repeat(p, 2, axis=1)[:, ::2],
        "strided and turned": np.repeat(np.asfortranarray(p), 2, axis=0)[::2],
        "other precision, turned": np.asfortranarray(p.astype("f4")),
    }.items():
        yield label, fastkl.kl_divergence(x, q, threads=1)
        yield f"{label}, both", fastkl.kl_divergence(x, x[::-1], threads=1)
        yield f"{label}, one against many", fastkl.kl_divergence(x, x[3], threads=1)
        yield f"{label}, short", fastkl.kl_divergence(x[:, :9], q[:, :9], threads=1)
        yield f"{label}, crossed", fastkl.kl_divergence(x[:, None], q[:5], threads=1)
        yield f"{label}, other axis", fastkl.kl_divergence(x, q, axis=0, threads=1)


def _dtypes() -> Iterator[tuple[str, Any]]:
    counts = np.random.default_rng(0).integers(1, 100, (5, 37))
    special = np.array([[0.5, 6e-8, 6.1e-5, 65504, 0], [1, np.inf, 1, 1, 1], [1, np.nan, 1, 1, 1], [1, -1, 1, 1, 1]])
    for code in ("i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8"):
        for order in "<>":
            dtype = order + code
            x = counts.astype(dtype)
            yield dtype, fastkl.kl_divergence(x, x[:, ::-1], threads=1)
            yield f"{dtype} against f4", fastkl.kl_divergence(x, x.astype("f4")[0], threads=1)
            if code[0] == "f":
                yield (
                    f"{dtype} special",
                    fastkl.kl_divergence(special.astype(dtype), np.ones(5, dtype), on_invalid="nan"),
                )
    yield "bool", fastkl.kl_divergence(counts % 3 > 0, counts, threads=1)


def _sparse_rows() -> Iterator[tuple[str, Any]]:
    rng = np.random.default_rng(3)
    p, q = rng.exponential(size=(2, 9, 40)) * (rng.random((2, 9, 40)) < 0.4)
    p[0], q[1], p[2, 3], q[3, 4], p[4, :] = 0, 0, -1, np.nan, q[4]
    p[5, 0], q[6, 0], p[7, 39] = 5e-324, 1e300, 1e-200
    for dtype in ("f8", "f4", "i8"):
        with np.errstate(all="ignore"):
            x, y = (np.nan_to_num(rows).astype(dtype) if dtype == "i8" else rows.astype(dtype) for rows in (p, q))
        sparse = scipy.sparse.csr_array(x), scipy.sparse.csr_array(y)
        for name in ("kl_divergence", "cross_entropy", "js_divergence"):
            for normalize in (True, False):
                for label, left, right in (
                    ("both", *sparse),
                    ("q dense", sparse[0], y[8]),
                    ("p dense", x[8], sparse[1]),
                ):
                    for c in (0.0, 0.5):
                        answer = call(name, left, right, normalize=normalize, pseudocount=c)
                        yield f"sparse {name} {dtype} {normalize} {label} {c}", answer


def _all_pairs() -> Iterator[tuple[str, Any]]:
    rng = np.random.default_rng(4)
    x, y = rng.exponential(size=(2, 20, 23)) * (rng.random((2, 20, 23)) < 0.97)
    x[0], x[1, 1], x[2, 2], x[3, 3], y[4, 4], y[5] = 0, -1, 5e-324, 1e-300, 1e-310, x[6]
    y[7, :], y[7, 5] = 1e-18, 1.0
    for divergence in ("kl", "reverse_kl", "jeffreys", "js", "cross_entropy"):
        for dtype in ("f8", "f4"):
            for normalize in (True, False):
                options = {"divergence": divergence, "normalize": normalize, "on_invalid": "nan", "threads": 1}
                a, b = x.astype(dtype), y.astype(dtype)
                label = f"{divergence} {dtype} {normalize}"
                yield f"pairwise {label}", fastkl.pairwise(a, b, **options)
                divergences, indices = fastkl.nearest(a, np.tile(b, (5, 1)), 7, **options)
                yield f"nearest {label}", divergences
                yield f"indices {label}", indices


def _fits() -> Iterator[tuple[str, Any]]:
    p = np.random.default_rng(5).exponential(size=(5, 70)) + 0.1
    p[1, :30], p[2, 3], p[3] = 0, -1, 0
    p[4, :] = 0
    p[4, 40] = 1
    edges = np.concatenate([np.linspace(-3, 4, 67), [6.0, 9.0, 15.0, 40.0]])  # narrow bins, and wide ones
    grids = {
        "norm": {"loc": np.linspace(-4, 5, 7), "scale": [0.02, 0.5, 2.0]},
        "gamma": {"a": [0.9, 3.0], "scale": [0.5, 2.0], "loc": [-3.5]},
        "expon": {"scale": np.linspace(0.1, 9, 600), "loc": [-3.1]},
    }
    for family, grid in grids.items():
        for kind in ({"edges": edges}, {"points": edges[1:]}):
            for objective in ("forward", "reverse", 0.4):
                options = {"family": family, "grid": grid, "objective": objective, "on_invalid": "nan", "threads": 1}
                label = f"fit {family} {list(kind)} {objective}"
                found = fastkl.fit(p, refine=False, **kind, **options)
                yield label, found.divergence
                yield f"{label}, index", found.grid_index
                yield f"{label}, minima", fastkl.fit(p, refine=False, minima=2, **kind, **options).divergence
                if family == "norm":
                    yield f"{label}, refined", fastkl.fit(p, pseudocount=0.1, **kind, **options).divergence


if __name__ == "__main__":
    np.savez(sys.argv[1], **{label: np.asarray(answer) for label, answer in cases()})
