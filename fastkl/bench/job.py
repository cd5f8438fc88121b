"""One thing to measure, and what its figures must be."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy.typing as npt

from fastkl.bench.case import Case
from fastkl.bench.peers import KL, SCIPY, Peer

_Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Target:
    """What a figure must be: "a / b" is a's time over b's time, other names are the measurement's own."""

    figure: str
    bound: float
    aim: float | None = None
    at_most: bool = False


@dataclass(frozen=True, slots=True)
class Job:
    """One thing to measure. ``scales`` says what shrinks when the job is run at a part of its size."""

    name: str
    about: str
    rows: int
    bins: int
    dtype: str
    make: Callable[[int, int, str], tuple[_Array, _Array]]
    normalize: bool
    targets: tuple[Target, ...] = ()
    peers: tuple[Peer, ...] = KL
    axis: int = -1
    has_zeros: bool = False
    scales: Literal["rows", "bins", "nothing"] = "rows"
    unit: Literal["bin", "call"] = "bin"
    measured: Literal["time", "memory", "trial"] = "time"
    trial: Callable[..., Any] | None = None  # what measures it, where that is a matter of its own
    divergence: str = "kl"
    form: Callable[..., Case] = Case
    reference: str = SCIPY.name  # whose time is given as a multiple of fastkl's
    room: Callable[[int, str], int] | None = None  # the most rows of so many bins of a type that there is room for

    def scaled(self, scale: float) -> "Job":
        """The same job on a part of the data."""
        if self.scales == "nothing" or scale == 1:
            return self
        return replace(self, **{self.scales: max(1, round(getattr(self, self.scales) * scale))})

    def that_fits(self) -> "Job":
        """The same job, on fewer rows where there is no room for so many."""
        if self.room is None or self.rows <= (most := self.room(self.bins, self.dtype)):
            return self
        return replace(self, rows=most, about=f"{self.about}; there is no room for {self.rows:,} rows")

    def case(self, threads: int) -> Case:
        """The job's data, made anew."""
        p, q = self.make(self.rows, self.bins, self.dtype)
        return self.form(p, q, threads, self.normalize, self.axis, self.has_zeros, self.divergence)
