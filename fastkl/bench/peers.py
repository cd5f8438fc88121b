"""Who can compute a row-wise divergence: fastkl, the read floor beneath it, and the libraries people use instead.

Each is used in the fastest form that gives the right answer, on all threads it can use; arrays are handed over before
the clock runs. A library is imported when its turn comes; without it the others go on.
"""

from typing import Any

import numpy as np

from fastkl.bench import floor, loops, numkong_rows
from fastkl.bench.case import Case
from fastkl.bench.contestant import Call, Peer, Unsuitable, first_items, same
from fastkl.bench.frameworks import by_jax
from fastkl.bench.truth import ALPHA

__all__ = ["FASTKL", "FLOOR", "JAX", "KL", "NUMKONG", "SCIPY", "Call", "Peer", "Unsuitable", "same"]


def _fastkl(case: Case) -> Call:
    import fastkl

    p, q = case.p, case.q
    options: dict[str, Any] = {"axis": case.axis, "normalize": case.normalize, "threads": case.threads}
    if case.divergence in ("alpha", "renyi"):
        options["alpha"] = ALPHA
    if case.divergence == "both":
        return lambda: fastkl.kl_divergences(p, q, **options)[0]
    functions: dict[str, Any] = {
        "kl": fastkl.kl_divergence,
        "js": fastkl.js_divergence,
        "jeffreys": fastkl.jeffreys_divergence,
        "alpha": fastkl.alpha_divergence,
        "renyi": fastkl.renyi_divergence,
        "logits": fastkl.kl_divergence_from_logits,
    }
    function = functions[case.divergence]
    return lambda: function(p, q, **options)


def _of_shares(totals: Any, case: Case) -> Any:
    """The divergence, of the sums of p log(p / q): scaling all bins first takes more memory and longer."""
    if not case.normalize:
        return totals
    s, t = (array.sum(axis=case.axis, dtype=totals.dtype) for array in (case.p, case.q))
    return totals / s + np.log(t / s)


def _numpy(case: Case) -> Call:
    p, q, is_empty = case.p, case.q, case.p == 0 if case.has_zeros else None

    def call() -> Any:
        with np.errstate(divide="ignore", invalid="ignore"):
            terms = p / q
            np.log(terms, out=terms)
            terms *= p
        if is_empty is not None:
            terms[is_empty] = 0
        return _of_shares(terms.sum(axis=case.axis), case)

    return call


def _scipy_entropy(case: Case) -> Call:
    from scipy.stats import entropy

    return lambda: entropy(case.p, case.q, axis=case.axis)


def _rel_entr(case: Case) -> Call:
    from scipy.special import rel_entr

    dtype = case.p.dtype if case.p.dtype.kind == "f" else np.float64
    return lambda: _of_shares(rel_entr(case.p, case.q, dtype=dtype).sum(axis=case.axis), case)


def _numexpr(case: Case) -> Call:
    import numexpr

    names = {"p": case.p, "q": case.q}
    term = "where(p > 0, p * log(p / q), 0.0)" if case.has_zeros else "p * log(p / q)"

    def call() -> Any:
        numexpr.set_num_threads(case.threads)
        # Its own sum() runs on one thread, and it is slow at broadcasting totals.
        return _of_shares(numexpr.evaluate(term, names).sum(axis=case.axis), case)

    return call


def _torch(case: Case) -> Call:
    import torch

    axis = case.axis
    p, q = torch.from_numpy(case.p), torch.from_numpy(case.q)

    def call() -> Any:
        torch.set_num_threads(case.threads)
        x, y = (array if array.is_floating_point() else array.double() for array in (p, q))
        # In place: it gets new memory from the system for each array, and nn.functional.kl_div takes many.
        terms = (x / y).log_().mul_(x)
        totals = (torch.where(x > 0, terms, 0) if case.has_zeros else terms).sum(axis)
        if not case.normalize:
            return totals
        s, t = x.sum(axis), y.sum(axis)
        return totals / s + torch.log(t / s)

    return call


def _jax(case: Case) -> Call:
    axis = case.axis

    def divergence(jnp: Any, p: Any, q: Any) -> Any:
        if case.normalize:
            p, q = p / p.sum(axis, keepdims=True), q / q.sum(axis, keepdims=True)
        terms = p * jnp.log(p / q)  # jax.scipy.special.rel_entr takes ten times as long
        if case.has_zeros:
            terms = jnp.where(p > 0, terms, 0)
        return terms.sum(axis)

    return by_jax(divergence, case, case.p, case.q)


def _numba(case: Case) -> Call:
    q = np.moveaxis(case.q, case.axis, -1)
    p = np.broadcast_to(case.p if case.p.ndim == 1 else np.moveaxis(case.p, case.axis, -1), q.shape)
    p, q = np.atleast_2d(p, q)
    loop = loops.kl_normalized if case.normalize else loops.kl
    return lambda: loops.over_rows(loop, (p, q), (), np.empty(len(q)), case.threads)


FLOOR = Peer("read floor", floor.bind, rtol=None)
FASTKL = Peer("fastkl", _fastkl, "fastkl")
SCIPY = Peer("scipy.stats.entropy", _scipy_entropy, "scipy", first_items)
JAX = Peer("jax", _jax, "jax")
# It adds 1e-15 to every bin, 1e-7 in single precision, which tells where bins are many and small.
NUMKONG = Peer("numkong", numkong_rows.bind, "numkong", rtol=(1e-5, 0.1))

KL = (
    FLOOR,
    FASTKL,
    SCIPY,
    Peer("scipy rel_entr().sum()", _rel_entr, "scipy", first_items),
    Peer("numpy", _numpy, "numpy", first_items),
    Peer("numba loop", _numba, "numba", first_items),
    Peer("numexpr", _numexpr, "numexpr", first_items),
    Peer("torch", _torch, "torch", first_items),
    JAX,
    NUMKONG,
)
