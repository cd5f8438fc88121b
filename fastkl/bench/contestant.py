"""What a contestant is: a library's way to do a job, or its reason why it can't."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from fastkl.bench.case import Case

Call = Callable[[], Any]


class Unsuitable(Exception):
    """A library can't do a job; the text says why."""


def same(case: Case) -> Case:
    """The job itself."""
    return case


def first_items(case: Case) -> Case:
    """As much of a job as slow libraries get: beyond the caches, yet done in a tenth of a second."""
    return case.head(1 << 22)


@dataclass(frozen=True, slots=True)
class Peer:
    """One way to do a job: ``bind`` gives the call that is timed, ``change`` what is computed instead of the job."""

    name: str
    bind: Callable[[Case], Call]
    package: str | None = None
    change: Callable[[Case], Case] = same
    # Expected of double and of single precision; None if it computes no divergence.
    rtol: tuple[float, float] | None = (1e-11, 1e-4)

    def on(self, name: str, change: Callable[[Case], Case]) -> "Peer":
        """The same library on a changed job."""
        return replace(self, name=f"{self.name}, {name}", change=change)


def unable(name: str, package: str, reason: str) -> Peer:
    """The line of a library that has nothing for a job."""

    def bind(case: Case) -> Call:
        raise Unsuitable(reason)

    return Peer(name, bind, package)
