"""What users pass as distributions: frozen ones of scipy.stats, or functions that give the logarithm of a density."""

import contextlib
import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fastkl._closed_forms import Parameters, closed_form, closed_form_of_normals

_Array = npt.NDArray[Any]
# Points of an infinite tail, in units of the distance of the quartiles; beyond the last one nothing is looked at.
FAR = (1e2, 1e5, 1e10, 1e30, 1e90)
_LINE = (-math.inf, math.inf)
MOST_TERMS = 1 << 22  # of a sum over a lattice
# Between neighbouring quantiles of these a density is smooth enough for quadrature, however far they are apart.
_LEVELS = np.array([1e-300, 1e-100, 1e-30, 1e-15, 1e-9, 1e-6, 1e-4, 1e-3, 0.01, 0.05, 0.2, 0.35, 0.5])
# How far from a point that the user gave, or from an end of a support, a callable is looked at.
_DISTANCES = 10.0 ** np.arange(-10, 11)
# Standard log densities that SciPy (1.14 to 1.17) takes of densities that underflow.
_LOG_DENSITIES: dict[str, Callable[..., Any]] = {
    "hypsecant": lambda y: math.log(2.0 / math.pi) - abs(y) - np.log1p(np.exp(-2.0 * abs(y))),
    "invweibull": lambda y, c: math.log(c) - (c + 1.0) * np.log(y) - y**-c,
    "laplace": lambda y: -abs(y) - math.log(2.0),
    "levy": lambda y: -0.5 * math.log(2.0 * math.pi) - 1.5 * np.log(y) - 0.5 / y,
    "moyal": lambda y: -0.5 * (math.log(2.0 * math.pi) + y + np.exp(-y)),
    "pareto": lambda y, b: math.log(b) - (b + 1.0) * np.log(y),
}


@dataclass(frozen=True)
class Continuous:
    """A density on a support, and where it should be cut for quadrature."""

    log_density: Callable[[Any], Any]
    support: tuple[float, float]
    limits: tuple[float, float]  # the support, or where it is looked at
    cuts: tuple[float, ...]
    mass_outside: Callable[[float, float], float] | None  # of an interval; None for callables
    parameters: Parameters | None
    peaks: tuple[float, ...]
    tails: tuple[tuple[float, tuple[float, ...]], ...]  # of each end that is infinite: from where, the points FAR out
    reach: tuple[float, float]  # where it has a density: the support, but for angles, which go round
    may_have_gaps: bool  # whether a log density of -inf inside the support means what it says

    def known_divergence_from(self, q: "Continuous") -> float | None:
        """What a formula gives."""
        if self.parameters is None or q.parameters is None:
            return None
        return closed_form(self.parameters, q.parameters)


@dataclass(frozen=True)
class Discrete:
    """A distribution on a lattice, origin + integers, or on points."""

    log_mass: Callable[[Any], Any]
    origin: float
    points: _Array | None  # None on a lattice
    support: tuple[float, float]  # from the origin
    middle: Callable[[], tuple[int, int]]  # which has nearly all of the mass, or more terms than are summed
    mass_outside: Callable[[float, float], float | None]  # None where SciPy has but the sum of all that is inside
    parameters: Parameters

    def known_divergence_from(self, q: "Discrete") -> float | None:
        """What a formula gives, or that the lattices do not meet."""
        if self.points is None and q.points is None and self.origin != q.origin:
            return math.inf
        return closed_form(self.parameters, q.parameters)


@dataclass(frozen=True)
class Normals:
    """A multivariate normal distribution."""

    mean: _Array
    covariance: _Array
    is_singular: bool

    def divergence_from(self, q: "Normals") -> float:
        """By its formula; that of a singular covariance from a regular one is inf."""
        if len(self.mean) != len(q.mean):
            raise ValueError(f"p has {len(self.mean)} dimensions, q has {len(q.mean)}; they must agree")
        if q.is_singular:
            raise ValueError("the covariance of q is singular, so that q has no density; drop the dependent axes")
        if self.is_singular:
            return math.inf
        return closed_form_of_normals(self.mean, self.covariance, q.mean, q.covariance)


def distribution_of(
    name: str, given: Any, other: Any, support: tuple[float, float] | None, points: Any
) -> Continuous | Discrete | Normals:
    """An argument, p or q; ``other`` is the other one."""
    if hasattr(given, "cov_object") and hasattr(given, "mean"):
        mean = np.atleast_1d(np.asarray(given.mean, float))
        covariance = np.atleast_2d(np.asarray(given.cov, float))
        return Normals(mean, covariance, given.cov_object.rank < len(mean))
    dist = getattr(given, "dist", None)
    if dist is not None and hasattr(given, "args") and hasattr(given, "kwds"):
        if support is not None and not _is_function(other):
            raise ValueError("support is for callables; frozen distributions know theirs")
        return _discrete(name, given) if hasattr(dist, "pmf") else _continuous(name, given)
    if hasattr(given, "logpdf") or hasattr(given, "logpmf"):
        raise TypeError(_why_not_frozen(name, given))
    if not callable(given):
        hint = "; for samples or counts make histograms, and call kl_divergence" if np.ndim(given) else ""
        raise TypeError(
            f"{name} is a {type(given).__name__}; it must be a frozen distribution of scipy.stats, or a callable that"
            f" returns the logarithm of a density{hint}"
        )
    return _function(name, given, support, points)


def _why_not_frozen(name: str, given: Any) -> str:
    if hasattr(given, "_dist"):
        return f"{name} is a {type(given).__name__}; of distributions of several variables only the normal is known"
    if callable(given) and not hasattr(given, "resample"):
        return f"{name} is not frozen: call it with its parameters, as in scipy.stats.norm(0, 1)"
    return f"{name} is a {type(given).__name__}: pass its method logpdf, and support=(a, b)"


def _is_function(given: Any) -> bool:
    return callable(given) and not hasattr(given, "dist")


def _parameters(name: str, frozen: Any) -> Parameters:
    shapes, loc, scale = frozen.dist._parse_args(*frozen.args, **frozen.kwds)
    values = [*shapes, loc, scale]
    if any(np.size(value) != 1 for value in values):
        raise ValueError(f"{name} has parameters that are arrays; pass one distribution at a time")
    numbers = [float(np.asarray(value).item()) for value in values]
    is_known = math.isfinite(numbers[-2]) and math.isfinite(numbers[-1])
    if not is_known or math.isnan(float(frozen.cdf(frozen.support()[1]))):
        raise ValueError(f"{name} has parameters out of their range: {frozen.dist.name}{tuple(numbers)}")
    return Parameters(frozen.dist.name, tuple(numbers[:-2]), numbers[-2], numbers[-1])


def _continuous(name: str, frozen: Any) -> Continuous:
    parameters = _parameters(name, frozen)
    a, b = (float(end) for end in frozen.support())
    if parameters.name == "vonmises":  # one turn, where SciPy's density goes round for ever
        peak = parameters.loc
        a, b = peak - math.pi * parameters.scale, peak + math.pi * parameters.scale
        widths = parameters.scale / math.sqrt(1.0 + parameters.shapes[0]) * np.array([1.0, 3.0, 10.0, 30.0])
        cuts = (peak, *(peak - widths).tolist(), *(peak + widths).tolist())
        return Continuous(
            frozen.logpdf, (a, b), (a, b), cuts, lambda left, right: 0.0, parameters, (peak,), (), _LINE, False
        )
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of quantiles that are hard to find
        cuts = (*_quantiles(frozen.ppf), *_quantiles(frozen.isf))
        low, middle, high = (float(cut) for cut in frozen.ppf([0.25, 0.5, 0.75]))
    tails = tuple(
        (middle, tuple(middle + sign * (high - low) * distance for distance in FAR))
        for sign, end in ((-1.0, a), (1.0, b))
        if math.isinf(end)
    )
    cuts += tuple(point for _, tail in tails for point in tail)
    edges = _edges(frozen, parameters)
    cuts += tuple(edges.tolist())

    def outside(left: float, right: float) -> float:
        with np.errstate(all="ignore"):
            both = np.array([frozen.cdf(left), frozen.sf(right)], float)
        return float(np.nansum(both))  # NaN where SciPy overflows: far out, where nothing is left

    limits = max(a, middle - FAR[-1] * (high - low)), min(b, middle + FAR[-1] * (high - low))
    return Continuous(
        _log_density(frozen, parameters),
        (a, b),
        limits,
        cuts,
        outside,
        parameters,
        (middle,),
        tails,
        (a, b),
        len(edges) > 0,
    )


def _log_density(frozen: Any, parameters: Parameters) -> Callable[[Any], Any]:
    if parameters.name not in _LOG_DENSITIES:
        return frozen.logpdf  # type: ignore[no-any-return]
    standard, (a, b) = _LOG_DENSITIES[parameters.name], frozen.support()

    def log_density(x: Any) -> Any:
        y = (x - parameters.loc) / parameters.scale
        with np.errstate(all="ignore"):
            return np.where((a <= x) & (x <= b), standard(y, *parameters.shapes) - math.log(parameters.scale), -np.inf)

    return log_density


def _quantiles(function: Callable[[Any], Any]) -> list[float]:
    found = []
    for level in _LEVELS:
        with contextlib.suppress(OverflowError):  # some of SciPy's know no extreme ones
            found.append(float(function(level)))
    return found


def _edges(frozen: Any, parameters: Parameters) -> _Array:
    """Where the density of a histogram of scipy.stats jumps."""
    edges = getattr(frozen.dist, "_hbins", ())
    return parameters.loc + parameters.scale * np.asarray(edges, float)


def _discrete(name: str, frozen: Any) -> Discrete:
    parameters = _parameters(name, frozen)
    if hasattr(frozen.dist, "xk"):
        return _sample(frozen, parameters)
    a, b = (float(end) for end in frozen.support())
    origin = parameters.loc - math.floor(parameters.loc)
    import scipy.stats

    def middle() -> tuple[int, int]:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            low = float(frozen.ppf(1e-3))
            # Further out SciPy may take the memory of all masses at once, and without end.
            limit = low + MOST_TERMS + 1
            ends = low - origin, (limit if frozen.sf(limit) > 1e-3 else float(frozen.isf(1e-3))) - origin
        if not (math.isfinite(ends[0]) and math.isfinite(ends[1])):
            raise ArithmeticError(f"SciPy finds no quantiles of {name}: {parameters.name}{frozen.args}")
        return round(max(ends[0], a - origin)), round(min(ends[1], b - origin))

    def outside(left: float, right: float) -> float | None:
        if type(frozen.dist)._cdf is scipy.stats.rv_discrete._cdf:
            return None
        with np.errstate(all="ignore"):
            return float(np.nansum([frozen.cdf(left - 1 + origin), frozen.sf(right + origin)]))

    return Discrete(frozen.logpmf, origin, None, (a - origin, b - origin), middle, outside, parameters)


def _sample(frozen: Any, parameters: Parameters) -> Discrete:
    """One of scipy.stats.rv_discrete(values=...), whose points need not be integers."""
    order = np.argsort(frozen.dist.xk)
    points = np.asarray(frozen.dist.xk, float)[order] + parameters.loc
    masses = np.asarray(frozen.dist.pk, float)[order]
    points, masses = points[masses > 0], masses[masses > 0]

    def log_mass(x: _Array) -> _Array:
        at = np.minimum(np.searchsorted(points, x), len(points) - 1)
        return np.where(points[at] == x, np.log(masses[at]), -np.inf)

    def outside(left: float, right: float) -> float:
        return math.fsum(masses[(points < left) | (points > right)].tolist())

    return Discrete(log_mass, 0.0, points, (points[0], points[-1]), lambda: (0, 0), outside, parameters)


def _function(name: str, log_density: Any, support: Any, points: Any) -> Continuous:
    try:
        a, b = (float(end) for end in support)
    except (TypeError, ValueError):
        raise ValueError(f"{name} is a callable: pass support=(a, b), the interval where it may have mass") from None
    if not a < b:
        raise ValueError(f"support must be an interval (a, b) with a < b, not {support!r}")
    try:
        given = np.atleast_1d(np.asarray(points, float)).ravel()
    except (TypeError, ValueError):
        given = np.array([math.nan])
    if not np.isfinite(given).all():
        raise ValueError(f"points must be finite numbers, not {points!r}")
    peaks = given.tolist() or ([0.0] if math.isinf(a) and math.isinf(b) else [])
    around = [*peaks, *(end for end in (a, b) if math.isfinite(end))]
    cuts = {*peaks, *(float(x) for peak in around for x in (*(peak - _DISTANCES), *(peak + _DISTANCES)))}
    cuts |= {sign * distance for sign in (-1.0, 1.0) for distance in FAR}
    limits = max(a, -FAR[-1]), min(b, FAR[-1])

    def inside(x: Any) -> Any:
        x = np.asarray(x, float)
        values = np.full(x.shape, -np.inf)
        within = (x >= a) & (x <= b)
        values[within] = _log_densities(name, of_arrays(x[within]), x[within].shape)
        return values

    of_arrays = _of_arrays(log_density, np.array([max(a, -1e3), min(b, 1e3)]))
    return Continuous(inside, (a, b), limits, tuple(cuts), None, None, tuple(peaks), (), (a, b), True)


def _of_arrays(log_density: Callable[[Any], Any], probe: _Array) -> Callable[[Any], Any]:
    """The function of an array of numbers; some functions take one number alone."""
    try:
        with np.errstate(all="ignore"):
            log_density(probe)
    except (TypeError, ValueError):
        return lambda x: [log_density(number) for number in x]
    return log_density


def _log_densities(name: str, returned: Any, shape: tuple[int, ...]) -> _Array:
    values = np.asarray(returned)
    if values.dtype.kind not in "fiub":
        found = f"values of type {values.dtype}" if values.dtype != object else f"a {type(returned).__name__}"
        raise TypeError(f"{name} returned {found}; it must return the logarithms of a density, real numbers")
    if values.shape not in ((), shape):
        raise ValueError(
            f"{name} returned the shape {values.shape} for points of the shape {shape}; both must be the same"
        )
    return values
