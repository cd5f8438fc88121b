"""Numbers and names as people read them."""

import math
import re
from typing import Any

from fastkl.bench.pairs import PRODUCT
from fastkl.bench.peers import FLOOR
from fastkl.bench.scaling import counted

Session = dict[str, Any]
Job = dict[str, Any]
Line = dict[str, Any]

_SIZED = re.compile(r"(?P<who>.+), (?P<size>[\d,]+) (?P<what>bins|rows|threads?|histograms|columns|workers?)")


def three_digits(value: float) -> str:
    """A number in about three digits.

    >>> [three_digits(x) for x in (20512.3, 68.4, 1.8, 0.30123, 0.0021, 2.5e-5, 0)]
    ['20,512', '68.4', '1.80', '0.301', '0.00210', '2.50e-05', '0']
    """
    if value == 0:
        return "0"
    if abs(value) < 0.001:
        return f"{value:.2e}"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:,.{digits}f}"


def maybe(value: float | None) -> str:
    """A number, or nothing."""
    return "" if value is None else three_digits(value)


def time_of(job: Job, nanoseconds: float) -> str:
    """A time with its unit.

    >>> time_of({"unit": "bin"}, 0.3), time_of({"unit": "call"}, 4880.0)
    ('0.300 ns', '4.88 µs')
    """
    return f"{three_digits(nanoseconds / 1e3)} µs" if job["unit"] == "call" else f"{three_digits(nanoseconds)} ns"


def error_of(line: Line) -> str:
    """The largest relative error, or nothing."""
    return "" if line["error"] is None else f"{line['error']:.0e}" if line["error"] else "0"


def size_of(job: Job) -> str:
    """What the job ran on."""
    axis = ", axis=0" if job["axis"] == 0 else ""
    size = f"{job['rows']:,} x {job['bins']:,} {job['dtype']}{axis}; normalize={job['normalize']}"
    return f"{size}; {counted(job['threads'], 'threads')}"


def measured(job: Job) -> list[Line]:
    """The contestants that have times."""
    return [line for line in job["lines"] if line["median"] is not None]


def base_of(job: Job) -> Line | None:
    """The contestant that others are compared with: the floor, in a job that has none the fastest."""
    lines = [line for line in measured(job) if not point_of(job, line)]
    floors = [line for line in lines if is_floor(line["name"])]
    return min(floors or lines, key=lambda line: line["median"], default=None)


def multiple_of(job: Job, line: Line) -> float | None:
    """A contestant's time over that of the job's base: by rounds where the rounds were compared, else by medians."""
    base = base_of(job)
    if base is None or line["median"] is None:
        return None
    if line is base:
        return 1.0
    ratios = {FLOOR.name: line["floor_ratio"], job["reference"]: line["scipy_ratio"]}
    by_rounds = ratios.get(base["name"]) if is_floor(base["name"]) else None
    return float(1 / by_rounds if by_rounds else line["median"] / base["median"])


def is_fastkl(name: str) -> bool:
    """Whether a contestant is fastkl, in whatever form."""
    return name.partition(",")[0].partition(" ")[0] == "fastkl"


def is_floor(name: str) -> bool:
    """Whether that is the least possible time, on whatever threads and of whatever size."""
    return name.partition(", ")[0] in (FLOOR.name, PRODUCT.name)


def sized(name: str) -> tuple[str, int, str] | None:
    """Who, how many and of what, where a contestant's name ends so.

    >>> sized("read floor, 99,840 bins"), sized("fastkl, 1 thread"), sized("fastkl, dense")
    (('read floor', 99840, 'bins'), ('fastkl', 1, 'threads'), None)
    """
    found = _SIZED.fullmatch(name)
    if not found:
        return None
    what = found["what"]
    return found["who"], int(found["size"].replace(",", "")), what if what.endswith("s") else f"{what}s"


def point_of(job: Job, line: Line) -> tuple[str, int, str] | None:
    """Who was measured at how many of what, where a line is a point of several."""
    if line["at"] is None:
        return sized(line["name"])
    return line["name"].rpartition(", ")[0], line["at"], job["curve"]["variable"]


def suite_of(session: Session) -> str:
    """The suite whose jobs these are."""
    from fastkl.bench.jobs import SUITES

    names = {job["name"] for job in session["jobs"]}
    shared = {suite: len(names & {job.name for job in jobs}) for suite, jobs in SUITES.items()}
    suite = max(shared, key=lambda name: shared[name])
    return suite if shared[suite] else "other jobs"
