"""Runs the jobs: makes a job's data, has its contestants compute, compares, times, and forgets the data."""

import json
import math
import os
import statistics
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from fastkl.bench.case import Case
from fastkl.bench.job import Job
from fastkl.bench.machine import Others
from fastkl.bench.peers import FASTKL, FLOOR, Unsuitable
from fastkl.bench.report import duration
from fastkl.bench.rounds import Runner, paired_ratio, play

_LONG = 20  # seconds of a job that are worth a word


@dataclass(frozen=True, slots=True)
class Settings:
    """How much to measure."""

    scale: float
    seconds: float  # for each contestant of each job
    threads: int
    large: bool


@dataclass(slots=True)
class Row:
    """A contestant's line in the table; times are in ns per bin or per call. What could not be had is None."""

    name: str
    note: str = ""
    best: float | None = None
    median: float | None = None
    rounds: int = 0
    floor_ratio: float | None = None
    scipy_ratio: float | None = None
    error: float | None = None
    at: int | None = None  # of a point of a curve: the value of its variable


@dataclass(slots=True)
class Figure:
    """A number that has a target."""

    name: str
    value: float | None
    bound: float
    aim: float | None
    at_most: bool
    at_best: float | None = None  # the same ratio of the best times


@dataclass(slots=True)
class Result:
    """All that was measured of a job."""

    name: str
    about: str
    rows: int
    bins: int
    dtype: str
    normalize: bool
    axis: int
    unit: str
    threads: int
    reference: str  # the contestant whose time is given as a multiple of each other's
    others: float | None = None  # the part of the CPUs that other processes took meanwhile
    lines: list[Row] = field(default_factory=list)
    figures: list[Figure] = field(default_factory=list)
    curve: dict[str, Any] | None = None  # if the lines are its points: its variable, its unit, and what they show

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def measure(job: Job, settings: Settings) -> Result:
    """Make the job's data, run its contestants, forget the data."""
    job = job.scaled(settings.scale).that_fits()
    about = job.name, job.about, job.rows, job.bins, job.dtype, job.normalize, job.axis, job.unit
    result = Result(*about, settings.threads, job.reference)
    others = Others()
    values = (job.trial or {"time": _time, "memory": _memory}[job.measured])(job, settings, result)
    result.others = others.share()
    for target in job.targets:
        value, at_best = values.get(target.figure, (None, None))
        result.figures.append(Figure(target.figure, value, target.bound, target.aim, target.at_most, at_best))
    return result


def fill(row: Row, runner: Runner) -> None:
    """Put a contestant's times into its line."""
    row.best, row.median = min(runner.times.values()), statistics.median(runner.times.values())
    row.rounds = len(runner.times)


Values = dict[str, tuple[float | None, float | None]]


def _time(job: Job, settings: Settings, result: Result) -> Values:
    try:
        whole = job.case(settings.threads)
    except ImportError as absent:
        result.lines.append(Row(FASTKL.name, f"not installed: {absent}"))
        return {}
    cases: dict[Callable[[Case], Case], Case] = {}
    truths: dict[Case, Callable[[Any], float | None]] = {}
    runners: dict[str, Runner] = {}
    for peer in job.peers:
        row = Row(peer.name)
        result.lines.append(row)
        if peer.change not in cases:
            cases[peer.change] = peer.change(whole)
        case = cases[peer.change]
        try:
            call = peer.bind(case)
            answer = call()
        except ImportError:
            row.note = "not installed"
            continue
        except Unsuitable as reason:
            row.note = str(reason)
            continue
        except Exception as error:
            if peer.package == "fastkl":
                raise
            row.note = f"failed: {error}"  # another library's fault should not cost the whole table
            continue
        if peer.rtol is not None:
            if case not in truths:
                truths[case] = case.truth()
            row.error = truths[case](answer)
            if row.error == math.inf:  # which JSON can't say
                row.error, row.note = None, "not 0 or not finite where the divergence is, or the reverse"
        runners[peer.name] = Runner(call, case.items if job.unit == "bin" else 1)
        if case.items < whole.items:
            row.note = " ".join([f"timed on {case.items:,} bins", row.note]).strip()
    play(list(runners.values()), settings.seconds, settings.threads)
    for row in result.lines:
        if runner := runners.get(row.name):
            fill(row, runner)
            row.floor_ratio = _ratio(runners.get(FLOOR.name), runner)
            row.scipy_ratio = _ratio(runners.get(job.reference), runner)
            if job.unit == "bin" and (seconds := statistics.median(runner.times.values()) * whole.items / 1e9) > _LONG:
                row.note = f"{row.note}; all take {duration(seconds)}".lstrip("; ")
    fastkl = runners[FASTKL.name].times.values()
    values: Values = {"fastkl, us per call": (statistics.median(fastkl) / 1e3, min(fastkl) / 1e3)}
    values |= {f"error of {row.name}": (row.error, None) for row in result.lines}
    medians, best = ({name: pick(r.times.values()) for name, r in runners.items()} for pick in (statistics.median, min))
    at_best = whole.figures(best)
    values |= {name: (value, at_best[name]) for name, value in whole.figures(medians).items()}
    for target in job.targets:
        above, _, below = target.figure.partition(" / ")
        if above in runners and below in runners:
            values[target.figure] = paired_ratio(runners[above], runners[below])
    return values


def _ratio(a: Runner | None, b: Runner) -> float | None:
    return None if a is None else paired_ratio(a, b)[0]


def _memory(job: Job, settings: Settings, result: Result) -> Values:
    """What one call needs beside its inputs and its output, in a process that has done nothing else."""
    found = in_new_process("fastkl.bench.memory", job.name, str(settings.scale), str(settings.threads))
    return {f"MB beyond inputs and output, {name}": (value, None) for name, value in found.items()}


def in_new_process(module: str, *words: str) -> Any:
    """What a module prints as JSON, run with this fastkl."""
    package = Path(__file__).parents[2]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(package), os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, "-m", module, *words]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, env=environment, check=True).stdout)
