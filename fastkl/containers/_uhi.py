"""Histograms of the UHI protocol (hist, boost-histogram, uproot): their counts without flow bins, and their axes."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastkl.containers._labels import is_same
from fastkl.containers._operand import Operand


def is_uhi(value: Any) -> bool:
    """True for what the protocol calls a plottable histogram."""
    return all(hasattr(value, attribute) for attribute in ("axes", "kind", "values"))


def read(value: Any, name: str) -> Operand:
    """All bins of a histogram, as one."""
    if value.kind != "COUNT":
        raise ValueError(f"{name} is a profile, of kind {value.kind}: its values are means, not counts")
    axes = tuple(value.axes)
    values = np.asarray(value.values())
    return Operand(values.reshape(-1), (_Bins(axes),), is_joint=len(axes) > 1)


@dataclass(frozen=True, eq=False, repr=False, slots=True)
class _Edges:
    lower: float
    upper: float

    def __eq__(self, other: object) -> bool:
        # Edges that were computed in two ways differ by rounding.
        if not isinstance(other, _Edges):
            return False
        width = self.upper - self.lower
        slack = 1e-9 * width if math.isfinite(width) else 0.0
        pairs = (self.lower, other.lower), (self.upper, other.upper)
        return all(a == b or abs(a - b) <= slack for a, b in pairs)

    def __repr__(self) -> str:
        return f"({self.lower}, {self.upper})"


class _Bins:
    """The bins of one or several axes: edges or categories."""

    def __init__(self, axes: tuple[Any, ...]) -> None:
        self.axes, self.shape = axes, tuple(len(axis) for axis in axes)

    def __len__(self) -> int:
        return math.prod(self.shape)

    def __getitem__(self, flat: int) -> Any:
        bins = [_bin(axis, int(i)) for axis, i in zip(self.axes, np.unravel_index(flat, self.shape), strict=True)]
        return bins[0] if len(bins) == 1 else tuple(bins)

    def equals(self, other: Any) -> bool:
        """True for the same bins along each axis, whatever else is said of the axes."""
        if not isinstance(other, _Bins) or self.shape != other.shape:
            return False
        return all(
            a == b or all(is_same(_bin(a, i), _bin(b, i)) for i in range(len(a)))
            for a, b in zip(self.axes, other.axes, strict=True)
        )


def _bin(axis: Any, i: int) -> Any:
    item = axis[i]
    return _Edges(float(item[0]), float(item[1])) if isinstance(item, tuple) else item
