"""The textbook example of both directions of the divergence: normal distributions fitted to two modes."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fastkl.fits import fit
from fastkl.fitting._result import Fit
from fastkl.rowwise import kl_divergence

MODES = (0.0, 10.0)
# So wide that the forward fit is cut off nowhere, and not wider than that its modes stay above the least double. Few
# enough for one piece of the kernels, and so for those that are compiled already; the numbers need no more.
_LOW, _HIGH, _POINTS = -27.0, 37.0, 641


class Row(NamedTuple):
    """A fitted normal distribution, and its divergences from the target in both directions."""

    name: str
    mu: float
    sigma: float
    forward: float
    reverse: float


@dataclass(frozen=True)
class Story:
    """The target P = (N(0, 1) + N(10, 1)) / 2 at points, and what was fitted to it."""

    forward: Fit
    reverse: Fit  # the minimum at each mode
    basins: Fit  # all minima that there are, and the surface

    @property
    def rows(self) -> list[Row]:
        """The fits with their numbers, the reverse ones from left to right."""
        forward = _row("forward", self.forward)
        reverse = sorted((_row("reverse", self.reverse, k) for k in range(2)), key=lambda row: row.mu)
        return [forward, *(row._replace(name=f"reverse, {side}") for row, side in zip(reverse, _SIDES, strict=True))]

    @property
    def covering(self) -> Row:
        """The third minimum of the reverse divergence, the highest one."""
        return _row("reverse, covering", self.basins, 2)


_SIDES = ("left mode", "right mode")


def make_story(threads: int) -> Story:
    """Fit, in both directions."""
    x = np.linspace(_LOW, _HIGH, _POINTS)
    p = sum(np.exp(-0.5 * (x - mode) ** 2) for mode in MODES)
    return Story(
        fit(p, points=x, threads=threads),
        fit(p, points=x, objective="reverse", minima=2, threads=threads),
        fit(p, points=x, objective="reverse", minima=3, surface=True, threads=threads),
    )


def number(value: float, decimals: int) -> str:
    """A number with so many decimals, and no sign before zero."""
    return f"{round(value, decimals) + 0.0:.{decimals}f}"


def cells(row: Row) -> list[str]:
    """A row of the summary as text."""
    return [
        row.name,
        number(row.mu, 4),
        number(row.sigma, 4),
        number(row.forward, 6),
        number(row.reverse, 6),
    ]


def _row(name: str, found: Fit, minimum: int = 0) -> Row:
    mu, sigma = (float(np.ravel(found.params[key])[minimum]) for key in ("loc", "scale"))
    fitted: npt.NDArray[np.float64] = np.atleast_2d(found.histogram())[minimum]
    target = found.target()  # by the kernel for rows: both directions would compile one of their own
    forward, reverse = kl_divergence(np.stack([target, fitted]), np.stack([fitted, target]))
    return Row(name, mu, sigma, float(forward), float(reverse))
