"""Who else can compute all pairs: matrix products by hand, loops, and functions that take a metric."""

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from fastkl._threads import for_each_chunk
from fastkl.bench import loops
from fastkl.bench.case import Case
from fastkl.bench.contestant import Call, Peer, Unsuitable
from fastkl.bench.frameworks import by_jax, by_torch
from fastkl.bench.pairs import CDIST_CALLABLE, CDIST_JS, few_pairs, metric_of, on_threads, scaled

_Array = npt.NDArray[Any]


def _kl_by_product(lib: Any, p: Any, q: Any, has_zeros: bool = False) -> Any:
    """The matrix h - p log q by NumPy, torch or JAX; where bins are zero, a second product counts what is inf."""
    p, q = p / p.sum(1)[:, None], q / q.sum(1)[:, None]
    if not has_zeros:
        return (p * lib.log(p)).sum(1)[:, None] - p @ lib.log(q).T
    filled, safe = (lib.where(x > 0, x, 1) for x in (p, q))
    finite = (filled * lib.log(filled)).sum(1)[:, None] - p @ lib.log(safe).T
    outside = (lib.ones_like(p) * (p > 0)) @ (lib.ones_like(q) * (q == 0)).T
    return lib.where(outside > 0, math.inf, finite)


def _jeffreys_by_products(lib: Any, p: Any, q: Any) -> Any:
    p, q = p / p.sum(1)[:, None], q / q.sum(1)[:, None]
    log_p, log_q = lib.log(p), lib.log(q)
    return (p * log_p).sum(1)[:, None] + (q * log_q).sum(1) - p @ log_q.T - log_p @ q.T


def _js_by_rows(lib: Any, p: Any, q: Any) -> Any:
    """One row of p against all of q at a time: the entropy of the mixtures less those of both."""
    p, q = p / p.sum(1)[:, None], q / q.sum(1)[:, None]
    p_terms, q_terms = ((x * lib.log(x)).sum(1) for x in (p, q))
    middles = ((row + q) / 2 for row in p)
    mixed = lib.stack([(m * lib.log(m)).sum(1) for m in middles])
    return (p_terms[:, None] + q_terms) / 2 - mixed


def _formula(case: Case) -> Callable[..., Any]:
    if case.divergence == "kl":
        return partial(_kl_by_product, has_zeros=case.has_zeros)
    return {"jeffreys": _jeffreys_by_products, "js": _js_by_rows}[case.divergence]


def _numpy(case: Case) -> Call:
    formula = _formula(case)
    return on_threads(case.threads, lambda: formula(np, case.p, case.q))


def _torch(case: Case) -> Call:
    return by_torch(_formula(case), case, case.p, case.q)


def _jax(case: Case) -> Call:
    return by_jax(_formula(case), case, case.p, case.q)


def _sklearn(case: Case) -> Call:
    from sklearn.metrics import pairwise_distances

    (p, q), metric = scaled(case), metric_of(case.divergence)
    return lambda: pairwise_distances(p, q, metric=metric)


def numba_pairs(case: Case) -> Call:
    """The loop of these pairs."""
    p, q = scaled(case)
    loop = {"kl": loops.pairs, "js": loops.pairs_js, "jeffreys": loops.pairs_jeffreys}[case.divergence]

    def call() -> _Array:
        return loops.over_rows(loop, (p,), (q,), np.empty((len(p), len(q))), case.threads)

    return call


def _numkong(case: Case) -> Call:
    import numkong

    if case.has_zeros:
        raise Unsuitable("is finite where the divergence is not")
    p, q = scaled(case)
    out = np.empty((len(p), len(q)))
    step = math.ceil(len(p) / case.threads)

    def matrix(rows: _Array) -> Any:
        if case.divergence == "js":  # it has the root
            return np.square(np.asarray(numkong.cdist(rows, q, "jensenshannon")))
        forward = np.asarray(numkong.cdist(rows, q, "kullbackleibler"))
        if case.divergence == "jeffreys":
            return forward + np.asarray(numkong.cdist(q, rows, "kullbackleibler")).T
        return forward

    def part(k: int) -> None:
        rows = slice(k * step, (k + 1) * step)
        if len(p[rows]):
            out[rows] = matrix(p[rows])

    def call() -> Any:
        for_each_chunk(part, case.threads, case.threads)
        return out

    return call


def _up_to(rows: int) -> Callable[[Case], Case]:
    return lambda case: case.head(case.q.size * rows)


def _some(case: Case) -> Case:
    """As much as a loop in compiled code gets."""
    return case.head(1 << 28)


_few, _many = _up_to(8), _up_to(4000)
_LOOSE = (1e-6, 1e-2)
NUMKONG_PAIRS = Peer("numkong cdist", _numkong, "numkong", _some, (1e-5, 0.1))
_LOOPS = (
    Peer("scikit-learn pairwise_distances", _sklearn, "scikit-learn", few_pairs, _LOOSE),
    Peer("numba loop", numba_pairs, "numba", few_pairs, _LOOSE),
    NUMKONG_PAIRS,
)
KL_PAIRS = (
    CDIST_CALLABLE,
    Peer("numpy, h - p log q", _numpy, "numpy", _many),
    Peer("torch, h - p log q", _torch, "torch", _many),
    Peer("jax, h - p log q", _jax, "jax", _many),
    *_LOOPS,
)
# A product has no correct digit near 0, and of rows that differ little rel_entr has none either.
NEAR_PAIRS = tuple(replace(peer, rtol=(math.inf, math.inf)) for peer in KL_PAIRS)
JEFFREYS_PAIRS = (
    CDIST_CALLABLE,
    Peer("numpy, two products", _numpy, "numpy", _many),
    Peer("torch, two products", _torch, "torch", _many),
    Peer("jax, two products", _jax, "jax", _many),
    *_LOOPS,
)
JS_PAIRS = (
    CDIST_JS,
    Peer("numpy, row by row", _numpy, "numpy", _few),
    Peer("torch, row by row", _torch, "torch", _few),
    Peer("jax, row by row", _jax, "jax", _few),
    *_LOOPS,
)
