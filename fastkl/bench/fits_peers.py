"""Who else can search a grid of distributions: products of matrices by hand, and what refines the best of them."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from fastkl.bench import loops
from fastkl.bench.case import Case
from fastkl.bench.contestant import Call, Peer, unable
from fastkl.bench.fits import GRID, SCIPY_LOOP, FitsCase, columns_of, few_rows, masses, refined, scipy_table
from fastkl.bench.frameworks import by_jax, by_torch
from fastkl.bench.pairs import on_threads

_Array = npt.NDArray[Any]
_STEPS = 12  # of Newton's method


def _divergences(lib: Any, p: Any, table: Any, objective: Any) -> Any:
    """The matrix of all rows and candidates, by NumPy, torch or JAX."""
    p = p / p.sum(1)[:, None]
    if objective == "forward":
        return (p * lib.log(p)).sum(1)[:, None] - p @ lib.log(table).T
    if objective == "reverse":
        return (table * lib.log(table)).sum(1) - lib.log(p) @ table.T
    return (1 - p**objective @ (table ** (1 - objective)).T) / (objective * (1 - objective))


def _least(case: FitsCase) -> Callable[[Any, Any, Any], Any]:
    def formula(lib: Any, p: Any, table: Any) -> Any:
        return [lib.amin(_divergences(lib, p, table, objective), 1) for objective in case.objectives]

    return formula


def _numpy(case: Case) -> Call:
    assert isinstance(case, FitsCase)
    formula, p, table = _least(case), np.asarray(case.p), scipy_table(case)
    return on_threads(case.threads, lambda: formula(np, p, table))


def _torch(case: Case) -> Call:
    assert isinstance(case, FitsCase)
    return by_torch(_least(case), case, np.asarray(case.p), scipy_table(case))


def _jax(case: Case) -> Call:
    assert isinstance(case, FitsCase)
    return by_jax(_least(case), case, np.asarray(case.p), scipy_table(case))


def _numba(case: Case) -> Call:
    assert isinstance(case, FitsCase)
    p, table = case.p / case.p.sum(1, keepdims=True), scipy_table(case)

    def search(objective: str) -> _Array:
        rows, other = (p, table) if objective == "forward" else (table, p)
        found = loops.over_rows(loops.pairs, (rows,), (other,), np.empty((len(rows), len(other))), case.threads)
        least: _Array = found.min(1 if objective == "forward" else 0)
        return least

    return lambda: [search(objective) for objective in case.objectives]


def _numpy_and_simplex(case: Case) -> Call:
    assert isinstance(case, FitsCase)
    p, table, (loc, scale) = np.asarray(case.p), scipy_table(case), columns_of(GRID)

    def call() -> Any:
        best = _divergences(np, p, table, case.objective).argmin(1)
        places = [(loc[g, 0], scale[g, 0]) for g in best]
        return [[refined(case, row, case.objective, at, 1e-5).fun for row, at in zip(p, places, strict=True)]]

    return on_threads(case.threads, call)


def _jax_and_newton(case: Case) -> Call:
    import jax
    from jax.scipy.special import ndtr

    assert isinstance(case, FitsCase)
    loc, scale = (column[:, 0] for column in columns_of(GRID))

    def divergence(at: Any, p: Any) -> Any:
        from jax.scipy.special import rel_entr

        q = masses(jax.numpy, ndtr, case, at[0], jax.numpy.exp(at[1]))
        return (rel_entr(p, q) if case.objective == "forward" else rel_entr(q, p)).sum()

    slope, curvature = jax.grad(divergence), jax.hessian(divergence)

    def least(at: Any, p: Any) -> Any:
        def step(_: int, at: Any) -> Any:
            return at - jax.numpy.linalg.solve(curvature(at, p), slope(at, p))

        return divergence(jax.lax.fori_loop(0, _STEPS, step, at), p)

    def formula(jnp: Any, p: Any, table: Any, loc: Any, scale: Any) -> Any:
        best = _divergences(jnp, p, table, case.objective).argmin(1)
        places = jnp.stack([loc[best], jnp.log(scale[best])], 1)
        return jax.vmap(least)(places, p / p.sum(1)[:, None])[None]

    return by_jax(formula, case, np.asarray(case.p), scipy_table(case), loc, scale)


def _up_to(rows: int) -> Callable[[Case], Case]:
    def head(case: Case) -> Case:
        assert isinstance(case, FitsCase)
        return replace(case, p=np.array(case.p[:rows]))

    return head


_some_rows, _hundred = _up_to(1000), _up_to(100)
_PRECISE = (1e-9, 1e-9)
_PRODUCTS = (
    Peer("numpy product", _numpy, "numpy", _some_rows, _PRECISE),
    Peer("torch product", _torch, "torch", _some_rows, _PRECISE),
    Peer("jax product", _jax, "jax", _some_rows, _PRECISE),
)
NUMBA_FITS = Peer("numba loop", _numba, "numba", few_rows, _PRECISE)
KL_FITS = (SCIPY_LOOP, *_PRODUCTS, NUMBA_FITS)
ALPHA_FITS = (unable(SCIPY_LOOP.name, "scipy", "is no divergence of powers"), *_PRODUCTS)
REFINED_FITS = (
    replace(SCIPY_LOOP, name=f"{SCIPY_LOOP.name}, then minimize"),
    Peer("numpy product, scipy minimize", _numpy_and_simplex, "scipy", few_rows, (1e-6, 1e-6)),
    Peer("jax product, Newton's steps", _jax_and_newton, "jax", _hundred, (1e-6, 1e-6)),
)
