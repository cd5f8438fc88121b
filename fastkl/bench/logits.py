"""Who can compute the divergence of histograms that are given as logits."""

from typing import Any

import numpy as np

from fastkl.bench import loops
from fastkl.bench.case import Case
from fastkl.bench.contestant import Call, Peer, first_items
from fastkl.bench.frameworks import by_jax, by_torch


def _scipy(case: Case) -> Call:
    from scipy.special import log_softmax

    def call() -> Any:
        p, q = log_softmax(case.p, axis=1), log_softmax(case.q, axis=1)
        return (np.exp(p) * (p - q)).sum(axis=1)

    return call


def _numpy(case: Case) -> Call:
    def call() -> Any:
        p, q = (x - x.max(axis=1, keepdims=True) for x in (case.p, case.q))
        weights = np.exp(p)
        s, t = weights.sum(axis=1), np.exp(q).sum(axis=1)
        return np.vecdot(weights, p - q) / s + np.log(t / s)

    return call


def _numba(case: Case) -> Call:
    rows, count = (case.p, case.q), len(case.q)
    return lambda: loops.over_rows(loops.logits, rows, (), np.empty(count), case.threads)


def _numexpr(case: Case) -> Call:
    from numexpr import evaluate, set_num_threads

    def call() -> Any:
        set_num_threads(case.threads)
        p, q = ({"x": x, "top": x.max(axis=1)[:, None]} for x in (case.p, case.q))
        weights = evaluate("exp(x - top)", p)
        s, t = weights.sum(axis=1), evaluate("exp(x - top)", q).sum(axis=1)
        all_of = {"w": weights, "p": p["x"], "q": q["x"], "shift": p["top"] - q["top"]}
        return evaluate("w * (p - q - shift)", all_of).sum(axis=1) / s + np.log(t / s)

    return call


def _torch(case: Case) -> Call:
    def formula(torch: Any, p: Any, q: Any) -> Any:
        log_softmax, kl_div = torch.nn.functional.log_softmax, torch.nn.functional.kl_div
        return kl_div(log_softmax(q, -1), log_softmax(p, -1), reduction="none", log_target=True).sum(-1)

    return by_torch(formula, case, case.p, case.q)


def _jax(case: Case) -> Call:
    from jax.nn import log_softmax

    def formula(jnp: Any, p: Any, q: Any) -> Any:
        p, q = log_softmax(p), log_softmax(q)
        return (jnp.exp(p) * (p - q)).sum(-1)

    return by_jax(formula, case, case.p, case.q)


_RTOL = (1e-11, 1e-3)
TORCH_LOGITS = Peer("torch log_softmax + kl_div", _torch, "torch", rtol=_RTOL)
JAX_LOGITS = Peer("jax", _jax, "jax", rtol=_RTOL)
LOGITS = (
    Peer("scipy log_softmax", _scipy, "scipy", first_items, _RTOL),
    Peer("numpy", _numpy, "numpy", first_items, _RTOL),
    Peer("numba loop", _numba, "numba", first_items, _RTOL),
    Peer("numexpr", _numexpr, "numexpr", first_items, _RTOL),
    TORCH_LOGITS,
    JAX_LOGITS,
)
