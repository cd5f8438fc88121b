"""Where the bins of a histogram lie in a picture, and how high they are."""

from typing import Any

import numpy as np
import numpy.typing as npt

from fastkl.fitting._axis import Axis
from fastkl.plot._axes import FILL, OUTLINE

_Array = npt.NDArray[np.float64]
_MARKS = 7  # on a curve
_VISIBLE = 0.02  # of the highest bin: below it a marker would lie on the axis


class Bins:
    """Bins between edges, which are steps; points, which are joined by lines; or bins with numbers alone."""

    def __init__(self, axis: Axis | None, count: int) -> None:
        self.is_steps = axis is None or axis.is_edges
        self.edges: _Array = np.empty(0)
        self.widths: _Array = np.ones(count)
        self.middles: _Array = np.arange(float(count))
        self.label, self.height_label = "bin", "share of a bin"
        if axis is None:
            self.edges = np.arange(count + 1.0) - 0.5
        elif axis.is_edges:
            self.edges, has_infinite = _drawn(axis.values)
            self.widths, self.middles = np.diff(self.edges), (self.edges[:-1] + self.edges[1:]) / 2
            self.label = "x (the outer bins have no end; drawn as wide as the next)" if has_infinite else "x"
            self.height_label = "density (share / width of the bin)"
        else:
            self.middles, self.label, self.height_label = axis.values, "x", "share of a point"
            steps = np.diff(axis.values)
            if count > 1 and np.ptp(steps) <= 1e-6 * steps[0] and abs(steps[0] - 1) > 1e-6:
                self.widths, self.height_label = np.full(count, steps.mean()), "density (share / step of the points)"

    @property
    def span(self) -> float:
        """How long the axis is."""
        ends = self.edges if self.is_steps else self.middles
        return float(ends[-1] - ends[0])

    def bars(self) -> tuple[_Array, _Array]:
        """Widths and middles of bars that stand for the bins. At points they reach halfway to the nearest other one."""
        if self.is_steps:
            return self.widths, self.middles
        steps = np.diff(self.middles)
        if not len(steps):
            return np.ones(1), self.middles
        return np.minimum(np.append(steps, np.inf), np.insert(steps, 0, np.inf)), self.middles

    def fill(self, ax: Any, shares: _Array, label: str) -> None:
        """Draw the histogram that all is about, as an area."""
        heights = shares / self.widths
        style: dict[str, Any] = {"facecolor": FILL, "edgecolor": OUTLINE, "linewidth": 1.0, "label": label, "zorder": 1}
        if self.is_steps:
            ax.stairs(heights, self.edges, fill=True, **style)
        else:
            ax.fill_between(self.middles, heights, **style)

    def draw(self, ax: Any, shares: _Array, number: int, **style: Any) -> None:
        """Draw a further histogram as a line with a few markers, in other places for each number."""
        heights = shares / self.widths
        places, each = self.middles, 1
        if self.is_steps:  # left end, middle and right end of each bin
            places, each = np.column_stack([self.edges[:-1], self.middles, self.edges[1:]]).ravel(), 3
        marks = [each * int(k) + each // 2 for k in _marks(heights, number)]
        ax.plot(places, np.repeat(heights, each), markevery=marks, markersize=5, linewidth=1.6, **style)


def _drawn(edges: _Array) -> tuple[_Array, bool]:
    """Finite edges, and whether others took the place of infinite ones."""
    edges, is_infinite = edges.copy(), np.isinf(edges)
    inner = edges[~is_infinite]
    if is_infinite[0]:
        edges[0] = inner[0] - (inner[1] - inner[0] if len(inner) > 1 else 1.0) if len(inner) else -1.0
    if is_infinite[-1]:
        edges[-1] = inner[-1] + (inner[-1] - inner[-2] if len(inner) > 1 else 1.0) if len(inner) else 1.0
    return edges, bool(is_infinite.any())


def _marks(heights: _Array, number: int) -> npt.NDArray[np.int64]:
    """The bins that get markers: some of those that can be seen, others for each number."""
    visible = np.flatnonzero(heights >= _VISIBLE * heights.max(initial=0.0))
    step = max(1, len(visible) // _MARKS)
    return visible[(step // 2 + number * step // 3) % step :: step]
