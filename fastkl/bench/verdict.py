"""Whether a job has become slower than it was: what is expected of it, how sure a measurement is, and the verdict.

No clock and no file here: `check` measures and stores. A measurement is made of rounds, and in each round the job and
its yardstick (the read floor, the bare product) ran one after the other. How long the job may take follows from how
long its yardstick took in the same round, for a machine's memory is not always as fast: here floors of 0.21 and of
0.34 ns per bin take turns, for minutes. Two things are certain. Where the yardstick takes longer, the job takes no
more than as many times longer; and where the yardstick takes less, the job takes no longer than it did. So of each
stored pair (yardstick f, job t) the job may take ``t max(1, yardstick / f)``, and of several pairs the least of these.
But a job that takes many times its yardstick does so for arithmetic, and waits for memory no longer than the yardstick
does, or half as long again: each ns more of the yardstick allows it 1.5 ns at most.
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

CONFIDENCE = 0.99
FEWEST_ROUNDS = 12  # of eight already the least and the greatest are an interval
MOST_MEASUREMENTS = 3
DISTURBED = 0.2  # the part of the CPUs that others took from which on a measurement may not accuse
_MOST_FOLLOWED = 1.5  # ns of a job for each ns more of its yardstick; short rows had 1.3
_NEAR = 0.1  # yardsticks that differ by less are of one state of the machine

Pair = tuple[float, float]  # ns of the yardstick, ns of the job


class Verdict(StrEnum):
    """What is said of a job."""

    EXPECTED = "as expected"
    SLOWER = "SLOWER"
    FASTER = "faster, --update it"
    UNCLEAR = "unclear"
    UNKNOWN = "nothing stored"


@dataclass(frozen=True, slots=True)
class Measurement:
    """The times of a job and of its yardstick, round by round, in ns; and what other processes took of the CPUs."""

    pairs: tuple[Pair, ...]
    others: float | None = None

    @property
    def ratio(self) -> float:
        """The job's time over that of its yardstick, the median of the rounds."""
        return statistics.median(time / yardstick for yardstick, time in self.pairs)

    @property
    def typical(self) -> Pair:
        """What is stored of it."""
        yardstick = statistics.median(yardstick for yardstick, _ in self.pairs)
        return yardstick, yardstick * self.ratio

    @property
    def is_disturbed(self) -> bool:
        """Whether other processes took so much that it may acquit, but not accuse."""
        return (self.others or 0) > DISTURBED


@dataclass(frozen=True, slots=True)
class Interval:
    """A median and, with a probability of `CONFIDENCE`, where it lies."""

    low: float
    median: float
    high: float


def allowed(stored: Sequence[Pair], yardstick: float) -> float:
    """How long the job may take where its yardstick takes so long."""
    return min(time + min(time / at, _MOST_FOLLOWED) * max(0.0, yardstick - at) for at, time in stored)


def slowdown(measurement: Measurement, stored: Sequence[Pair]) -> Interval:
    """The job's time over what is allowed, in each round: the median, and the interval that its ranks give.

    That interval asks for no shape of the noise: the k-th of n values is above the median as rarely as n tosses of a
    coin show fewer than k heads. A few rounds that were disturbed do not move it.
    """
    values = sorted(time / allowed(stored, yardstick) for yardstick, time in measurement.pairs)
    n, below, k = len(values), 0.5 ** len(values), 0
    while 2 * below <= 1 - CONFIDENCE:  # below: the chance of at most k heads
        k += 1
        below += math.comb(n, k) * 0.5**n
    if k == 0:
        return Interval(-math.inf, statistics.median(values), math.inf)
    return Interval(values[k - 1], statistics.median(values), values[n - k])


def verdict(measurements: Sequence[Measurement], stored: Sequence[Pair], margin: float) -> Verdict | None:
    """What the measurements of a job say together; None if it must be measured again.

    One whose whole interval is within the margin acquits: what ran as fast as expected can do so. Two whose whole
    intervals are beyond it, with the machine not disturbed, accuse. Of three that say neither nothing is said.
    """
    if not stored:
        return Verdict.UNKNOWN
    intervals = [slowdown(measurement, stored) for measurement in measurements]
    if any(interval.high <= 1 + margin for interval in intervals):
        return Verdict.FASTER if intervals[-1].high < 1 / (1 + margin) else Verdict.EXPECTED
    accusing = [
        interval.low > 1 + margin and not measurement.is_disturbed
        for interval, measurement in zip(intervals, measurements, strict=True)
    ]
    if sum(accusing) == 2:
        return Verdict.SLOWER
    return Verdict.UNCLEAR if len(measurements) >= MOST_MEASUREMENTS else None


def merged(old: Sequence[Pair], new: Sequence[Pair], margin: float) -> list[Pair]:
    """The stored pairs once ``new`` ones were measured.

    Of new ones of one state of the machine that with the middle ratio counts. Old ones stay, for the machine may be in
    their state again, unless there is a new one of that state. What allows less than a new one takes goes, old or new.
    """
    middle: list[Pair] = []
    rest = sorted(new)
    while rest:
        state = [pair for pair in rest if _is_near(pair, rest[0])]
        rest = rest[len(state) :]
        middle.append(sorted(state, key=lambda pair: pair[1] / pair[0])[len(state) // 2])
    pairs = middle + [pair for pair in old if not any(_is_near(pair, other) for other in middle)]
    return sorted(pair for pair in pairs if all(time <= allowed([pair], at) * (1 + margin) for at, time in middle))


def _is_near(a: Pair, b: Pair) -> bool:
    return abs(math.log(a[0] / b[0])) < _NEAR
