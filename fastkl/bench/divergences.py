"""Who can compute the other divergences of rows: each library in the fastest form that is right.

The rows have no zeros. Formulas that NumPy, torch and JAX share are written once, over whichever of them it is.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from fastkl.bench import loops
from fastkl.bench.case import Case
from fastkl.bench.contestant import Call, Peer, first_items, unable
from fastkl.bench.frameworks import by_jax, by_torch
from fastkl.bench.peers import NUMKONG
from fastkl.bench.truth import ALPHA

_Array = npt.NDArray[Any]
_JS = "p * log(2 * p / (p + q)) + q * log(2 * q / (p + q))"


def _shares(p: Any, q: Any) -> tuple[Any, Any]:
    return p / p.sum(1)[:, None], q / q.sum(1)[:, None]


def _js(lib: Any, p: Any, q: Any) -> Any:
    p, q = _shares(p, q)
    middle = (p + q) / 2
    return (p * lib.log(p / middle) + q * lib.log(q / middle)).sum(1) / 2


def _both(lib: Any, p: Any, q: Any) -> tuple[Any, Any]:
    s, t, ratio = p.sum(1), q.sum(1), lib.log(p / q)
    shift = lib.log(t / s)
    return (p * ratio).sum(1) / s + shift, -(q * ratio).sum(1) / t - shift


def _jeffreys(lib: Any, p: Any, q: Any) -> Any:
    forward, backward = _both(lib, p, q)
    return forward + backward


def _powers(p: Any, q: Any) -> Any:
    return (q * (p / q) ** ALPHA).sum(1) / (p.sum(1) ** ALPHA * q.sum(1) ** (1 - ALPHA))


def _alpha(lib: Any, powers: Any) -> Any:
    return (powers - 1) / (ALPHA * (ALPHA - 1))


def _renyi(lib: Any, powers: Any) -> Any:
    return lib.log(powers) / (ALPHA - 1)


_OF_POWERS: dict[str, Callable[..., Any]] = {"alpha": _alpha, "renyi": _renyi}
_OF_ROWS: dict[str, Callable[..., Any]] = {"js": _js, "jeffreys": _jeffreys, "both": _both}


def _formula(divergence: str, lib: Any, p: Any, q: Any) -> Any:
    if divergence in _OF_POWERS:
        return _OF_POWERS[divergence](lib, _powers(p, q))
    return _OF_ROWS[divergence](lib, p, q)


def _compared(case: Case, call: Call) -> Call:
    """Of both directions, the first is what is compared with the truth."""
    return (lambda: call()[0]) if case.divergence == "both" else call


def _numpy(case: Case) -> Call:
    return _compared(case, lambda: _formula(case.divergence, np, case.p, case.q))


def _torch(case: Case) -> Call:
    return _compared(case, by_torch(partial(_formula, case.divergence), case, case.p, case.q))


def _jax(case: Case) -> Call:
    return _compared(case, by_jax(partial(_formula, case.divergence), case, case.p, case.q))


def _numexpr(case: Case) -> Call:
    from numexpr import evaluate, set_num_threads

    def formula(p: _Array, q: _Array) -> Any:
        if case.divergence == "js":
            x, y = _shares(p, q)  # it is slow at broadcasting
            return evaluate(_JS, {"p": x, "q": y}).sum(axis=1) / 2
        s, t = p.sum(axis=1), q.sum(axis=1)
        if case.divergence in ("alpha", "renyi"):
            powers = evaluate("q * (p / q) ** a", {"p": p, "q": q, "a": ALPHA}).sum(axis=1)
            return _OF_POWERS[case.divergence](np, powers / (s**ALPHA * t ** (1 - ALPHA)))
        ratio, shift = evaluate("log(p / q)", {"p": p, "q": q}), np.log(t / s)
        forward = evaluate("p * ratio", {"p": p, "ratio": ratio}).sum(axis=1) / s + shift
        backward = -evaluate("q * ratio", {"q": q, "ratio": ratio}).sum(axis=1) / t - shift
        return forward + backward if case.divergence == "jeffreys" else (forward, backward)

    def call() -> Any:
        set_num_threads(case.threads)
        return formula(case.p, case.q)

    return _compared(case, call)


def _numba(case: Case) -> Call:
    rows, count = (case.p, case.q), len(case.q)

    def run(loop: loops.Loop, *more: int) -> _Array:
        return loops.over_rows(loop, rows, (), np.empty((count, *more)), case.threads)

    if case.divergence == "both":
        return lambda: run(loops.both, 2)[:, 0]
    if case.divergence in _OF_POWERS:
        return lambda: _OF_POWERS[case.divergence](np, run(loops.powers))
    loop = {"js": loops.js, "jeffreys": loops.jeffreys}[case.divergence]
    return lambda: run(loop)


def _jensenshannon(case: Case) -> Call:
    from scipy.spatial.distance import jensenshannon

    return lambda: jensenshannon(case.p, case.q, axis=1) ** 2


def _rel_entr(case: Case) -> Call:
    from scipy.special import rel_entr

    def call() -> Any:
        p, q = _shares(case.p, case.q)
        if case.divergence == "js":
            middle = (p + q) / 2
            return (rel_entr(p, middle).sum(axis=1) + rel_entr(q, middle).sum(axis=1)) / 2
        forward, backward = rel_entr(p, q).sum(axis=1), rel_entr(q, p).sum(axis=1)
        return forward + backward if case.divergence == "jeffreys" else (forward, backward)

    return _compared(case, call)


JENSENSHANNON = Peer("scipy jensenshannon", _jensenshannon, "scipy", first_items)
REL_ENTR = Peer("scipy rel_entr, both ways", _rel_entr, "scipy", first_items)
NUMPY_POWERS = Peer("numpy powers", _numpy, "numpy", first_items)
NO_POWERS = unable("scipy", "scipy", "has no divergence of powers")
_OTHERS = (
    Peer("numba loop", _numba, "numba", first_items),
    Peer("numexpr", _numexpr, "numexpr", first_items),
    Peer("torch", _torch, "torch", first_items),
    Peer("jax", _jax, "jax", first_items),
)
_NUMPY = Peer("numpy", _numpy, "numpy", first_items)
JS = (JENSENSHANNON, REL_ENTR, _NUMPY, *_OTHERS, NUMKONG)
BOTH = (REL_ENTR, _NUMPY, *_OTHERS, NUMKONG)
POWERS = (NO_POWERS, NUMPY_POWERS, *_OTHERS)
