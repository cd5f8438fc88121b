"""What can be fitted: the families of scipy.stats, and what is known of some of them.

An entry of the table at the end says which parameters of a family are free unless the user says otherwise, which the
moments of a histogram suggest, and by which statistics the log density is linear, if there are such. A family that has
no entry is fitted with all its shapes, and loc and scale, free.
"""

import difflib
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fastkl import kernels
from fastkl.fitting._axis import Axis
from fastkl.fitting._masses import log_masses

_Array = npt.NDArray[np.float64]
Values = dict[str, _Array]
_ACCEPTED = (
    "it must be the name of a distribution of scipy.stats, 'norm_mixture', a distribution itself, frozen or not, or a"
    " table of candidate histograms"
)


class Parameter(NamedTuple):
    """A parameter, the open interval it lies in, and whether only whole numbers do."""

    name: str
    low: float = -math.inf
    high: float = math.inf
    is_whole: bool = False

    @property
    def is_positive(self) -> bool:
        """Whether 0 is the lower end, or the number next to it, as SciPy has it where 0 itself is none."""
        return bool(0.0 <= self.low <= np.finfo(float).smallest_subnormal)

    @property
    def is_share(self) -> bool:
        """Whether it lies between 0 and 1."""
        return self.is_positive and bool(math.nextafter(1.0, 0.0) <= self.high <= 1.0)


class Exponential(NamedTuple):
    """log density = natural . statistics + base - log total, at each point and for each candidate."""

    statistics: _Array  # (number, points)
    base: _Array  # (points), -inf where there is no mass
    natural: _Array  # (number, candidates)


@dataclass(frozen=True)
class Entry:
    """What is known of a family."""

    free: tuple[str, ...]
    moments: Callable[[_Array, _Array], Values]  # of means and standard deviations
    exponential: Callable[[_Array, Values], Exponential | None] | None = None
    constant: tuple[str, ...] = ("loc",)  # parameters that may not vary for it
    domains: dict[str, tuple[float, float]] = field(default_factory=dict)


class Family:
    """A family of distributions of scipy.stats."""

    def __init__(self, dist: Any) -> None:
        self.dist, self.name = dist, str(dist.name)
        self.is_discrete = hasattr(dist, "pmf")
        self.entry = _ENTRIES.get(self.name)
        names = [name.strip() for name in dist.shapes.split(",")] if dist.shapes else []
        infos = {info.name: info for info in dist._shape_info()} if names else {}
        domains = self.entry.domains if self.entry else {}
        self.parameters = [_parameter(name, infos.get(name), domains) for name in names]
        is_mixture = self.name == "norm_mixture"
        if not is_mixture:
            self.parameters.append(Parameter("loc", is_whole=self.is_discrete))
        if not (self.is_discrete or is_mixture):
            self.parameters.append(Parameter("scale", low=0.0))
        self.names = tuple(parameter.name for parameter in self.parameters)

    def __reduce__(self) -> tuple[Any, ...]:
        # What is known of a family are functions, which have no names to be found again by.
        return Family, (self.dist,)

    def log_masses(self, axis: Axis, values: _Array) -> _Array:
        """Logarithms of the shares of the bins, a row for each column of parameters; NaN where there is none."""
        if self.name == "norm":
            logs = _normal_log_masses(axis, *values)
            if axis.is_edges:
                return logs  # of the range already
        elif self.name == "norm_mixture":
            logs = _mixture_log_masses(axis, values)
        else:
            logs = log_masses(self.dist, axis, values)
        kernels.normalize_logs(logs)
        return logs

    def exponential(self, axis: Axis, values: Values) -> Exponential | None:
        """The family's form of few statistics at points, if it has one and what must not vary does not."""
        entry = self.entry
        if entry is None or entry.exponential is None or axis.is_edges:
            return None
        if any(np.ptp(values[name]) > 0 for name in entry.constant):
            return None
        with np.errstate(all="ignore"):
            form = entry.exponential(axis.values, values)
        if form is None or not all(np.isfinite(part).all() for part in (form.statistics, form.natural)):
            return None
        return form


def _parameter(name: str, info: Any, domains: dict[str, tuple[float, float]]) -> Parameter:
    low, high = domains.get(name, tuple(info.domain) if info is not None else (-math.inf, math.inf))
    is_whole = info is not None and info.integrality and name not in domains
    return Parameter(name, float(low), float(high), bool(is_whole))


def _normal_log_masses(axis: Axis, loc: _Array, scale: _Array) -> _Array:
    logs = np.empty((len(loc), axis.bins))
    loc, scale = np.ascontiguousarray(loc), np.ascontiguousarray(scale)
    if axis.is_edges:
        kernels.log_normal_masses(axis.bins_and_range, loc, scale, logs, np.empty(len(loc)))
    else:
        kernels.log_normal_densities(axis.values, loc, scale, logs)
    return logs


def _mixture_log_masses(axis: Axis, values: _Array) -> _Array:
    weight, *parts = (np.ascontiguousarray(row) for row in values[:5])
    logs, totals = np.empty((2, len(weight), axis.bins)), np.empty((2, len(weight)))
    for k, (loc, scale) in enumerate((parts[:2], parts[2:])):
        if axis.is_edges:
            kernels.log_normal_masses(axis.bins_and_range, loc, scale, logs[k], totals[k])
        else:
            z = (axis.values - loc[:, None]) / scale[:, None]
            logs[k], totals[k] = -0.5 * z * z, -np.log(scale)
    with np.errstate(all="ignore"):
        shares = np.log(weight) + totals[0], np.log1p(-weight) + totals[1]
        mixed: _Array = np.logaddexp(shares[0][:, None] + logs[0], shares[1][:, None] + logs[1])
    mixed[~((weight >= 0) & (weight <= 1))] = np.nan
    return mixed


def family_of(given: Any) -> tuple[Family, dict[str, float]]:
    """A family by its name, its distribution or one with some parameters frozen, and those parameters."""
    import scipy.stats  # which takes half a second

    from fastkl.fitting._mixture import norm_mixture

    if isinstance(given, str):
        dist = norm_mixture if given == "norm_mixture" else getattr(scipy.stats, given, None)
        if not _is_distribution(dist):
            known = [name for name, value in vars(scipy.stats).items() if _is_distribution(value)] + ["norm_mixture"]
            near = difflib.get_close_matches(given.lower(), known, 1, 0.8)
            meant = f" (did you mean {near[0]!r}?)" if near else ""
            raise ValueError(f"family {given!r} is not known{meant}; {_ACCEPTED}")
        return Family(dist), {}
    if _is_distribution(given):
        return Family(given), {}
    if hasattr(given, "dist") and hasattr(given, "args") and hasattr(given, "kwds") and _is_distribution(given.dist):
        family = Family(given.dist)
        fixed = dict(zip(family.names, given.args, strict=False)) | given.kwds
        return family, fixed
    raise TypeError(f"family is a {type(given).__name__}; {_ACCEPTED}")


def _is_distribution(given: Any) -> bool:
    import scipy.stats

    return isinstance(given, scipy.stats.rv_continuous | scipy.stats.rv_discrete)


def _stack(*rows: Any) -> _Array:
    return np.array(np.broadcast_arrays(*rows), float)


def _norm(x: _Array, v: Values) -> Exponential:
    # About the middle of the points, in units of half their range: so that the statistics are small.
    origin, unit = 0.5 * (x[0] + x[-1]), max(0.5 * (x[-1] - x[0]), np.finfo(float).tiny)
    y, loc, scale = (x - origin) / unit, (v["loc"] - origin) / unit, v["scale"] / unit
    return Exponential(_stack(y, y * y), np.zeros(len(x)), _stack(loc / scale**2, -0.5 / scale**2))


def _positive(x: _Array, v: Values, *statistics: Callable[[_Array], Any]) -> tuple[_Array, _Array, _Array]:
    y = x - v["loc"][0]
    inside = np.where(y > 0, y, 1.0)
    return _stack(*(function(inside) for function in statistics)), np.where(y > 0, 0.0, -np.inf), inside


def _gamma(x: _Array, v: Values) -> Exponential | None:
    if (x == v["loc"][0]).any() and v["a"].min() <= 1.0:
        return None  # there is mass at its end
    statistics, base, _ = _positive(x, v, np.log, lambda y: y)
    return Exponential(statistics, base, _stack(v["a"] - 1.0, -1.0 / v["scale"]))


def _expon(x: _Array, v: Values) -> Exponential:
    y = x - v["loc"][0]
    return Exponential(_stack(np.maximum(y, 0.0)), np.where(y >= 0, 0.0, -np.inf), _stack(-1.0 / v["scale"]))


def _lognorm(x: _Array, v: Values) -> Exponential:
    statistics, base, _ = _positive(x, v, np.log, lambda y: np.log(y) ** 2)
    with_s = 1.0 / v["s"] ** 2
    return Exponential(statistics, base, _stack(np.log(v["scale"]) * with_s - 1.0, -0.5 * with_s))


def _of_square(power: float) -> Callable[[_Array, Values], Exponential]:
    def exponential(x: _Array, v: Values) -> Exponential:
        y = x - v["loc"][0]
        base = np.where((y > 0) | ((y == 0) & (power == 0)), 0.0, -np.inf)
        inside = np.where(y > 0, y, 1.0)
        statistics = np.where(y > 0, y * y, 0.0)
        return Exponential(_stack(statistics), base + power * np.log(inside), _stack(-0.5 / v["scale"] ** 2))

    return exponential


def _invgamma(x: _Array, v: Values) -> Exponential:
    statistics, base, _ = _positive(x, v, np.log, lambda y: 1.0 / y)
    return Exponential(statistics, base, _stack(-v["a"] - 1.0, -v["scale"]))


def _beta(x: _Array, v: Values) -> Exponential | None:
    y = (x - v["loc"][0]) / v["scale"][0]
    if ((y == 0).any() and v["a"].min() <= 1.0) or ((y == 1).any() and v["b"].min() <= 1.0):
        return None  # there is mass at an end
    is_inside = (y > 0) & (y < 1)
    y = np.where(is_inside, y, 0.5)
    return Exponential(
        _stack(np.log(y), np.log1p(-y)), np.where(is_inside, 0.0, -np.inf), _stack(v["a"] - 1.0, v["b"] - 1.0)
    )


def _counts(x: _Array, v: Values, least: float, most: float) -> tuple[_Array, _Array]:
    k = x - v["loc"][0]
    is_inside = (k >= least) & (k <= most) & (k == np.floor(k))
    return np.where(is_inside, k, least), np.where(is_inside, 0.0, -np.inf)


def _poisson(x: _Array, v: Values) -> Exponential:
    from scipy.special import gammaln

    k, base = _counts(x, v, 0.0, math.inf)
    return Exponential(_stack(k), base - gammaln(k + 1.0), _stack(np.log(v["mu"])))


def _geom(x: _Array, v: Values) -> Exponential:
    k, base = _counts(x, v, 1.0, math.inf)
    return Exponential(_stack(k), base, _stack(np.log1p(-v["p"])))


def _binom(x: _Array, v: Values) -> Exponential:
    from scipy.special import gammaln

    n = v["n"][0]
    k, base = _counts(x, v, 0.0, n)
    base = base + gammaln(n + 1.0) - gammaln(k + 1.0) - gammaln(n - k + 1.0)
    return Exponential(_stack(k), base, _stack(np.log(v["p"]) - np.log1p(-v["p"])))


_UNIT = (0.0, 1.0)
_POSITIVE = (0.0, math.inf)

_ENTRIES = {
    "norm": Entry(("loc", "scale"), lambda m, s: {"loc": m, "scale": s}, _norm, ()),
    "laplace": Entry(("loc", "scale"), lambda m, s: {"loc": m, "scale": s / math.sqrt(2.0)}),
    "logistic": Entry(("loc", "scale"), lambda m, s: {"loc": m, "scale": s * math.sqrt(3.0) / math.pi}),
    "cauchy": Entry(("loc", "scale"), lambda m, s: {"loc": m, "scale": 0.5 * s}),
    "gumbel_r": Entry(("loc", "scale"), lambda m, s: {"loc": m - 0.45 * s, "scale": 0.78 * s}),
    "gumbel_l": Entry(("loc", "scale"), lambda m, s: {"loc": m + 0.45 * s, "scale": 0.78 * s}),
    "t": Entry(("df", "loc", "scale"), lambda m, s: {"df": 0.0 * s + 6.0, "loc": m, "scale": 0.8 * s}),
    "expon": Entry(("scale",), lambda m, s: {"scale": m}, _expon),
    "gamma": Entry(("a", "scale"), lambda m, s: {"a": (m / s) ** 2, "scale": s * s / m}, _gamma),
    "lognorm": Entry(
        ("s", "scale"),
        lambda m, s: {"s": np.sqrt(np.log1p((s / m) ** 2)), "scale": m / np.sqrt(1.0 + (s / m) ** 2)},
        _lognorm,
    ),
    "weibull_min": Entry(("c", "scale"), lambda m, s: {"c": (m / s) ** 1.086, "scale": 1.1 * m}),
    "invgamma": Entry(
        ("a", "scale"), lambda m, s: {"a": 2.0 + (m / s) ** 2, "scale": m * (1.0 + (m / s) ** 2)}, _invgamma
    ),
    "rayleigh": Entry(("scale",), lambda m, s: {"scale": m / math.sqrt(math.pi / 2.0)}, _of_square(1.0)),
    "halfnorm": Entry(("scale",), lambda m, s: {"scale": m / math.sqrt(2.0 / math.pi)}, _of_square(0.0)),
    "maxwell": Entry(("scale",), lambda m, s: {"scale": 0.5 * m / math.sqrt(2.0 / math.pi)}, _of_square(2.0)),
    "beta": Entry(
        ("a", "b"),
        lambda m, s: {
            "a": np.maximum(m * (m * (1 - m) / s**2 - 1), 0.1),
            "b": np.maximum((1 - m) * (m * (1 - m) / s**2 - 1), 0.1),
        },
        _beta,
        ("loc", "scale"),
    ),
    "poisson": Entry(("mu",), lambda m, s: {"mu": m}, _poisson, domains={"mu": _POSITIVE}),
    "geom": Entry(("p",), lambda m, s: {"p": 1.0 / m}, _geom, domains={"p": _UNIT}),
    "binom": Entry(("p",), lambda m, s: {}, _binom, ("loc", "n"), {"p": _UNIT}),
    "nbinom": Entry(
        ("n", "p"),
        lambda m, s: {"n": m * m / np.maximum(s * s - m, 0.1 * m), "p": np.minimum(m / (s * s), 0.9)},
        domains={"n": _POSITIVE, "p": _UNIT},
    ),
    "norm_mixture": Entry(
        ("weight", "loc1", "scale1", "loc2", "scale2"),
        lambda m, s: {"loc1": m, "scale1": 0.5 * s, "loc2": m, "scale2": 0.5 * s},
        domains={"weight": _UNIT, "scale1": _POSITIVE, "scale2": _POSITIVE},
    ),
}
