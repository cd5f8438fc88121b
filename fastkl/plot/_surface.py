"""The divergence over a grid of parameters."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from fastkl.fitting._result import Fit
from fastkl.plot import _axes
from fastkl.plot._bins import Bins
from fastkl.plot._curves import minimum_texts, single
from fastkl.plot._text import divergence_name

_Array = npt.NDArray[np.float64]
_BANDS = (1.0, 1.25, 1.6, 2.0, 2.5, 3.2, 4.0, 5.0, 6.3, 8.0)  # where they begin, in each decade
# The scale of colours goes from this much below the median of the surface to this much above.
_BELOW, _ABOVE = 1e-3, 10.0


def surface(fit: Fit, index: int | tuple[int, ...] = (), *, ax: Any = None) -> Any:
    r"""Draw the divergence of a histogram from all distributions of the grid, and its minima.

    Of two parameters :math:`D(\theta)` is drawn as filled contours, ten a decade, of one it is a curve. The minima have
    numbers, which the legend gives the parameters and divergences of. Axes are logarithmic where the grid is geometric.
    Parameters of which the grid has a single value don't count. Where the divergence is inf nothing is drawn, and the
    legend says of how many points.

    Parameters
    ----------
    fit : Fit
        What `fastkl.fit` gives back with ``surface=True``.
    index : int or tuple of int
        Which histogram of the batch; () for a single one.
    ax : matplotlib.axes.Axes, optional
        Where to draw. Default: a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        What was drawn on. Contours get a colour bar beside it.

    Raises
    ------
    ValueError
        The fit has no surface, or one over more than two parameters; the index hasn't as many numbers as the batch has
        dimensions.
    IndexError
        It is out of range.
    ImportError
        There is no matplotlib.

    Examples
    --------
    >>> import numpy as np
    >>> import fastkl.plot
    >>> from matplotlib.figure import Figure
    >>> x = np.linspace(-10, 20, 301)
    >>> p = np.exp(-(x**2) / 2) + np.exp(-((x - 10) ** 2) / 2)
    >>> grid = {"loc": np.linspace(-5, 15, 81), "scale": np.geomspace(0.25, 8, 41)}
    >>> found = fastkl.fit(p, points=x, grid=grid, objective="reverse", minima=2, surface=True)
    >>> ax = fastkl.plot.surface(found, ax=Figure().subplots())
    >>> ax.get_xlabel(), ax.get_ylabel(), ax.get_xscale(), ax.get_yscale()
    ('loc', 'scale', 'linear', 'log')
    """
    one = single(fit, index)
    if one.surface is None:
        raise ValueError("this fit has no surface; call fastkl.fit(..., surface=True)")
    varied = {name: values for name, values in one.grid.items() if len(values) > 1} or dict([*one.grid.items()][:1])
    if len(varied) > 2:
        raise ValueError(f"the surface is over {len(varied)} parameters, {', '.join(varied)}; one or two can be drawn")
    orders = [np.argsort(values) for values in varied.values()]
    values = one.surface.reshape([len(order) for order in orders])[np.ix_(*orders)]
    axes = [array[order] for array, order in zip(varied.values(), orders, strict=True)]
    ax = _axes.open_axes(ax)
    (_draw_curve if len(axes) == 1 else _draw_contours)(ax, one, values, axes)
    for which, name, array in zip("xy", varied, axes, strict=False):
        ax.set(**{f"{which}label": name, f"{which}scale": "log" if _is_geometric(array) else "linear"})
    _mark_minima(ax, one, list(varied))
    blank = values.size - np.isfinite(values).sum()
    if blank:
        ax.plot([], [], " ", label=f"left blank: D is inf, at {blank:,} of {values.size:,} points of the grid")
    _axes.legend_below(ax, markerscale=0.6)
    return ax


def _draw_curve(ax: Any, one: Fit, values: _Array, axes: list[_Array]) -> None:
    finite = np.where(np.isfinite(values), values, np.nan)
    ax.plot(axes[0], finite, color=_axes.BLUE, marker="." if len(values) <= 64 else None)
    ax.set_ylabel(f"{divergence_name(one.objective)}, nats")
    seen = finite[np.isfinite(finite)]
    if len(seen) and seen.min() > 0 and seen.max() > 100 * seen.min():
        ax.set_yscale("log")


def _draw_contours(ax: Any, one: Fit, values: _Array, axes: list[_Array]) -> None:
    finite = np.ma.masked_invalid(values.T)
    levels = _levels(finite.compressed())
    if len(levels) == 0:
        ax.set(xlim=(axes[0][0], axes[0][-1]), ylim=(axes[1][0], axes[1][-1]))
        return
    from matplotlib.colors import LogNorm

    lowest, highest = bool(finite.min() < levels[0]), bool(finite.max() > levels[-1])
    extend = {(True, True): "both", (True, False): "min", (False, True): "max"}.get((lowest, highest), "neither")
    drawn = ax.contourf(
        *axes, finite, levels=levels, norm=LogNorm(levels[0], levels[-1]), cmap="viridis_r", extend=extend
    )
    ticks = [level for level in levels if f"{level:.0e}"[0] in "125" and math.isclose(level, float(f"{level:.0e}"))]
    bar = ax.figure.colorbar(drawn, ax=ax, label=f"{divergence_name(one.objective)}, nats")
    bar.set_ticks(ticks or levels[:: max(1, len(levels) // 5)], minor=False)
    bar.ax.minorticks_off()
    bar.ax.yaxis.set_major_formatter(lambda value, _: f"{value:g}")


def _levels(finite: _Array) -> list[float]:
    """Ends of the bands of colour; of a flat surface two around it."""
    if not len(finite):
        return []
    middle = float(np.median(finite))
    low, high = max(float(finite.min()), _BELOW * middle), min(float(finite.max()), _ABOVE * middle)
    if not low > 0:
        low = high if high > 0 else 1.0
    high = max(low, high)
    decades = range(math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 2)
    every = [float(f"{step:g}e{decade}") for decade in decades for step in _BANDS]
    below, above = [level for level in every if level <= low], [level for level in every if level > high]
    return [below[-1], *(level for level in every if low < level <= high), above[0]]


def _mark_minima(ax: Any, one: Fit, names: list[str]) -> None:
    divergences = np.ravel(one.divergence)
    span = Bins(one.axis, one._p.bins).span
    for k, text in minimum_texts(one, span, "minimum").items():
        places = [float(np.ravel(one.params[name])[k]) for name in names]
        at = places if len(names) == 2 else [places[0], float(divergences[k])]
        ax.plot(
            *at, linestyle="none", marker="o", markersize=13, markerfacecolor="white", markeredgecolor="black",
            label=text, zorder=3,
        )  # fmt: skip
        ax.annotate(f"{k + 1}", at, ha="center", va="center_baseline", fontsize=8, color="black", zorder=4)


def _is_geometric(values: _Array) -> bool:
    """Whether a grid grows by one factor, and not by one difference."""
    if len(values) < 3 or not values[0] > 0:
        return False
    ratios = values[1:] / values[:-1]
    return bool(np.ptp(ratios) <= 1e-6 * ratios[0] and ratios[0] > 1)
