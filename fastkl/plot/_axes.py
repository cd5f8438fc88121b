"""What all pictures share: the Axes, the palette, and a legend that lies over no data."""

from collections.abc import Sequence
from typing import Any

# Colours of Okabe and Ito (2008), which the colour-blind can tell apart.
BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"
PALETTE = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY)
DASHES = ("-", "--", "-.", ":", (0, (6, 1, 1, 1, 1, 1)), (0, (1, 3)))
MARKERS = ("o", "s", "^", "D", "v", "P")
FILL, OUTLINE = "0.86", "0.45"

_BELOW = 40 / 72  # inches from the axes to the legend: room for ticks and a label


def open_axes(ax: Any) -> Any:
    """The given Axes, or those of a new figure."""
    if ax is not None:
        if not hasattr(ax, "get_figure"):
            raise TypeError(f"ax is {ax!r}; it must be Axes of matplotlib")
        return ax
    try:
        from matplotlib import pyplot
    except ImportError as error:
        raise ImportError("fastkl.plot needs matplotlib: pip install 'fastkl[plot]'") from error
    return pyplot.subplots(layout="constrained")[1]


def legend_below(ax: Any, handles: Sequence[Any] = (), markerscale: float = 1.0) -> None:
    """Say what is drawn, under the axes: there it hides nothing, and leaves the title to the user.

    Further entries, of ``handles``, come after those of what has a label.
    """
    from matplotlib.transforms import ScaledTranslation

    lowered = ax.transAxes + ScaledTranslation(0, -_BELOW, ax.figure.dpi_scale_trans)
    ax.legend(
        handles=[*ax.get_legend_handles_labels()[0], *handles], loc="upper left", bbox_to_anchor=(0, 0),
        bbox_transform=lowered, frameon=False, borderaxespad=0, borderpad=0, handlelength=3, fontsize="small",
        markerscale=markerscale,
    )  # fmt: skip
