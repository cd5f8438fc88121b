"""Who can compute the masses of thousands of distributions in the bins of an axis."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from fastkl.bench import loops
from fastkl.bench.case import Case
from fastkl.bench.contestant import Call, Peer, Unsuitable
from fastkl.bench.fits import GRID, FitsCase, columns_of
from fastkl.bench.frameworks import by_jax, by_torch

_Array = npt.NDArray[Any]
_GAMMA = {"a": np.geomspace(0.5, 30.0, 128), "scale": np.geomspace(0.2, 5.0, 64)}
_BEGIN, _DF = -9.0, 4.0  # of all gamma, of all t distributions
# Values of parameters, and those that are fixed.
_TABLES: dict[str, tuple[dict[str, _Array], dict[str, float]]] = {
    "norm": (GRID, {}), "gamma": (_GAMMA, {"loc": _BEGIN}), "t": (GRID, {"df": _DF}),
}  # fmt: skip


def _columns(case: Case) -> list[_Array]:
    assert isinstance(case, FitsCase)
    return [column[:: case.every] for column in columns_of(_TABLES[case.family][0])]


def _fastkl(case: Case) -> Call:
    from fastkl.fitting._axis import axis_of
    from fastkl.fitting._candidates import Candidates
    from fastkl.fitting._families import family_of
    from fastkl.fitting._grid import Grid

    assert isinstance(case, FitsCase)
    values, fixed = _TABLES[case.family]
    grid, axis = Grid(family_of(case.family)[0], values, fixed), axis_of(case.q, None)
    return lambda: Candidates(grid, axis, case.threads).build()


def _scipy_stats(case: Case) -> Call:
    from scipy import stats

    assert isinstance(case, FitsCase)
    values, fixed = _TABLES[case.family]
    family, options = getattr(stats, case.family), dict(zip(values, _columns(case), strict=True)) | fixed
    return lambda: np.diff(family.cdf(case.q, **options))


def _norm(special: Any, x: Any, loc: Any, scale: Any) -> Any:
    return special.ndtr((x - loc) / scale)


def _gamma(special: Any, x: Any, a: Any, scale: Any) -> Any:
    return special.gammainc(a, (x - _BEGIN) / scale)


def _t(special: Any, x: Any, loc: Any, scale: Any) -> Any:
    z = (x - loc) / scale
    tail = special.betainc(_DF / 2, 0.5, _DF / (_DF + z * z)) / 2
    return tail + (z > 0) * (1 - 2 * tail)


def _t_of_scipy(special: Any, x: Any, loc: Any, scale: Any) -> Any:
    return special.stdtr(_DF, (x - loc) / scale)


_CDFS: dict[str, Callable[..., Any]] = {"norm": _norm, "gamma": _gamma, "t": _t}


def _scipy_special(case: Case) -> Call:
    from scipy import special

    assert isinstance(case, FitsCase)
    cdf, columns = (_CDFS | {"t": _t_of_scipy})[case.family], _columns(case)
    return lambda: np.diff(cdf(special, case.q, *columns))


def _torch(case: Case) -> Call:
    assert isinstance(case, FitsCase)
    if case.family == "t":
        raise Unsuitable("has no distribution function of Student's t")
    cdf = _CDFS[case.family]
    return by_torch(lambda torch, *given: torch.diff(cdf(torch.special, *given)), case, case.q, *_columns(case))


def _jax(case: Case) -> Call:
    from jax.scipy import special

    assert isinstance(case, FitsCase)
    cdf = _CDFS[case.family]
    return by_jax(lambda jnp, *given: jnp.diff(cdf(special, *given)), case, case.q, *_columns(case))


def _numba(case: Case) -> Call:
    assert isinstance(case, FitsCase)
    if case.family != "norm":
        raise Unsuitable("has no such distribution function")
    columns = [column[:, 0] for column in _columns(case)]
    shape = len(columns[0]), len(case.q) - 1
    return lambda: loops.over_rows(loops.normal_masses, tuple(columns), (case.q,), np.empty(shape), case.threads)


def _some(case: Case) -> Case:
    """As many candidates as JAX builds of gamma and t distributions in half a second."""
    assert isinstance(case, FitsCase)
    return case if case.family == "norm" else replace(case, every=32)


FASTKL_TABLE = Peer("fastkl", _fastkl, "fastkl", rtol=None)
SCIPY_TABLE = Peer("scipy.stats cdf", _scipy_stats, "scipy", rtol=None)
TABLE = (
    SCIPY_TABLE,
    Peer("scipy.special", _scipy_special, "scipy", rtol=None),
    Peer("torch.special", _torch, "torch", rtol=None),
    Peer("jax.scipy.special", _jax, "jax", _some, None),
    Peer("numba loop", _numba, "numba", rtol=None),
)
