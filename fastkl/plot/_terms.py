"""What each bin adds to a divergence."""

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import rel_entr

from fastkl.fitting._axis import axis_of
from fastkl.plot import _axes
from fastkl.plot._bins import Bins
from fastkl.plot._text import nats
from fastkl.rowwise import kl_divergence

_HATCHED = 100  # bins at most: in narrower ones hatching is a blur


def terms(
    p: npt.ArrayLike,
    q: npt.ArrayLike,
    *,
    edges: npt.ArrayLike | None = None,
    points: npt.ArrayLike | None = None,
    ax: Any = None,
) -> Any:
    r"""Draw the terms :math:`P_i \log(P_i / Q_i)` of a divergence: from which bins does it come?

    .. math:: KL(P \| Q) = \sum_i P_i \log(P_i / Q_i)

    Terms are positive where P has more of its mass than Q, negative where it has less, and inf where Q has none; they
    add up to the divergence. The legend has the sums. Heights are the terms themselves, whatever the widths of the
    bins.

    Parameters
    ----------
    p, q : array_like, shape (n,)
        Two histograms, scaled to a total of one.
    edges : array_like, shape (n + 1,), optional
        The ends of the bins.
    points : array_like, shape (n,), optional
        Instead of edges: where the histograms hold densities or masses. Default: bins are numbered.
    ax : matplotlib.axes.Axes, optional
        Where to draw. Default: a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        What was drawn on.

    Raises
    ------
    ValueError
        A histogram is invalid or no row of numbers, they have other numbers of bins, or edges or points don't fit them.
    ImportError
        There is no matplotlib.

    Examples
    --------
    >>> import fastkl.plot
    >>> from matplotlib.figure import Figure
    >>> ax = fastkl.plot.terms([1, 2, 5], [2, 2, 4], ax=Figure().subplots())
    >>> [round(float(bar.get_height()), 6) for bar in ax.patches]
    [-0.086643, 0.0, 0.139465]
    >>> for text in ax.get_legend().get_texts():
    ...     print(text.get_text())
    KL(P‖Q) = 0.0528213 nats
    $P_i > Q_i$: 1 bin, sum 0.139465 nats
    $P_i < Q_i$: 1 bin, sum -0.0866434 nats
    """
    p, q = np.asarray(p), np.asarray(q)
    for name, histogram in (("p", p), ("q", q)):
        if histogram.ndim != 1:
            raise ValueError(f"{name} must be one histogram, a row of numbers, not of shape {histogram.shape}")
    divergence = float(kl_divergence(p, q))
    axis = None if edges is None and points is None else axis_of(edges, points)
    if axis is not None and axis.bins != len(p):
        needed = len(p) + axis.is_edges
        raise ValueError(
            f"{axis.name} has {len(axis.values)} numbers; it must have {needed}, for histograms of {len(p)} bins"
        )
    bins = Bins(axis, len(p))
    values = rel_entr(p / p.sum(dtype=float), q / q.sum(dtype=float))
    ax = _axes.open_axes(ax)
    ax.plot([], [], " ", label=f"KL(P‖Q) = {nats(divergence)}")
    is_infinite = np.isposinf(values)
    more, less = (values > 0) & ~is_infinite, values < 0
    widths, middles = bins.bars()
    heights = np.where(is_infinite, 0.0, values)
    hatch, line = ("////", 0.4) if len(p) <= _HATCHED else ("", 0.0)
    colors = np.where(values < 0, _axes.SKY, _axes.VERMILLION)
    bars = ax.bar(middles, heights, widths, color=colors, edgecolor="black", linewidth=line)
    for bar, is_less in zip(bars, less, strict=True):
        bar.set_hatch(hatch if is_less else "")
    if is_infinite.any():
        count = int(is_infinite.sum())
        ax.plot(
            middles[is_infinite], np.full(count, 0.97), linestyle="none", marker="^", markersize=8, color="black",
            transform=ax.get_xaxis_transform(), label=f"$Q_i = 0 < P_i$: {_bins(count)}, inf",
        )  # fmt: skip
    ax.axhline(0, color="black", linewidth=0.8)
    ax.set_xlabel(bins.label)
    ax.set_ylabel(r"$P_i\,\log(P_i / Q_i)$, nats")
    patches = [
        *_patch("P_i > Q_i", heights[more], facecolor=_axes.VERMILLION),
        *_patch("P_i < Q_i", heights[less], facecolor=_axes.SKY, hatch=hatch),
    ]
    _axes.legend_below(ax, patches)
    return ax


def _patch(condition: str, heights: npt.NDArray[np.float64], **style: Any) -> list[Any]:
    """An entry of the legend, where there are such bins."""
    from matplotlib.patches import Patch

    if not len(heights):
        return []
    label = f"${condition}$: {_bins(len(heights))}, sum {nats(float(heights.sum()))}"
    return [Patch(label=label, edgecolor="black", linewidth=0.4, **style)]


def _bins(count: int) -> str:
    return f"{count:,} bin{'s' * (count != 1)}"
