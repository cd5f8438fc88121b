"""The product grid of a family's parameters: the user's, or one that the histograms suggest."""

import math
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from fastkl._check import check_no_mask
from fastkl.fitting._axis import Axis
from fastkl.fitting._families import Family, Parameter, Values

_Array = npt.NDArray[np.float64]
# Values for each parameter, so that a grid has about ten thousand points.
_COUNTS = {1: (4096,), 2: (128, 64), 3: (16, 32, 24), 5: (5, 12, 6, 12, 6)}
_STEP, _MORE = 0.5, 4  # a step of places, in the least standard deviation, and the most places for it, as a factor
_OUTER = 0.005  # the share of a histogram on either side that its modes may not lie in
# How far a default grid goes below and above what the moments say, as a factor. A mode is narrower than the whole.
_AROUND, _AROUND_SCALES = 8.0, (32.0, 4.0)


class Grid:
    """The points of a product grid, in C order: the last parameter changes fastest. Others are fixed."""

    def __init__(self, family: Family, axes: dict[str, _Array], fixed: dict[str, float]) -> None:
        self.family, self.axes, self.fixed = family, axes, fixed
        self.names = tuple(axes)
        self.shape = tuple(len(values) for values in axes.values())
        self.size = math.prod(self.shape)

    def values(self, index: npt.NDArray[np.int64] | None = None) -> _Array:
        """All parameters of the family, in its order, a column for each of the grid's points with these numbers."""
        index = np.arange(self.size) if index is None else index
        places = dict(zip(self.names, np.unravel_index(index, self.shape), strict=True))
        rows = [
            self.axes[name][places[name]] if name in places else np.full(len(index), self.fixed[name])
            for name in self.family.names
        ]
        return np.array(rows, float).reshape(len(rows), len(index))

    def named(self) -> Values:
        """The parameters of all points by name."""
        return dict(zip(self.family.names, self.values(), strict=True))

    @cached_property
    def has_mirror_images(self) -> bool:
        """True of mixtures whose two components have one grid, in which they can be exchanged."""
        if self.family.name != "norm_mixture" or not {"weight", "loc1", "scale1", "loc2", "scale2"} <= set(self.names):
            return False
        weights = np.sort(self.axes["weight"])
        has_both = np.allclose(weights, 1.0 - weights[::-1], rtol=0, atol=1e-12)
        pairs = [(self.axes[f"{name}1"], self.axes[f"{name}2"]) for name in ("loc", "scale")]
        return has_both and all(np.array_equal(*pair) for pair in pairs)


def grid_of(
    family: Family,
    given: Mapping[str, Any] | None,
    fixed: Mapping[str, Any],
    axis: Axis,
    moments: Callable[[], "Moments"],
) -> Grid:
    """The grid that the user gives, or the default one, for which the moments of the histograms are asked."""
    _check_names("fixed", fixed, family)
    held = {name: _number(f"fixed[{name!r}]", value) for name, value in fixed.items()}
    if given is None:
        axes = _default(family, held, axis, moments())
    else:
        if not isinstance(given, Mapping):
            raise TypeError(f"grid is a {type(given).__name__}; it must be a dict of arrays, or None")
        _check_names("grid", given, family)
        axes = {str(name): _axis_values(name, values) for name, values in given.items()}
        twice = sorted(set(axes) & set(held))
        if twice:
            raise ValueError(f"{twice[0]} is in grid and fixed; it can be in one of them")
    if not axes:
        raise ValueError(f"all parameters of {family.name} are fixed; one at least must be in the grid")
    usual = {"loc": 0.0, "scale": 1.0}
    missing = [name for name in family.names if name not in axes and name not in held and name not in usual]
    if missing:
        raise ValueError(f"{family.name} has the parameter {missing[0]}: put it into grid or fixed")
    rest = {name: held.get(name, usual.get(name, math.nan)) for name in family.names if name not in axes}
    _check_values(family, axes, rest)
    return Grid(family, axes, rest)


def _check_names(argument: str, given: Mapping[str, Any], family: Family) -> None:
    for name in given:
        if name not in family.names:
            raise ValueError(
                f"{argument} has {name!r}, which is no parameter of {family.name}: {', '.join(family.names)}"
            )


def _number(name: str, value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{name} is {value!r}; it must be a number") from None
    if not math.isfinite(number):
        raise ValueError(f"{name} is {number!r}; it must be finite")
    return number


def _shown(value: Any) -> str:
    return text if len(text := repr(value)) <= 60 else f"a {type(value).__name__} of shape {np.shape(value)}"


def _axis_values(name: str, given: Any) -> _Array:
    check_no_mask(given, f"grid[{name!r}]")
    values = np.atleast_1d(np.asarray(given))
    if values.dtype.kind not in "fiub" or values.ndim != 1 or not len(values):
        raise ValueError(f"grid[{name!r}] is {_shown(given)}; it must be a number, or a row of at least one")
    values = values.astype(np.float64)
    if not np.isfinite(values).all():
        i = int(np.argmin(np.isfinite(values)))
        raise ValueError(f"grid[{name!r}][{i}] is {values[i].item()!r}; it must be finite")
    return values


def _check_values(family: Family, axes: dict[str, _Array], rest: dict[str, float]) -> None:
    for parameter in family.parameters:
        name = parameter.name
        values = axes[name] if name in axes else np.array([rest[name]])
        is_wrong = ~((values >= parameter.low) & (values <= parameter.high))
        is_wrong |= (values == 0.0) & (name == "scale")
        if parameter.is_whole:
            is_wrong |= values != np.floor(values)
        if is_wrong.any():
            i = int(np.argmax(is_wrong))
            where = f"grid[{name!r}][{i}]" if name in axes else f"fixed[{name!r}]"
            raise ValueError(f"{where} is {values[i].item()!r}; {name} of {family.name} must be {_domain(parameter)}")


def _domain(parameter: Parameter) -> str:
    low, high = parameter.low, parameter.high
    noun = "a whole number" if parameter.is_whole else "a number"
    if math.isinf(high):
        if math.isinf(low):
            return noun
        is_open = parameter.is_positive and not parameter.is_whole
        return f"{noun} above 0" if is_open else f"{noun} of at least {low:g}"
    return f"{noun} between {low:g} and {high:g}"


class Moments:
    """Means and standard deviations of the histograms of a batch, and where they have mass."""

    def __init__(self, axis: Axis) -> None:
        self.axis = axis
        x = np.where(np.isfinite(axis.middles), axis.middles, 0.0)
        self.origin = 0.5 * x[0] + 0.5 * x[-1]
        self.x = x - self.origin
        self.least_mean = self.least_deviation = self.first = math.inf
        self.most_mean = self.most_deviation = self.last = -math.inf

    def add(self, rows: _Array) -> None:
        """Look at some histograms; those that are none are left out."""
        with np.errstate(all="ignore"):
            totals = rows.sum(1, keepdims=True)
            is_good = ((totals > 0) & np.isfinite(totals))[:, 0]
            if not is_good.any():
                return
            shares = rows[is_good] / totals[is_good]
            mean = shares @ self.x
            deviation = np.sqrt(np.maximum(shares @ (self.x * self.x) - mean * mean, 0.0))
            below = np.cumsum(shares, axis=1)
            first, last = (below < _OUTER).sum(1).min(), (below < 1.0 - _OUTER).sum(1).max()
        self.first = min(self.first, self.x[first])
        self.last = max(self.last, self.x[min(last, len(self.x) - 1)])
        self.least_mean, self.most_mean = min(self.least_mean, mean.min()), max(self.most_mean, mean.max())
        self.least_deviation = min(self.least_deviation, deviation.min())
        self.most_deviation = max(self.most_deviation, deviation.max())

    def reach(self) -> tuple[float, float]:
        """Where the histograms have their mass."""
        return self.first + self.origin, self.last + self.origin

    def extremes(self) -> tuple[_Array, _Array]:
        """(means, deviations) of the four extreme histograms there may be."""
        if not math.isfinite(self.least_mean):  # there is no histogram
            self.least_mean = self.most_mean = 0.0
            self.least_deviation = self.most_deviation = self.axis.step
        floor = 0.3 * self.axis.step if math.isfinite(self.axis.step) else 1e-3
        low, high = max(self.least_deviation, floor), max(self.most_deviation, floor)
        means = np.array([self.least_mean, self.least_mean, self.most_mean, self.most_mean]) + self.origin
        return means, np.array([low, high, low, high])


def _default(family: Family, held: dict[str, float], axis: Axis, moments: Moments) -> dict[str, _Array]:
    """A grid around what the moments of the histograms suggest."""
    free = [name for name in (family.entry.free if family.entry else family.names) if name not in held]
    if family.entry is None and family.is_discrete:
        free = [name for name in free if name != "loc"]
    unknown = [p.name for p in family.parameters if p.name in free and p.is_whole and p.name != "loc"]
    if family.name == "binom" and "n" not in held:
        unknown = ["n"]
    if unknown:
        raise ValueError(
            f"{unknown[0]} of {family.name} must be a whole number: put it into fixed, or all parameters into grid"
        )
    means, deviations = moments.extremes()
    suggested: Values = {}
    if family.entry:
        held_loc = held.get("loc", 0.0)
        shifted = means
        if "loc" not in family.entry.free:
            shifted = np.where(means != held_loc, means - held_loc, axis.step)
        with np.errstate(all="ignore"):
            suggested = family.entry.moments(shifted, deviations)
    counts = _COUNTS.get(len(free), (max(3, round(10_000 ** (1.0 / max(len(free), 1)))),) * len(free))
    parameters = {parameter.name: parameter for parameter in family.parameters}
    # Of families of which nothing is known the support may have an end: it must be able to reach around all bins.
    ends = axis.middles[np.isfinite(axis.middles)]
    reach = moments.reach() if family.entry else (float(ends[0]), float(ends[-1]))
    return {
        name: _range_of(parameters[name], suggested.get(name), count, means, deviations, reach, family.entry is None)
        for name, count in zip(free, counts, strict=True)
    }


def _range_of(
    parameter: Parameter,
    suggested: _Array | None,
    count: int,
    means: _Array,
    deviations: _Array,
    reach: tuple[float, float],
    may_end: bool,
) -> _Array:
    name = parameter.name
    if name.startswith("loc"):
        centre = means if suggested is None else suggested
        spread = 3.0 * deviations.max()
        low, high = centre.min() - spread, centre.max() + spread
        low, high = min(low, reach[0] - may_end * deviations.max()), max(high, reach[1])
        if name == "loc":
            count = int(np.clip((high - low) / (_STEP * deviations.min()), count, _MORE * count))
        return np.linspace(low, high, count)
    if parameter.is_share:
        return _shares(suggested, count)
    if suggested is None:
        suggested = deviations if name.startswith("scale") else np.array([1.0])
    if parameter.is_positive and math.isinf(parameter.high):
        good = suggested[np.isfinite(suggested) & (suggested > 0)]
        low, high = (good.min(), good.max()) if len(good) else (1.0, 1.0)
        below, above = _AROUND_SCALES if name.startswith("scale") else (_AROUND, _AROUND)
        most = high * above
        if may_end and name == "scale":
            most = max(most, 2.0 * (reach[1] - reach[0]))
        return np.geomspace(low / below, most, count)
    if math.isfinite(parameter.low) and math.isfinite(parameter.high):
        return np.linspace(parameter.low, parameter.high, count + 2)[1:-1]
    if math.isfinite(parameter.low):
        return parameter.low + np.geomspace(1.0 / _AROUND, _AROUND, count)
    if math.isfinite(parameter.high):
        return parameter.high - np.geomspace(1.0 / _AROUND, _AROUND, count)[::-1]
    return np.linspace(-_AROUND, _AROUND, count)


def _shares(suggested: _Array | None, count: int) -> _Array:
    """Numbers between 0 and 1: around those that the moments suggest, by their odds, or all over."""
    if suggested is None:
        return np.linspace(0.0, 1.0, count + 2)[1:-1]
    good = suggested[(suggested > 0.0) & (suggested < 1.0)]
    odds = good / (1.0 - good) if len(good) else np.array([1.0])
    around = np.geomspace(odds.min() / _AROUND, odds.max() * _AROUND, count)
    return around / (1.0 + around)
