"""From points of a grid to the minimum downhill of them: Newton's method, for many histograms at once.

Normal distributions have a compiled one, with the derivatives as formulas. Those of others are differences of the exact
divergence, of fourth order, in coordinates in which a parameter may have any value: the logarithm of a positive one,
the logit of one between two ends, and for the others a multiple of a unit.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from fastkl import kernels
from fastkl._products import Plan
from fastkl.fitting._axis import Axis
from fastkl.fitting._candidates import divergences
from fastkl.fitting._families import Family, Parameter

_Array = npt.NDArray[np.float64]
_Flags = npt.NDArray[np.bool_]
_DIFFERENCE = 1e-3  # of a coordinate in which the curvature is 1 or less
_STEPS = 60
_SMALL_STEP = 1e-6  # whose square is below what is asked for
_LARGEST_STEP = 0.7
_NOISE = 1e-12
_FARTHEST = 40.0  # from where a coordinate began: parameters that grow for ever are left there


def refine(
    family: Family, free: tuple[str, ...], axis: Axis, plan: Plan, p: _Array, start: _Array
) -> tuple[_Array, _Flags]:
    """The parameters (a column for each row of p) of the minima downhill of ``start``, and which were reached.

    Whole numbers, and what is not ``free``, stay what they are.
    """
    if family.name == "norm" and set(free) == {"loc", "scale"}:
        return _refine_normals(axis, plan, p, start)
    moved = [k for k, parameter in enumerate(family.parameters) if parameter.name in free and not parameter.is_whole]
    if not moved:
        return start, np.ones(start.shape[1], np.bool_)
    lines = [_Line(family, k, start) for k in moved]

    def divergence(rows: npt.NDArray[np.intp], t: _Array) -> _Array:
        values = start[:, rows]
        for line, coordinate in zip(lines, t, strict=True):
            values[line.index] = line.value(coordinate, rows)
        return divergences(plan, p[rows], family.log_masses(axis, values))

    t, is_reached = _descend(divergence, np.array([line.start for line in lines]))
    values, every = start.copy(), np.arange(start.shape[1])
    for line, coordinate in zip(lines, t, strict=True):
        values[line.index] = line.value(coordinate, every)
    return values, is_reached


def _refine_normals(axis: Axis, plan: Plan, p: _Array, start: _Array) -> tuple[_Array, _Flags]:
    shares = p / p.sum(1, keepdims=True)
    with np.errstate(divide="ignore"):
        log_shares = np.log(shares)
    objective = kernels.REVERSE if plan.is_exchanged else kernels.FORWARD if plan.order is None else kernels.BETWEEN
    # Places count from the middle of the bins: those of dates, say, have few digits for what lies between them.
    middles = axis.middles
    origin = 0.5 * middles[0] + 0.5 * middles[-1]
    loc, scale = start[0] - origin, start[1].copy()
    is_reached = np.empty(len(loc), np.bool_)
    bins = axis.bins_and_range[:, :-1].copy() if axis.is_edges else np.array([axis.values] * 4)
    bins[:3] -= origin
    alpha = 0.5 if plan.order is None else plan.order
    kernels.fit_normals(bins, axis.is_edges, shares, log_shares, objective, alpha, loc, scale, is_reached)
    return np.array([loc + origin, scale]), is_reached


class _Line:
    """A parameter as a coordinate on the whole line."""

    def __init__(self, family: Family, index: int, start: _Array) -> None:
        parameter, values = family.parameters[index], start[index]
        self.index, self.parameter = index, parameter
        self.origin, self.unit = values, _unit_of(family, parameter, start)
        low, high = parameter.low, parameter.high
        self.start: _Array
        if math.isfinite(low) and math.isfinite(high):
            self.start = np.log((values - low) / (high - values))
        elif math.isfinite(low):
            self.start = np.log(values - low)
        elif math.isfinite(high):
            self.start = np.log(high - values)
        else:
            self.start = np.zeros_like(values)

    def value(self, t: _Array, rows: npt.NDArray[np.intp]) -> _Array:
        """The parameter of some rows at their coordinates."""
        low, high = self.parameter.low, self.parameter.high
        value: _Array
        if math.isfinite(low) and math.isfinite(high):
            value = (low + high * np.exp(t)) / (1.0 + np.exp(t)) if low else high / (1.0 + np.exp(-t))
        elif math.isfinite(low):
            value = low + np.exp(t)
        elif math.isfinite(high):
            value = high - np.exp(t)
        else:
            value = self.origin[rows] + t * self.unit[rows]
        return value


def _unit_of(family: Family, parameter: Parameter, start: _Array) -> _Array:
    # Places move in units of the scale that goes with them.
    scale = parameter.name.replace("loc", "scale")
    is_place = parameter.name.startswith("loc") and scale in family.names
    values: _Array = start[family.names.index(scale if is_place else parameter.name)]
    return values if is_place else np.maximum(1.0, np.abs(values))


def _descend(divergence: Callable[[Any, _Array], _Array], start: _Array) -> tuple[_Array, _Flags]:
    # Newton's steps, of each row its own; those that do not lead downhill are shortened.
    count = start.shape[1]
    t, best, step = start.copy(), np.full(count, np.inf), np.zeros_like(start)
    width = np.full_like(start, _DIFFERENCE)
    is_reached, active = np.zeros(count, np.bool_), np.flatnonzero(np.isfinite(start).all(0))
    for _ in range(_STEPS):
        if not len(active):
            break
        with np.errstate(all="ignore"):
            new = t[:, active] + step[:, active]
            found = divergence(active, new)
            is_lower = found <= best[active] + _NOISE * (1.0 + np.abs(best[active]))
            is_lower &= np.isfinite(found)
            taken, left = active[is_lower], active[~is_lower]
            t[:, taken], best[taken] = new[:, is_lower], found[is_lower]
            step[:, left] *= 0.25
            size_left = np.abs(step[:, left]).max(0)
            step[:, taken], curved = _newton_step(divergence, taken, t[:, taken], best[taken], width[:, taken])
            width[:, taken] = _DIFFERENCE / np.sqrt(np.maximum(1.0, curved))
        size = np.abs(step[:, taken]).max(0)
        is_small = size < _SMALL_STEP
        is_reached[taken[is_small]] = True
        t[:, taken[is_small]] += step[:, taken[is_small]]
        is_far = ~(np.abs(t[:, taken] - start[:, taken]).max(0) < _FARTHEST) | ~(size < np.inf)
        goes_on = np.concatenate([taken[~is_small & ~is_far], left[size_left > 0.01 * _SMALL_STEP]])
        active = np.sort(goes_on)
    return t, is_reached


def _newton_step(
    divergence: Callable[[Any, _Array], _Array], rows: Any, t: _Array, value: _Array, width: _Array
) -> tuple[_Array, _Array]:
    """Newton's step, by differences of so much in each coordinate, and the curvatures along them."""
    d = len(t)

    def at(*moves: tuple[int, float]) -> _Array:
        moved = t.copy()
        for k, by in moves:
            moved[k] += by * width[k]
        return divergence(rows, moved)

    gradient, curvature = np.empty((t.shape[1], d)), np.empty((t.shape[1], d, d))
    for k in range(d):
        far, near = (at((k, -2.0)), at((k, 2.0))), (at((k, -1.0)), at((k, 1.0)))
        h = width[k]
        gradient[:, k] = (8.0 * (near[1] - near[0]) - (far[1] - far[0])) / (12.0 * h)
        curvature[:, k, k] = (16.0 * (near[0] + near[1]) - (far[0] + far[1]) - 30.0 * value) / (12.0 * h * h)
        for other in range(k):
            corners = [a * b * at((k, a), (other, b)) for a in (-1.0, 1.0) for b in (-1.0, 1.0)]
            curvature[:, k, other] = curvature[:, other, k] = sum(corners) / (4.0 * h * width[other])
    along = np.nan_to_num(curvature[:, range(d), range(d)].T)
    is_good = np.isfinite(curvature).all((1, 2)) & np.isfinite(gradient).all(1)
    curvature[~is_good], gradient[~is_good] = np.eye(d), np.nan
    values, vectors = np.linalg.eigh(curvature)
    # Curvatures that are not positive are made so: the step goes downhill at any rate.
    most = np.abs(values).max(1, keepdims=True)
    values = np.maximum(np.abs(values), 1e-8 * most + np.finfo(float).tiny)
    step: _Array = -np.einsum("rij,rj,rkj,rk->ri", vectors, 1.0 / values, vectors, gradient)
    size = np.abs(step).max(1, keepdims=True)
    step = np.where(size > _LARGEST_STEP, step * (_LARGEST_STEP / size), step)
    return step.T, along
