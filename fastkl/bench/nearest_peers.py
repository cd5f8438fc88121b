"""Who else can find the nearest rows: the matrix, some rows of p at a time, and the k smallest of each of its rows."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from fastkl.bench.case import Case
from fastkl.bench.contestant import Call, Peer
from fastkl.bench.frameworks import as_arrays, by_jax, by_torch
from fastkl.bench.pairs import CDIST_CALLABLE, PairsCase, few_pairs, metric_of, on_threads, scaled
from fastkl.bench.pairs_peers import numba_pairs

_Array = npt.NDArray[Any]


def _smallest(matrix: _Array, k: int) -> tuple[_Array, _Array]:
    """By NumPy: the k smallest of each row, ascending, and where they are."""
    indices = np.argpartition(matrix, k - 1, axis=1)[:, :k]
    values = np.take_along_axis(matrix, indices, axis=1)
    order = np.argsort(values, axis=1)
    return np.take_along_axis(values, order, axis=1), np.take_along_axis(indices, order, axis=1)


def _of_matrix(bind: Callable[[Case], Call]) -> Callable[[Case], Call]:
    def bind_nearest(case: Case) -> Call:
        assert isinstance(case, PairsCase)
        matrix, k = bind(case), case.k
        return lambda: _smallest(matrix(), k)

    return bind_nearest


def _by_product(lib: Any, p: Any, log_q: Any) -> Any:
    """What is done once for all rows of p, the logarithms of q, is done before the clock runs: p is a sample."""
    p = p / p.sum(1)[:, None]
    return (p * lib.log(p)).sum(1)[:, None] - p @ log_q.T


def _numpy(case: Case) -> Call:
    assert isinstance(case, PairsCase)
    p, log_q, k = case.p, np.log(scaled(case)[1]), case.k
    return on_threads(case.threads, lambda: _smallest(_by_product(np, p, log_q), k))


def _torch(case: Case) -> Call:
    assert isinstance(case, PairsCase)
    k = case.k

    def formula(torch: Any, p: Any, log_q: Any) -> Any:
        return torch.topk(_by_product(torch, p, log_q), k, largest=False)

    call = by_torch(formula, case, case.p, np.log(scaled(case)[1]))
    return lambda: as_arrays(call())


def _jax(case: Case) -> Call:
    from jax.lax import top_k

    assert isinstance(case, PairsCase)
    k = case.k

    def formula(jnp: Any, p: Any, log_q: Any) -> Any:
        values, indices = top_k(-_by_product(jnp, p, log_q), k)
        return -values, indices

    call = by_jax(formula, case, case.p, np.log(scaled(case)[1]))
    return lambda: as_arrays(call())


def _sklearn(case: Case) -> Call:
    from sklearn.neighbors import NearestNeighbors

    assert isinstance(case, PairsCase)
    p, q = scaled(case)
    nearest = NearestNeighbors(n_neighbors=case.k, algorithm="brute", metric=metric_of(case.divergence)).fit(q)
    return lambda: nearest.kneighbors(p)


def _up_to(rows: int) -> Callable[[Case], Case]:
    return lambda case: case.head(case.q.size * rows)


_some_rows, _few_rows = _up_to(100), _up_to(8)
NEAREST = (
    Peer("cdist of rel_entr, argpartition", _of_matrix(CDIST_CALLABLE.bind), "scipy", few_pairs, (1e-6, 1e-2)),
    Peer("scikit-learn NearestNeighbors", _sklearn, "scikit-learn", few_pairs, (1e-6, 1e-2)),
    Peer("numba loop, argpartition", _of_matrix(numba_pairs), "numba", few_pairs, (1e-6, 1e-2)),
    Peer("numpy product, argpartition", _numpy, "numpy", _some_rows),
    Peer("torch product, topk", _torch, "torch", _some_rows),
    Peer("jax product, top_k", _jax, "jax", _few_rows),  # top_k sorts
)
# A product has no correct digit near 0, where each row finds itself.
NEAREST_OF_SELF = tuple(replace(peer, rtol=(math.inf, math.inf)) for peer in NEAREST)
