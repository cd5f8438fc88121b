"""The logarithms of the masses that distributions of scipy.stats have in bins.

A mass is a difference of the distribution function, below the median, or of the survival function, above it. What is so
far out that they underflow, or so narrow that they cancel, is integrated: from the end where the density is higher to
where there is nothing left of it, by Gauss and Legendre's rule.

The methods of distributions that are called here, _cdf and its like, are those which SciPy documents for subclasses to
write: the public ones copy each argument several times.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from fastkl.fitting._axis import Axis

_Array = npt.NDArray[np.float64]
_LEAST = 1e-290  # mass below which digits are lost
_THIN = 1e-8  # the same of a difference, as a part of what is subtracted
_NEAR, _DEEP = 1e-6, 40.0  # a step to tell a slope by, and the logarithm of what may be left out of a tail
_FEW = 64  # whole numbers in a bin that are summed one by one
# So many nodes take the integral of an exponential that falls by e^-40 to 13 digits.
_NODES, _WEIGHTS = (0.5 * x for x in np.polynomial.legendre.leggauss(24))
_NODES = _NODES + 0.5
# SciPy takes the logarithm of a density of these, which may underflow.
_LOG_DENSITIES = {"laplace": lambda x: -np.abs(x) - np.log(2.0)}


def log_masses(dist: Any, axis: Axis, parameters: _Array) -> _Array:
    """The logarithms of the masses in the bins, or of the densities at the points, for each column of parameters.

    Parameters are shapes, loc and, of continuous distributions, scale. Rows of parameters that are none are NaN.
    """
    is_discrete = hasattr(dist, "pmf")
    count = len(parameters) - (1 if is_discrete else 2)
    shapes, loc = [row[:, None] for row in parameters[:count]], parameters[count][:, None]
    scale = np.ones_like(loc) if is_discrete else parameters[count + 1][:, None]
    with np.errstate(all="ignore"):
        is_good = np.isfinite(loc) & (scale > 0) & np.isfinite(scale) & np.asarray(dist._argcheck(*shapes), bool)
        shapes = [np.where(is_good, shape, np.nan) for shape in shapes]
        if is_discrete:
            logs = _of_lattice(dist, axis, shapes, loc)
        else:
            z = (axis.values - loc) / scale
            logs = _of_bins(dist, z, shapes) if axis.is_edges else _log_density(dist, z, shapes) - np.log(scale)
    logs[~is_good[:, 0]] = np.nan
    return logs


def _within(dist: Any, shapes: list[_Array]) -> tuple[_Array, _Array]:
    a, b = dist._get_support(*shapes)
    return np.asarray(a, float), np.asarray(b, float)


def _where(condition: Any, function: Any, z: _Array, shapes: list[_Array], other: Any) -> _Array:
    """A method of a distribution where the condition holds, ``other`` elsewhere."""
    out = np.full(z.shape, other, float)
    if condition.any():
        out[condition] = function(z[condition], *(np.broadcast_to(s, z.shape)[condition] for s in shapes))
    return out


def _log_density(dist: Any, z: _Array, shapes: list[_Array]) -> _Array:
    a, b = _within(dist, shapes)
    return _where((a <= z) & (z <= b), dist._logpdf, z, shapes, -np.inf)


def _of_bins(dist: Any, z: _Array, shapes: list[_Array]) -> _Array:
    a, b = _within(dist, shapes)
    is_below = z < _medians(dist, z, shapes, a, b)
    is_inside = (a < z) & (z < b)
    below = _where(is_inside & is_below, dist._cdf, z, shapes, 0.0)
    above = _where(is_inside & ~is_below, dist._sf, z, shapes, 0.0)
    masses = np.diff(below, axis=1) - np.diff(above, axis=1)
    across = is_below[:, :-1] & ~is_below[:, 1:]
    masses[across] += 1.0  # 1 - F(left) - S(right)
    logs = np.log(np.maximum(masses, 0.0))
    subtracted = np.maximum(below[:, 1:], above[:, :-1])
    is_lost = ~(masses > np.maximum(_LEAST, _THIN * subtracted)) & (z[:, :-1] < b) & (z[:, 1:] > a)
    if is_lost.any():
        i, j = np.nonzero(is_lost)
        ends = [np.broadcast_to(end, (len(z), 1))[i, 0] for end in (a, b)]
        left, right = np.maximum(z[i, j], ends[0]), np.minimum(z[i, j + 1], ends[1])
        logs[i, j] = _integral(dist, left, right, [np.broadcast_to(s, (len(z), 1))[i, 0] for s in shapes])
    return logs


def _medians(dist: Any, z: _Array, shapes: list[_Array], a: _Array, b: _Array) -> _Array:
    """Where the distribution function is one half, if there is a formula; else the first edge at which it is above."""
    from scipy.stats import rv_continuous

    if type(dist)._ppf is not rv_continuous._ppf:  # which would look for it, at length
        if not shapes:
            return np.full((len(z), 1), dist._ppf(0.5))
        distinct, numbers = np.unique(np.array(shapes)[:, :, 0], axis=1, return_inverse=True)
        medians = np.asarray(dist._ppf(0.5, *distinct), float)
        if np.isfinite(medians).all():
            return medians[numbers.ravel()][:, None]
    return _first_above(dist, z, shapes, a, b)


def _first_above(dist: Any, z: _Array, shapes: list[_Array], a: _Array, b: _Array) -> _Array:
    # By bisection: edges increase.
    low, high = np.zeros(len(z), np.intp), np.full(len(z), z.shape[1], np.intp)
    rows = np.arange(len(z))
    flat = [np.broadcast_to(s, (len(z), 1))[:, 0] for s in shapes]
    a, b = (np.broadcast_to(end, (len(z), 1))[:, 0] for end in (a, b))
    for _ in range(z.shape[1].bit_length()):
        middle = np.minimum((low + high) // 2, z.shape[1] - 1)
        x = z[rows, middle]
        is_above = (_where((a < x) & (x < b), dist._cdf, x, flat, 0.0) > 0.5) | (x >= b)
        high = np.where(is_above & (low < high), middle, high)
        low = np.where(is_above | (low >= high), low, middle + 1)
    beyond = np.concatenate([z, np.full((len(z), 1), np.inf)], axis=1)
    return beyond[rows, low][:, None]


def _integral(dist: Any, left: _Array, right: _Array, shapes: list[_Array]) -> _Array:
    """The logarithms of the integrals of the density from ``left`` to ``right``."""
    of_one = _LOG_DENSITIES.get(dist.name, dist._logpdf)

    def log_density(x: _Array) -> _Array:
        # In one row: some distributions know no other arrays.
        repeated = [np.repeat(shape, x.shape[1]) for shape in shapes]
        logs = np.asarray(of_one(x.ravel(), *repeated), float).reshape(x.shape)
        return np.where(np.isnan(logs), -np.inf, logs)

    ends = np.stack([left, right], axis=1)
    at_ends = np.where(np.isfinite(ends), log_density(np.where(np.isfinite(ends), ends, 0.0)), -np.inf)
    is_left = at_ends[:, 0] >= at_ends[:, 1]
    start, inwards, width = np.where(is_left, left, right), np.where(is_left, 1.0, -1.0), right - left
    near = np.minimum(_NEAR * np.maximum(1.0, np.abs(start)), 0.1 * width)
    slope = (log_density((start + inwards * near)[:, None])[:, 0] - at_ends.max(1)) / near
    reach = np.where(slope < 0, -_DEEP / slope, np.inf)
    length = np.minimum(width, np.where(reach > 0, reach, np.inf))
    logs = log_density(start[:, None] + (inwards * length)[:, None] * _NODES)
    most = logs.max(1)
    total = most + np.log(np.exp(logs - np.where(np.isfinite(most), most, 0.0)[:, None]) @ _WEIGHTS)
    of_masses: _Array = total + np.log(length)
    return np.where(np.isfinite(of_masses), of_masses, -np.inf)


def _of_lattice(dist: Any, axis: Axis, shapes: list[_Array], loc: _Array) -> _Array:
    a, b = _within(dist, shapes)

    def log_mass(k: _Array) -> _Array:
        return _where((a <= k) & (k <= b) & (k == np.floor(k)), dist._logpmf, k, shapes, -np.inf)

    z = axis.values - loc
    if not axis.is_edges:
        return log_mass(z)
    # Bins hold their left ends, as NumPy's do, and the last one its right end too.
    first = np.ceil(z[:, :-1])
    last = np.concatenate([np.ceil(z[:, 1:-1]) - 1.0, np.floor(z[:, -1:])], axis=1)
    first, last = np.maximum(first, a), np.minimum(last, b)
    counts = np.where(last >= first, last - first + 1.0, 0.0)
    most = counts.max(initial=0.0)
    logs = np.full(first.shape, -np.inf)
    for k in range(int(min(most, _FEW))):
        logs = np.logaddexp(logs, np.where(k < counts, log_mass(np.minimum(first + k, last)), -np.inf))
    if most > _FEW:
        logs = np.where(counts > _FEW, _of_many(dist, shapes, first, last, log_mass), logs)
    return logs


def _of_many(dist: Any, shapes: list[_Array], first: _Array, last: _Array, log_mass: Any) -> _Array:
    # From the distribution function; where that underflows the numbers next to the end that has more.
    every = np.ones(first.shape, bool)
    below = [_where(every, dist._cdf, k, shapes, 0.0) for k in (first - 1.0, last)]
    above = [_where(every, dist._sf, k, shapes, 0.0) for k in (first - 1.0, last)]
    masses = np.where(below[0] < 0.5, below[1] - below[0], above[0] - above[1])
    logs = np.log(np.maximum(masses, 0.0))
    if (masses <= _LEAST).any():
        tail = np.full(first.shape, -np.inf)
        for k in range(_FEW):
            tail = np.logaddexp(tail, np.logaddexp(log_mass(first + k), log_mass(last - k)))
        logs = np.where(masses <= _LEAST, tail, logs)
    return logs
