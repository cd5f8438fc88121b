"""Jobs and what they are measured against in turn: their findings, one after the other.

A job and its yardstick run on one thread unless more are asked for: one thread is disturbed the least, and shows all
that happens to a kernel. A job that looks slower is measured again, on new data and for longer; `verdict` has the
rules, `guard` the command.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from fastkl.bench.fits import GRID_PRODUCT
from fastkl.bench.job import Job
from fastkl.bench.machine import Others
from fastkl.bench.measure import Settings
from fastkl.bench.pairs import PRODUCT
from fastkl.bench.peers import FASTKL, FLOOR, Peer
from fastkl.bench.rounds import Runner, play
from fastkl.bench.verdict import FEWEST_ROUNDS, Interval, Measurement, Pair, Verdict, slowdown, verdict

_YARDSTICKS = (FLOOR.name, PRODUCT.name, GRID_PRODUCT.name)
_ROUND = 0.04  # seconds that a round takes beside the call


@dataclass(slots=True)
class Finding:
    """A job's measurements, what they are compared with, and the verdict."""

    job: str
    yardstick: str
    stored: list[Pair]
    measurements: list[Measurement] = field(default_factory=list)
    verdict: Verdict = Verdict.UNKNOWN

    @property
    def interval(self) -> Interval | None:
        """The slowdown by the last measurement."""
        return slowdown(self.measurements[-1], self.stored) if self.stored else None

    @property
    def others(self) -> float:
        """The most that other processes took of the CPUs."""
        return max(measurement.others or 0 for measurement in self.measurements)


def checkable(jobs: Sequence[Job]) -> list[Job]:
    """Those of the jobs that have a yardstick, and whose data can be had here."""
    return [job for job in jobs if yardstick_of(job) and _has_data(job)]


def _has_data(job: Job) -> bool:
    try:
        job.scaled(1e-3).case(1)
    except ImportError:  # the data come with a library
        return False
    return True


def yardstick_of(job: Job) -> Peer | None:
    """The read floor or the bare product; else the job's reference, if it does the whole job and is not fastkl."""
    if job.measured != "time" or FASTKL.name not in [peer.name for peer in job.peers]:
        return None
    whole = [peer for peer in job.peers if peer.change is FLOOR.change and peer.package != "fastkl"]
    lawful = [peer for peer in whole if peer.name in _YARDSTICKS]
    return next(iter(lawful + [peer for peer in whole if peer.name == job.reference]), None)


def measure(job: Job, settings: Settings) -> Measurement:
    """Time a job and its yardstick in turn, on data made anew."""
    yardstick = yardstick_of(job)
    assert yardstick is not None
    others = Others()
    case = job.scaled(settings.scale).case(settings.threads)
    fastkl = next(peer for peer in job.peers if peer.name == FASTKL.name)
    runners = []
    for peer in (yardstick, fastkl):
        call = peer.bind(case)
        call()  # compiles
        runners.append(Runner(call, case.items if job.unit == "bin" else 1))
    longest = max(runner.expected for runner in runners)
    play(runners, max(settings.seconds, FEWEST_ROUNDS * (longest + _ROUND)), settings.threads)
    below, above = (runner.times for runner in runners)
    return Measurement(
        tuple((below[turn], above[turn]) for turn in sorted(below.keys() & above.keys())), others.share()
    )


def check(jobs: Sequence[Job], settings: Settings, stored: dict[str, list[Pair]], margin: float) -> Iterator[Finding]:
    """The verdict on each of the checkable jobs."""
    for job in jobs:
        yardstick = yardstick_of(job)
        assert yardstick is not None
        finding = Finding(job.name, yardstick.name, stored.get(job.name, []))
        said = None
        while said is None:
            longer = replace(settings, seconds=settings.seconds * (1 + len(finding.measurements)))
            finding.measurements.append(measure(job, longer))
            said = verdict(finding.measurements, finding.stored, margin)
        finding.verdict = said
        yield finding
