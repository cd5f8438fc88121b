"""Fits of normal distributions on a grid: the question, the truth, and who can answer it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from fastkl.bench.case import Case
from fastkl.bench.pairs import product_by_slabs
from fastkl.bench.peers import Call, Peer
from fastkl.bench.truth import extended_divergence, has_extended_precision, largest_error

_Array = npt.NDArray[Any]
GRID = {"loc": np.linspace(-6.0, 16.0, 128), "scale": np.geomspace(0.3, 8.0, 64)}
_GAMMA = {"a": np.geomspace(0.5, 30.0, 128), "scale": np.geomspace(0.2, 5.0, 64)}
# Of which tables are made: values of parameters, and those that are fixed.
_TABLES: dict[str, tuple[dict[str, _Array], dict[str, float]]] = {
    "norm": (GRID, {}), "gamma": (_GAMMA, {"loc": -9.0}), "t": (GRID, {"df": 4.0}),
}  # fmt: skip
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

    @property
    def items(self) -> int:
        """Pairs of bins that are compared."""
        return self.p.size * _CANDIDATES

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
        true = [[_least(self.p[row], table, objective) for row in rows] for objective in self.objectives]

        def error_of(answers: Any) -> float | None:
            if self.refines or not has_extended_precision():  # there is no truth but that of the grid
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


def _least(p: _Array, table: _Array, objective: Any) -> Any:
    from scipy.special import rel_entr

    p = p / p.sum()
    if objective == "forward":
        rough = rel_entr(p, table).sum(1)
    elif objective == "reverse":
        rough = rel_entr(table, p).sum(1)
    else:
        rough = -(p**objective * table ** (1 - objective)).sum(1)
    return min(_exactly(p, table[g], objective) for g in np.argsort(rough)[:_FEW])


def _exactly(p: _Array, q: _Array, objective: Any) -> Any:
    divergence = objective if isinstance(objective, str) else "alpha"
    p, q = (q, p) if objective == "reverse" else (p, q)
    return extended_divergence(p, q, Case(p, q, 1, True, divergence=divergence))


def scipy_table(case: FitsCase) -> _Array:
    """The masses of all candidates by SciPy, normalised."""
    from scipy import stats

    loc, scale = np.meshgrid(*GRID.values(), indexing="ij")
    family = stats.norm(loc.reshape(-1, 1), scale.reshape(-1, 1))
    if not case.is_edges:
        masses = family.pdf(case.axis_options["points"])
    else:
        below, above = family.cdf(case.q), family.sf(case.q)
        masses = np.where(below[:, :-1] < 0.5, np.diff(below), -np.diff(above))
    masses = np.maximum(masses, 1e-300)  # a few underflow, and are no nearest ones
    table: _Array = masses / masses.sum(1, keepdims=True)
    return table


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
    table = scipy_table(case)

    def nearest(row: _Array, objective: Any) -> Any:
        p = row / row.sum()
        return (rel_entr(p, table) if objective == "forward" else rel_entr(table, p)).sum(1).min()

    return lambda: [[nearest(row, objective) for row in case.p] for objective in case.objectives]


def _fastkl_table(case: Case) -> Call:
    from fastkl.fitting._axis import axis_of
    from fastkl.fitting._candidates import Candidates
    from fastkl.fitting._families import family_of
    from fastkl.fitting._grid import Grid

    assert isinstance(case, FitsCase)
    values, fixed = _TABLES[case.family]
    grid, axis = Grid(family_of(case.family)[0], values, fixed), axis_of(case.q, None)
    return lambda: Candidates(grid, axis, case.threads).build()


def _scipy_cdf(case: Case) -> Call:
    from scipy import stats

    assert isinstance(case, FitsCase)
    values, fixed = _TABLES[case.family]
    columns = [column.reshape(-1, 1) for column in np.meshgrid(*values.values(), indexing="ij")]
    family, options = getattr(stats, case.family), dict(zip(values, columns, strict=True)) | fixed
    return lambda: np.diff(family.cdf(case.q, **options))


FASTKL_FITS = Peer("fastkl", _fastkl, "fastkl", rtol=(1e-12, 1e-12))
GRID_PRODUCT = Peer("bare product", _product, "numpy", rtol=None)
SCIPY_LOOP = Peer("loop over rel_entr().sum(1)", _scipy_loop, "scipy", few_rows, (1e-6, 1e-6))
FASTKL_TABLE = Peer("fastkl", _fastkl_table, "fastkl", rtol=None)
SCIPY_TABLE = Peer("scipy.stats cdf", _scipy_cdf, "scipy", rtol=None)
