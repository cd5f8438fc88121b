"""Histograms and the distributions that were fitted to them."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from fastkl.fitting._result import Fit
from fastkl.plot import _axes
from fastkl.plot._bins import Bins
from fastkl.plot._text import divergence_text, parameter_text, wrapped

_OF_OBJECTIVE = {"forward": _axes.BLUE, "reverse": _axes.VERMILLION}


def fit(fit: Fit, index: int | tuple[int, ...] = (), *, ax: Any = None) -> Any:
    r"""Draw a histogram and what was fitted to it.

    The histogram P is an area, and the fitted one :math:`Q_{\hat\theta}` of each minimum a line, with the parameters
    and the divergence in the legend. Between edges the heights are densities, :math:`P_i / (b_{i+1} - b_i)`, so that
    areas are shares whatever the widths; at points they are :math:`P_i / h` where these have one step h, and otherwise
    :math:`P_i`. Of candidates that are histograms themselves the bins are numbered.

    Parameters
    ----------
    fit : Fit
        What `fastkl.fit` gives back.
    index : int or tuple of int
        Which histogram of the batch; () for a single one.
    ax : matplotlib.axes.Axes, optional
        Where to draw. Default: a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        What was drawn on.

    Raises
    ------
    ValueError
        The index hasn't as many numbers as the batch has dimensions.
    IndexError
        It is out of range.
    ImportError
        There is no matplotlib.

    Examples
    --------
    >>> import fastkl.plot
    >>> from matplotlib.figure import Figure
    >>> found = fastkl.fit([1, 4, 6, 4, 1], edges=[-2.5, -1.5, -0.5, 0.5, 1.5, 2.5])
    >>> ax = fastkl.plot.fit(found, ax=Figure().subplots())
    >>> for text in ax.get_legend().get_texts():
    ...     print(text.get_text())
    P
    norm, forward: loc = 0, scale = 1.0155, KL(P‖Q) = 0.000217255 nats
    """
    return _draw([fit], index, ax)


def fits(fits: Sequence[Fit], index: int | tuple[int, ...] = (), *, ax: Any = None) -> Any:
    """Draw a histogram and several fits to it: by both directions of the divergence, say, or of several families.

    As `fit` draws each of them. A fit has a colour, and each of its minima a line style and marker of its own.

    Parameters
    ----------
    fits : sequence of Fit
        Fits to the same histograms.
    index : int or tuple of int
        Which histogram of the batch; () for a single one.
    ax : matplotlib.axes.Axes, optional
        Where to draw. Default: a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        What was drawn on.

    Raises
    ------
    ValueError
        There is no fit, they are of other histograms or other bins, or the index hasn't as many numbers as the batch
        has dimensions.
    IndexError
        The index is out of range.
    ImportError
        There is no matplotlib.

    Examples
    --------
    >>> import numpy as np
    >>> import fastkl.plot
    >>> from matplotlib.figure import Figure
    >>> x = np.linspace(-27, 37, 1281)
    >>> p = np.exp(-(x**2) / 2) + np.exp(-((x - 10) ** 2) / 2)
    >>> forward, reverse = (fastkl.fit(p, points=x, objective=name) for name in ("forward", "reverse"))
    >>> ax = fastkl.plot.fits([forward, reverse], ax=Figure().subplots())
    >>> print(ax.get_legend().get_texts()[1].get_text())
    norm, forward: loc = 5, scale = 5.099, KL(P‖Q) = 0.935902 nats
    """
    if isinstance(fits, Fit):
        raise TypeError("fits is a single Fit; pass a list of them, or call fastkl.plot.fit")
    return _draw(list(fits), index, ax)


def single(fit: Fit, index: int | tuple[int, ...]) -> Fit:
    """The fit to one histogram of the batch alone, with what it says of that one; not its target."""
    place = fit._place(index, 0)[: len(fit.shape)]
    return replace(
        fit,
        params={name: np.asarray(array)[place] for name, array in fit.params.items()},
        divergence=np.asarray(fit.divergence)[place],
        grid_index=np.asarray(fit.grid_index)[place],
        converged=np.asarray(fit.converged)[place],
        surface=None if fit.surface is None else fit.surface[place],
    )


def minimum_texts(one: Fit, span: float, name: str) -> dict[int, str]:
    """The parameters and the divergence of those minima of a single fit that there are, by their number."""
    divergences = np.ravel(one.divergence)
    columns = {key: np.ravel(values) for key, values in one.params.items()}
    texts = {}
    for k in np.flatnonzero(np.isfinite(divergences)).tolist():
        parts = [parameter_text(key, float(values[k]), span) for key, values in columns.items()]
        parts.append(divergence_text(one.objective, float(divergences[k])))
        texts[k] = wrapped(f"{name} {k + 1}" if one.minima > 1 else name, parts)
    return texts


def _name(one: Fit) -> str:
    return f"{one.family}, {one.objective if isinstance(one.objective, str) else f'alpha = {one.objective:g}'}"


def _draw(fits: list[Fit], index: int | tuple[int, ...], ax: Any) -> Any:
    if not fits:
        raise ValueError("fits is empty; there must be one at least")
    for fit in fits:
        if not isinstance(fit, Fit):
            raise TypeError(f"{fit!r} is no Fit, as fastkl.fit gives it")
    bins, target = Bins(fits[0].axis, fits[0]._p.bins), fits[0].target(index)
    for k, other in enumerate(fits[1:], 1):
        _check_same(fits[0], other, k, index)
    ax = _axes.open_axes(ax)
    bins.fill(ax, target, "P")
    unused = list(_axes.PALETTE)
    number = 0
    for fit in fits:
        one = single(fit, index)
        color = _color(one.objective, unused)
        rows = one.histogram().reshape(-1, len(target))
        texts = minimum_texts(one, bins.span, _name(one))
        for minimum, text in texts.items():
            k = number % len(_axes.DASHES)
            bins.draw(ax, rows[minimum], k, color=color, linestyle=_axes.DASHES[k], marker=_axes.MARKERS[k], label=text)
            number += 1
        if not texts:
            ax.plot([], [], " ", label=f"{_name(one)}: no fit, the divergence is {float(np.ravel(one.divergence)[0])}")
    ax.set_xlabel(bins.label)
    ax.set_ylabel(bins.height_label)
    ax.set_ylim(bottom=0)
    _axes.legend_below(ax)
    return ax


def _check_same(first: Fit, other: Fit, k: int, index: int | tuple[int, ...]) -> None:
    one, two = first.axis, other.axis
    same_bins = one is None or two is None or (one.is_edges == two.is_edges and np.array_equal(one.values, two.values))
    if not same_bins or not np.array_equal(first.target(index), other.target(index)):
        what = "histogram" if same_bins else "edges or points"
        raise ValueError(f"fits[{k}] and fits[0] have another {what}; they must be fits to the same histograms")


def _color(objective: str | float, unused: list[str]) -> str:
    """The usual colour of an objective, or the next that no other fit has."""
    usual = _OF_OBJECTIVE.get(objective, _axes.GREEN) if isinstance(objective, str) else _axes.GREEN
    if not unused:
        unused.extend(_axes.PALETTE)
    color = usual if usual in unused else unused[0]
    unused.remove(color)
    return color
