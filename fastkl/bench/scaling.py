"""A job at several values of one variable, all else the same: threads, bins in all, bins a row, rows.

The floor and fastkl are measured at all of the values in turn, in one run; `knees` says what the figures show.
"""

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fastkl.bench import data
from fastkl.bench.case import Case
from fastkl.bench.contestant import Peer, same
from fastkl.bench.job import Job
from fastkl.bench.knees import Points, marks_of, notes_of
from fastkl.bench.machine import free_memory
from fastkl.bench.measure import Result, Row, Settings, Values, fill
from fastkl.bench.peers import FASTKL, FLOOR
from fastkl.bench.rounds import Runner, paired_ratio, play

# Of a contestant's time, what each of its points gets: neighbours bear each other out.
_SHARE = 1 / 3
_LARGE = 10
_FEW = 4  # threads
_MOST_BINS_A_ROW = 10**7
RATIO = "cost per bin, largest / smallest batch"


@dataclass(frozen=True, slots=True)
class Curve:
    """What measures a job at ``values`` of a variable, of which ``at`` makes the case."""

    variable: str  # a plural, its noun first
    values: Callable[[Job, int], Sequence[int]]  # of a job and the most threads
    at: Callable[[Case, int], Case]
    is_arithmetic: bool = False  # bound by that, not by memory

    def __call__(self, job: Job, settings: Settings, result: Result) -> Values:
        """Fill the lines of all points, and say what they show."""
        if settings.large and self.variable == "bins":
            job = replace(job, rows=_LARGE * job.rows).that_fits()
            result.rows, result.about = job.rows, job.about
        whole = job.case(settings.threads)
        cases = {value: self.at(whole, value) for value in self.values(job, settings.threads)}
        runners = _runners(job.peers, cases, result)
        if runners:
            play(list(runners.values()), settings.seconds * _SHARE, settings.threads)
        points: Points = {}
        for value in cases:
            for peer in job.peers:
                if runner := runners.get((peer, value)):
                    result.lines.append(self._line(peer, value, runner, runners, job))
                    points.setdefault(peer.name, {})[value] = statistics.median(runner.times.values())
        result.curve = self._explained(job, whole, points)
        last, first = (runners.get((FASTKL, value)) for value in (max(cases), min(cases)))
        return {RATIO: paired_ratio(last, first)} if last and first else {}

    def _line(self, peer: Peer, value: int, runner: Runner, runners: dict[tuple[Peer, int], Runner], job: Job) -> Row:
        line = Row(f"{peer.name}, {counted(value, self.variable)}", at=value)
        fill(line, runner)
        floor = floor_of(peer, job.peers)
        if floor and (below := runners.get((floor, value))):
            ratio = paired_ratio(below, runner)[0]
            if floor.name == job.reference:
                line.scipy_ratio = ratio
            else:
                line.floor_ratio = ratio
        return line

    def _explained(self, job: Job, whole: Case, points: Points) -> dict[str, Any]:
        """What the page needs to draw the curve, and the sentences about its knees."""
        unit, per_item = ("GFLOP/s", 2) if self.is_arithmetic else ("GB/s", whole.p.itemsize + whole.q.itemsize)
        return {
            "variable": self.variable,
            "unit": unit,
            "per_item": per_item,
            "marks": marks_of(self.variable, job, per_item, whole.threads),
            "notes": notes_of(self.variable, job, per_item, unit, points),
        }


def _runners(peers: Sequence[Peer], cases: dict[int, Case], result: Result) -> dict[tuple[Peer, int], Runner]:
    runners: dict[tuple[Peer, int], Runner] = {}
    for peer in peers:
        try:
            for value, case in cases.items():
                asked = peer.change(case)
                call = peer.bind(asked)
                call()  # compiles
                runners[peer, value] = Runner(call, asked.items)
        except ImportError as absent:
            result.lines.append(Row(peer.name, f"not installed: {absent.name}"))
    return runners


def floor_of(peer: Peer, peers: Sequence[Peer]) -> Peer | None:
    """What computes nothing on the same threads, else the first that computes nothing."""
    floors = [other for other in peers if other.rtol is None]
    return next((floor for floor in floors if floor.change is peer.change), next(iter(floors), None))


def counted(count: int, plural: str) -> str:
    """A number with its noun, the first word of several.

    >>> counted(1, "threads"), counted(1, "bins a row"), counted(1000, "bins a row")
    ('1 thread', '1 bin a row', '1,000 bins a row')
    """
    noun, *rest = plural.split(" ")
    return " ".join([f"{count:,}", noun.removesuffix("s") if count == 1 else noun, *rest])


def steps(first: int, last: int, per_decade: int) -> list[int]:
    """Whole numbers from the first to the last by about equal factors, so many to a decade.

    >>> steps(1, 100, 2), steps(390, 390_625, 1), steps(5, 3, 2)
    ([1, 3, 10, 32, 100], [390, 3902, 39042, 390625], [3])
    """
    if first >= last:
        return [last]
    count = max(1, round(math.log10(last / first) * per_decade))
    numbers = np.geomspace(first, last, count + 1)
    return list(dict.fromkeys([first, *(round(number) for number in numbers[1:-1]), last]))


def numbers_of_threads(most: int) -> list[int]:
    """Each number if there are few, else powers of two and all.

    >>> numbers_of_threads(3), numbers_of_threads(12)
    ([1, 2, 3], [1, 2, 4, 8, 12])
    """
    if most <= _FEW:
        return list(range(1, most + 1))
    return sorted({*(1 << k for k in range(most.bit_length())), most})


def bins_from(first: int, per_decade: int) -> Curve:
    """The first rows of a job, of so many bins and more, up to all."""

    def values(job: Job, threads: int) -> list[int]:
        return [rows * job.bins for rows in steps(max(1, first // job.bins), job.rows, per_decade)]

    return Curve("bins", values, Case.head)


def _lengths(job: Job, threads: int) -> list[int]:
    return [2, *steps(10, min(job.rows * job.bins, _MOST_BINS_A_ROW), 2)]


def _in_rows_of(case: Case, bins: int) -> Case:
    rows = case.q.size // bins
    p, q = (array.reshape(-1)[: rows * bins].reshape(rows, bins) for array in (case.p, case.q))
    return replace(case, p=p, q=q)


def room_for_overlapping(bins: int, dtype: str) -> int:
    """The most rows of `data.overlapping` that the free memory takes."""
    return max(1, int(0.9 * free_memory() / (1.5 * bins * np.dtype(dtype).itemsize)))


OVER_THREADS = Curve(
    "threads", lambda job, threads: numbers_of_threads(threads), lambda case, threads: replace(case, threads=threads)
)
PAIRS_OVER_THREADS = replace(OVER_THREADS, is_arithmetic=True)
OVER_ROW_LENGTHS = Curve("bins a row", _lengths, _in_rows_of)
OVER_ROWS = Curve(
    "rows",
    lambda job, threads: steps(1, job.rows, 1),
    lambda case, rows: case.head(rows * int(case.q.shape[-1])),
)


def _on_one_thread(case: Case) -> Case:
    return replace(case, threads=1)


def _normalized(case: Case) -> Case:
    return replace(case, normalize=True)


BOTH_SCALINGS = (FLOOR, FASTKL, FASTKL.on("normalize=True", _normalized))
ONE_AND_ALL_THREADS = tuple(
    peer.on(name, change)
    for name, change in (("1 thread", _on_one_thread), ("all threads", same))
    for peer in (FLOOR, FASTKL)
)


def curve(
    name: str, about: str, rows: int, bins: int, trial: Curve, peers: tuple[Peer, ...] = (FLOOR, FASTKL), **options: Any
) -> Job:
    """A job of the suite: KL of rows in double precision that are not normalised, if ``options`` say nothing else."""
    given: dict[str, Any] = {"dtype": "float64", "make": data.two_histograms, "normalize": False} | options
    return Job(name=name, about=about, rows=rows, bins=bins, measured="trial", trial=trial, peers=peers, **given)
