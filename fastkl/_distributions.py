"""What users pass as distributions: frozen ones of scipy.stats, or functions that give the logarithm of a density."""

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fastkl._closed_forms import Parameters, closed_form, closed_form_of_normals

_Array = npt.NDArray[Any]
# Between neighbouring quantiles of these a density is smooth enough for quadrature, however far they are apart.
# Points of an infinite tail, in units of the distance of the quartiles.
FAR = (1e2, 1e5, 1e10, 1e30, 1e90)
_LINE = (-math.inf, math.inf)
_LEVELS = np.array([1e-300, 1e-100, 1e-30, 1e-15, 1e-9, 1e-6, 1e-4, 1e-3, 0.01, 0.05, 0.2, 0.35, 0.5])


@dataclass(frozen=True)
class Continuous:
    """A density on a support, and where it should be cut for quadrature."""

    log_density: Callable[[Any], Any]
    support: tuple[float, float]
    cuts: tuple[float, ...]
    mass_outside: (
        Callable[[float, float], float] | None
    )  # of an interval; None for callables, which only have a density
    parameters: Parameters | None
    tails: tuple[tuple[float, ...], ...]  # the points FAR out of each end that is infinite
    reach: tuple[float, float]  # where it has a density: the support, but for angles, which go round

    def known_divergence_from(self, q: "Continuous") -> float | None:
        """What a formula gives."""
        if self.parameters is None or q.parameters is None:
            return None
        return closed_form(self.parameters, q.parameters)


@dataclass(frozen=True)
class Discrete:
    """A distribution on integers."""

    log_mass: Callable[[Any], Any]
    support: tuple[float, float]
    middle: tuple[int, int]  # which has nearly all of the mass
    mass_outside: Callable[[float, float], float]
    parameters: Parameters

    def known_divergence_from(self, q: "Discrete") -> float | None:
        """What a formula gives."""
        return closed_form(self.parameters, q.parameters)


@dataclass(frozen=True)
class Normals:
    """A multivariate normal distribution."""

    mean: _Array
    covariance: _Array

    def divergence_from(self, q: "Normals") -> float:
        """By its formula; that of a singular covariance from a regular one is inf."""
        if len(self.mean) != len(q.mean):
            raise ValueError(f"p has {len(self.mean)} dimensions, q has {len(q.mean)}; they must agree")
        try:
            return closed_form_of_normals(self.mean, self.covariance, q.mean, q.covariance)
        except np.linalg.LinAlgError:
            raise ValueError(
                "the covariance of q is singular, so that q has no density; drop the dependent axes"
            ) from None


def distribution_of(
    name: str, given: Any, other: Any, support: tuple[float, float] | None, points: Sequence[float]
) -> Continuous | Discrete | Normals:
    """An argument, p or q; ``other`` is the other one."""
    if hasattr(given, "cov_object") and hasattr(given, "mean"):
        return Normals(np.atleast_1d(np.asarray(given.mean, float)), np.atleast_2d(np.asarray(given.cov, float)))
    dist = getattr(given, "dist", None)
    if dist is not None and hasattr(given, "args") and hasattr(given, "kwds"):
        if support is not None and not _is_function(other):
            raise ValueError("support is for callables; frozen distributions know theirs")
        return _discrete(name, given) if hasattr(dist, "pmf") else _continuous(name, given)
    if hasattr(given, "logpdf") or hasattr(given, "logpmf"):
        raise TypeError(f"{name} is not frozen: give its parameters, as in scipy.stats.norm(0, 1)")
    if not callable(given):
        hint = "; for samples or counts make histograms, and call kl_divergence" if np.ndim(given) else ""
        raise TypeError(
            f"{name} is a {type(given).__name__}; it must be a frozen distribution of scipy.stats, or a callable that"
            f" returns the logarithm of a density{hint}"
        )
    return _function(name, given, support, points)


def _is_function(given: Any) -> bool:
    return callable(given) and not hasattr(given, "dist")


def _parameters(name: str, frozen: Any) -> Parameters:
    shapes, loc, scale = frozen.dist._parse_args(*frozen.args, **frozen.kwds)
    values = [*shapes, loc, scale]
    if any(np.size(value) != 1 for value in values):
        raise ValueError(f"{name} has parameters that are arrays; pass one distribution at a time")
    numbers = [float(np.asarray(value).item()) for value in values]
    if math.isnan(float(frozen.cdf(frozen.support()[1]))):
        raise ValueError(f"{name} has parameters out of their range: {frozen.dist.name}{tuple(numbers)}")
    return Parameters(frozen.dist.name, tuple(numbers[:-2]), numbers[-2], numbers[-1])


def _continuous(name: str, frozen: Any) -> Continuous:
    parameters = _parameters(name, frozen)
    a, b = (float(end) for end in frozen.support())
    if parameters.name == "vonmises":  # one turn, where SciPy's density goes round for ever
        a, b = parameters.loc - math.pi * parameters.scale, parameters.loc + math.pi * parameters.scale
        return Continuous(frozen.logpdf, (a, b), (parameters.loc,), lambda left, right: 0.0, parameters, (), _LINE)
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of quantiles that are hard to find
        cuts = [float(cut) for side in (frozen.ppf, frozen.isf) for cut in np.atleast_1d(side(_LEVELS))]
        low, middle, high = (float(cut) for cut in frozen.ppf([0.25, 0.5, 0.75]))
    tails = tuple(
        tuple(middle + sign * (high - low) * distance for distance in FAR)
        for sign, end in ((-1.0, a), (1.0, b))
        if math.isinf(end)
    )
    cuts += [point for tail in tails for point in tail]

    def outside(left: float, right: float) -> float:
        return float(frozen.cdf(left)) + float(frozen.sf(right))

    return Continuous(
        frozen.logpdf,
        (a, b),
        tuple(cuts),
        outside,
        parameters,
        tails,
        (a, b),
    )


def _discrete(name: str, frozen: Any) -> Discrete:
    parameters = _parameters(name, frozen)
    a, b = (float(end) for end in frozen.support())
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        middle = int(max(float(frozen.ppf(1e-12)), a)), int(min(float(frozen.isf(1e-12)), b))

    def outside(left: float, right: float) -> float:
        return float(frozen.cdf(left - 1)) + float(frozen.sf(right))

    return Discrete(frozen.logpmf, (a, b), middle, outside, parameters)


def _function(name: str, log_density: Any, support: Any, points: Sequence[float]) -> Continuous:
    try:
        a, b = (float(end) for end in support)
    except (TypeError, ValueError):
        raise ValueError(f"{name} is a callable: pass support=(a, b), the interval where it may have mass") from None
    if not a < b:
        raise ValueError(f"support must be an interval (a, b) with a < b, not {support!r}")
    return Continuous(log_density, (a, b), tuple(float(point) for point in points), None, None, (), (a, b))
