"""What the bins of the histograms are: intervals between edges, or points."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from fastkl._check import check_no_mask

_Array = npt.NDArray[np.float64]
_FAR = 1e150  # stands for an infinite edge, and is beyond all finite ones


@dataclass(frozen=True)
class Axis:
    """The edges of adjacent bins, or the points at which densities are given; increasing."""

    values: _Array
    is_edges: bool

    @property
    def name(self) -> str:
        """Which argument gave it."""
        return "edges" if self.is_edges else "points"

    @property
    def bins(self) -> int:
        """How many bins a histogram has."""
        return len(self.values) - self.is_edges

    @property
    def low(self) -> float:
        """Where the first bin begins."""
        return float(self.values[0])

    @property
    def high(self) -> float:
        """Where the last bin ends."""
        return float(self.values[-1])

    @cached_property
    def middles(self) -> _Array:
        """A point in each bin: its middle, or the finite end of one that has no other."""
        if not self.is_edges:
            return self.values
        left, right = self.values[:-1], self.values[1:]
        middles = 0.5 * left + 0.5 * right
        return np.where(np.isfinite(left), np.where(np.isfinite(right), middles, left), right)

    @cached_property
    def bins_and_range(self) -> _Array:
        """Left ends, right ends, middles and half widths of the bins between edges, and last of the whole range."""
        ends = np.clip(self.values, -_FAR, _FAR)
        left, right = np.append(ends[:-1], ends[0]), np.append(ends[1:], ends[-1])
        return np.array([left, right, 0.5 * left + 0.5 * right, 0.5 * right - 0.5 * left])

    @cached_property
    def step(self) -> float:
        """The least width of a bin, or distance of points; 1 where there is one point alone."""
        steps = np.diff(self.values)
        return float(steps.min()) if len(steps) else 1.0


def axis_of(edges: Any, points: Any) -> Axis:
    """The axis that a user gives by one of the two."""
    if (edges is None) == (points is None):
        given = "both" if edges is not None else "neither"
        raise ValueError(
            f"pass one of edges and points, the ends of the bins or where densities are given; not {given}"
        )
    name, given = ("edges", edges) if points is None else ("points", points)
    check_no_mask(given, name)
    values = np.asarray(given)
    if values.dtype.kind not in "fiub":
        raise TypeError(f"{name} has dtype {values.dtype}; it must be real numbers")
    values = values.astype(np.float64)
    least = 2 if name == "edges" else 1
    if values.ndim != 1 or len(values) < least:
        raise ValueError(f"{name} must be one row of at least {least} numbers, not of shape {values.shape}")
    is_bad = np.isnan(values) | (np.isinf(values) if name == "points" else np.zeros(len(values), bool))
    if is_bad.any():
        i = int(np.argmax(is_bad))
        raise ValueError(f"{name}[{i}] is {values[i].item()!r}; {name} must be {'finite' if least == 1 else 'numbers'}")
    is_far = np.isfinite(values) & (np.abs(values) >= _FAR)
    if is_far.any():
        i = int(np.argmax(is_far))
        raise ValueError(f"{name}[{i}] is {values[i].item()!r}; numbers of {name} must lie between -1e150 and 1e150")
    falls = np.diff(values) <= 0
    if falls.any():
        i = int(np.argmax(falls))
        pair = f"{values[i].item()!r} and {values[i + 1].item()!r}"
        raise ValueError(f"{name}[{i}] and {name}[{i + 1}] are {pair}; {name} must increase")
    return Axis(values, name == "edges")
