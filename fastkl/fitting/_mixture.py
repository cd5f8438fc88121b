"""The mixture of two normal distributions, as a distribution of scipy.stats."""

from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.stats
from scipy.special import log_ndtr

_Array = npt.NDArray[np.float64]


class _NormMixture(scipy.stats.rv_continuous):  # type: ignore[misc]
    """w N(loc1, scale1) + (1 - w) N(loc2, scale2)."""

    def _argcheck(self, weight: Any, loc1: Any, scale1: Any, loc2: Any, scale2: Any) -> Any:
        return (
            (weight >= 0) & (weight <= 1) & (scale1 > 0) & (scale2 > 0) & np.isfinite(loc1) & np.isfinite(loc2)
            & np.isfinite(scale1) & np.isfinite(scale2)
        )  # fmt: skip

    def _shape_info(self) -> list[Any]:
        return []

    def _logpdf(self, x: Any, weight: Any, loc1: Any, scale1: Any, loc2: Any, scale2: Any) -> Any:
        return _mixed(weight, *(_log_density(x, *part) for part in ((loc1, scale1), (loc2, scale2))))

    def _pdf(self, x: Any, *shapes: Any) -> Any:
        return np.exp(self._logpdf(x, *shapes))

    def _logcdf(self, x: Any, weight: Any, loc1: Any, scale1: Any, loc2: Any, scale2: Any) -> Any:
        return _mixed(weight, log_ndtr((x - loc1) / scale1), log_ndtr((x - loc2) / scale2))

    def _cdf(self, x: Any, *shapes: Any) -> Any:
        return np.exp(self._logcdf(x, *shapes))

    def _sf(self, x: Any, weight: Any, loc1: Any, scale1: Any, loc2: Any, scale2: Any) -> Any:
        return np.exp(_mixed(weight, log_ndtr((loc1 - x) / scale1), log_ndtr((loc2 - x) / scale2)))

    def _stats(self, weight: Any, loc1: Any, scale1: Any, loc2: Any, scale2: Any) -> Any:
        mean = weight * loc1 + (1 - weight) * loc2
        square = weight * (scale1**2 + loc1**2) + (1 - weight) * (scale2**2 + loc2**2)
        return mean, square - mean**2, None, None

    def _rvs(
        self, weight: Any, loc1: Any, scale1: Any, loc2: Any, scale2: Any, size: Any = None, random_state: Any = None
    ) -> Any:
        is_first = random_state.uniform(size=size) < weight
        loc, scale = np.where(is_first, loc1, loc2), np.where(is_first, scale1, scale2)
        return loc + scale * random_state.standard_normal(size)


def _log_density(x: Any, loc: Any, scale: Any) -> Any:
    z = (x - loc) / scale
    return -0.5 * z * z - np.log(scale) - 0.5 * np.log(2.0 * np.pi)


def _mixed(weight: Any, first: Any, second: Any) -> Any:
    with np.errstate(divide="ignore"):
        return np.logaddexp(np.log(weight) + first, np.log1p(-weight) + second)


norm_mixture = _NormMixture(name="norm_mixture", shapes="weight, loc1, scale1, loc2, scale2")
