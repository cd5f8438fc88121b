"""Fits of families of distributions to histograms, by either direction of the divergence."""

from collections.abc import Mapping
from functools import partial
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from fastkl import _check
from fastkl._compare import OnInvalid
from fastkl._matrix import Matrix
from fastkl._products import plan_of
from fastkl._threads import available_cpus
from fastkl._tiles import parts
from fastkl.containers import open_containers
from fastkl.fitting._axis import Axis, axis_of
from fastkl.fitting._families import family_of
from fastkl.fitting._grid import Moments, grid_of
from fastkl.fitting._result import Fit
from fastkl.fitting._run import run
from fastkl.lazy import has_lazy
from fastkl.pairs import nearest

_READ = 1 << 18  # bins looked at together


def fit(
    p: Any,
    *,
    edges: npt.ArrayLike | None = None,
    points: npt.ArrayLike | None = None,
    family: Any = "norm",
    grid: Mapping[str, npt.ArrayLike] | None = None,
    objective: Literal["forward", "reverse"] | float = "forward",
    refine: bool = True,
    minima: int = 1,
    fixed: Mapping[str, float] | None = None,
    surface: bool = False,
    pseudocount: float = 0.0,
    on_invalid: OnInvalid = "raise",
    threads: int | None = None,
    progress: bool = False,
) -> Fit:
    r"""Fit a family of distributions to each histogram of a batch, by the least divergence on a grid of parameters.

    .. math:: \hat\theta = \arg\min_\theta D(P \| Q_\theta) \quad \text{(forward)}, \qquad
        \hat\theta = \arg\min_\theta D(Q_\theta \| P) \quad \text{(reverse)}.

    The forward divergence is inf unless Q has mass wherever P has: its fits cover all of P. The reverse one is inf
    unless P has mass wherever Q has: its fits leave parts of P alone that they can't cover well, and often there is one
    minimum at each mode; one that covers several modes may exist beside them, and be the lowest. Q is the
    distribution conditioned on the range of the histogram, with the masses :math:`Q_i = (F(b_{i+1}) - F(b_i)) /
    (F(b_n) - F(b_0))` in the bins between ``edges`` b, or masses in proportion to its density at ``points``. They are
    computed as logarithms: no tail underflows.

    The divergences from all points of the grid are computed, as one product of matrices or from the moments of P where
    these suffice, and the lowest again exactly: the answer is the global minimum on the grid.

    Parameters
    ----------
    p : array_like of real numbers, shape (..., n)
        Histograms, of any type and layout, scaled to a total of one. The bins are the last axis. Rows of scipy.sparse
        arrays and containers of other libraries are accepted as in `pairwise`. Of an array of dask blocks are fitted
        when they are computed, and a grid must be given: see the notes.
    edges : array_like, shape (n + 1,)
        The ends of the bins, increasing; the outer ones may be infinite. Bins of a discrete family hold their left
        ends, as those of `numpy.histogram` do, and the last one its right end too.
    points : array_like, shape (n,)
        Instead of edges: where p holds densities or masses, increasing.
    family : str, distribution of scipy.stats, frozen distribution, or array_like of shape (g, n)
        A continuous or discrete distribution of scipy.stats by name or itself, such as "norm", "gamma", "t" or
        "poisson"; "norm_mixture", of two normal distributions, with parameters weight (of the first), loc1, scale1,
        loc2 and scale2; a frozen distribution, whose given parameters are fixed, such as ``scipy.stats.t(df=4)``; or a
        table of g candidate histograms, of which ``params["candidate"]`` names the nearest (neither edges, grid nor
        refine mean anything then, and ``minima`` is how many of the nearest are given).
    grid : dict of str to array_like, optional
        Values of each parameter; their product is searched. Parameters that are neither here nor in ``fixed`` have
        loc=0, scale=1. Default: ten thousand points, or a few times as many, around what the moments of all histograms
        suggest; ``.grid`` of the result says which. It is one grid for the batch, coarse for a histogram that is much
        narrower than others: fit such apart, or give a grid. The last digits of refined fits depend on it.
    objective : {"forward", "reverse"} or float
        What is minimised, or the order, between 0 and 1, of the alpha-divergence that is: 1 is forward, 0 is reverse.
    refine : bool
        Go on from the best points of the grid to the minimum, by Newton's method, to 1e-8 of the parameters; also
        beyond the ends of the grid, within the family's domain. Whole numbers stay on the grid.
    minima : int
        How many local minima to give for each histogram, the lowest first. On the grid a minimum is lower than all of
        its neighbours, diagonal ones included.
    fixed : dict of str to float, optional
        Parameters that are not fitted.
    surface : bool
        Give the divergences on the whole grid too, as ``.surface``, with a relative error of at most 1e-9; inf where
        there is no such distribution.
    pseudocount : float
        Added to every bin of p. Where p has bins without mass, the reverse divergence from distributions that have mass
        there is inf; that is the mathematics, and this is the way out of it. Without it a distribution may be found so
        narrow that its mass there is below 5e-324, and no double.
    on_invalid : {"raise", "nan"}
        What to do about histograms that are none; with "nan" they have no fit.
    threads : int, optional
        The most threads to use. Default: one for each CPU.
    progress : bool
        True for a progress bar on stderr.

    Returns
    -------
    Fit
        With ``params``, ``divergence``, ``grid_index``, ``converged``, ``surface``, and the methods ``histogram()``,
        ``distribution(i)``, ``to_pandas()`` and ``plot(i)``. Where no candidate has a finite divergence it is inf, and
        the parameters are NaN.

    Raises
    ------
    ValueError
        Invalid histograms, edges or points that do not increase or do not fit p, a family, parameter or option that is
        not known or out of its range.
    TypeError
        Complex numbers, strings or objects as bins; a family that is none of the above.

    Notes
    -----
    Memory beside the arguments and the result stays below 1 GB, but for a surface that is asked for.

    Masses of families other than "norm" come from SciPy's distribution functions. Some of those are slow: skewnorm,
    norminvgauss and crystalball take seconds a histogram, levy_stable minutes.

    The fit of an array of dask has arrays of dask as ``params``, ``divergence`` and so on, and the method
    ``compute()``, which gives the fit with values; its other methods compute it first. The default grid would depend
    on all histograms: take that of a sample, ``grid=fastkl.fit(sample, ...).grid``.

    References
    ----------
    K. P. Murphy, Machine learning: a probabilistic perspective, MIT Press, 2012, section 21.2.2.
    T. Minka, Divergence measures and message passing, Microsoft Research, 2005.

    Examples
    --------
    >>> import numpy as np
    >>> import fastkl
    >>> x = np.linspace(-12, 22, 3401)
    >>> p = np.exp(-(x**2) / 2) + np.exp(-((x - 10) ** 2) / 2)
    >>> forward = fastkl.fit(p, points=x)
    >>> forward.params["loc"].round(3), forward.params["scale"].round(3), forward.divergence.round(6)
    (np.float64(5.0), np.float64(5.127), np.float64(0.935021))
    >>> reverse = fastkl.fit(p, points=x, objective="reverse", minima=2)
    >>> np.sort(reverse.params["loc"]).round(3), reverse.divergence.round(5)
    (array([ 0., 10.]), array([0.69315, 0.69315]))
    """
    if has_lazy([p]):
        from fastkl.lazy._fits import fit_lazily

        options = {"edges": edges, "points": points, "family": family, "grid": grid, "objective": objective}
        options |= {"refine": refine, "minima": minima, "fixed": fixed, "surface": surface, "threads": threads}
        options |= {"pseudocount": pseudocount, "on_invalid": on_invalid, "progress": progress}
        return fit_lazily(p, options)
    _check.check_option("on_invalid", on_invalid, ("raise", "nan"))
    _check.check_threads(threads)
    pseudocount = _check.check_pseudocount(pseudocount)
    shown, refines = _check.check_flag("progress", progress), _check.check_flag("refine", refine)
    keeps_surface = _check.check_flag("surface", surface)
    if not _check.is_whole(minima) or minima < 1:
        raise ValueError(f"minima must be a whole number >= 1, not {minima!r}")
    divergence, alpha = _divergence_of(objective)
    workers = available_cpus() if threads is None else int(threads)
    matrix, shape = _open(p)
    if _is_table(family):
        if keeps_surface:
            raise ValueError("a table of candidates has no surface; pairwise gives all divergences")
        searching = {"on_invalid": on_invalid, "threads": workers, "progress": shown}
        return _fit_table(matrix, shape, family, objective, int(minima), pseudocount, searching)
    axis = axis_of(edges, points)
    if axis.bins != matrix.bins:
        needed = f"{matrix.bins + 1} edges" if axis.is_edges else f"{matrix.bins} points"
        raise ValueError(
            f"p has {matrix.bins} bins and {axis.name} has {len(axis.values)} numbers; there must be {needed}"
        )
    which, frozen = family_of(family)
    spread = _spread(matrix, pseudocount, on_invalid, workers)
    moments = partial(_moments, matrix, axis, pseudocount, ~np.isnan(spread))
    searched = grid_of(which, grid, _held(frozen, fixed), axis, moments)
    plan = plan_of(divergence, alpha, True)
    found = run(matrix, pseudocount, spread, axis, searched, plan, int(minima), refines, keeps_surface, workers, shown)
    shaped = (*shape, minima) if minima > 1 else shape
    values = dict(zip(which.names, found.values, strict=True))
    return Fit(
        {name: _shaped(values[name], shaped) for name in searched.names},
        _shaped(found.divergence, shaped),
        _shaped(found.grid_index, shaped),
        _shaped(found.converged, shaped),
        objective,
        which.name,
        searched.fixed,
        searched.axes,
        None if found.surface is None else found.surface.reshape(*shape, *searched.shape),
        int(minima),
        axis,
        which,
        matrix,
        pseudocount,
    )


def _shaped(array: npt.NDArray[Any], shape: tuple[int, ...]) -> Any:
    array = array.reshape(shape)
    return array if array.ndim else array[()]


def _divergence_of(objective: Any) -> tuple[str, float | None]:
    """The divergence of pairs that is minimised, and its order."""
    if objective in ("forward", "reverse"):
        return ("kl" if objective == "forward" else "reverse_kl"), None
    if isinstance(objective, bool) or not isinstance(objective, int | float | np.number) or not 0 <= objective <= 1:
        raise ValueError(f"objective must be 'forward', 'reverse' or a number between 0 and 1, not {objective!r}")
    if objective in (0, 1):  # which have the terms of the directions
        return ("kl" if objective == 1 else "reverse_kl"), None
    return "alpha", float(objective)


def _open(p: Any) -> tuple[Matrix, tuple[int, ...]]:
    """Histograms as the rows of a matrix, and the shape of their batch."""
    if hasattr(p, "tocsr"):
        matrix = Matrix("p", p)
        return matrix, (matrix.count,)
    array = open_containers({"p": p}, -1, None).arrays[0]
    if array.ndim == 0:
        raise ValueError("p is a single number; a histogram is a row of them")
    if array.shape[-1] == 0:
        raise ValueError(f"p has shape {array.shape}; a histogram has one bin at least")
    return Matrix("p", array.reshape(-1, array.shape[-1])), array.shape[:-1]


def _held(frozen: dict[str, float], fixed: Any) -> dict[str, Any]:
    """The parameters that are not fitted, by the family and by the user."""
    if fixed is None:
        return frozen
    if not isinstance(fixed, Mapping):
        raise TypeError(f"fixed is a {type(fixed).__name__}; it must be a dict of numbers, or None")
    twice = [name for name in fixed if name in frozen and fixed[name] != frozen[name]]
    if twice:
        name = twice[0]
        raise ValueError(f"fixed[{name!r}] is {fixed[name]!r}, and {frozen[name]!r} in the frozen family; one can hold")
    return frozen | dict(fixed)


def _is_table(family: Any) -> bool:
    return not isinstance(family, str) and not hasattr(family, "dist") and np.ndim(family) == 2


def _spread(matrix: Matrix, pseudocount: float, on_invalid: str, threads: int) -> npt.NDArray[np.float64]:
    """The divergence of each histogram from the uniform one, NaN of those that are none."""
    spread = matrix.spread(pseudocount, True, threads)
    if on_invalid == "raise" and np.isnan(spread).any():
        raise ValueError(matrix.describe_invalid(np.isnan(spread)))
    return spread


def _moments(matrix: Matrix, axis: Axis, pseudocount: float, is_valid: npt.NDArray[np.bool_]) -> Moments:
    """The moments of the histograms."""
    moments = Moments(axis)
    for part in parts(0, matrix.count, max(1, _READ // max(matrix.bins, 1))):
        moments.add(matrix.moderate(part.start, part.stop, pseudocount)[is_valid[part]])
        matrix.let_go(part.start, part.stop)
    return moments


def _fit_table(
    matrix: Matrix,
    shape: tuple[int, ...],
    family: Any,
    objective: Any,
    minima: int,
    pseudocount: float,
    options: dict[str, Any],
) -> Fit:
    """The nearest of a table of candidates."""
    table = Matrix("family", open_containers({"family": family}, -1, None).arrays[0])
    if table.bins != matrix.bins:
        raise ValueError(f"family has {table.bins} bins, p has {matrix.bins}; numbers of bins must agree")
    if minima > table.count:
        raise ValueError(f"minima must be at most the {table.count} candidates of the table, not {minima}")
    for histograms in (matrix, table):  # which have other names where the nearest are looked for
        _spread(histograms, pseudocount, options["on_invalid"], options["threads"])
    divergence, alpha = _divergence_of(objective)
    options = options | {"divergence": divergence, "alpha": alpha, "pseudocount": pseudocount, "dtype": np.float64}
    found, index = nearest(matrix.values, table.values, minima, **options)
    is_found = np.isfinite(found)
    shaped = (*shape, minima) if minima > 1 else shape
    return Fit(
        {"candidate": _shaped(np.where(is_found, index, -1), shaped)},
        _shaped(found, shaped),
        _shaped(np.where(is_found, index, -1), shaped),
        _shaped(np.zeros(found.shape, np.bool_), shaped),
        objective,
        "table",
        {},
        {"candidate": np.arange(table.count)},
        None,
        minima,
        None,
        table,
        matrix,
        pseudocount,
    )
