"""Fits of normal distributions on a grid: the question, the truth, and who can answer it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from fastkl.bench.case import Case
from fastkl.bench.contestant import Call, Peer
from fastkl.bench.pairs import product_by_slabs
from fastkl.bench.truth import extended_divergence, has_extended_precision, largest_error

_Array = npt.NDArray[Any]
GRID = {"loc": np.linspace(-6.0, 16.0, 128), "scale": np.geomspace(0.3, 8.0, 64)}
_CANDIDATES = 128 * 64
_ROWS = 3  # whose truth is computed
_FEW = 4  # candidates of each that may be the nearest


@dataclass(frozen=True, slots=True, eq=False)
class FitsCase(Case):
    """The nearest of 8192 distributions to each row of p, whose bins have the edges q or lie at their middles."""

    objective: Any = "forward"  # or "reverse", an order; "both": one fit after the other
    is_edges: bool = True
    refines: bool = False
    family: str = "norm"
    every: int = 1  # the step from one candidate of a table to the next

    @property
    def items(self) -> int:
        """Pairs of bins that are compared."""
        return self.p.size * _CANDIDATES // self.every

    @property
    def output_bytes(self) -> int:
        """Those of the answer: two parameters, the divergence, the index and a flag."""
        return len(self.p) * 33 * len(self.objectives)

    @property
    def objectives(self) -> tuple[Any, ...]:
        """What is minimised, one after the other."""
        return ("forward", "reverse") if self.objective == "both" else (self.objective,)

    @property
    def axis_options(self) -> dict[str, _Array]:
        """The bins, as `fastkl.fit` is told of them."""
        return {"edges": self.q} if self.is_edges else {"points": 0.5 * (self.q[:-1] + self.q[1:])}

    def head(self, items: int) -> "FitsCase":
        """The first rows."""
        return replace(self, p=self.p[: max(1, items // (_CANDIDATES * self.p.shape[1]))])

    def truth(self) -> Callable[[Any], float | None]:
        """What tells the largest relative error of the divergences of an answer, of a sample of it."""
        rows = np.linspace(0, len(self.p) - 1, _ROWS).astype(int)
        table = scipy_table(self)
        true = [[_least(self, self.p[row], table, objective) for row in rows] for objective in self.objectives]

        def error_of(answers: Any) -> float | None:
            if not has_extended_precision():
                return None
            found = [np.asarray(answer)[rows] for answer in answers]
            return largest_error(np.array(found), np.array(true))

        return error_of

    def figures(self, nanoseconds: Mapping[str, float]) -> dict[str, float]:
        """What refining takes of a core for a histogram, beyond the search of the grid."""
        if not self.refines:
            return {}
        beyond = nanoseconds["fastkl"] - nanoseconds["fastkl, grid alone"]
        each = beyond * _CANDIDATES * self.p.shape[1] * self.threads / 1e3
        return {"us of a core for each refined fit, beyond the grid": each}


def grid_alone(case: Case) -> Case:
    """The same fits without the way from the grid to the minimum."""
    assert isinstance(case, FitsCase)
    return replace(case, refines=False)


def few_rows(case: Case) -> Case:
    """As much as a loop in Python gets."""
    assert isinstance(case, FitsCase)
    return replace(case, p=case.p[:4])


def _least(case: FitsCase, row: _Array, table: _Array, objective: Any) -> Any:
    from scipy.special import ndtr, rel_entr

    p = row / row.sum()
    if objective == "forward":
        rough = rel_entr(p, table).sum(1)
    elif objective == "reverse":
        rough = rel_entr(table, p).sum(1)
    else:
        rough = -(p**objective * table ** (1 - objective)).sum(1)
    few = np.argsort(rough)[:_FEW]
    if not case.refines:
        return min(_exactly(p, table[g], objective) for g in few)
    places = [tuple(column[g, 0] for column in columns_of(GRID)) for g in few]
    found = [refined(case, row, objective, place, 1e-8).x for place in places]
    return min(_exactly(p, masses(np, ndtr, case, at[0], np.exp(at[1])), objective) for at in found)


def _exactly(p: _Array, q: _Array, objective: Any) -> Any:
    divergence = objective if isinstance(objective, str) else "alpha"
    p, q = (q, p) if objective == "reverse" else (p, q)
    return extended_divergence(p, q, Case(p, q, 1, True, divergence=divergence))


def scipy_table(case: FitsCase) -> _Array:
    """The masses of all candidates by SciPy, normalised."""
    from scipy import special

    table: _Array = masses(np, special.ndtr, case, *columns_of(GRID))
    return table


def columns_of(grid: dict[str, _Array]) -> list[_Array]:
    """A column of each parameter, a row for each candidate."""
    return [values.reshape(-1, 1) for values in np.meshgrid(*grid.values(), indexing="ij")]


def masses(lib: Any, ndtr: Callable[[Any], Any], case: FitsCase, loc: Any, scale: Any) -> Any:
    """Shares of the bins of normal distributions, by NumPy or JAX. A few underflow, and are no nearest ones."""
    if case.is_edges:
        z = (case.q - loc) / scale
        below, above = ndtr(z), ndtr(-z)  # each has the digits of its own tail
        shares = lib.where(z[..., :-1] < 0, lib.diff(below), -lib.diff(above))
    else:
        shares = lib.exp(-0.5 * ((case.axis_options["points"] - loc) / scale) ** 2)
    shares = lib.maximum(shares, 1e-300)
    return shares / shares.sum(-1, keepdims=True)


def refined(case: FitsCase, row: _Array, objective: str, place: tuple[Any, ...], tolerance: float) -> Any:
    """The location and the logarithm of the scale of the least divergence near a place, by SciPy's simplex."""
    from scipy.optimize import minimize
    from scipy.special import ndtr, rel_entr

    p = row / row.sum()

    def divergence(at: _Array) -> Any:
        q = masses(np, ndtr, case, at[0], np.exp(at[1]))
        return (rel_entr(p, q) if objective == "forward" else rel_entr(q, p)).sum()

    start = place[0], np.log(place[1])
    return minimize(divergence, start, method="Nelder-Mead", options={"xatol": tolerance, "fatol": tolerance**2})


def _fastkl(case: Case) -> Call:
    import fastkl

    assert isinstance(case, FitsCase)
    options: dict[str, Any] = case.axis_options | {"grid": GRID, "refine": case.refines, "threads": case.threads}

    def call() -> Any:
        return [fastkl.fit(case.p, objective=objective, **options).divergence for objective in case.objectives]

    return call


def _product(case: Case) -> Call:
    assert isinstance(case, FitsCase)
    p = np.asarray(case.p)
    factors = np.random.default_rng(0).random((_CANDIDATES, p.shape[1]))
    return product_by_slabs(p, factors, case.threads)


def _scipy_loop(case: Case) -> Call:
    from scipy.special import rel_entr

    assert isinstance(case, FitsCase)
    table, (loc, scale) = scipy_table(case), columns_of(GRID)

    def nearest(row: _Array, objective: Any) -> Any:
        p = row / row.sum()
        divergences = (rel_entr(p, table) if objective == "forward" else rel_entr(table, p)).sum(1)
        g = divergences.argmin()
        return refined(case, row, objective, (loc[g, 0], scale[g, 0]), 1e-5).fun if case.refines else divergences[g]

    return lambda: [[nearest(row, objective) for row in case.p] for objective in case.objectives]


FASTKL_FITS = Peer("fastkl", _fastkl, "fastkl", rtol=(1e-12, 1e-12))
GRID_PRODUCT = Peer("bare product", _product, "numpy", rtol=None)
SCIPY_LOOP = Peer("loop over rel_entr().sum(1)", _scipy_loop, "scipy", few_rows, (1e-6, 1e-6))
