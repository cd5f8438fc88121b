"""Who can compute the divergences of sparse rows from one dense row."""

from functools import partial
from typing import Any

import numpy as np

from fastkl.bench import loops
from fastkl.bench.case import Case
from fastkl.bench.contestant import Call, Peer, first_items
from fastkl.bench.frameworks import by_jax, by_torch


def _dense_slices(case: Case) -> Call:
    from scipy.stats import entropy

    rows: Any = case.p
    return lambda: np.array([entropy(rows[[i]].toarray()[0], case.q) for i in range(rows.shape[0])])


def _product(case: Case) -> Call:
    """The rows as a matrix that meets log q."""
    from scipy.sparse import csr_array
    from scipy.special import entr

    p: Any = case.p

    def call() -> Any:
        s = p.sum(axis=1)
        entropies = csr_array((entr(p.data), p.indices, p.indptr), p.shape).sum(axis=1)
        return -(entropies + p @ np.log(case.q)) / s + np.log(case.q.sum() / s)

    return call


def _terms(lib: Any, values: Any, places: Any, q: Any) -> Any:
    return values * lib.log(values / q[places])


def _numpy(case: Case) -> Call:
    p: Any = case.p

    def call() -> Any:
        s = np.add.reduceat(p.data, p.indptr[:-1])
        totals = np.add.reduceat(_terms(np, p.data, p.indices, case.q), p.indptr[:-1])
        return totals / s + np.log(case.q.sum() / s)

    return call


def _torch(case: Case) -> Call:
    p: Any = case.p

    def formula(torch: Any, values: Any, places: Any, pointers: Any, q: Any) -> Any:
        s, totals = (
            torch.segment_reduce(x, "sum", offsets=pointers) for x in (values, _terms(torch, values, places, q))
        )
        return totals / s + torch.log(q.sum() / s)

    return by_torch(formula, case, p.data, p.indices, p.indptr.astype(np.int64), case.q)


def _jax(case: Case) -> Call:
    from jax.ops import segment_sum

    p: Any = case.p
    sums = partial(segment_sum, num_segments=p.shape[0], indices_are_sorted=True)

    def formula(jnp: Any, values: Any, places: Any, rows: Any, q: Any) -> Any:
        s = sums(values, rows)
        return sums(_terms(jnp, values, places, q), rows) / s + jnp.log(q.sum() / s)

    rows = np.repeat(np.arange(p.shape[0]), np.diff(p.indptr))
    return by_jax(formula, case, p.data, p.indices, rows, case.q)


def _numba(case: Case) -> Call:
    p: Any = case.p
    rows, shared = (p.indptr[:-1], p.indptr[1:]), (p.data, p.indices, case.q)
    return lambda: loops.over_rows(loops.sparse, rows, shared, np.empty(p.shape[0]), case.threads)


def _few_rows(case: Case) -> Case:
    """As much as a loop over rows in Python gets."""
    return case.head(case.items // case.p.shape[0] * 100)


DENSE_SLICES = Peer("scipy, slice by slice", _dense_slices, "scipy", _few_rows)
SPARSE = (
    DENSE_SLICES,
    Peer("scipy.sparse product", _product, "scipy", first_items),
    Peer("numpy reduceat", _numpy, "numpy", first_items),
    Peer("numba loop", _numba, "numba", first_items),
    Peer("torch segment_reduce", _torch, "torch", first_items),
    Peer("jax segment_sum", _jax, "jax", first_items),
)
